// What F# makes public is documented: its compiler has no warning for that (C# has CS1591). Read from the documentation files that the
// build leaves beside the assemblies; of members that overload each other one word is asked for.

using System.Reflection;
using System.Xml.Linq;

namespace PeftAlign.Architecture.Tests;

public class DocumentationTests
{
    private const BindingFlags Declared = BindingFlags.Public | BindingFlags.Instance | BindingFlags.Static | BindingFlags.DeclaredOnly;

    private static IEnumerable<Project> Projects => Tree.Projects.Where(project => project.File.EndsWith(".fsproj", StringComparison.Ordinal));

    [TestCaseSource(nameof(Projects))]
    public void EverythingPublicIsDocumented(object project)
    {
        var assembly = ((Project)project).Assembly;
        var documented = XDocument.Load(Path.ChangeExtension(assembly, ".xml")).Descendants("member").Where(member => member.Value.Trim().Length > 0)
            .Select(member => WithoutParameters(member.Attribute("name")!.Value[2..])).ToHashSet();
        var types = new FolderContext(assembly).LoadFromAssemblyPath(assembly).GetExportedTypes().Where(type => !IsMade(type)).ToList();
        Assert.That(types, Is.Not.Empty);
        Assert.That(types.SelectMany(type => Members(type).Prepend(Name(type))).Where(name => !documented.Contains(name)).Distinct().ToList(), Is.Empty);
    }

    private static IEnumerable<string> Members(Type type) =>
        type.GetMembers(Declared).Where(member => !IsMade(member) && member is PropertyInfo or MethodInfo { IsSpecialName: false }).Select(member => $"{Name(type)}.{member.Name}");

    private static string Name(Type type) => type.FullName!.Replace('+', '.');

    // What records and unions get from the compiler; fields of records, whose type says what they are, as a C# record's does.
    private static bool IsMade(MemberInfo member) =>
        member.GetCustomAttributesData().Any(a => a.AttributeType.Name == "CompilerGeneratedAttribute" || (member is PropertyInfo && a.AttributeType.Name == "CompilationMappingAttribute"))
        || member.Name is "Equals" or "GetHashCode" or "ToString" or "CompareTo";

    private static string WithoutParameters(string id) => id.Split('(')[0].Split("``")[0];
}
