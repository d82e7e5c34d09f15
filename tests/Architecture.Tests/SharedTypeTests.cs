// What plugins and the host share by simple name must speak of shared types only: a public signature with any other type
// would be one type in the host and another in a plugin's own context.

using System.Reflection;

namespace PeftAlign.Architecture.Tests;

public class SharedTypeTests
{
    private static readonly string[] Shared = ["Abstractions", "Torch", "Algebra", "Core", "Models"];

    private const BindingFlags Declared = BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.Instance | BindingFlags.Static | BindingFlags.DeclaredOnly;

    private static IEnumerable<Project> SharedProjects => Tree.Projects.Where(project => Shared.Contains(project.Name));

    [TestCaseSource(nameof(SharedProjects))]
    public void PublicSignaturesNameSharedTypesOnly(object project)
    {
        var context = new FolderContext(((Project)project).Assembly);
        var assembly = context.LoadFromAssemblyPath(((Project)project).Assembly);
        var foreign = from type in assembly.GetExportedTypes()
                      from named in Signature(type).SelectMany(Parts)
                      where !IsShared(named.Assembly)
                      select $"{type.FullName} names {named.FullName} of {named.Assembly.GetName().Name}";
        Assert.That(foreign.Distinct(), Is.Empty);
    }

    // Core is written in F# and used from C#: no option, list, function, union or reference of F# alone stands on its face.
    [Test]
    public void CoreShowsNothingOfFSharpAlone()
    {
        var core = SharedProjects.Single(project => project.Name == "Core");
        var types = new FolderContext(core.Assembly).LoadFromAssemblyPath(core.Assembly).GetExportedTypes();
        var named = from type in types
                    from part in Signature(type).SelectMany(Parts)
                    where part.Assembly.GetName().Name == "FSharp.Core"
                    select $"{type.FullName} names {part.FullName}";
        const int sumType = 1; // SourceConstructFlags of a discriminated union
        var unions = from type in types
                     from mark in type.GetCustomAttributesData()
                     where mark.AttributeType.Name == "CompilationMappingAttribute" && mark.ConstructorArguments is [{ Value: int flags }, ..] && (flags & 31) == sumType
                     select $"{type.FullName} is a union";
        Assert.That(types, Has.Length.GreaterThan(50));
        Assert.That(named.Concat(unions).Distinct(), Is.Empty);
    }

    private static bool IsShared(Assembly assembly)
    {
        var name = assembly.GetName().Name!;
        var framework = Path.GetDirectoryName(typeof(object).Assembly.Location);
        return Shared.Any(shared => name == $"PeftAlign.{shared}")
            || name == "FSharp.Core"
            || (name.StartsWith("Microsoft.Extensions.", StringComparison.Ordinal) && name.EndsWith(".Abstractions", StringComparison.Ordinal))
            || Path.GetDirectoryName(assembly.Location) == framework;
    }

    // The types that others see: bases, interfaces, and the public and protected members'.
    private static IEnumerable<Type> Signature(Type type)
    {
        if (type.BaseType is { } parent) yield return parent;
        foreach (var contract in type.GetInterfaces()) yield return contract;
        foreach (var bound in type.GetGenericArguments().SelectMany(Bounds)) yield return bound;
        foreach (var field in type.GetFields(Declared).Where(field => field.IsPublic || field.IsFamily || field.IsFamilyOrAssembly)) yield return field.FieldType;
        foreach (var method in type.GetMembers(Declared).OfType<MethodBase>().Where(method => method.IsPublic || method.IsFamily || method.IsFamilyOrAssembly))
        {
            foreach (var parameter in method.GetParameters()) yield return parameter.ParameterType;
            if (method is not MethodInfo function) continue;
            yield return function.ReturnType;
            foreach (var bound in function.GetGenericArguments().SelectMany(Bounds)) yield return bound;
        }
    }

    private static Type[] Bounds(Type argument) => argument.IsGenericParameter ? argument.GetGenericParameterConstraints() : [argument];

    // List<A[]> speaks of List and of A.
    private static IEnumerable<Type> Parts(Type type)
    {
        if (type.IsGenericParameter) return [];
        if (type.GetElementType() is { } element) return Parts(element);
        return type.GetGenericArguments().SelectMany(Parts).Append(type);
    }
}
