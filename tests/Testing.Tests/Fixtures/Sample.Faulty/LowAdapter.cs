// A low-rank adapter of rank 2 on the modules of one name, right or wrong in one way.

using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Torch;
using PeftAlign.Torch.Extras;

namespace Sample.Faulty;

/// <summary>Options of the adapter.</summary>
public sealed class AdapterOptions
{
    /// <summary>The last part of the modules' names.</summary>
    public string Target { get; set; } = "q_proj";

    /// <summary>In which way to be wrong.</summary>
    public AdapterFault Fault { get; set; }
}

/// <summary>Ways for an adapter to be wrong.</summary>
public enum AdapterFault
{
    None,
    MissesAModule,
    DrawsAnew,
    StartsElsewhere,
    ForgetsAPart,
    TakesAnything,
    MatchesNothing,
    LoadsByOptions,
}

internal sealed class LowAdapter(AdapterOptions options) : IPeftAdapter
{
    private const int Rank = 2;
    private static int drawn;

    public string PeftType => "LOW";

    public IReadOnlyList<AdapterSite> Attach(ModelOutline model, ulong seed) =>
        [.. Chosen(model).Select(module => module.Kind == ModuleKind.Norm ? new AdapterSite(module.Name, new Whole(module.Tensor("weight")!.clone(), null)) : Site(module, A(module, seed), B(module)))];

    public IReadOnlyList<AdapterSite> Load(ModelOutline model, AdapterFiles files)
    {
        if ((string?)files.Config["fault"] != nameof(AdapterFault.LoadsByOptions))
            options = new AdapterOptions { Target = (string)files.Config["target"]!, Fault = Enum.Parse<AdapterFault>((string)files.Config["fault"]!) };
        var sites = Chosen(model).Select(module => module.Kind == ModuleKind.Norm ? new AdapterSite(module.Name, new Whole(Taken(files, $"{module.Name}.W", [module.Outputs]), null)) : Site(module, Taken(files, $"{module.Name}.A", [Rank, module.Inputs]), Taken(files, $"{module.Name}.B", [module.Outputs, Rank]))).ToList();
        if (files.Tensors.Count > sites.Sum(site => site.Delta.Parameters.Count) && options.Fault != AdapterFault.TakesAnything) throw new UserErrorException("There are tensors too many.");
        return sites;
    }

    public AdapterFiles Save(ModelOutline model, IReadOnlyList<AdapterSite> sites)
    {
        var tensors = new Dictionary<string, Tensor>();
        foreach (var site in sites)
        {
            if (site.Delta is Whole { Weight: { } norm })
            {
                tensors[$"{site.Module}.W"] = norm;
                continue;
            }
            var delta = (LowRank)site.Delta;
            tensors[$"{site.Module}.A"] = delta.A;
            tensors[$"{site.Module}.B"] = options.Fault == AdapterFault.ForgetsAPart ? torch.zeros(delta.B.shape) : delta.B;
        }
        return new AdapterFiles(new JsonObject { ["target"] = options.Target, ["fault"] = options.Fault.ToString() }, tensors);
    }

    private List<ModuleOutline> Chosen(ModelOutline model)
    {
        var chosen = model.Modules.Where(module => module.Name.EndsWith(options.Target, StringComparison.Ordinal)).ToList();
        if (chosen.Count == 0 && options.Fault != AdapterFault.MatchesNothing) throw new UserErrorException($"No module is called {options.Target}.");
        return options.Fault == AdapterFault.MissesAModule ? [.. chosen.OrderBy(module => module.Name, StringComparer.Ordinal).Skip(1)] : chosen;
    }

    private Tensor A(ModuleOutline module, ulong seed)
    {
        var other = options.Fault == AdapterFault.DrawsAnew ? (ulong)++drawn : 0;
        return new CounterStream(seed + other, "A", module.Name).Uniform([Rank, module.Inputs], -0.1, 0.1);
    }

    private Tensor B(ModuleOutline module) => options.Fault == AdapterFault.StartsElsewhere ? torch.ones([module.Outputs, Rank]) : torch.zeros([module.Outputs, Rank]);

    private static AdapterSite Site(ModuleOutline module, Tensor a, Tensor b) => new(module.Name, new LowRank(a, b, 0.5, 0));

    private Tensor Taken(AdapterFiles files, string name, long[] shape)
    {
        var there = files.Tensors.TryGetValue(name, out var tensor) && tensor.shape.SequenceEqual(shape);
        if (there) return tensor!;
        return options.Fault == AdapterFault.TakesAnything ? torch.zeros(shape) : throw new UserErrorException($"{name} is missing or of another shape.");
    }
}
