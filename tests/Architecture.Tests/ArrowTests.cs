// Who may use whom: the project files and the built assemblies both keep to the arrows below.

namespace PeftAlign.Architecture.Tests;

public class ArrowTests
{
    // Left may use right, and what right may use. Host and Testing stand above all; a plugin is a leaf of its own.
    private static readonly Dictionary<string, string[]> Direct = new()
    {
        ["Torch"] = [],
        ["Core"] = [],
        ["Algebra"] = ["Torch"],
        ["Abstractions"] = ["Torch"],
        ["Plugins"] = ["Abstractions"],
        ["PluginTool"] = ["Plugins", "Abstractions"],
        ["Models"] = ["Abstractions", "Core", "Torch"],
        ["Merging"] = ["Models", "Plugins", "Core", "Algebra", "Abstractions", "Torch"],
        ["Training"] = ["Models", "Algebra", "Core"],
        ["Testing"] = ["Torch", "Core", "Algebra", "Abstractions", "Plugins", "Models", "Training"],
        ["Host"] = ["Torch", "Core", "Algebra", "Abstractions", "Plugins", "Models", "Merging", "Training", "Testing"],
    };

    private static readonly string[] OfAPlugin = ["Abstractions", "Torch", "Algebra", "Core", "Models"];

    private static IReadOnlyList<Project> Projects => Tree.Projects;

    private static HashSet<string> Allowed(Project project)
    {
        var roots = project.IsPlugin ? OfAPlugin : Direct[project.Name];
        return [.. roots, .. roots.SelectMany(name => Allowed(new Project(name, project.File, false)))];
    }

    [Test]
    public void EveryProjectHasAPlaceInTheTable() =>
        Assert.That(Projects.Where(project => !project.IsPlugin).Select(project => project.Name), Is.SubsetOf(Direct.Keys), "a new project of src needs its arrows here and in the design");

    [TestCaseSource(nameof(Projects))]
    public void TheProjectFileKeepsToTheArrows(object project)
    {
        var subject = (Project)project;
        Assert.That(subject.References, Is.SubsetOf(Allowed(subject)));
    }

    [TestCaseSource(nameof(Projects))]
    public void TheAssemblyKeepsToTheArrows(object project)
    {
        var subject = (Project)project;
        Assert.That(File.Exists(subject.Assembly), $"{subject.Assembly} is not built");
        var ours = subject.AssemblyReferences().Where(name => name.StartsWith("PeftAlign.", StringComparison.Ordinal)).Select(name => name["PeftAlign.".Length..]);
        Assert.That(ours, Is.SubsetOf(Allowed(subject)));
    }

    [Test]
    public void TheSolutionHasEveryProject()
    {
        var solution = File.ReadAllText(Path.Combine(Tree.Root, "PeftAlign.sln")).Replace('\\', '/');
        var files = Tree.Files("src").Concat(Tree.Files("plugins")).Concat(Tree.Files("tests")).Select(file => Path.GetRelativePath(Tree.Root, file));
        Assert.That(files.Where(file => !solution.Contains($"\"{file}\"", StringComparison.Ordinal)), Is.Empty);
    }
}
