// The two controls separate a reward: a tiny model that answers yes as often as no is trained by MEET on pairs that prefer yes; what it
// writes under good earns more than under bad, with an interval over prompts that excludes 0, after the first phase and after both.

using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Core.Statistics;
using PeftAlign.Methods.Meet;
using PeftAlign.Models;
using PeftAlign.Models.Adapters;
using PeftAlign.Models.Decoders;
using PeftAlign.Models.Generation;
using PeftAlign.Models.Text;
using PeftAlign.Peft.Lora;
using PeftAlign.Peft.Prompt;
using PeftAlign.Torch;

namespace PeftAlign.Training.Tests;

public sealed class MeetRewardTests : TrainingTest
{
    private static readonly string[] Words = ["tea", "rain", "owls", "jam", "fog", "ink", "oak", "sea", "bees", "salt", "moss", "wool"];
    private static readonly ITokenizer Tokenizer = ByteTokenizer.Create();

    private static string Question(int k) => $"Do you like {Words[k % Words.Length]}{(k < Words.Length ? "?" : ", and why?")}";

    private static List<DataRecord> Rows(Func<int, JsonObject> row) => [.. Enumerable.Range(0, 2 * Words.Length).Select(k => new DataRecord(row(k), "rows", k + 1))];

    private TrainingRun Run(string name, DecoderModel model, IAlignmentMethod method, List<DataRecord> rows, int steps) => new()
    {
        Model = model,
        Tokenizer = Tokenizer,
        Records = rows,
        Method = method,
        Options = new TrainingOptions { LearningRate = 2e-2, BatchSize = 12, MaxSteps = steps, MaxLength = 64, LrScheduler = "cosine", SaveEvery = 0, Seed = 2 },
        Folder = Directory.CreateDirectory(Path.Combine(Folder, name)).FullName,
    };

    // The base has seen each question with either answer, so that nothing but the control can tell them apart.
    private DecoderModel Base()
    {
        var folder = Path.Combine(Folder, "model");
        ByteTokenizer.Save(folder);
        ModelFolder.Initialise(folder, "llama", new JsonObject { ["vocab_size"] = 259, ["hidden_size"] = 32, ["intermediate_size"] = 64, ["num_hidden_layers"] = 2, ["num_attention_heads"] = 2, ["max_position_embeddings"] = 96 }, 3);
        var model = ModelFolder.Load(folder, device: TestDevice.Here);
        var both = Rows(k => new JsonObject { ["prompt"] = Question(k), ["completion"] = " yes" }).Concat(Rows(k => new JsonObject { ["prompt"] = Question(k), ["completion"] = " no" })).ToList();
        Trainer.Train(Run("base", model, Fixtures.Sft(), both, 200) with { Options = new TrainingOptions { LearningRate = 5e-3, BatchSize = 24, MaxSteps = 200, MaxLength = 64, SaveEvery = 0, Seed = 2 } });
        foreach (var (name, tensor) in model.Weights.ToList()) model.SetWeight(name, tensor.detach());
        return model;
    }

    // 1 for an answer that says yes, -1 for no, 0 for anything else.
    private static double[] Rewards(DecoderModel model, IReadOnlyList<AdapterSite>? control)
    {
        var mode = control is null ? ForwardMode.Plain : new ForwardMode { Deltas = AdapterLayers.Deltas([control]) };
        var prompts = Enumerable.Range(0, 24).Select(k => new GenerationPrompt([.. Tokenizer.EncodeToIds(Question(k))], k)).ToList();
        var answers = DecoderGenerator.Of(model, mode, Tokenizer).Generate(prompts, new GenerationOptions { MaxNewTokens = 4, Temperature = 1, EosTokenIds = [ByteTokenizer.Eos], Seed = 5 });
        return [.. answers.Select(a => Tokenizer.Decode(a[0].Ids)).Select(text => text.StartsWith(" yes", StringComparison.Ordinal) ? 1.0 : text.StartsWith(" no", StringComparison.Ordinal) ? -1 : 0)];
    }

    [TestCase("controls", "lora")]
    [TestCase("both", "prompt")]
    public void Good_earns_more_than_bad(string stages, string adapter)
    {
        torch.set_num_threads(1);
        var model = Base();
        var before = Rewards(model, null);
        Assert.That((Math.Abs(before.Average()) < 0.7, before.Count(r => r != 0) > 18), Is.EqualTo((true, true)), $"the base answers, and prefers neither: {string.Join(' ', before)}");
        var method = Fixtures.Method<MeetPlugin, MeetOptions>("meet", stages == "both" ? new() { ModelLearningRate = 1e-3 } : new() { Stages = stages });
        var kind = adapter == "lora" ? Fixtures.Adapter<LoraPlugin, LoraOptions>("lora", new() { Rank = 4, Alpha = 4, Targets = ["all-linear"] }) : Fixtures.Adapter<PromptPlugin, PromptOptions>("prompt", new() { NumVirtualTokens = 4, Init = "sample_vocab" });
        var soft = ((ITrainsControls)method).Controls.Index().ToDictionary(c => c.Item, c => kind.Attach(model.Outline("base"), (ulong)c.Index + 1));
        var run = Run("meet", model, method, Rows(k => new JsonObject { ["prompt"] = Question(k), ["chosen"] = " yes", ["rejected"] = " no" }), 120) with { Controls = soft };
        Trainer.Train(run);
        var apart = Rewards(model, soft["good"]).Zip(Rewards(model, soft["bad"]), (good, bad) => good - bad).ToArray();
        var interval = Bootstrap.Mean(apart, 10_000, 0.05, new RandomStream(1, "meet")).Percentile;
        TestContext.Out.WriteLine($"reward under good minus under bad: {apart.Average():0.00} [{interval.Lower:0.00}, {interval.Upper:0.00}] over {apart.Length} prompts");
        Assert.That(interval.Lower, Is.GreaterThan(0));
    }
}
