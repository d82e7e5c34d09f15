// Set-up from nothing, and what a change of the sources does. Minutes: only with PEFTALIGN_SLOW=1 (./test --slow).

namespace PeftAlign.Setup.Tests;

public class WholeTests
{
    private Clone clone = null!;

    [OneTimeSetUp]
    public void Build()
    {
        if (Environment.GetEnvironmentVariable("PEFTALIGN_SLOW") != "1") Assert.Ignore("set-up from nothing takes minutes; ./test --slow runs it");
        clone = new Clone(built: false);
        clone.Move("a user's, n=1"); // MSBuild has a meaning for what stands between such marks, and the compilers for the others
        var first = clone.Run(clone.File_("peftalign"), new() { ["HOME"] = null }, "--version");
        Assert.That(first.Code, Is.Zero, first.Err);
        Assert.That(first.Err, Does.Contain("compiling native/").And.Contain("building the product"));
    }

    [OneTimeTearDown]
    public void Remove() => clone?.Dispose();

    private string Product => new FileInfo(Path.Combine(clone.Build, "current")).LinkTarget!;

    [Test]
    public void TheNextRunIsSilent() => Assert.That(clone.Launch("--version").Err, Is.Empty);

    [Test]
    public void AChangeMakesAnotherProductAndLeavesTheOldOne()
    {
        var (before, file) = (Product, clone.File_("src/Host/ExitCode.cs"));
        var text = File.ReadAllText(file);
        File.AppendAllText(file, "// changed\n");
        Assert.That(clone.Run(clone.File_("peftalign"), new() { ["HOME"] = null }, "--version").Code, Is.Zero);
        Assert.That(Product, Is.Not.EqualTo(before));
        Assert.That(File.Exists(Path.Combine(clone.Build, before, "PeftAlign.Host")), "the program under a running experiment stays");
        File.WriteAllText(file, text);
        Assert.That(clone.Launch("--version"), Is.EqualTo(new Outcome(0, clone.Launch("--version").Out, "")), "the old contents have their product already");
        Assert.That(Product, Is.EqualTo(before));
    }

    [Test]
    public void AMistakeInTheSourcesIsShownAndKeepsTheOldProduct()
    {
        var (before, file) = (Product, clone.File_("src/Host/ExitCode.cs"));
        var text = File.ReadAllText(file);
        File.AppendAllText(file, "mistake\n");
        var outcome = clone.Run(clone.File_("peftalign"), new() { ["HOME"] = null }, "--version");
        File.WriteAllText(file, text);
        Assert.That((outcome.Code, outcome.Out), Is.EqualTo((1, "")));
        Assert.That(outcome.Err, Does.Contain("ExitCode.cs").And.Contain("the build failed"));
        Assert.That(Product, Is.EqualTo(before));
    }

    [Test]
    public void AMistakeInNativeIsShown()
    {
        var file = clone.File_("native/mistake.cpp");
        File.WriteAllText(file, "int mistake() { return nonsense; }\n");
        var outcome = clone.Launch("--version");
        File.Delete(file);
        Assert.That(outcome.Code, Is.EqualTo(1));
        Assert.That(outcome.Err, Does.Contain("nonsense").And.Contain("native/ does not compile against libtorch"));
    }

    [Test]
    public void AFailingBuildEndsTheTestCommandWithAFailure()
    {
        var file = clone.File_("src/Host/ExitCode.cs");
        var text = File.ReadAllText(file);
        File.AppendAllText(file, "mistake\n");
        var outcome = clone.Run(clone.File_("test"), new() { ["HOME"] = null });
        File.WriteAllText(file, text);
        Assert.That((outcome.Out.TrimEnd().Split('\n')[^1], outcome.Code), Is.EqualTo(("0 passed, 1 failed", 1)));
    }

    [Test]
    public void WithoutTheNativePartABuildNamesTheRemedy()
    {
        using var bare = new Clone(built: false);
        string[] build = ["msbuild", bare.File_("src/Torch/Torch.csproj"), "-restore", "-p:Configuration=Release", "-v:q", "-nologo"]; // build itself leaves folders among the temporary files
        var refused = bare.Run("dotnet", null, build);
        Assert.That(refused.Code, Is.EqualTo(1));
        Assert.That(refused.Out, Does.Contain("The native part is not built").And.Contain("Run ./peftalign doctor once"));
        Assert.That(bare.Run("dotnet", new() { ["PEFTALIGN_NO_NATIVE"] = "1" }, build).Code, Is.Zero);
    }
}
