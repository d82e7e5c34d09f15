// Every broken or hostile file of the reference set: one message for the user that names what is wrong, quickly, in
// little memory.

using System.Text;
using System.Text.Json;
using PeftAlign.Abstractions;
using PeftAlign.Models.Checkpoints;
using PeftAlign.Models.Decoders;
using PeftAlign.Models.Engine;
using PeftAlign.Torch;

namespace PeftAlign.Models.Tests.Checkpoints;

internal sealed class BadFileTests
{
    private static IEnumerable<TestCaseData> Cases() =>
        File.ReadLines(Shared.Fixture("badfiles", "cases.jsonl")).Select(line => JsonDocument.Parse(line).RootElement)
            .Select(c => new TestCaseData(c).SetName("BadFile/" + c.GetProperty("id").GetString()));

    [TestCaseSource(nameof(Cases))]
    public void IsTreatedAsItMustBe(JsonElement item)
    {
        var group = item.GetProperty("id").GetString()!.Split('/')[0];
        var folder = Prepare(item);
        var allocated = GC.GetAllocatedBytesForCurrentThread();
        var clock = ThreadTime.Start();
        var (warnings, error) = Outcome(() => Read(group, folder));
        Assert.That(clock.Elapsed.TotalSeconds, Is.LessThan(10));
        Assert.That(GC.GetAllocatedBytesForCurrentThread() - allocated, Is.LessThan(64 << 20));
        var must = item.GetProperty("must").GetString()!;
        TestContext.Out.WriteLine(error?.Message ?? string.Join("\n", warnings));
        if (error != null && error is not UserErrorException) Assert.Fail(error.ToString());
        if (must == "accept") Assert.That((error, warnings.Count), Is.EqualTo(((Exception?)null, 0)));
        if (must == "refuse") Assert.That(error, Is.Not.Null);
        if (must is "refuse or warn" or "warn") Assert.That(error != null || warnings.Count > 0);
        var said = error?.Message ?? string.Join("\n", warnings);
        if (item.TryGetProperty("message_names", out var names))
            foreach (var name in names.EnumerateArray()) Assert.That(said, Does.Contain(name.GetString()));
        if (error != null) Assert.That(said, Does.StartWith(folder), "the message begins with the path of what is wrong");
    }

    private static string Prepare(JsonElement item)
    {
        var folder = Directory.CreateDirectory(Path.Combine(Shared.Scratch(), "models", "it")).FullName;
        if (item.TryGetProperty("based_on", out var good)) Shared.Copy(Shared.Fixture(["badfiles", .. good.GetString()!.Split('/')]), folder);
        var source = Shared.Fixture(["badfiles", .. item.GetProperty("folder").GetString()!.Split('/')]);
        if (Directory.Exists(source)) Shared.Copy(source, folder);
        if (item.TryGetProperty("generate", out var made))
            foreach (var file in made.EnumerateObject()) File.WriteAllText(Path.Combine(folder, file.Name), Generate(file.Value), Encoding.ASCII);
        var first = Path.Combine(folder, "m1.safetensors");
        if (File.Exists(first)) File.Copy(first, Path.Combine(folder, "..", "..", "secret.safetensors"));
        return folder;
    }

    private static string Generate(JsonElement how)
    {
        string Text(string key) => how.TryGetProperty(key, out var text) ? text.GetString()! : "";
        var count = how.GetProperty("count").GetInt32();
        return Text("prefix") + string.Concat(Enumerable.Repeat(Text("unit"), count)) + string.Concat(Enumerable.Repeat(Text("close"), count)) + Text("suffix");
    }

    private static IReadOnlyList<string> Read(string group, string folder)
    {
        if (group is "index" or "config") return Answer(folder);
        if (group == "adapter")
        {
            using var adapter = AdapterFolder.Open(folder);
            adapter.CheckAgainst(TinyLlama.Modules(ModelConfig.Open(Shared.Fixture("badfiles", "good", "model"))));
            return adapter.Warnings;
        }
        using var file = SafetensorsFile.Open(Path.Combine(folder, "x.safetensors"));
        foreach (var stored in file.Tensors) file.Tensor(stored.Name).Dispose();
        return [];
    }

    // Loads the folder as a model and takes the ids 1 5 3 through it.
    private static List<string> Answer(string folder)
    {
        using var scope = torch.NewDisposeScope();
        var warnings = new List<string>();
        var model = ModelFolder.Load(folder, warnings.Add);
        var answer = new LogProbEngine(model).Score([new CompletionGroup([1], [Completion.Of([5, 3])])], ForwardMode.Plain).Single();
        Assert.That(answer.LogProb, Is.LessThan(0));
        return warnings;
    }

    private static (IReadOnlyList<string>, Exception?) Outcome(Func<IReadOnlyList<string>> read)
    {
        try
        {
            return (read(), null);
        }
        catch (Exception e)
        {
            return ([], e);
        }
    }

    [Test]
    public void TheGoodFilesLoad()
    {
        Assert.That(Answer(Shared.Fixture("badfiles", "good", "model")), Is.Empty);
        Assert.That(Read("adapter", Shared.Fixture("badfiles", "good", "adapter")), Is.Empty);
    }
}
