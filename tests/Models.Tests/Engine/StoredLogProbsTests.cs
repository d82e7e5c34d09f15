// Stored log-probs: the engine's numbers in any order of rows, through a file and back; what is not stored, belongs to something
// else or was damaged is said.

using PeftAlign.Abstractions;
using PeftAlign.Models.Decoders;
using PeftAlign.Models.Engine;
using PeftAlign.Torch;

namespace PeftAlign.Models.Tests.Engine;

public sealed class StoredLogProbsTests : ScopedTest
{
    private readonly string folder = Directory.CreateTempSubdirectory("stored").FullName;

    [OneTimeTearDown]
    public void Delete() => Directory.Delete(folder, recursive: true);

    [Test]
    public void Answers_come_back_in_any_order()
    {
        var (model, groups) = (Tiny.Model(torch.float64), Tiny.Groups(7));
        var engine = new LogProbEngine(model);
        var stored = new StoredLogProbs();
        foreach (var group in groups.Concat(groups)) stored.Add(engine, ForwardMode.Plain, [group]);
        Assert.That(stored.Count, Is.EqualTo(groups.Sum(g => g.Completions.Count)), "an answer that comes again is kept once");
        stored.Write(folder, "mine");
        var read = StoredLogProbs.Read(folder, "mine");
        using var off = torch.no_grad();
        var turned = groups.AsEnumerable().Reverse().ToList();
        Assert.That(Tiny.Worst(read.Find(turned, torch.CPU)!, engine.LogProbs(turned, ForwardMode.Plain)), Is.LessThan(1e-9));
        using var pass = engine.Pass(turned, ForwardMode.Plain, new PassNeeds { Stored = read });
        Assert.That(pass.Reference!.cpu().equal(read.Find(turned, torch.CPU)!));
        Assert.That(read.Missed, Is.Zero);
    }

    [Test]
    public void What_is_missing_is_computed_or_said()
    {
        var (model, groups) = (Tiny.Model(torch.float64), Tiny.Groups(4));
        var engine = new LogProbEngine(model);
        var stored = new StoredLogProbs();
        stored.Add(engine, ForwardMode.Plain, [.. groups.Skip(1)]);
        Assert.That(stored.Find(groups, torch.CPU), Is.Null);
        Assert.That(stored.Missed, Is.EqualTo(groups[0].Completions.Count));
        Assert.That(stored.Find([groups[1] with { Control = "good" }], torch.CPU), Is.Null, "under a control there is another policy");
        using var pass = engine.Pass(groups, ForwardMode.Plain, new PassNeeds { Stored = stored, Reference = new ReferencePolicy(model, ForwardMode.Plain) });
        Assert.That(Tiny.Worst(pass.Reference!, pass.LogProbs.detach()), Is.LessThan(1e-12));
        Assert.That(() => engine.Pass(groups, ForwardMode.Plain, new PassNeeds { Stored = stored }), Throws.InstanceOf<UserErrorException>().With.Message.Contains("precompute_reference"));
    }

    [Test]
    public void Files_that_do_not_fit_are_refused()
    {
        var own = Directory.CreateDirectory(Path.Combine(folder, "refused")).FullName;
        var stored = new StoredLogProbs();
        stored.Add(new LogProbEngine(Tiny.Model(torch.float64)), ForwardMode.Plain, Tiny.Groups(3));
        stored.Write(own, "mine");
        void Refused(string why, string owner = "mine") =>
            Assert.That(() => StoredLogProbs.Read(own, owner), Throws.InstanceOf<UserErrorException>().With.Message.Contains(why).And.Message.Contains("run again"));
        Refused("another reference", owner: "theirs");
        var numbers = Path.Combine(own, "log_probs.safetensors");
        var bytes = File.ReadAllBytes(numbers);
        File.WriteAllBytes(numbers, bytes[..^8]);
        Refused("changed or cut");
        File.Delete(numbers);
        Refused("cannot be read");
        File.WriteAllText(Path.Combine(own, "log_probs.json"), "{");
        Refused("cannot be read");
    }
}
