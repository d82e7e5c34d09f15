// A third party's plugins that do what their contracts rule out, each in the way that its option names.

using System.Text.Json;
using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Torch;

[assembly: PeftAlignPlugin(typeof(Their.Faults.Plugin))]

namespace Their.Faults;

/// <summary>Registers all of them.</summary>
public sealed class Plugin : IPlugin
{
    /// <inheritdoc/>
    public void Register(IPluginRegistry registry)
    {
        registry.Add<IDatasetReader, FaultOptions>("bad-rows", 1, (_, options) => new BadRows(options.Fault));
        registry.Add<IAlignmentMethod, FaultOptions>("bad-loss", 1, (_, options) => new BadLoss(options.Fault));
        registry.Add<IPeftAdapter, FaultOptions>("bad-adapter", 1, (_, options) => new BadAdapter(options.Fault));
        registry.Add<IBenchmark, FaultOptions>("bad-exam", 1, (_, options) => new BadExam(options.Fault));
        registry.Add<IJudge, FaultOptions>("bad-judge", 1, (_, options) => new BadJudge(options.Fault));
        registry.Add<IQuantization, FaultOptions>("bad-bits", 1, (_, options) => new BadBits(options.Fault));
        registry.Add<IMergeStrategy, MergeOptions>("bad-merge", 1, (_, options) => new BadMerge(options.Fault));
    }
}

/// <summary>What is wrong.</summary>
public class FaultOptions
{
    /// <summary>In which way; empty for none.</summary>
    public string Fault { get; set; } = "";
}

/// <summary>The same, of a merge.</summary>
[ContractTraits(Inputs = "[1,)")]
public sealed class MergeOptions : FaultOptions;

internal sealed class BadRows(string fault) : IDatasetReader
{
    public IEnumerable<DataRecord> Read(string? split)
    {
        if (fault == "nothing") return null!;
        return Rows();
    }

    private IEnumerable<DataRecord> Rows()
    {
        for (var k = 1; k <= 8; k++)
        {
            if (k == 3 && fault == "null") yield return null!;
            if (k == 3 && fault == "throws") throw new FormatException("line 3 has\ntwo tabs");
            if (k == 3 && fault == "cancels") throw new OperationCanceledException("the store took longer than 5 s");
            yield return new DataRecord(new JsonObject { ["prompt"] = $"{k} + 1 =", ["completion"] = $" {k + 1}" }, "bad-rows", k);
        }
    }
}

internal sealed class BadLoss(string fault) : IAlignmentMethod
{
    public MethodNeeds Needs { get; } = new(Reference: false);

    public IReadOnlyList<CompletionGroup> Prepare(IReadOnlyList<DataRecord> records, PrepareContext context) => [.. records.Select(record =>
    {
        var tokenizer = context.RequireTokenizer(record);
        context.Ledger.Rows++;
        return new CompletionGroup([.. tokenizer.EncodeToIds(record.Text("prompt"))], fault == "childless" ? [] : [Completion.Of([.. tokenizer.EncodeToIds(record.Text("completion"), addSpecialTokens: false)])]);
    })];

    public MethodLoss Loss(ScoredBatch batch) => fault switch
    {
        "null" => null!,
        "wide" => new(-batch.LogProbs, 1, new Dictionary<string, double>()),
        "detached" => new(batch.LogProbs.sum().detach(), 1, new Dictionary<string, double>()),
        "nan" => new(-batch.LogProbs.sum() * double.NaN, 1, new Dictionary<string, double>()),
        "shapes" => new(batch.LogProbs.matmul(torch.ones([3, 5, 7])).sum(), 1, new Dictionary<string, double>()),
        _ => new(-batch.LogProbs.sum(), batch.Groups.Count, new Dictionary<string, double>()),
    };
}

internal sealed class BadAdapter(string fault) : IPeftAdapter
{
    public string PeftType => "BAD_ADAPTER";

    public IReadOnlyList<AdapterSite> Attach(ModelOutline model, ulong seed)
    {
        if (fault == "throws") throw new KeyNotFoundException("no such\r\nmodule");
        var module = model.Modules.First(m => m.Kind == (fault == "norm" ? ModuleKind.Norm : ModuleKind.Linear));
        var low = new LowRank(torch.ones([2, module.Inputs]), torch.zeros([module.Outputs, 2]), 1, 0);
        if (fault == "twice") return [new(module.Name, low), new(module.Name, low)];
        if (fault == "own") return [new(module.Name, new Stack([low, new Hadamard(low.A)]))];
        if (fault == "norm") return [new(module.Name, new PeftAlign.Abstractions.Whole(torch.ones([3]), null))];
        return [new AdapterSite(fault == "elsewhere" ? "model.nowhere" : module.Name, new LowRank(torch.ones([2, module.Inputs + 1]), torch.zeros([module.Outputs, 2]), 1, 0))];
    }

    public IReadOnlyList<AdapterSite> Load(ModelOutline model, AdapterFiles files) => null!;

    public AdapterFiles Save(ModelOutline model, IReadOnlyList<AdapterSite> sites) => null!;
}

internal sealed record Hadamard(Tensor A) : Delta
{
    public override IReadOnlyDictionary<string, Tensor> Parameters => Present(("a", A));

    public override Delta With(Func<string, Tensor> tensorOf) => new Hadamard(tensorOf("a"));
}

internal sealed class BadBits(string fault) : IQuantization
{
    public bool Reads(JsonElement config) => false;

    public QuantizedMatrix? Read(StoredWeight weight) => null;

    public bool Takes(string module) => true;

    public QuantizedMatrix Quantize(string weight, Tensor matrix) => fault == "null" ? null! : new Whole(matrix.clone().DetachFromDisposeScope(), fault == "tall" ? 1 : 0);

    public JsonObject Config(IReadOnlyList<string> kept, torch.ScalarType type) => [];

    private sealed class Whole(Tensor matrix, long more) : QuantizedMatrix(matrix.size(0) + more, matrix.size(1))
    {
        public override torch.Device Device => matrix.device;

        public override torch.ScalarType StoredType => matrix.dtype;

        public override long Bytes => matrix.numel();

        public override IReadOnlyDictionary<string, Tensor> Parts => new Dictionary<string, Tensor> { [""] = matrix };

        public override void Decode(Tensor target) => target.copy_(matrix);

        public override Tensor? Product(Tensor x) => x.mm(matrix.t()).t();
    }
}

internal sealed class BadExam(string fault) : IBenchmark
{
    public BenchmarkInfo Info { get; } = new("bad-exam", Version: 1);

    public IEnumerable<EvalItem> Items() => fault switch
    {
        "twice" => [Item(1), Item(1)],
        "breaks" => throw new InvalidOperationException("no\nitems"),
        "cancels" => throw new OperationCanceledException("the store took longer than 5 s"),
        _ => [Item(1), Item(2)],
    };

    public IReadOnlyList<EvalRequest> Requests(EvalItem item) => fault switch
    {
        "asks-null" => null!,
        "prints" or "nan-metric" => [new EvalRequest.LogLikelihood("", "") { ContextIds = [1], ContinuationIds = [2] }], // for a model without a tokenizer
        _ => [new EvalRequest.LogLikelihood("1 + 1 =", " 2")],
    };

    public IReadOnlyList<ItemScore> Score(EvalItem item, IReadOnlyList<EvalResponse> responses)
    {
        if (fault == "prints") Console.WriteLine("scored " + item.Id);
        return fault == "throws" ? throw new IndexOutOfRangeException("no answer 7") : [new(item.Id, new Dictionary<string, double> { ["score"] = fault == "nan" && item.Id == "item-2" ? double.NaN : 1 })];
    }

    public IReadOnlyList<MetricResult> Aggregate(IReadOnlyList<ItemScore> items) => fault == "no-metric" ? null! : [.. Enumerable.Repeat(new MetricResult("score", fault == "nan-metric" ? double.NaN : 1, 0, items.Count, HigherIsBetter: true), fault == "metrics-alike" ? 2 : 1)];

    private static EvalItem Item(int k) => new($"item-{k}", new JsonObject { ["k"] = k });
}

internal sealed class BadJudge(string fault) : IJudge
{
    public JudgeInfo Info { get; } = new("bad", JudgeSkills.Rate);

    public IReadOnlyList<JudgeAnswer> Answer(IReadOnlyList<JudgeQuestion> questions, CancellationToken cancel = default)
    {
        var all = questions.Select(_ => new JudgeAnswer { Scores = [1] }).ToList<JudgeAnswer>();
        if (fault == "few") return [.. all.Skip(1)];
        if (fault == "nothing") return null!;
        all[^1] = fault switch { "null" => null!, "nan" => new JudgeAnswer { Scores = [double.NaN] }, _ => throw new TimeoutException("no judge came") };
        return all;
    }
}

internal sealed class BadMerge(string fault) : IMergeStrategy
{
    public Tensor Merge(MergeTensor tensor) => fault switch
    {
        "null" => null!,
        "narrow" => tensor.Inputs[0].flatten().narrow(0, 0, 1),
        "whole" => tensor.Inputs[0].to(torch.int32),
        "nan" => tensor.Inputs[0] * double.NaN,
        _ => throw new ArithmeticException("it does not add up"),
    };
}
