// The published folder works with an empty environment and an empty PATH: nothing of the SDK, of .NET or of libtorch is looked for elsewhere.

using System.Diagnostics;

namespace PeftAlign.Experiments.Tests;

public class PublishTests
{
    private static Outcome Bare(string program, params string[] args)
    {
        var start = new ProcessStartInfo(program, args) { RedirectStandardOutput = true, RedirectStandardError = true, WorkingDirectory = Path.GetDirectoryName(program)! };
        start.Environment.Clear();
        start.Environment["PATH"] = ""; // without one, a shell takes its own
        using var process = Process.Start(start)!;
        var errors = process.StandardError.ReadToEndAsync();
        var text = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return new Outcome(process.ExitCode, text, errors.Result);
    }

    [Test]
    public void A_published_folder_runs_with_an_empty_environment_and_gives_the_same_numbers()
    {
        using var here = new Peftalign();
        var made = here.File("published");
        var outcome = Peftalign.Call("publish", "--out", made);
        Assert.That(outcome.Code, Is.Zero, outcome.All);
        var program = Path.Combine(made, "peftalign");
        var doctor = Bare(program, "doctor", "--json");
        var folder = (string?)System.Text.Json.Nodes.JsonNode.Parse(doctor.Out)!["libtorch"]!["folder"];
        Assert.That(folder, Is.EqualTo(Path.Combine(made, "lib")), doctor.All);
        Assert.That(File.ReadAllText(Path.Combine(made, "manifest.schema.json")), Is.EqualTo(Bare(program, "plugins", "schema").Out), "for editors");
        var link = File.CreateSymbolicLink(here.File("link"), program).FullName;
        Assert.That(Bare(link, "--version").Code, Is.Zero, "through a link");

        var manifest = here.Write("m.yaml", Manifests.Short);
        var elsewhere = here.File("elsewhere");
        var run = Bare(program, "run", manifest, "--out", elsewhere, "--threads", "1");
        Assert.That(run.Code, Is.Zero, run.All);
        Assert.That(File.ReadAllText(Path.Combine(elsewhere, "report.json")), Is.EqualTo(File.ReadAllText(Path.Combine(WholeRuns.Of(Manifests.Short).Run, "report.json"))));

        // The program is started with the settings that the checkout's launcher gives, and with what the user sets.
        File.WriteAllText(Path.Combine(made, "product", "PeftAlign.Host"), "#!/bin/sh\n/usr/bin/env\n");
        var settings = File.ReadAllText(Path.Combine(Peftalign.Repository, "build", "allocator.sh"));
        Assert.That(settings, Does.Contain("${MALLOC_TOP_PAD_-67108864}"));
        Assert.That(Bare(program).Out, Does.Contain("MALLOC_TOP_PAD_=67108864\n").And.Contain("MALLOC_MMAP_THRESHOLD_=1073741824\n"));
        Assert.That(Bare("/usr/bin/env", "MALLOC_TOP_PAD_=5", program).Out, Does.Contain("MALLOC_TOP_PAD_=5\n"));

        File.WriteAllText(Path.Combine(made, "product", "PeftAlign.Host"), $"#!/bin/sh\nopen=$(/usr/bin/readlink /proc/$$/fd/0 /proc/$$/fd/1 /proc/$$/fd/2)\necho \"$open\" >'{made}/open'\n");
        Assert.That(Bare("/bin/sh", "-c", $"exec '{program}' <&- >&- 2>&-").Code, Is.Zero);
        Assert.That(File.ReadAllLines(Path.Combine(made, "open")), Is.EqualTo(Enumerable.Repeat("/dev/null", 3)), "what was closed is open");

        var again = Peftalign.Call("publish", "--out", made);
        Assert.That((again.Code, again.Err), Is.EqualTo((2, $"peftalign: --out {made}: is there and not empty; name another folder, or remove it\n")));
    }

    [Test]
    public void Without_libtorch_the_folder_carries_what_compiles_the_native_part()
    {
        using var here = new Peftalign();
        var made = here.File("published");
        var outcome = Peftalign.Call("publish", "--out", made, "--without-libtorch");
        Assert.That(outcome.Code, Is.Zero, outcome.All);
        Assert.That(Directory.Exists(Path.Combine(made, "lib")), Is.False);
        Assert.That(Bare("/usr/bin/test", "-x", Path.Combine(made, "source", "native", "build")).Code, Is.Zero, "the compile script can be run");
        Assert.That(Bare(Path.Combine(made, "peftalign"), "--version").Code, Is.Zero);

        // What was compiled elsewhere is used, as on a machine with a GPU.
        var native = Path.Combine(Peftalign.Repository, ".build", "native", "current");
        var start = new ProcessStartInfo(Path.Combine(made, "peftalign"), ["doctor", "--json"]) { RedirectStandardOutput = true, RedirectStandardError = true };
        start.Environment["PEFTALIGN_NATIVE"] = native;
        using var process = Process.Start(start)!;
        _ = process.StandardError.ReadToEndAsync();
        Assert.That(process.StandardOutput.ReadToEnd(), Does.Contain("\"operators\""));
        process.WaitForExit();

        // In a namespace of its own, where the machine's OpenSSL is an empty file.
        var hidden = string.Join("; ", Directory.GetFiles(Path.Combine(made, "ssl")).SelectMany(file => MachinesOwn(Path.GetFileName(file))).Select(path => $"/bin/mount --bind /dev/null '{path}'"));
        if (Bare("/usr/bin/unshare", "-rm", "/bin/sh", "-c", hidden).Code != 0) Assert.Ignore("this user may not hide a file from a process (unshare -rm), so that OpenSSL is there");
        var verified = Bare("/usr/bin/unshare", "-rm", "/bin/sh", "-c", $"{hidden}; exec '{made}/peftalign' plugins verify");
        Assert.That(verified.Code, Is.Zero, verified.All);
        Assert.That(Bare("/usr/bin/unshare", "-rm", "/bin/sh", "-c", $"{hidden}; /bin/rm -r '{made}/ssl'; exec '{made}/peftalign' plugins verify").Code, Is.Not.Zero, "it was the folder's that answered");
    }

    // Where the loader finds a library of the machine.
    private static IEnumerable<string> MachinesOwn(string name) => Directory.EnumerateDirectories("/usr/lib", "*-linux-gnu").Append("/usr/lib64").Append("/usr/lib")
        .Select(folder => Path.Combine(folder, name)).Where(File.Exists);
}
