// The public surface of what plugins see is frozen in text files (Surface/NAME.txt): a change of it is seen in review.
// PEFTALIGN_UPDATE_SURFACE=1 writes the files anew. What a built plugin could no longer run with raises Api.Level.

using System.Reflection;

namespace PeftAlign.Architecture.Tests;

public class SurfaceTests
{
    private const BindingFlags Declared = BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.Instance | BindingFlags.Static | BindingFlags.DeclaredOnly;

    private static readonly string[] Seen = ["Abstractions", "Torch", "Algebra", "Core", "Models", "Plugins", "Testing"];

    private static IEnumerable<Project> Projects => Tree.Projects.Where(project => Seen.Contains(project.Name));

    [TestCaseSource(nameof(Projects))]
    public void ThePublicSurfaceIsTheOneOnFile(object project)
    {
        var subject = (Project)project;
        var file = Path.Combine(Tree.Root, "tests", "Architecture.Tests", "Surface", subject.Name + ".txt");
        var found = Surface(subject).ToArray();
        if (Environment.GetEnvironmentVariable("PEFTALIGN_UPDATE_SURFACE") == "1")
            File.WriteAllLines(file, found);
        else if (!File.Exists(file))
            Assert.Ignore($"the surface of {subject.Name} is not frozen yet; PEFTALIGN_UPDATE_SURFACE=1 writes {file}");
        var expected = File.ReadAllLines(file);
        Assert.That(found.Except(expected).Select(line => "+ " + line).Concat(expected.Except(found).Select(line => "- " + line)), Is.Empty,
            $"the public surface of {subject.Name} changed; if that is meant, run the test once with PEFTALIGN_UPDATE_SURFACE=1");
    }

    [Test]
    public void ContractsHaveAtMostFiveMembers()
    {
        var context = new FolderContext(Projects.Single(project => project.Name == "Abstractions").Assembly);
        var contracts = context.LoadFromAssemblyPath(Projects.Single(project => project.Name == "Abstractions").Assembly).GetExportedTypes().Where(type => type.IsInterface);
        Assert.That(contracts.Where(type => type.GetMembers().Count(member => member is not MethodInfo { IsSpecialName: true }) > 5).Select(type => type.Name), Is.Empty);
    }

    private static IEnumerable<string> Surface(Project project)
    {
        var context = new FolderContext(project.Assembly);
        var assembly = context.LoadFromAssemblyPath(project.Assembly);
        return assembly.GetExportedTypes().SelectMany(Lines).Order(StringComparer.Ordinal);
    }

    private static IEnumerable<string> Lines(Type type)
    {
        var parents = type.GetInterfaces().Select(Name).Order(StringComparer.Ordinal).Prepend(type.BaseType is { } parent ? Name(parent) : "").Where(name => name is not ("" or "Object" or "ValueType"));
        yield return $"{Name(type)}: {Kind(type)} {string.Join(", ", parents)}".TrimEnd();
        foreach (var member in type.GetMembers(Declared).Where(IsVisible)) yield return $"{Name(type)}.{Text(member)}";
    }

    private static string Kind(Type type) =>
        type.IsEnum ? "enum" : type.IsInterface ? "interface" : type.IsValueType ? "struct" : type is { IsAbstract: true, IsSealed: true } ? "static class" : type.IsAbstract ? "abstract class" : type.IsSealed ? "sealed class" : "class";

    // Accessors are told by their property or event; what the compiler adds to records follows from the record's own members.
    private static bool IsVisible(MemberInfo member) => member switch
    {
        ConstructorInfo constructor => Visible(constructor) && !IsCopy(constructor),
        MethodInfo method => Visible(method) && !method.IsSpecialName && method.Name is not ("Equals" or "GetHashCode" or "ToString" or "Deconstruct" or "<Clone>$" or "PrintMembers" or "CompareTo"),
        MethodBase => false,
        PropertyInfo property => property.GetAccessors(true).Any(Visible) && property.Name != "EqualityContract",
        FieldInfo field => (field.IsPublic || field.IsFamily) && !field.IsSpecialName,
        EventInfo happening => happening.AddMethod is { } add && Visible(add),
        _ => false,
    };

    private static bool Visible(MethodBase method) => method.IsPublic || method.IsFamily || method.IsFamilyOrAssembly;

    private static bool IsCopy(ConstructorInfo constructor) => constructor.IsFamily && constructor.GetParameters() is [var only] && only.ParameterType == constructor.DeclaringType;

    private static string Text(MemberInfo member) => member switch
    {
        ConstructorInfo constructor => $"new({Parameters(constructor.GetParameters())})",
        MethodInfo method => $"{method.Name}{Generic(method.GetGenericArguments())}({Parameters(method.GetParameters())}): {Name(method.ReturnType)}",
        PropertyInfo property => $"{property.Name}{Index(property)}: {Name(property.PropertyType)} {{ {string.Join(' ', property.GetAccessors(true).Where(Visible).Select(Accessor).Order(StringComparer.Ordinal))} }}",
        FieldInfo field => $"{field.Name}: {Name(field.FieldType)}{(field.IsLiteral ? $" = {Convert.ToString(field.GetRawConstantValue(), System.Globalization.CultureInfo.InvariantCulture)}" : "")}",
        EventInfo happening => $"{happening.Name}: event {Name(happening.EventHandlerType!)}",
        _ => member.Name,
    };

    private static string Index(PropertyInfo property) => property.GetIndexParameters() is { Length: > 0 } index ? $"[{Parameters(index)}]" : "";

    private static string Accessor(MethodInfo method) =>
        method.ReturnType != typeof(void) ? "get" : method.ReturnParameter.GetRequiredCustomModifiers().Any(modifier => modifier.Name == "IsExternalInit") ? "init" : "set";

    private static string Parameters(ParameterInfo[] parameters) =>
        string.Join(", ", parameters.Select(parameter => $"{Name(parameter.ParameterType)} {parameter.Name}{(parameter.HasDefaultValue ? $" = {Default(parameter)}" : "")}"));

    private static string Default(ParameterInfo parameter) =>
        parameter.RawDefaultValue is { } value and not System.Reflection.Missing ? Convert.ToString(value, System.Globalization.CultureInfo.InvariantCulture)! : "null";

    private static string Generic(Type[] arguments) => arguments.Length == 0 ? "" : $"<{string.Join(", ", arguments.Select(Name))}>";

    private static string Name(Type type)
    {
        if (type.IsGenericParameter) return type.Name;
        if (type.IsByRef) return "ref " + Name(type.GetElementType()!);
        if (type.IsPointer) return Name(type.GetElementType()!) + "*";
        if (type.IsArray) return Name(type.GetElementType()!) + "[]";
        var name = type.IsNested ? $"{Name(type.DeclaringType!)}.{type.Name}" : type.Name;
        var tick = name.IndexOf('`');
        return (tick < 0 ? name : name[..tick] + name[(tick + 2)..]) + Generic(type.GetGenericArguments());
    }
}
