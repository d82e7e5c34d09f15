// Mistakes become typed exceptions that name operator, arguments and cause; nothing crashes.

using PeftAlign.Torch.Extras;
using PeftAlign.Torch.Native;
using PeftAlign.Torch.Tests.Children;

namespace PeftAlign.Torch.Tests;

public sealed class ErrorTests
{
    [Test]
    public void A_wrong_shape_names_operator_shapes_and_cause()
    {
        using var scope = torch.NewDisposeScope();
        var e = Assert.Throws<TorchException>(() => torch.ones(2, 3).mm(torch.ones(4, 5)))!;
        Assert.That(e.Message, Does.Contain("aten::mm").And.Contain("[2, 3]").And.Contain("[4, 5]").And.Contain("cannot be multiplied"));
        Assert.That(e.Message, Does.Not.Contain("\n").And.Not.Contain("frame #"));
        Assert.That((e.Operator, e.Arguments), Is.EqualTo(("aten::mm", "float32 cpu [2, 3], float32 cpu [4, 5]")));
    }

    [Test]
    public void A_wrong_dtype_is_named()
    {
        using var scope = torch.NewDisposeScope();
        Assert.That(() => torch.ones(2, 2).mm(torch.ones([2, 2], torch.int64)), Throws.InstanceOf<TorchException>().With.Message.Contains("int64"));
        Assert.That(() => torch.ones(2).data<double>(), Throws.InstanceOf<TorchException>().With.Message.Contains("Float64"));
        Assert.That(() => torch.ones(2).item<float>(), Throws.InstanceOf<TorchException>().With.Message.Contains("2"));
    }

    // Under mkldnn's (4) libtorch 1.13 wrote behind the end of what it had got.
    [Test]
    public void A_layout_other_than_strided_is_refused()
    {
        using var scope = torch.NewDisposeScope();
        var zeros = new TensorOperator("aten::zeros");
        Assert.That(() => zeros.Call(new long[] { 2 }, null, 0L), Throws.Nothing);
        for (var layout = 1L; layout <= 8; layout++)
            Assert.That(() => zeros.Call(new long[] { 1 }, null, layout), Throws.InstanceOf<TorchException>().With.Message.Contains($"'layout' of aten::zeros cannot be {layout}; the only layout is 0, strided"));
    }

    [Test]
    public void A_device_that_is_not_there_is_named()
    {
        using var scope = torch.NewDisposeScope();
        Assert.That(() => torch.device("tpu"), Throws.ArgumentException.With.Message.Contains("tpu"));
        Assert.That(() => torch.device("cuda:x"), Throws.ArgumentException);
        if (!torch.cuda.is_available()) Assert.That(() => torch.ones(2).cuda(), Throws.InstanceOf<TorchException>().With.Message.Contains("CUDA"));
        Assert.That(() => torch.cuda.synchronize(torch.device("cuda:99")), Throws.InstanceOf<TorchException>().With.Message.Contains("99"));
    }

    [Test]
    public void An_unknown_operator_is_named_with_the_version()
    {
        Assert.That(() => new TensorOperator("aten::no_such_thing", "x").Call(),
            Throws.InstanceOf<UnknownOperatorException>().With.Message.Contains("aten::no_such_thing.x").And.Message.Contains(LibTorch.Version));
    }

    [Test]
    public void An_argument_of_the_wrong_kind_names_the_schema()
    {
        using var scope = torch.NewDisposeScope();
        var relu = new TensorOperator("aten::relu");
        Assert.That(() => relu.Call(1.5), Throws.InstanceOf<TorchArgumentException>().With.Message.Contains("self").And.Message.Contains("aten::relu(Tensor self)"));
        Assert.That(() => relu.Call(), Throws.InstanceOf<TorchArgumentException>().With.Message.Contains("no default"));
        Assert.That(() => relu.Call(torch.ones(1), 2), Throws.InstanceOf<TorchArgumentException>().With.Message.Contains("takes 1"));
        Assert.That(() => relu.Call(new object()), Throws.InstanceOf<TorchArgumentException>().With.Message.Contains("Object"));
        Assert.That(() => torch.ones(1).to((torch.ScalarType)99), Throws.InstanceOf<TorchArgumentException>().With.Message.Contains("99"));
    }

    [Test]
    public void An_index_out_of_range_has_its_type()
    {
        using var scope = torch.NewDisposeScope();
        var x = torch.ones(2, 3);
        Assert.That(() => x.select(5, 0), Throws.InstanceOf<TorchIndexException>());
        Assert.That(() => x[2], Throws.InstanceOf<TorchIndexException>());
        Assert.That(() => x.size(2), Throws.InstanceOf<TorchIndexException>());
        Assert.That(() => x.index_select(0, torch.tensor(new long[] { 7 })), Throws.InstanceOf<TorchException>());
    }

    [Test]
    public void A_disposed_tensor_is_found_out_everywhere()
    {
        using var scope = torch.NewDisposeScope();
        var (gone, x) = (torch.ones(2), torch.ones(2));
        gone.Dispose();
        gone.Dispose();
        Assert.That(gone.ToString(), Is.EqualTo("disposed"));
        Assert.That(() => x + gone, Throws.InstanceOf<DisposedTensorException>().With.Message.Contains("aten::add.Tensor").And.Message.Contains("argument 1"));
        Assert.That(() => torch.cat([x, gone]), Throws.InstanceOf<DisposedTensorException>());
        Assert.That(() => gone.shape, Throws.InstanceOf<DisposedTensorException>().With.Message.Contains("Tensor.shape"));
        Assert.That(() => gone.backward(), Throws.InstanceOf<DisposedTensorException>());
        Assert.That(() => x.grad = gone, Throws.InstanceOf<DisposedTensorException>());
        Assert.That(x.sum().item<float>(), Is.EqualTo(2), "a failed call releases what it held");
        x.Dispose();
        Assert.That(() => x.numel(), Throws.InstanceOf<DisposedTensorException>());
    }

    [Test]
    public void Memory_that_is_not_there_is_asked_for_twice_and_then_named()
    {
        var before = GC.CollectionCount(2);
        Assert.That(() => torch.empty([1L << 60], torch.uint8), Throws.InstanceOf<TorchOutOfMemoryException>().With.Message.Contains("1152921504606846976"));
        Assert.That(GC.CollectionCount(2), Is.GreaterThanOrEqualTo(before + 2), "a collection comes before the second try");
    }

    // What a GPU's runtime and libraries say comes as any other error of libtorch's; here an operator repeats a word of its caller's.
    [TestCase("CUDA error: out of memory", true)]
    [TestCase("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`", true)]
    [TestCase("cuDNN error: CUDNN_STATUS_ALLOC_FAILED", true)]
    [TestCase("CUDA error: an illegal memory access was encountered", false)]
    public void Memory_of_a_gpus_libraries_that_runs_out_is_told_from_other_errors(string text, bool isMemory)
    {
        using var scope = torch.NewDisposeScope();
        var norm = new Operator("aten::linalg_norm", "ord_str");
        var e = Assert.Throws(Is.InstanceOf<TorchException>(), () => norm.Tensor(torch.ones(2, 2), text, default, false, default))!;
        Assert.That(e.Message, Does.Contain(text));
        Assert.That(e is TorchOutOfMemoryException { IsOnGpu: true }, Is.EqualTo(isMemory), e.Message);
    }

    [Test]
    public void Kernels_of_our_own_refuse_each_wrong_argument_or_take_it()
    {
        var child = Child.Run(["bad-kernel-calls"]);
        Assert.That(child.ExitCode, Is.Zero, () => $"the last call: {child.LastLine}\n{child.Errors}");
        Assert.That(child.LastLine, Does.Match("worked=[1-9][0-9]* refused=[1-9][0-9]*"));
    }

    [Test]
    public void A_thousand_random_bad_calls_crash_nothing()
    {
        var child = Child.Run(["bad-calls", "20261121", "1000"]);
        Assert.That(child.ExitCode, Is.Zero, () => $"the last call: {child.LastLine}\n{child.Errors}");
        Assert.That(child.LastLine, Does.Match("worked=[1-9][0-9]* refused=[1-9][0-9]*"));
    }
}
