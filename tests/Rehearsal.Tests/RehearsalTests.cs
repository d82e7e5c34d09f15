// What the device to rehearse on promises: the processor's numbers, and a refusal wherever a GPU would refuse.

using PeftAlign.Torch;
using PeftAlign.Torch.Extras;

namespace PeftAlign.Tests;

public sealed class RehearsalTests
{
    private DisposeScope? scope;

    [SetUp]
    public void Open()
    {
        TestDevice.RequireRehearsal();
        scope = torch.NewDisposeScope();
    }

    [TearDown]
    public void Close() => scope?.Dispose();

    private static Tensor There(params float[] values) => torch.tensor(values, device: TestDevice.Here);

    [Test]
    public void A_tensor_lies_there_and_comes_back()
    {
        var x = There(1, 2, 3);
        Assert.That((x.device.ToString(), x.device_type), Is.EqualTo(("privateuseone:0", DeviceType.PrivateUse1)));
        Assert.That(x.cpu().data<float>().ToArray(), Is.EqualTo(new[] { 1f, 2, 3 }));
        Assert.That(() => x.bytes.Length, Throws.TypeOf<TorchException>(), "what reads the processor's memory does not take it");
    }

    [Test]
    public void What_lies_on_two_devices_is_refused()
    {
        var (here, there) = (torch.tensor(new float[] { 1, 2, 3 }), There(1, 2, 3));
        Assert.That(() => here + there, Throws.TypeOf<TorchException>().With.Message.Contains("same device"));
        Assert.That(() => there.mul_(here), Throws.TypeOf<TorchException>().With.Message.Contains("same device"));
        Assert.That(() => there.index_select(0, torch.tensor(new long[] { 1 })), Throws.TypeOf<TorchException>().With.Message.Contains("same device"));
        Assert.That(() => torch.cat([here, there]), Throws.TypeOf<TorchException>().With.Message.Contains("same device"));
        Assert.That(() => there.view(1, 3).mm(here.view(3, 1)), Throws.TypeOf<TorchException>());
        Assert.That((there * torch.tensor(2f)).cpu().data<float>().ToArray(), Is.EqualTo(new[] { 2f, 4, 6 }), "a single number may lie on the processor, as on a GPU");
    }

    [Test]
    public void Views_share_memory_and_changes_in_place_are_seen()
    {
        var x = torch.zeros([2, 3], torch.float32, TestDevice.Here);
        x.t().select(0, 1).add_(5);
        x.narrow(0, 1, 1).copy_(torch.ones(1, 3));
        x.index_copy_(1, torch.tensor(new long[] { 0 }, device: TestDevice.Here), torch.full([2, 1], 7f, device: TestDevice.Here));
        Assert.That(x.cpu().data<float>().ToArray(), Is.EqualTo(new[] { 7f, 5, 0, 7, 1, 1 }));
        Assert.That(torch.arange(4, torch.int64, TestDevice.Here).cpu().data<long>().ToArray(), Is.EqualTo(new[] { 0L, 1, 2, 3 }));
    }

    [Test]
    public void Gradients_are_the_processors_and_come_on_a_thread_of_the_devices_own()
    {
        (float[] Gradient, int Thread) Of(torch.Device device)
        {
            var x = torch.tensor(new float[] { 0.5f, -1, 2 }, device: device).requires_grad_();
            var noted = Noted.apply(x.silu() * x);
            noted.sum().backward();
            return (x.grad!.cpu().data<float>().ToArray(), Noted.Thread);
        }
        var (expected, own) = Of(torch.CPU);
        var (gradient, other) = Of(TestDevice.Here);
        Assert.That(gradient, Is.EqualTo(expected));
        Assert.That((own, other == own), Is.EqualTo((Environment.CurrentManagedThreadId, false)));
    }

    [Test]
    public void Kernels_for_the_processor_do_not_take_its_tensors()
    {
        Assert.That((Fused.Has(TestDevice.Here, torch.float32), Decoding.HasAttention(TestDevice.Here, torch.float32)), Is.EqualTo((false, false)));
        var x = torch.randn([5, 16]);
        foreach (var (name, of) in new (string, Func<Tensor, Tensor>)[]
        {
            ("rms_norm", t => torch.nn.functional.rms_norm(t, torch.ones([16], torch.float32, t.device), 1e-5)),
            ("residual_norm", t => Fused.ResidualNorm(t, t + 1, torch.ones([16], torch.float32, t.device), 1e-5) is var (sum, normal) ? sum + normal : t),
            ("swiglu", t => Fused.Swiglu(t, t + 1)),
            ("few_rows_linear", t => Decoding.Linear(t, t)),
        })
            Assert.That((of(x.to(TestDevice.Here)).cpu() - of(x)).abs().max().item<float>(), Is.LessThan(1e-5), name);
    }

    private sealed class Noted : torch.autograd.SingleTensorFunction<Noted>
    {
        internal static int Thread { get; private set; }

        public override string Name => "Noted";

        public override Tensor forward(torch.autograd.AutogradContext ctx, params object[] vars) => ((Tensor)vars[0]).clone();

        public override List<Tensor?> backward(torch.autograd.AutogradContext ctx, Tensor grad_output)
        {
            Thread = Environment.CurrentManagedThreadId;
            return [grad_output.clone()];
        }
    }
}
