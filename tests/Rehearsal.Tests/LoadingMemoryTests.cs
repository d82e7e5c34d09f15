// What a device holds while a folder is read: the model, and of what is carried there one tensor at a time. Counted by the device to
// rehearse on.

using System.Runtime.CompilerServices;
using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Models;
using PeftAlign.Models.Checkpoints;
using PeftAlign.Models.Decoders;
using PeftAlign.Peft.QLora;
using PeftAlign.Peft.QLora.Tests;
using PeftAlign.Peft.Tests;
using PeftAlign.Torch;
using PeftAlign.Torch.Extras;

namespace PeftAlign.Tests;

[NonParallelizable]
public sealed class LoadingMemoryTests
{
    private const long Largest = 4L * 512 * 512; // the embedding's bytes in the file

    private readonly TemporaryFolder folder = new();

    private static IQuantization Nf4 => new FourBitQuantization(FourBitCode.Nf4, new FourBitOptions());

    [OneTimeSetUp]
    public void Make() => ModelFolder.Initialise(folder.Path, "llama", new JsonObject
    {
        ["vocab_size"] = 512,
        ["hidden_size"] = 512,
        ["intermediate_size"] = 512,
        ["num_hidden_layers"] = 3,
        ["num_attention_heads"] = 4,
        ["max_position_embeddings"] = 64,
    }, seed: 1);

    [OneTimeTearDown]
    public void Remove() => folder.Dispose();

    [SetUp]
    public void Require() => TestDevice.RequireRehearsal();

    // Bytes that what is made keeps, and the most that it took to make it.
    private static (long Kept, long Most) Took(Action make)
    {
        _ = TestDevice.Here;
        Settled.Tensors();
        var before = Rehearsal.Memory(reset: true).Now;
        make();
        var (now, peak) = Rehearsal.Memory();
        return (now - before, peak - before);
    }

    private static void Free(IEnumerable<IDisposable> all)
    {
        foreach (var one in all) one.Dispose();
    }

    [Test]
    public void The_device_counts_what_lies_on_it()
    {
        using var scope = torch.NewDisposeScope();
        var (kept, most) = Took(() =>
        {
            using var inner = torch.NewDisposeScope();
            var x = torch.zeros([1000], torch.float32, TestDevice.Here);
            x.view(10, 100).t().narrow(0, 0, 5).add_(1);
            torch.ones([500], torch.float32).to(TestDevice.Here);
            x.MoveToOuterDisposeScope();
        });
        Assert.That((kept, most), Is.EqualTo((4000L, 6000L)));
    }

    // What a function keeps beside a graph is found only once the graph's own finalizers have run.
    [Test]
    public void What_was_forgotten_before_is_not_counted()
    {
        Forget();
        var (kept, _) = Took(() => Settled.Tensors());
        Assert.That(kept, Is.Zero);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Forget() => Keeping.apply(torch.ones([1000]).to(TestDevice.Here).requires_grad_());

    private sealed class Keeping : torch.autograd.SingleTensorFunction<Keeping>
    {
        public override string Name => "Keeping";

        public override Tensor forward(torch.autograd.AutogradContext ctx, params object[] vars)
        {
            ctx.save_data("copy", ((Tensor)vars[0]).clone().DetachFromDisposeScope());
            return (Tensor)vars[0] * 1;
        }

        public override List<Tensor?> backward(torch.autograd.AutogradContext ctx, Tensor grad_output) => [grad_output];
    }

    [Test]
    public void A_decoder_is_read_tensor_by_tensor()
    {
        DecoderModel? model = null;
        var (kept, most) = Took(() => model = ModelFolder.Load(folder.Path, dtype: torch.bfloat16, device: TestDevice.Here));
        Assert.That(kept, Is.EqualTo(model!.Weights.Values.Sum(w => w.numel() * 2)));
        Assert.That(most, Is.LessThanOrEqualTo(kept + Largest));
        Free(model.Weights.Values);
    }

    // As encoders are read.
    [Test]
    public void A_list_of_weights_is_read_tensor_by_tensor()
    {
        var spec = ModelArchitectures.BuiltIn.Describe(ModelConfig.Open(folder.Path));
        var weights = new Dictionary<string, Tensor>();
        var (kept, most) = Took(() => weights = ModelFolder.Read(folder.Path, spec.Weights().Select(w => (w.Name, w.Shape)), _ => StoredNames.Plain, null, torch.bfloat16, TestDevice.Here));
        Assert.That(kept, Is.EqualTo(weights.Values.Sum(w => w.numel() * 2)));
        Assert.That(most, Is.LessThanOrEqualTo(kept + Largest));
        Free(weights.Values);
    }

    [Test]
    public void A_base_is_quantised_matrix_by_matrix()
    {
        DecoderModel? model = null;
        var (kept, most) = Took(() => model = ModelFolder.Load(folder.Path, dtype: torch.bfloat16, quantization: Nf4, device: TestDevice.Here));
        Assert.That(most, Is.LessThanOrEqualTo(kept + (long)(1.3 * Largest)), "a matrix and its codes");
        Free([.. model!.Weights.Values, .. model.Quantized.Values]);
    }

    // Three layers of one input, forward and backward: their matrices are decoded one after another.
    [Test]
    public void One_matrix_is_decoded_at_a_time([Values] bool adapted)
    {
        using var scope = torch.NewDisposeScope();
        var layers = Enumerable.Range(0, 3).Select(k => new Layer($"layer{k}", null) { Quantized = (Nf4.Quantize($"w{k}", torch.randn([512, 512]).to(TestDevice.Here)), torch.float32) }).ToArray();
        var deltas = layers.Where(_ => adapted).ToDictionary(layer => layer.Module, _ => (Delta)new LowRank(torch.randn([2, 512]).to(TestDevice.Here).requires_grad_(), torch.zeros([512, 2], torch.float32, TestDevice.Here).requires_grad_(), 1, 0));
        var x = torch.randn([20, 512]).to(TestDevice.Here).requires_grad_();
        var (_, most) = Took(() => JoinedLowRank.Of(layers, x, new ForwardMode { Deltas = deltas })!.Select(y => y.sum()).Aggregate((a, b) => a + b).backward());
        Assert.That(x.grad!.isfinite().all().item<bool>());
        Assert.That(most, Is.InRange(Largest, (long)(1.7 * Largest)), "a decoded matrix and the activations of 20 tokens");
    }

    // DoRA's norms, a module's copy and rows of the embedding are made of matrices in float32, of which none stays.
    [Test]
    public void A_new_adapter_leaves_nothing_beside_its_tensors([Values] bool quantised)
    {
        var model = ModelFolder.Load(folder.Path, dtype: torch.bfloat16, quantization: quantised ? Nf4 : null, device: TestDevice.Here);
        IReadOnlyList<AdapterSite> sites = [];
        var (kept, most) = Took(() => sites = Registered.Lora(new() { Rank = 2, Targets = ["all-linear"], UseDora = true, ModulesToSave = ["lm_head"], TrainableTokens = [5, 2] }).Attach(model.Outline("base"), 0));
        Assert.That(sites.Count(site => site.Delta is LowRank { Magnitude: not null }), Is.EqualTo(3 * 7));
        Assert.That(kept, Is.EqualTo(sites.Sum(site => site.Delta.Parameters.Values.Sum(tensor => 4 * tensor.numel()))));
        Assert.That(most, Is.LessThan(kept + (3 * Largest)));
        Free([.. sites.SelectMany(site => site.Delta.Parameters.Values), .. model.Weights.Values, .. model.Quantized.Values]);
    }

    [Test]
    public void A_folder_is_quantised_matrix_by_matrix_and_leaves_nothing()
    {
        using var target = new TemporaryFolder();
        var (kept, most) = Took(() => QuantizedFolder.Write(target.Path, folder.Path, Nf4, [], ModelArchitectures.BuiltIn, device: TestDevice.Here));
        Assert.That(kept, Is.Zero);
        Assert.That(most, Is.InRange(Largest, (long)(1.3 * Largest)), "a matrix and its codes");
    }
}
