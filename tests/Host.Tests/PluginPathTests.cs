// The path of a third party, start to end, on the assembled product: from an empty folder elsewhere on disk, without a network and
// with an empty package cache, for C# and F#.

using System.Diagnostics;
using System.Text.Json.Nodes;

namespace PeftAlign.Host.Tests;

public class PluginPathTests
{
    private string folder = null!;

    [SetUp]
    public void SetUp() => folder = Directory.CreateTempSubdirectory("peftalign-third-party-").FullName;

    [TearDown]
    public void TearDown() => Directory.Delete(folder, recursive: true);

    [TestCase("cs")]
    [TestCase("fs")]
    public void FromAnEmptyFolderToARun(string language)
    {
        var home = Path.Combine(folder, "Acme.TabRows");
        Run(0, folder, Host, "plugins", "new", "reader", "Acme.TabRows", "--lang", language);
        Assert.That(Directory.GetFiles(home).Select(Path.GetFileName), Is.EquivalentTo(
            new[] { "Acme.TabRows.slnx", "Directory.Build.props", "Directory.Build.targets", "Directory.Packages.props", "README.md", ".gitignore" }));
        Offline(home);
        Assert.That(Run(0, home, "dotnet", "test", "--no-build"), Does.Contain("Passed:    13"));
        var temporary = Temporary();
        var packed = Run(0, home, Host, "plugins", "pack", "--out", Path.Combine(folder, "rows.peftplugin")).Trim();
        Assert.That(Temporary(), Is.SubsetOf(temporary), "packing leaves nothing");
        var installed = Path.Combine(folder, "installed");
        Run(0, folder, Host, "plugins", "add", packed, "--plugins", installed);
        Assert.That(Run(0, folder, Host, "plugins", "list", "--plugins", installed), Does.Contain("acme.tabrows").And.Contain("reader tab_rows"));
        Assert.That(Run(0, folder, Host, "plugins", "test", "acme.tabrows", "--plugins", installed), Does.EndWith("13 passed, 0 failed\n"));
        Assert.That(Run(0, folder, Host, "plugins", "verify", "acme.tabrows", "--plugins", installed), Does.Contain("is as built"));
        InManifests(home, installed);
        ATamperedFile(installed);
    }

    [Test]
    public void TheNextCommandCanBeTypedWhateverTheFoldersName() =>
        Assert.That(Run(0, folder, Host, "plugins", "new", "reader", "Acme.Rows", "--out", "it's mine"), Does.EndWith($"next: cd '{folder}/it'\\''s mine' && dotnet test\n"));

    // What the strategy returns is what stands in the merged model: bounded at 0 the base itself, bounded elsewhere another.
    [TestCase("cs")]
    [TestCase("fs")]
    public void AMergeFromAnEmptyFolderToARun(string language)
    {
        var home = Path.Combine(folder, "Acme.Bounded");
        Run(0, folder, Host, "plugins", "new", "merge", "Acme.Bounded", "--lang", language);
        Offline(home);
        Assert.That(Run(0, home, "dotnet", "test", "--no-build"), Does.Contain("Passed:    15"));
        var packed = Run(0, home, Host, "plugins", "pack", "--out", Path.Combine(folder, "bounded.peftplugin")).Trim();
        var installed = Path.Combine(folder, "installed");
        Run(0, folder, Host, "plugins", "add", packed, "--plugins", installed);
        Assert.That(Run(0, folder, Host, "plugins", "list", "--plugins", installed), Does.Contain("acme.bounded").And.Contain("merge bounded"));
        MergeManifest("none", 0);
        MergeManifest("some", 0.001);
        foreach (var name in new[] { "none", "some" }) Run(0, folder, Host, "run", name + ".yaml", "--plugins", installed, "--threads", "1");
        var start = Weights("none", "make-model");
        Assert.That(start, Is.Not.Empty);
        Assert.That(Weights("none", "merge"), Is.EqualTo(start));
        Assert.That(Weights("some", "make-model"), Is.EqualTo(start));
        Assert.That(Weights("some", "merge"), Has.Length.EqualTo(start.Length).And.Not.EqualTo(start));
    }

    // NuGet's own folder stays, with its locks.
    private string[] Temporary() => [.. Directory.GetDirectories(Path.Combine(folder, ".tmp")).Where(path => !Path.GetFileName(path).StartsWith("NuGetScratch", StringComparison.Ordinal))];

    private void MergeManifest(string name, double limit) => File.WriteAllText(Path.Combine(folder, name + ".yaml"), $$"""
        peftalign: 1
        name: {{name}}
        seeds: [1]
        plugins: [methods.sft, data, acme.bounded]
        models:
          tiny: { init: llama, set: { hidden_size: 16, intermediate_size: 32, num_hidden_layers: 1, num_attention_heads: 2, max_position_embeddings: 128 }, tokenizer: bytes }
        datasets:
          one: { reader: synthetic, rows: 6, seed: 1 }
          two: { reader: synthetic, rows: 6, seed: 2 }
        methods:
          teach: { type: sft, learning_rate: 1.0e-3, batch_size: 2, max_steps: 2 }
        train:
          - { models: [tiny], datasets: [one, two], methods: [teach] }
        merge:
          - { name: both, method: bounded, of: { method: teach }, across: dataset, parameters: { weight: 0.5, limit: {{limit.ToString(System.Globalization.CultureInfo.InvariantCulture)}} } }
        """);

    /// <summary>The values of the model that the run's job of a kind has written: what stands behind the safetensors header.</summary>
    private byte[] Weights(string run, string kind)
    {
        var job = Directory.GetDirectories(Path.Combine(folder, "out", run, "jobs")).Single(job => (string?)JsonNode.Parse(File.ReadAllText(Path.Combine(job, "job.json")))!["kind"] == kind);
        var bytes = File.ReadAllBytes(Directory.GetFiles(job, "*.safetensors", SearchOption.AllDirectories).Single());
        return bytes[(8 + (int)BitConverter.ToInt64(bytes))..];
    }

    [TestCase("tracker", "cs", 9)]
    [TestCase("tracker", "fs", 9)]
    public void OtherKindsToo(string kind, string language, int checks)
    {
        if (Environment.GetEnvironmentVariable("PEFTALIGN_SLOW") != "1") Assert.Ignore("slow: PEFTALIGN_SLOW=1 or ./test --slow runs it");
        Run(0, folder, Host, "plugins", "new", kind, "Acme.Own", "--lang", language, "--out", "home");
        Offline(Path.Combine(folder, "home"));
        Assert.That(Run(0, Path.Combine(folder, "home"), "dotnet", "test", "--no-build"), Does.Match($"Passed: +{checks},"));
    }

    // By id from an installed folder, by path as it was built, by file; all three read rows with the plugin's reader.
    private void InManifests(string home, string installed)
    {
        File.Copy(Path.Combine(home, "Acme.TabRows", "conformance", "good.tsv"), Path.Combine(folder, "rows.tsv"));
        var built = Path.Combine("Acme.TabRows", "Acme.TabRows", "bin", "Release", "net10.0");
        Manifest("by-id", "acme.tabrows");
        Manifest("by-path", $"{{ path: {built} }}");
        Manifest("by-file", "{ file: rows.peftplugin }");
        var rows = Run(0, folder, Host, "run", "by-id.yaml", "--plugins", installed, "--json");
        Assert.That(JsonNode.Parse(rows), Is.Not.Null);
        Assert.That(File.ReadAllText(Path.Combine(folder, "by-id.lock.json")), Does.Contain("\"id\": \"acme.tabrows\"").And.Contain("\"sha256\"").And.Contain("\"source\": \"product\""));
        Run(0, folder, Host, "run", "by-path.yaml");
        Assert.That(File.ReadAllText(Path.Combine(folder, "by-path.lock.json")), Does.Not.Contain("acme.tabrows"), "a development folder is never locked");
        Run(0, folder, Host, "run", "by-file.yaml", "--dry-run");
        Assert.That(Run(2, folder, Host, "run", "by-id.yaml", "--dry-run"), Does.Contain("no plugin 'acme.tabrows' is installed"), "third parties' code is known only where something names it");
    }

    private void Manifest(string name, string plugin) => File.WriteAllText(Path.Combine(folder, name + ".yaml"), $$"""
        peftalign: 1
        name: {{name}}
        seeds: [1]
        plugins: [methods.sft, {{plugin}}]
        models:
          tiny: { init: llama, set: { hidden_size: 16, intermediate_size: 32, num_hidden_layers: 1, num_attention_heads: 2, max_position_embeddings: 128 }, tokenizer: bytes }
        datasets:
          rows: { reader: tab_rows, path: rows.tsv }
        methods:
          teach: { type: sft, learning_rate: 1.0e-3, batch_size: 2, max_steps: 2 }
        train:
          - { models: [tiny], datasets: [rows], methods: [teach] }
        """);

    // A changed file is found before a job starts to load it, and by verify.
    private void ATamperedFile(string installed)
    {
        File.AppendAllText(Path.Combine(installed, "acme.tabrows", "conformance", "good.tsv"), "\n");
        Assert.That(Run(2, folder, Host, "plugins", "verify", "--plugins", installed), Does.Contain("plugin acme.tabrows in").And.Contain("file 'conformance/good.tsv' is not the one that was built"));
        Assert.That(Run(2, folder, Host, "run", "by-id.yaml", "--plugins", installed, "--out", "again"), Does.Contain("nothing of it was loaded"));
    }

    [Test]
    public void AMovedProductIsAdopted()
    {
        Run(0, folder, Host, "plugins", "new", "reader", "Acme.TabRows", "--out", "home");
        var props = Path.Combine(folder, "home", "Directory.Build.props");
        var packages = Path.Combine(folder, "home", "Directory.Packages.props");
        var (before, versions) = (File.ReadAllText(props), File.ReadAllText(packages));
        File.WriteAllText(props, before.Replace(Path.GetDirectoryName(Host)!, "/moved/away"));
        File.WriteAllText(packages, versions.Replace("-h", "-x").Replace("    <PackageVersion Include=\"NUnit\"", "    <PackageVersion Include=\"Own.Package\" Version=\"[1.0.0]\" />\n    <PackageVersion Include=\"NUnit\""));
        var error = Offline(Path.Combine(folder, "home"), expected: 1);
        Assert.That(error, Does.Contain("PeftAlign's packages are not in /moved/away/feed. Set PEFTALIGN_FEED"));
        Run(0, folder, Host, "plugins", "relink", "home");
        Assert.That(File.ReadAllText(props), Is.EqualTo(before));
        Assert.That(File.ReadAllText(packages).Replace("    <PackageVersion Include=\"Own.Package\" Version=\"[1.0.0]\" />\n", ""), Is.EqualTo(versions));
    }

    [TestCase("plugins new raeder Acme.Rows", "kinds with a template are adapter, architecture, benchmark, judge, merge, method, quantization, reader, tracker; did you mean reader?")]
    [TestCase("plugins new reader acme", "each part beginning with a capital")]
    [TestCase("plugins new adapter Acme.LowRank", "'LowRank' is a type that plugins use, which a namespace of that name would hide from C#; take another word, for instance Acme.MyLowRank")]
    [TestCase("plugins new reader Acme.Math", "'Math' is a type that plugins use")]
    [TestCase("plugins new launcher Acme.Own", "has no template yet")]
    [TestCase("run x.yaml --launcher slurm", "run --launcher slurm: not built yet in this version; leave it out: jobs run on this machine")]
    [TestCase("serve --port 1", "serve: not built yet in this version")]
    [TestCase("plugins new reader Acme.Rows --lang vb", "is cs (C#) or fs (F#)")]
    [TestCase("plugins new reader Acme.Rows --out .", "--out .: is there and not empty; name another folder, or remove it")]
    [TestCase("plugins new reader Acme.Rows --out something", "--out something: is there and no folder; name another folder, or remove it")]
    [TestCase("plugins info methods.dop", "no such plugin")]
    [TestCase("plugins add rows.peftplugin", "no folder to install in")]
    [TestCase("plugins add rows.peftplugin --plugins there", "cannot be read as a plugin's file")]
    [TestCase("plugins pack", "no plugin project in")]
    [TestCase("plugins relink .", "is not there, so this is no folder that 'peftalign plugins new' made")]
    [TestCase("plugins list --plugins nowhere", "--plugins nowhere: there is no such folder")]
    public void AMistakeIsSaid(string line, string expected)
    {
        File.WriteAllText(Path.Combine(folder, "something"), "");
        Assert.That(Run(2, folder, Host, line.Split(' ')), Does.Contain(expected));
    }

    // Restores and builds, without a network where this user may make a network namespace, and always with an empty package cache.
    // Warnings count as faults: what a third party gets first must be clean.
    private string Offline(string directory, int expected = 0)
    {
        using var probe = Process.Start(new ProcessStartInfo("unshare", ["-rn", "true"]) { RedirectStandardError = true });
        probe!.WaitForExit();
        string[] dotnet = ["dotnet", "build", "-nodeReuse:false", "-warnaserror"];
        string[] line = probe.ExitCode == 0 ? ["unshare", "-rn", .. dotnet] : dotnet;
        return Run(expected, directory, line[0], line[1..]);
    }

    private string Run(int expected, string directory, string program, params string[] args) => Product.Run(folder, expected, directory, program, args);

    private static string Host => Product.Host;
}
