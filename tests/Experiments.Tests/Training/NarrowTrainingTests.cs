// Training over a bfloat16 base: float32's losses to rounding, an adapter in float32, exact resume, and the step-0 invariant of DPO.

using System.Globalization;

namespace PeftAlign.Experiments.Tests;

public sealed class NarrowTrainingTests
{
    private static string Model => Peftalign.Stories;

    private static string[] Call(string method, string data, string folder, params string[] more) =>
        ["train", method, "--model", Model, "--data", data, "--out", folder, "--max-steps", "10", "--batch-size", "4", "--learning-rate", "2e-3", "--save-every", "4", "--threads", "1", .. more];

    private static double[] Losses(string folder) =>
        [.. File.ReadLines(Path.Combine(folder, "metrics.jsonl")).Select(line => (double)System.Text.Json.Nodes.JsonNode.Parse(line)!["loss"]!)];

    private static string Rows(Peftalign user, string method) => user.Write("rows.jsonl", string.Join('\n', Enumerable.Range(0, 24).Select(k => method == "dpo"
        ? string.Create(CultureInfo.InvariantCulture, $$"""{"prompt": "Once there were {{k}} cats. ", "chosen": "They were happy.", "rejected": "They ran away."}""")
        : string.Create(CultureInfo.InvariantCulture, $$"""{"prompt": "Once there were {{k}} cats. ", "completion": "They were happy."}"""))) + "\n");

    [TestCase("sft", "--adapter lora --dropout 0.1 --modules-to-save norm")]
    [TestCase("sft", "--adapter lora --init pissa")]
    [TestCase("sft", "--adapter lora --use-dora")]
    [TestCase("sft", "--adapter ia3")]
    [TestCase("dpo", "--adapter lora --rank 4")]
    public void Losses_are_float32s_to_rounding_and_the_adapter_is_float32(string method, string adapter)
    {
        using var user = new Peftalign();
        var data = Rows(user, method);
        var (wide, narrow) = (user.File("wide"), user.File("narrow"));
        var first = Peftalign.Call(Call(method, data, wide, adapter.Split(' ')));
        Assert.That(first.Code, Is.Zero, first.All);
        var second = Peftalign.Call(Call(method, data, narrow, [.. adapter.Split(' '), "--dtype", "bfloat16"]));
        Assert.That(second.Code, Is.Zero, second.All);
        var (expected, actual) = (Losses(wide), Losses(narrow));
        Assert.That(actual, Is.Not.EqualTo(expected), "it really computes in bfloat16");
        Assert.That(actual, Is.EqualTo(expected).Within(5).Percent);
        Assert.That(actual[^1], Is.LessThan(actual[0]));
        Assert.That(Dtypes(Path.Combine(narrow, "adapter", "adapter_model.safetensors")), Is.All.EqualTo("F32"));
    }

    // float32 master weights under a model that computes in bfloat16: losses to rounding (of DPO, whose margins are differences of sums
    // over whole answers, the course alone); what is written is the masters.
    [TestCase("sft")]
    [TestCase("dpo")]
    public void All_weights_are_trained_through_float32_masters(string method)
    {
        using var user = new Peftalign();
        var data = Rows(user, method);
        var (wide, narrow) = (user.File("wide"), user.File("narrow"));
        string[] Gently(string[] call) => Array.ConvertAll(call, word => word == "2e-3" ? "1e-4" : word);
        var first = Peftalign.Call(Gently(Call(method, data, wide)));
        Assert.That(first.Code, Is.Zero, first.All);
        var second = Peftalign.Call(Gently(Call(method, data, narrow, "--dtype", "bfloat16")));
        Assert.That(second.Code, Is.Zero, second.All);
        Assert.That(Losses(narrow), Is.Not.EqualTo(Losses(wide)), "it really computes in bfloat16");
        if (method == "sft") Assert.That(Losses(narrow), Is.EqualTo(Losses(wide)).Within(5).Percent);
        else Assert.That((Losses(narrow)[0], Losses(narrow)[^1] < Losses(narrow)[0] / 2, Losses(wide)[^1] < Losses(wide)[0] / 2), Is.EqualTo((Losses(wide)[0], true, true)));
        Assert.That(Dtypes(Path.Combine(narrow, "model", "model.safetensors")), Is.All.EqualTo("F32"));
    }

    [Test]
    public void A_reward_model_is_trained_in_float32()
    {
        using var user = new Peftalign();
        var refused = Peftalign.Call(Call("reward", Rows(user, "dpo"), user.Run, "--dtype", "bfloat16"));
        Assert.That(refused.Code, Is.EqualTo(2), refused.All);
        Assert.That(refused.Err, Does.Contain("a reward model is trained in float32"));
    }

    private static IEnumerable<string> Dtypes(string file)
    {
        using var stream = File.OpenRead(file);
        var length = new byte[8];
        stream.ReadExactly(length);
        var header = new byte[BitConverter.ToInt64(length)];
        stream.ReadExactly(header);
        return [.. System.Text.Json.Nodes.JsonNode.Parse(header)!.AsObject().Where(entry => entry.Key != "__metadata__").Select(entry => (string)entry.Value!["dtype"]!)];
    }
}
