// The last block computes the rows whose answers are asked for, with the bits that a pass over all rows gives: attention included, and
// where answers are so few that their products would go through other kernels, with rows beside them. Where products on the processor are
// libtorch's, which round a row by how many stand beside it, all rows are computed.

using PeftAlign.Abstractions;
using PeftAlign.Models.Decoders;
using PeftAlign.Models.Engine;
using PeftAlign.Torch;
using PeftAlign.Torch.Extras;

namespace PeftAlign.Models.Tests.Engine;

public sealed class AnsweringTests : ScopedTest
{
    private static readonly Dictionary<string, (string Architecture, string Settings)> Wide = new()
    {
        ["llama"] = ("llama", """{"hidden_size":256}"""),
        ["qwen2 with a window"] = ("qwen2", """{"hidden_size":256,"use_sliding_window":true,"sliding_window":50,"max_window_layers":0}"""),
        ["qwen3"] = ("qwen3", """{"hidden_size":256,"head_dim":32}"""),
        ["gemma2"] = ("gemma2", """{"hidden_size":256,"head_dim":64,"attn_logit_softcapping":1.5}"""),
        ["gemma3"] = ("gemma3_text", """{"hidden_size":256,"head_dim":64,"sliding_window":50,"sliding_window_pattern":2}"""),
        ["granite"] = ("granite", """{"hidden_size":256,"embedding_multiplier":3,"attention_multiplier":0.1,"residual_multiplier":0.6,"logits_scaling":1.7}"""),
        ["olmo2"] = ("olmo2", """{"hidden_size":256}"""),
        ["smollm3"] = ("smollm3", """{"hidden_size":256,"no_rope_layer_interval":2}"""),
        ["phi3"] = ("phi3", """{"hidden_size":256}"""),
        ["gpt2"] = ("gpt2", """{"hidden_size":256,"tie_word_embeddings":true}"""),
    };

    private static IEnumerable<string> Names => Wide.Keys;

    private static DecoderModel Model(string name, torch.ScalarType dtype) => Tiny.Model(dtype, Tiny.Spec(Wide[name].Architecture, Wide[name].Settings));

    private static CompletionGroup Group(int prompt, params int[] answers) =>
        new([.. Enumerable.Range(0, prompt).Select(p => p * 7 % 29)], [.. answers.Select((n, k) => Completion.Of([.. Enumerable.Range(0, n).Select(t => (t + (3 * k)) % 29)]))]);

    private static IEnumerable<List<CompletionGroup>> Batches()
    {
        yield return [Group(120, 30, 21), Group(1, 1), Group(60, 1, 1, 1), Group(40, 8) with { Completions = [new Completion([1, 2, 3], [0, 1, 0]), Completion.Of([4]) with { Gradient = false }] }];
        yield return [Group(150, 1, 1, 1, 1)];
        yield return [Group(20, 1), Group(3, 2)];
    }

    // libtorch's gelu rounds by where in the tensor a number stands, so that there some of the rows are only near all of them; few answers, for
    // which all rows are computed, are the same, and so are answers with gradients or without.
    [TestCaseSource(nameof(Names))]
    public void Answers_are_those_of_a_pass_over_all_rows_bit_for_bit(string name)
    {
        foreach (var dtype in (torch.ScalarType[])[torch.float32, torch.bfloat16])
            foreach (var batch in Batches())
            {
                var model = Model(name, dtype);
                using var pack = Pack.Of(batch, 4096, Place.Of(model)).Single();
                foreach (var mode in (ForwardMode[])[ForwardMode.Plain, new() { Deltas = Tiny.Deltas(model, torch.float32) }])
                {
                    foreach (var factor in mode.Deltas.Values.SelectMany(delta => delta.Parameters.Values)) factor.requires_grad_();
                    var trained = model.Answering(pack, mode).detach();
                    using var off = torch.no_grad();
                    var expected = model.Forward(pack, mode).index_select(0, pack.HeadRows);
                    var (together, alone) = (model.Answering(pack, mode), model.Answering(pack, mode with { Alone = true }));
                    Assert.That(together.equal(trained), Is.True, $"{dtype}, with gradients or without");
                    var gelu = model.Spec.Block.Activation != Activation.Silu && pack.HeadRows.numel() > 16;
                    foreach (var answers in (Tensor[])[together, alone])
                        Assert.That(gelu ? Tiny.Worst(answers, expected) < (dtype == torch.float32 ? 1e-5 : 0.1) : answers.equal(expected), Is.True, $"{dtype}");
                }
            }
    }

    private sealed class Counting(IRowAttention attention) : IRowAttention
    {
        internal List<(long Queries, long Keys, long Asked)> Rows { get; } = [];

        public Tensor Attend(int layer, Tensor q, Tensor k, Tensor v, AttentionForm form)
        {
            Rows.Add((q.size(0), k.size(0), form.Asked?.size(0) ?? -1));
            return attention.Attend(layer, q, k, v, form);
        }

        public bool LeavesOut(Tensor x, AttentionForm form) => attention.LeavesOut(x, form);
    }

    // 150 rows and 4 answers to the last of them: a product of 17 rows goes through the kernels of large ones.
    [TestCase(false, 17)]
    [TestCase(true, 150)]
    public void The_last_block_attends_for_the_asked_rows(bool gradients, long queries)
    {
        var model = Model("llama", torch.float32);
        using var pack = Pack.Of([Group(150, [.. gradients ? [20, 20] : (int[])[1, 1, 1, 1]])], 4096, Place.Of(model)).Single();
        var counting = new Counting(pack.Attention);
        pack.Attention = counting;
        var rows = pack.Tokens.numel();
        using var mode = gradients ? torch.enable_grad() : torch.no_grad();
        Assert.That(model.Answering(pack, new ForwardMode { Alone = !gradients }).size(0), Is.EqualTo(pack.HeadRows.size(0)));
        var last = Products.Kernels == "libtorch" && TestDevice.Here.type == DeviceType.CPU ? (rows, rows, -1L) : gradients ? (rows, rows, 39L) : (queries, rows, queries);
        Assert.That(counting.Rows, Is.EqualTo(new[] { (rows, rows, -1L), last }));
    }
}
