// Tiny models of every family made with transformers, with switches that the larger reference set leaves alone: biases, partial
// rotation, windows in some layers, caps switched off, heads of other kinds. They run everywhere.

using PeftAlign.Models.Classifiers;
using PeftAlign.Models.Tests.Checkpoints;
using PeftAlign.Torch;

namespace PeftAlign.Models.Tests.Engine;

public sealed class ArchitectureFixtureTests : ScopedTest
{
    private const double Tolerance = 1e-4;

    private static string Folder(string name) => Checkout.Fixture("architectures", name);

    [TestCase("llama-biases")]
    [TestCase("llama-yarn-mscale")]
    [TestCase("mistral")]
    [TestCase("qwen2-windows")]
    [TestCase("qwen3")]
    [TestCase("gemma")]
    [TestCase("gemma2")]
    [TestCase("gemma3")]
    [TestCase("granite")]
    [TestCase("olmo2")]
    [TestCase("olmo3")]
    [TestCase("smollm3")]
    [TestCase("stablelm")]
    [TestCase("phi3-partial")]
    [TestCase("gpt2")]
    [TestCase("gpt-neo")]
    public void Decoders(string name)
    {
        using var golden = GoldenFolder.Expected(Folder(name));
        var warnings = new List<string>();
        var model = ModelFolder.Load(Folder(name), warnings.Add, device: TestDevice.Here);
        Assert.That(warnings, Is.Empty);
        foreach (var (row, logits) in Rows(golden.Tensor("input_ids"), golden.Tensor("logits")))
            Assert.That(Tiny.Worst(GoldenFolder.Logits(model, row), logits), Is.LessThan(Tolerance));
    }

    [TestCase("roberta")]
    [TestCase("deberta-own-keys")]
    [TestCase("deberta-far")]
    [TestCase("deberta-plain")]
    [TestCase("llama-score")]
    [TestCase("gpt2-score")]
    [TestCase("gemma2-score")]
    [TestCase("gpt-neox-score")]
    [TestCase("opt-score")]
    [TestCase("gemma3-score")]
    [TestCase("olmo2-score")]
    [TestCase("smollm3-score")]
    [TestCase("phi-score")]
    [TestCase("gptj-score")]
    [TestCase("falcon-score")]
    public void SequenceClassifiers(string name)
    {
        using var golden = GoldenFolder.Expected(Folder(name));
        var warnings = new List<string>();
        var model = ClassifierFolder.Load(Folder(name), warnings.Add, device: TestDevice.Here);
        Assert.That(warnings, Is.Empty);
        var rows = Rows(golden.Tensor("input_ids"), golden.Tensor("logits")).ToList();
        Assert.That(rows[0].Row[^1], Is.Zero, "a row that ends with the padding id");
        var scores = model.Score([.. rows.Select(r => r.Row)]);
        foreach (var (score, (_, logits)) in scores.Zip(rows)) Assert.That(score, Is.EqualTo(logits.data<float>().ToArray().Select(v => (double)v)).Within(Tolerance));
        // A shorter row beside them changes nothing.
        var among = model.Score([rows[1].Row, rows[0].Row[..5], rows[0].Row]);
        Assert.That(among[0], Is.EqualTo(scores[1]).Within(1e-5));
        Assert.That(among[2], Is.EqualTo(scores[0]).Within(1e-5));
    }

    // As in transformers' class, whose pad_token_id is 0 where config.json has no such key.
    [Test]
    public void The_padding_of_a_class_ends_rows_where_nothing_else_is_said()
    {
        using var golden = GoldenFolder.Expected(Folder("gemma3-score"));
        var rows = Rows(golden.Tensor("input_ids"), golden.Tensor("logits")).ToList();
        double[] Expected(int b) => [.. rows[b].Logits.data<float>().ToArray().Select(v => (double)v)];
        IReadOnlyList<double[]> Scores(Action<System.Text.Json.Nodes.JsonNode> change) => ClassifierFolder.Load(Reconfigured("gemma3-score", change), device: TestDevice.Here).Score([.. rows.Select(r => r.Row)]);
        Assert.That(Scores(config => ((System.Text.Json.Nodes.JsonObject)config).Remove("pad_token_id"))[0], Is.EqualTo(Expected(0)).Within(Tolerance));
        Assert.That(Scores(config => config["pad_token_id"] = null)[0], Is.Not.EqualTo(Expected(0)).Within(100 * Tolerance), "null names none");
    }

    // As in transformers' classes, which read no such key where nothing stretches the rotation.
    [TestCase("llama-biases", "partial_rotary_factor")]
    [TestCase("llama-biases", "rope_parameters")]
    [TestCase("mistral", "partial_rotary_factor")]
    [TestCase("qwen2-windows", "partial_rotary_factor")]
    [TestCase("qwen3", "partial_rotary_factor")]
    [TestCase("gemma", "partial_rotary_factor")]
    [TestCase("gemma2", "partial_rotary_factor")]
    [TestCase("olmo2", "partial_rotary_factor")]
    [TestCase("smollm3", "partial_rotary_factor")]
    public void A_share_of_turning_dimensions_is_not_theirs(string name, string place)
    {
        var folder = Reconfigured(name, config =>
        {
            var holder = place == "rope_parameters" ? config[place]! : config;
            holder["partial_rotary_factor"] = 0.5;
        });
        using var golden = GoldenFolder.Expected(Folder(name));
        var model = ModelFolder.Load(folder, device: TestDevice.Here);
        foreach (var (row, logits) in Rows(golden.Tensor("input_ids"), golden.Tensor("logits")))
            Assert.That(Tiny.Worst(GoldenFolder.Logits(model, row), logits), Is.LessThan(Tolerance));
    }

    // As in transformers' classes: what their configurations lack, or say in the words of the first releases.
    [TestCase("gemma", "hidden_act", "\"gelu\"")]
    [TestCase("gemma", "hidden_act", null)]
    [TestCase("gemma", "tie_word_embeddings", null)]
    [TestCase("stablelm", "rope_parameters", null)]
    [TestCase("stablelm", "rope_parameters", """{"rope_type":"default","rope_theta":10000}""")]
    [TestCase("stablelm", "tie_word_embeddings", null)]
    public void Other_words_for_the_same(string name, string key, string? json)
    {
        var folder = Reconfigured(name, config =>
        {
            if (json is null) config.AsObject().Remove(key);
            else config[key] = System.Text.Json.Nodes.JsonNode.Parse(json);
        });
        using var golden = GoldenFolder.Expected(Folder(name));
        var model = ModelFolder.Load(folder, device: TestDevice.Here);
        foreach (var (row, logits) in Rows(golden.Tensor("input_ids"), golden.Tensor("logits")))
            Assert.That(Tiny.Worst(GoldenFolder.Logits(model, row), logits), Is.LessThan(Tolerance));
    }

    [TestCase("gemma", "use_bidirectional_attention")]
    [TestCase("stablelm", "use_parallel_residual")]
    [TestCase("stablelm", "qk_layernorm")]
    public void What_is_not_built_is_refused_by_name(string name, string key)
    {
        var folder = Reconfigured(name, config => config[key] = true);
        Assert.That(() => ModelFolder.Load(folder, device: TestDevice.Here), Throws.TypeOf<Abstractions.UserErrorException>().With.Message.Contains(key).And.Message.Contains("false or absent"));
    }

    // transformers computes rows beyond max_position_embeddings wherever no table of positions ends.
    [TestCase("llama-score")]
    [TestCase("gemma2-score")]
    [TestCase("deberta-far")]
    public void Rows_longer_than_the_context_are_scored_where_positions_turn_or_are_relative(string name)
    {
        int[][] rows = [[.. Enumerable.Range(0, 30).Select(i => 3 + 7 * i % 37)]];
        var folder = Reconfigured(name, config => config["max_position_embeddings"] = 8);
        var (whole, cut) = (ClassifierFolder.Load(Folder(name), device: TestDevice.Here), ClassifierFolder.Load(folder, device: TestDevice.Here));
        Assert.That((cut.MaxTokens, cut.TakesLonger), Is.EqualTo((8, true)));
        Assert.That(cut.Score(rows)[0], Is.EqualTo(whole.Score(rows)[0]).Within(1e-6));
    }

    [TestCase("gpt2-score", 32)]
    [TestCase("roberta", 63)]
    [TestCase("deberta-own-keys", 64)]
    public void Rows_longer_than_a_table_of_positions_are_refused(string name, int most)
    {
        var model = ClassifierFolder.Load(Folder(name), device: TestDevice.Here);
        int[] Row(int tokens) => [.. Enumerable.Repeat(5, tokens)];
        Assert.That(model.Score([Row(most)])[0], Has.Length.EqualTo((int)model.Labels));
        Assert.That(() => model.Score([Row(most + 1)]), Throws.TypeOf<Abstractions.UserErrorException>().With.Message.Contains($"{most + 1}").And.Message.Contains($"{most}"));
    }

    private static string Reconfigured(string name, Action<System.Text.Json.Nodes.JsonNode> change)
    {
        var folder = Shared.Scratch();
        Shared.Copy(Folder(name), folder);
        var file = Path.Combine(folder, "config.json");
        var config = System.Text.Json.Nodes.JsonNode.Parse(File.ReadAllText(file))!;
        change(config);
        File.WriteAllText(file, config.ToJsonString());
        return folder;
    }

    // The hub's GPT-2 lacks the prefix of the base model and holds the masks of its attention.
    [Test]
    public void Names_without_the_prefix_and_tables_of_old_files_are_read()
    {
        var folder = Shared.Scratch();
        Shared.Copy(Folder("gpt2"), folder);
        using (var file = Models.Checkpoints.SafetensorsFile.Open(Path.Combine(Folder("gpt2"), "model.safetensors")))
        {
            var renamed = file.Tensors.ToDictionary(t => t.Name["transformer.".Length..], t => file.Tensor(t.Name));
            renamed["h.0.attn.bias"] = torch.ones([1, 1, 32, 32]);
            Models.Checkpoints.CheckpointFolder.Write(folder, renamed);
        }
        var warnings = new List<string>();
        var (before, now) = (ModelFolder.Load(Folder("gpt2"), device: TestDevice.Here), ModelFolder.Load(folder, warnings.Add, device: TestDevice.Here));
        Assert.That(warnings, Is.Empty);
        Assert.That(Tiny.Worst(GoldenFolder.Logits(now, [3, 5, 8]), GoldenFolder.Logits(before, [3, 5, 8])), Is.Zero);
    }

    private static IEnumerable<(int[] Row, Tensor Logits)> Rows(Tensor ids, Tensor logits) =>
        Enumerable.Range(0, (int)ids.size(0)).Select(b => (ids.select(0, b).data<long>().ToArray().Select(i => (int)i).ToArray(), logits.select(0, b)));
}
