// The cache gives the scores of a full computation: every family, shared prompts, changing batches, bfloat16, adapters.

using System.Runtime.InteropServices;
using PeftAlign.Abstractions;
using PeftAlign.Models.Decoders;
using PeftAlign.Models.Generation;
using PeftAlign.Models.Tests.Checkpoints;
using PeftAlign.Models.Tests.Engine;
using PeftAlign.Torch;

namespace PeftAlign.Models.Tests.Generation;

internal sealed class CacheTests
{
    private const double Tolerance = 1e-4;

    private static readonly string[] Families = ["llama", "llama3-gqa-tied", "mistral-window", "mistral-full", "qwen2", "qwen3", "gemma2", "phi3", "gpt2", "gpt-neo", .. GoldenFolder.BesideTheTests];

    private static readonly string[] Variants = ["llama/variants/dynamic", "llama/variants/yarn", "llama/variants/linear", "phi3/variants/longrope"];

    [TestCaseSource(nameof(Families))]
    public void Every_family_decodes_as_the_reference_does(string family)
    {
        var folder = GoldenFolder.Of(family);
        var model = Load(folder);
        var golden = System.Text.Json.JsonDocument.Parse(File.ReadAllBytes(Path.Combine(folder, "golden.json"))).RootElement.GetProperty("greedy");
        using var inputs = Rows(folder);
        var prompts = Prompts(inputs);
        var generator = new Generator(new GenerationLimits(model.Spec.Vocabulary, null), null, () => new CachedSession(model, ForwardMode.Plain), 16);
        var made = generator.Generate([.. prompts.Select((p, k) => new GenerationPrompt(p, k))], new GenerationOptions { MaxNewTokens = 24 });
        Assert.That(made.Select(m => m[0].Ids), Is.EqualTo(golden.EnumerateArray().Select(g => g.Ids())));
        Same(model, prompts);
    }

    [TestCaseSource(nameof(Variants))]
    public void Stretched_positions_are_those_of_a_full_computation(string variant)
    {
        var folder = Shared.Scratch();
        Shared.Copy(Shared.Golden("models", variant.Split('/')[0]), folder);
        File.Copy(Path.Combine(Shared.Golden("models", variant), "config.json"), Path.Combine(folder, "config.json"), overwrite: true);
        var model = Load(folder);
        // From below the length at which dynamic and longrope change to above it.
        Same(model, [[.. Enumerable.Range(3, 13)], [.. Enumerable.Range(7, 4)]], steps: 8);
    }

    // transformers 5.23, every step a whole pass of a new model; of Phi-3 its generate says the same. Positions are stretched from 17 tokens on.
    [TestCase("llama/variants/dynamic", new[] { 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 }, new[] { 65, 100, 11, 8, 11, 11, 11, 54, 126, 10, 100, 33, 32, 45, 28, 58 })]
    [TestCase("llama/variants/dynamic", new[] { 7, 8, 9, 10 }, new[] { 16, 4, 68, 18, 78, 117, 8, 97, 76, 11, 126, 101, 126, 46, 76, 98 })]
    [TestCase("phi3/variants/longrope", new[] { 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 }, new[] { 87, 64, 87, 33, 41, 68, 8, 40, 23, 86, 120, 123, 123, 123, 123, 85 })]
    [TestCase("phi3/variants/longrope", new[] { 7, 8, 9, 10 }, new[] { 33, 54, 90, 41, 33, 60, 123, 33, 53, 8, 86, 126, 26, 102, 23, 78 })]
    public void The_token_that_is_asked_for_stretches_nothing(string variant, int[] prompt, int[] expected)
    {
        var model = Load(GoldenFolder.Joined(Shared.Golden("models", variant)));
        var generator = new Generator(new GenerationLimits(model.Spec.Vocabulary, null), null, () => new CachedSession(model, ForwardMode.Plain), 16);
        var made = generator.Generate([new GenerationPrompt(prompt, 0)], new GenerationOptions { MaxNewTokens = expected.Length });
        Assert.That(made[0][0].Ids, Is.EqualTo(expected));
    }

    [TestCase(torch.ScalarType.Float32, 2e-5)]
    [TestCase(torch.ScalarType.Float64, 2e-6)] // scores are given out in float32
    [TestCase(torch.ScalarType.BFloat16, 0.25)]
    public void Children_of_one_parent_share_its_past_and_go_their_own_ways(torch.ScalarType dtype, double tolerance)
    {
        var model = Tiny.Model(dtype);
        var mode = new ForwardMode { Deltas = Tiny.Deltas(model, dtype) };
        Same(model, [[1, 2, 3, 4, 5], [6], [7, 8, 9]], mode, 12, tolerance);
    }

    // Without an adapter a model of the common kind takes a step in one native call.
    [TestCase(torch.ScalarType.Float32, 2e-5)]
    [TestCase(torch.ScalarType.BFloat16, 0.25)]
    public void A_step_in_one_call_is_that_of_a_full_computation(torch.ScalarType dtype, double tolerance)
    {
        var model = Tiny.Model(dtype);
        using (var whole = WholeBlocks.Of(model, ForwardMode.Plain)) Assert.That(whole, TestDevice.IsProcessor ? Is.Not.Null : Is.Null);
        Assert.That(WholeBlocks.Of(model, new ForwardMode { Deltas = Tiny.Deltas(model, dtype) }), Is.Null);
        Same(model, [[1, 2, 3, 4, 5], [6], [7, 8, 9]], ForwardMode.Plain, 12, tolerance);
    }

    [TestCaseSource(typeof(Engine.Families), nameof(Engine.Families.Names))]
    public void What_stands_before_the_text_is_seen_in_every_step(string family)
    {
        var model = Tiny.Model(torch.float64, Engine.Families.Spec(family));
        var spec = model.Spec;
        var deltas = new Dictionary<string, Delta>
        {
            [spec.Names.Embedding] = new Stack([
                new VirtualTokens(Tiny.Normal("tokens", [3, spec.EmbeddingWidth], torch.float64)),
                new PrefixKV(Tiny.Normal("prefix", [4, 2 * spec.Layers * spec.KeyValueHeads * spec.HeadWidth], torch.float64))]),
        };
        Same(model, [[1, 2, 3, 4, 5], [6], [7, 8, 9]], new ForwardMode { Deltas = deltas }, 8, 2e-6);
    }

    [TestCaseSource(typeof(Engine.Families), nameof(Engine.Families.Names))]
    public void A_header_that_prompts_share_is_computed_once(string family)
    {
        var model = Tiny.Model(torch.float64, Engine.Families.Spec(family));
        int[] header = [.. Enumerable.Range(0, 20).Select(k => (7 * k) % 19)];
        int[][] prompts = [[.. header, 3], [.. header, 4, 5], [9, 8], [.. header, 6, 7, 8], [.. header, 3]];
        Same(model, prompts, steps: 6, tolerance: 2e-6);
        using var session = new CachedSession(model, ForwardMode.Plain);
        session.Begin(prompts).Dispose();
        // Where frequencies depend on a sequence's length, rows of one are none of another.
        var shares = PeftAlign.Models.Engine.Place.Of(model).LengthClass is null;
        var computed = shares ? (20 + 1 + 2) + 2 + (20 + 3 + 1) : prompts.Sum(p => p.Length);
        Assert.That(session.Computed, Is.EqualTo(computed), "neighbours share; the stranger stands between");
        // Long rests behind a short header would make one large square of attention: they stay apart.
        int[][] rests = [[.. header, .. Enumerable.Repeat(1, 30)], [.. header, .. Enumerable.Repeat(2, 30)]];
        session.Begin(rests).Dispose();
        Assert.That(session.Computed, Is.EqualTo(computed + 100));
    }

    // A conversation: each prompt begins with the prompt and the answer before it.
    [Test]
    public void A_prompt_that_goes_on_from_the_last_sequence_computes_what_is_new_only([Values] bool adapter)
    {
        var model = Tiny.Model(torch.float32);
        var mode = adapter ? new ForwardMode { Deltas = Tiny.Deltas(model, torch.float32) } : ForwardMode.Plain;
        var session = new ConversationSession(model, mode);
        var talk = new Generator(new GenerationLimits(model.Spec.Vocabulary, null), null, () => session, 1);
        var alone = new Generator(new GenerationLimits(model.Spec.Vocabulary, null), null, () => new CachedSession(model, mode), 1);
        var options = new GenerationOptions { MaxNewTokens = 6 };
        int[] prompt = [1, 2, 3, 4, 5];
        long expected = prompt.Length;
        for (var turn = 0; turn < 4; turn++)
        {
            var answer = talk.Generate([new GenerationPrompt(prompt, turn)], options)[0][0].Ids;
            Assert.That(answer, Is.EqualTo(alone.Generate([new GenerationPrompt(prompt, turn)], options)[0][0].Ids), $"turn {turn}");
            Assert.That(session.Computed, Is.EqualTo(expected), $"turn {turn}");
            // The answer's last token was never computed; turn 2 leaves the conversation after its third token.
            int[] said = [.. Enumerable.Range(0, 15 * turn + 2).Select(k => (7 * k + turn) % 20)];
            expected += turn == 1 ? said.Length - 3 : said.Length + 1;
            prompt = turn == 1 ? [1, 2, 3, .. said[3..]] : [.. prompt, .. answer, .. said];
        }
    }

    [Test]
    public void What_no_sequence_uses_any_more_is_used_again()
    {
        var model = Tiny.Model(torch.float32);
        using var session = new CachedSession(model, ForwardMode.Plain);
        using var full = new RecomputeSession(model, ForwardMode.Plain);
        int[][] prompts = [[1, 2, 3], [4, 5]];
        session.Begin(prompts).Dispose();
        full.Begin(prompts).Dispose();
        // Two sequences, both made anew from the first one over and over, as beams are.
        for (var step = 0; step < 100; step++)
        {
            int[] parents = step % 3 == 0 ? [0, 0] : [0, 1], tokens = [step % 20, (step + 1) % 20];
            using var made = session.Next(parents, tokens);
            using var expected = full.Next(parents, tokens);
            Assert.That((made - expected).abs().max().item<float>(), Is.LessThan(2e-5), $"step {step}");
        }
        Assert.That(session.CacheRows, Is.EqualTo(128), "205 rows were taken, of which never more than 110 were in use");
    }

    // A family whose architecture is not built in comes with its plugin; the test waits for it in sight.
    private static DecoderModel Load(string folder)
    {
        var type = Models.Checkpoints.ModelConfig.Open(folder).ModelType;
        if (!ModelArchitectures.BuiltIn.Names.Contains(type)) Assert.Ignore($"the architecture {type} is not built in");
        return ModelFolder.Load(folder, device: TestDevice.Here);
    }

    // Runs both sessions through the same branching steps.
    private static void Same(DecoderModel model, IReadOnlyList<int[]> prompts, ForwardMode? mode = null, int steps = 10, double tolerance = Tolerance)
    {
        using var cached = new CachedSession(model, mode ?? ForwardMode.Plain);
        using var full = new RecomputeSession(model, mode);
        var random = new Random(3);
        var (a, b) = (cached.Begin(prompts), full.Begin(prompts));
        for (var step = 0; ; step++)
        {
            Assert.That(a.shape, Is.EqualTo(b.shape));
            var (x, y) = (MemoryMarshal.Cast<byte, float>(a.bytes).ToArray(), MemoryMarshal.Cast<byte, float>(b.bytes).ToArray());
            var largest = x.Zip(y, (p, q) => Math.Abs(p - q)).Aggregate(Math.Max);
            Assert.That(largest, Is.LessThan(tolerance), $"step {step}");
            Assert.That(x.Max(Math.Abs), Is.GreaterThan(0.1), "scores that are all 0 would prove nothing");
            if (step == steps) return;
            // Some rows end, some split, most go on.
            var rows = (int)a.size(0);
            int[] parents = [.. Enumerable.Range(0, rows).SelectMany(r => Enumerable.Repeat(r, rows < 5 && random.Next(3) == 0 ? 2 : rows > 2 && random.Next(4) == 0 ? 0 : 1))];
            if (parents.Length == 0) parents = [0];
            int[] tokens = [.. parents.Select(_ => random.Next((int)model.Spec.Vocabulary))];
            a.Dispose();
            b.Dispose();
            (a, b) = (cached.Next(parents, tokens), full.Next(parents, tokens));
        }
    }

    private static Models.Checkpoints.SafetensorsFile Rows(string folder) => Models.Checkpoints.SafetensorsFile.Open(Path.Combine(folder, "golden.safetensors"));

    private static List<int[]> Prompts(Models.Checkpoints.SafetensorsFile file)
    {
        using var scope = torch.NewDisposeScope();
        var (ids, mask) = (file.Tensor("input_ids"), file.Tensor("attention_mask"));
        var (rows, width) = (ids.size(0), ids.size(1));
        var (all, kept) = (ids.data<long>().ToArray(), mask.data<long>().ToArray());
        return [.. Enumerable.Range(0, (int)rows).Select(r => Enumerable.Range((int)(r * width), (int)width).Where(k => kept[k] == 1).Select(k => (int)all[k]).ToArray())];
    }
}
