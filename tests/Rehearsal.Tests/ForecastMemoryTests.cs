// What a dry run says of a training's memory on a GPU against the most that a step took on the device to rehearse on: in bfloat16, under
// adapters in float32.

using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Host.Running.Estimates;
using PeftAlign.Models.Decoders;
using PeftAlign.Models.Engine;
using PeftAlign.Models.Tests.Engine;
using PeftAlign.Peft.Tests;
using PeftAlign.Torch;
using PeftAlign.Torch.Extras;

namespace PeftAlign.Tests;

[NonParallelizable]
public sealed class ForecastMemoryTests
{
    private const int Rows = 4;
    private const int Length = 129;

    private static readonly DecoderSpec Spec = Tiny.Spec("llama", """{"vocab_size":512,"hidden_size":256,"intermediate_size":688,"num_hidden_layers":4,"num_attention_heads":2,"num_key_value_heads":2}""");

    private DisposeScope? scope;

    [SetUp]
    public void Open()
    {
        TestDevice.RequireRehearsal();
        scope = torch.NewDisposeScope();
    }

    [TearDown]
    public void Close() => scope?.Dispose();

    // Bytes beside the weights and the adapter.
    private static long Measured(double dropout, bool dora, bool again)
    {
        var model = Tiny.Model(torch.bfloat16, Spec);
        var sites = Registered.Lora(new() { Rank = 4, Targets = ["all-linear"], UseDora = dora, Dropout = dropout }).Attach(model.Outline("base"), 0);
        var deltas = sites.ToDictionary(site => site.Module, site => site.Delta.With(role => site.Delta.Parameters[role].detach().requires_grad_()));
        var random = new Random(1);
        int[] Ids(int count) => [.. Enumerable.Range(0, count).Select(_ => random.Next((int)Spec.Vocabulary))];
        var groups = Enumerable.Range(0, Rows).Select(_ => new CompletionGroup(Ids(30), [Completion.Of(Ids(Length - 30))])).ToList();
        Settled.Tensors();
        var before = Rehearsal.Memory(reset: true).Now;
        using (torch.NewDisposeScope())
        {
            var mode = new ForwardMode { Deltas = deltas, Dropout = new DropoutKey(3, 1) };
            using var pass = new LogProbEngine(model).Pass(groups, mode, new PassNeeds { Recompute = again });
            pass.LogProbs.sum().backward();
            pass.Backward();
        }
        return Rehearsal.Memory().Peak - before;
    }

    private static long Forecast(double dropout, bool dora, bool again)
    {
        var adapter = new JsonObject { ["options"] = new JsonObject { ["rank"] = 4, ["targets"] = new JsonArray("all-linear"), ["dropout"] = dropout, ["use_dora"] = dora } };
        var arithmetic = Arithmetic.Of(Spec, torch.bfloat16, AdapterShape.Work(Spec, adapter), onGpu: true);
        return again ? Costs.Recomputed(Spec, Rows * Length, Length, arithmetic) : Costs.Activations(Spec, Rows * Length, Length, arithmetic);
    }

    [Test]
    public void A_step_takes_what_was_forecast([Values(0, 0.1)] double dropout, [Values] bool dora, [Values] bool again)
    {
        var (measured, forecast) = (Measured(dropout, dora, again), Forecast(dropout, dora, again));
        TestContext.Out.WriteLine($"{measured / 1e6:0.00} MB measured, {forecast / 1e6:0.00} forecast");
        Assert.That((double)forecast / measured, Is.InRange(1, 1.45));
    }
}
