// Damage by chance, from a fixed seed: flipped bits, cuts, inserted bytes, swapped blocks of good files. Each result is
// either read completely or refused with one message for the user; nothing crashes, hangs or takes much memory.

using System.IO.Compression;
using System.Text;
using PeftAlign.Abstractions;
using PeftAlign.Models.Checkpoints;
using PeftAlign.Torch;

namespace PeftAlign.Models.Tests.Checkpoints;

internal sealed class FuzzTests
{
    private static readonly (string Name, string File, Action<string> Read)[] Targets =
    [
        ("safetensors", Shared.Fixture("badfiles", "good", "adapter", "adapter_model.safetensors"), ReadAll),
        ("model", Shared.Fixture("badfiles", "good", "model", "model.safetensors"), ReadAll),
        ("pickle", Shared.Fixture("pickles", "kinds.bin"), ReadAll),
        ("pickle4", Shared.Fixture("pickles", "protocol4.bin"), ReadAll),
        ("index", Shared.Fixture("badfiles", "files", "index", "ok-two-shards", "model.safetensors.index.json"), ReadFolder),
        ("config", Shared.Fixture("badfiles", "good", "model", "config.json"), path => ModelConfig.Open(path)),
        ("generation", Shared.Fixture("badfiles", "good", "model", "generation_config.json"), path => ModelConfig.Open(Path.GetDirectoryName(path)!)),
        ("adapter", Shared.Fixture("badfiles", "good", "adapter", "adapter_config.json"), ReadAdapter),
    ];

    // A zip's checksum would catch nearly all damage to a pickle; an attacker writes the right one, and so does this test.
    [Test]
    public void DamageInsideAPickleIsReadOrRefused()
    {
        using var archive = ZipFile.OpenRead(Shared.Fixture("pickles", "kinds.bin"));
        var parts = archive.Entries.ToDictionary(e => e.FullName, Bytes);
        var pickle = parts["kinds/data.pkl"];
        var path = Path.Combine(Shared.Scratch(), "x.bin");
        Zip(path, parts);
        ReadAll(path);
        var random = Damage.Random(20261122);
        Repeat(Damage.Rounds(1500, 1500), Path.GetDirectoryName(path)!, () =>
        {
            parts["kinds/data.pkl"] = Damage.Bytes(pickle, random);
            Zip(path, parts);
        }, () => ReadAll(path));
    }

    [TestCase("]", "more than 2000000 instructions")]
    [TestCase("(", "more than 2000000 instructions")]
    [TestCase("}", "more than 2000000 instructions")]
    [TestCase(")\u0085", "more than 2000000 instructions")]
    [TestCase("]q\u0001h\u0001a", "more than 2000000 instructions", TestName = "APickleThatMakesEndlessObjectsIsRefused(lists in one another)")] // with a name of control characters it would not be run
    public void APickleThatMakesEndlessObjectsIsRefused(string unit, string reason)
    {
        var path = Path.Combine(Shared.Scratch(), "x.bin");
        var pickle = Encoding.Latin1.GetBytes("\u0080\u0002" + string.Concat(Enumerable.Repeat(unit, 3_000_000)));
        Zip(path, new() { ["x/data.pkl"] = pickle });
        var before = GC.GetTotalMemory(forceFullCollection: true);
        var error = Assert.Throws<UserErrorException>(() => CheckpointFolder.Open(path).Dispose())!;
        Assert.That(GC.GetTotalMemory(forceFullCollection: false) - before, Is.LessThan(400L << 20));
        Assert.That(error.Message, Does.Contain(reason));
    }

    private static byte[] Bytes(ZipArchiveEntry entry)
    {
        using var stream = entry.Open();
        using var copy = new MemoryStream();
        stream.CopyTo(copy);
        return copy.ToArray();
    }

    private static void Zip(string path, Dictionary<string, byte[]> parts)
    {
        using var archive = new ZipArchive(File.Create(path), ZipArchiveMode.Create);
        foreach (var (name, bytes) in parts)
        {
            using var stream = archive.CreateEntry(name, CompressionLevel.NoCompression).Open();
            stream.Write(bytes);
        }
    }

    private static IEnumerable<string> Names => Targets.Select(t => t.Name);

    [TestCaseSource(nameof(Names))]
    public void DamageIsReadOrRefused(string name)
    {
        var (_, file, read) = Targets.Single(t => t.Name == name);
        var folder = Shared.Scratch();
        Shared.Copy(Path.GetDirectoryName(file)!, folder);
        var target = Path.Combine(folder, Path.GetFileName(file));
        var good = File.ReadAllBytes(file);
        var random = Damage.Random(20261121);
        Repeat(Damage.Rounds(1500, 1500), folder, () => File.WriteAllBytes(target, Damage.Bytes(good, random)), () => read(target));
    }

    private static void Repeat(int rounds, string folder, Action damage, Action read)
    {
        var (accepted, refused) = (0, 0);
        for (var round = 0; round < rounds; round++)
        {
            damage();
            var clock = ThreadTime.Start();
            var before = GC.GetAllocatedBytesForCurrentThread();
            try
            {
                read();
                accepted++;
            }
            catch (UserErrorException e)
            {
                Assert.That(e.Message, Does.Contain(folder).And.Not.Contain("\n"), $"round {round}");
                refused++;
            }
            Assert.That(clock.Elapsed.TotalSeconds, Is.LessThan(5), $"round {round}");
            Assert.That(GC.GetAllocatedBytesForCurrentThread() - before, Is.LessThan(64 << 20), $"round {round}");
        }
        TestContext.Out.WriteLine($"{accepted} read, {refused} refused");
        Assert.That(refused, Is.GreaterThan(100), "the damage reaches what is checked");
    }

    private static void ReadAll(string path)
    {
        using var scope = torch.NewDisposeScope();
        using var weights = CheckpointFolder.Open(path);
        foreach (var stored in weights.Tensors) weights.CountNonFinite(stored.Name);
    }

    private static void ReadFolder(string index) => ReadAllOf(CheckpointFolder.Open(Path.GetDirectoryName(index)!));

    private static void ReadAllOf(CheckpointFolder weights)
    {
        using (weights)
            foreach (var stored in weights.Tensors) weights.CountNonFinite(stored.Name);
    }

    private static void ReadAdapter(string config)
    {
        using var adapter = AdapterFolder.Open(Path.GetDirectoryName(config)!);
        adapter.CheckAgainst(TinyLlama.Modules(ModelConfig.Open(Shared.Fixture("badfiles", "good", "model"))));
    }
}
