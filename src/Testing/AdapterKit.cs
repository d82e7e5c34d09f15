// Adapters on a small model: which modules are chosen, equal seeds give equal bytes, the start is the base model, a folder that was saved
// loads again bit for bit and nothing else does; and what the engine makes of the deltas (AdapterEngineKit).
// conformance/adapter.NAME.json: { "options": {...}, "sites": N, "unmatched": {...}, "seeded": true }; sites: how many of the outline's
// modules the options choose; unmatched: options that choose none (an adapter of virtual tokens or prefixes alone has none); seeded:
// false where every new adapter begins with the same numbers. Folders are read with the default options, as the host reads them, so
// options that differ from the defaults show whether Load goes by the folder.

using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Plugins;
using PeftAlign.Torch;

namespace PeftAlign.Testing;

internal static class AdapterKit
{
    public static IEnumerable<ConformanceCheck> Checks(Subject subject, ProvidedContract provided)
    {
        (string Rule, Action<Fitting> Check)[] rules =
        [
            ("chooses the sample's modules", ChoosesTheSamplesModules),
            ("gives equal bytes for equal seeds", GivesEqualBytesForEqualSeeds),
            ("starts at the base model", StartsAtTheBaseModel),
            ("loads what it saved, bit for bit", LoadsWhatItSaved),
            ("refuses tensors that do not fit", RefusesTensorsThatDoNotFit),
            ("says that no module matches", SaysThatNoModuleMatches),
        ];
        var inTheEngine = AdapterEngineKit.Rules.Select(rule => (rule.Rule, Check: (Action<Fitting>)(fitting => rule.Check(model => fitting.Adapter().Attach(model, 1)))));
        return rules.Concat(inTheEngine).Select(rule => new ConformanceCheck($"adapter {provided.Name}: {rule.Rule}", () =>
        {
            using var scope = torch.NewDisposeScope();
            rule.Check(new Fitting(subject, provided, subject.Sample(provided)));
        }));
    }

    private sealed record Fitting(Subject Subject, ProvidedContract Provided, Sample Sample)
    {
        public IPeftAdapter Adapter(JsonObject? options = null) => Subject.Create<IPeftAdapter>(Provided, options ?? Sample.Options);

        /// <summary>What reads a folder: an instance that knows nothing of the options that it was made with.</summary>
        public IPeftAdapter Reader() => Adapter([]);

        /// <summary>Two blocks of a decoder as wide as 8, with grouped keys and values, norms, embeddings and head.</summary>
        public ModelOutline Model { get; } = AdapterEngineKit.Outline();
    }

    private static void ChoosesTheSamplesModules(Fitting fitting)
    {
        var sites = fitting.Adapter().Attach(fitting.Model, 1);
        var wanted = fitting.Sample.Number("sites") ?? throw new ConformanceException("The sample does not say how many \"sites\" its options choose.");
        Expect.That(sites.Count == wanted, $"The sample's options choose {wanted} modules, but {sites.Count} came: {string.Join(", ", sites.Select(site => site.Module))}.");
        (fitting.Adapter() as IChecksModules)?.Check(Bare(fitting.Model));
        var unknown = sites.Select(site => site.Module).Except(fitting.Model.Modules.Select(module => module.Name)).ToArray();
        Expect.That(unknown is [], $"Modules that the model does not have: {string.Join(", ", unknown)}.");
        foreach (var site in sites)
            if (site.Delta is LowRank delta && fitting.Model.Modules.First(module => module.Name == site.Module) is var module)
                Expect.That(delta.A.shape[1] == module.Inputs && delta.B.shape[0] == module.Outputs && delta.A.shape[0] == delta.B.shape[1],
                    $"{site.Module} is {module.Outputs} by {module.Inputs}; A must be (rank, {module.Inputs}) and B ({module.Outputs}, rank), but they are ({string.Join(", ", delta.A.shape)}) and ({string.Join(", ", delta.B.shape)}).");
    }

    private static void GivesEqualBytesForEqualSeeds(Fitting fitting)
    {
        var first = Bytes(fitting.Adapter().Attach(fitting.Model, 7));
        var turned = fitting.Model with { Modules = [.. fitting.Model.Modules.Reverse()] };
        Expect.That(first.SequenceEqual(Bytes(fitting.Adapter().Attach(turned, 7))), "Equal seeds must give equal bytes in any order of construction; with the modules in reverse order others came.");
        var seeded = fitting.Sample.Json["seeded"]?.GetValue<bool>() ?? true;
        Expect.That(seeded != first.SequenceEqual(Bytes(fitting.Adapter().Attach(fitting.Model, 8))), seeded ? "Another seed gave the same bytes." : "The sample says that seeds play no part, but another seed gave other bytes.");
    }

    // Of the deltas that the engine adds to a product or multiplies it with; a prompt or prefix has no base to start at, and a
    // bottleneck may be almost the base.
    private static void StartsAtTheBaseModel(Fitting fitting)
    {
        foreach (var site in fitting.Adapter().Attach(fitting.Model, 1))
        {
            if (site.Delta is LowRank delta)
                Expect.That(torch.matmul(delta.B, delta.A).abs().max().item<float>() == 0, $"{site.Module}: a new delta must be zero, so that training starts at the base model.");
            if (site.Delta is Scale scale)
                Expect.That((scale.Values - 1).abs().max().item<float>() == 0, $"{site.Module}: new factors must be 1, so that training starts at the base model.");
        }
    }

    private static void LoadsWhatItSaved(Fitting fitting)
    {
        var adapter = fitting.Adapter();
        var sites = adapter.Attach(fitting.Model, 1);
        // As if trained: a part that begins as zero would hide a part that is not saved.
        foreach (var parameter in sites.SelectMany(site => site.Delta.Parameters.OrderBy(pair => pair.Key, StringComparer.Ordinal)).Select((pair, k) => (pair.Value, k)))
            parameter.Value.detach().fill_(0.25 + parameter.k);
        var files = adapter.Save(fitting.Model, sites);
        var loaded = Read(fitting, files with { Tensors = files.Tensors.ToDictionary(pair => pair.Key, pair => pair.Value.clone()) });
        Expect.That(Bytes(sites).SequenceEqual(Bytes(loaded)), "What Save wrote gave other tensors in Load.");
        foreach (var (saved, back) in sites.OrderBy(site => site.Module, StringComparer.Ordinal).Zip(loaded.OrderBy(site => site.Module, StringComparer.Ordinal)))
            if (saved.Delta is LowRank one && back.Delta is LowRank other)
                Expect.That(one.Scale == other.Scale, $"{saved.Module}: the scale was {one.Scale} and is {other.Scale} after Save and Load.");
    }

    private static IReadOnlyList<AdapterSite> Read(Fitting fitting, AdapterFiles files)
    {
        try
        {
            return fitting.Reader().Load(fitting.Model, AsRead(files));
        }
        catch (UserErrorException e)
        {
            throw new ConformanceException($"With the default options Load refused what Save wrote with the sample's: {e.Message} A folder is read by its own configuration alone; take ranks, scales and targets from files.Config.", e);
        }
    }

    // The numbers of a file's JSON are of no .NET type yet.
    private static AdapterFiles AsRead(AdapterFiles files) => files with { Config = JsonNode.Parse(files.Config.ToJsonString())!.AsObject() };

    private static void RefusesTensorsThatDoNotFit(Fitting fitting)
    {
        var adapter = fitting.Adapter();
        var files = adapter.Save(fitting.Model, adapter.Attach(fitting.Model, 1));
        var (name, tensor) = files.Tensors.OrderBy(pair => pair.Key, StringComparer.Ordinal).First();
        void Refused(string when, Action<Dictionary<string, Tensor>> change)
        {
            var tensors = new Dictionary<string, Tensor>(files.Tensors);
            change(tensors);
            Expect.UserError(() => _ = fitting.Reader().Load(fitting.Model, AsRead(files with { Tensors = tensors })), when);
        }
        Refused($"the tensor {name} is missing", tensors => tensors.Remove(name));
        Refused("there is a tensor too many", tensors => tensors["no.such.tensor"] = tensor);
        Refused($"the tensor {name} has another shape", tensors => tensors[name] = torch.zeros([.. tensor.shape.Select(size => size + 1)]));
    }

    private static void SaysThatNoModuleMatches(Fitting fitting)
    {
        if (fitting.Adapter().Attach(fitting.Model, 1).All(site => site.Delta is VirtualTokens or PrefixKV)) return; // it chooses none
        var options = fitting.Sample.Json["unmatched"] as JsonObject ?? throw new ConformanceException("The sample needs \"unmatched\", options that choose no module.");
        Expect.UserError(() => _ = fitting.Adapter((JsonObject)options.DeepClone()).Attach(fitting.Model, 1), "no module matches");
        if (fitting.Adapter((JsonObject)options.DeepClone()) is IChecksModules checks) Expect.UserError(() => checks.Check(Bare(fitting.Model)), "no module matches, in Check");
    }

    // As planning knows a model.
    private static ModelOutline Bare(ModelOutline model) => model with { Modules = [.. model.Modules.Select(module => module with { Tensor = _ => null, Unquantized = () => null })] };

    // Every trainable tensor by module and role, as text of its bytes.
    private static IEnumerable<string> Bytes(IReadOnlyList<AdapterSite> sites) =>
        from site in sites
        from pair in site.Delta.Parameters
        orderby site.Module, pair.Key
        select $"{site.Module} {pair.Key} {Convert.ToHexString(System.Runtime.InteropServices.MemoryMarshal.AsBytes<float>(pair.Value.detach().cpu().contiguous().data<float>().ToArray()))}";
}
