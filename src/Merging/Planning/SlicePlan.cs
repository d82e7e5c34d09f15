// One slice's models: which is the base, which are the inputs, from which layers; with the checks that need no tensor.

using PeftAlign.Abstractions;

namespace PeftAlign.Merging;

/// <param name="Config">The slice.</param>
/// <param name="Sources">Every model that takes part, the base too, in the order of the file.</param>
/// <param name="Base">The base where the strategy gives it a place of its own.</param>
/// <param name="Inputs">The strategy's inputs.</param>
/// <param name="Layers">How many layers.</param>
internal sealed record SlicePlan(SliceConfig Config, IReadOnlyList<SlicePlan.Part> Sources, SlicePlan.Part? Base, IReadOnlyList<SlicePlan.Part> Inputs, long Layers)
{
    /// <param name="Config">The entry of the file; one without parameters for a base that is not listed.</param>
    /// <param name="Model">The model.</param>
    /// <param name="First">Its first layer.</param>
    /// <param name="Added">True for a base that the list does not have.</param>
    internal sealed record Part(SourceConfig Config, InputModel Model, long First, bool Added);

    /// <summary>The part whose tensors are named first.</summary>
    public Part Lead => Base ?? Inputs[0];

    /// <summary>Makes the plan of a slice.</summary>
    /// <param name="config">The configuration.</param>
    /// <param name="slice">The slice.</param>
    /// <param name="open">Opens a model, once for each name.</param>
    /// <param name="arity">How many inputs the strategy takes.</param>
    /// <param name="role">A trait of <see cref="MergeBase"/>; empty where the base is a model like the others.</param>
    /// <param name="faults">Says where the file is wrong.</param>
    /// <exception cref="UserErrorException">Models or layers do not fit.</exception>
    public static SlicePlan Of(MergeConfig config, SliceConfig slice, Func<ModelName, InputModel> open, string arity, string role, MergeFaults faults)
    {
        var twice = slice.Sources.GroupBy(source => source.Model).FirstOrDefault(group => group.Count() > 1);
        if (twice is not null) throw faults.Error(twice.Last().At, $"{twice.Key} is listed twice; give each model once.");
        var name = slice.BaseModel ?? config.BaseModel;
        if (role is MergeBase.Origin or MergeBase.First && name is null) throw faults.Error(config.MethodAt, $"base_model is required by {config.Method}; name the model {(role == MergeBase.First ? "that is interpolated from" : "from which differences are measured")}.");
        var parts = slice.Sources.Select(source => Make(source, open(source.Model), false, faults)).ToList();
        if (name is not null && parts.All(part => part.Config.Model != name))
        {
            if (config.ListsModels) parts.Add(Make(new SourceConfig(name, null, Settings.None, name.At), open(name), true, faults));
            else if (role.Length > 0) throw faults.Error(slice.At, $"the base {name} is not among the sources of this slice; add it with its layer_range.");
        }
        var layers = CommonLayers(parts, config.ListsModels, faults);
        var origin = name is null || role.Length == 0 ? null : parts.First(part => part.Config.Model == name);
        IReadOnlyList<Part> inputs = role switch
        {
            MergeBase.First => [origin!, .. parts.Where(part => part != origin)],
            _ => [.. parts.Where(part => part != origin)],
        };
        CheckArity(config, inputs.Count, arity, role, origin, faults);
        return new SlicePlan(slice, parts, role == MergeBase.First ? null : origin, inputs, layers);
    }

    private static Part Make(SourceConfig source, InputModel model, bool added, MergeFaults faults)
    {
        if (source.Layers is not var (first, end, at)) return new Part(source, model, 0, added);
        if (end > model.Config.LayerCount) throw faults.Error(at, $"layer_range [{first}, {end}] goes past the end: {model.Name} has {model.Config.LayerCount} layers.");
        return new Part(source, model, first, added);
    }

    private static long CommonLayers(List<Part> parts, bool listed, MergeFaults faults)
    {
        static long Count(Part part) => part.Config.Layers is var (first, end, _) ? end - first : part.Model.Config.LayerCount;
        if (parts.FirstOrDefault(part => part.Model.Config.ModelType != parts[0].Model.Config.ModelType) is { } foreign)
            throw faults.Error(foreign.Config.At, $"architectures differ: {parts[0].Model.Name} is {parts[0].Model.Config.ModelType}, {foreign.Model.Name} is {foreign.Model.Config.ModelType}; merge models of one architecture.");
        if (parts.FirstOrDefault(part => Count(part) != Count(parts[0])) is not { } other) return Count(parts[0]);
        throw faults.Error(other.Config.At, listed
            ? $"layer counts differ: {parts[0].Model.Name} has {Count(parts[0])}, {other.Model.Name} has {Count(other)}; take layers with slices."
            : $"the sources of a slice need ranges of one length: {parts[0].Model.Name} has {Count(parts[0])} layers here, {other.Model.Name} {Count(other)}.");
    }

    private static void CheckArity(MergeConfig config, int inputs, string arity, string role, Part? origin, MergeFaults faults)
    {
        var limits = arity.Trim('[', ']', '(', ')').Split(',');
        var least = int.TryParse(limits[0], out var low) ? low : 1;
        var most = limits.Length > 1 && int.TryParse(limits[1], out var high) ? high : int.MaxValue;
        if (inputs >= least && inputs <= most) return;
        var wanted = least == most ? $"exactly {least}" : most == int.MaxValue ? $"at least {least}" : $"{least} to {most}";
        var beside = role switch
        {
            MergeBase.Origin => " beside the base",
            MergeBase.OptionalOrigin when origin is not null => $" beside the base, which must be a third model ({origin.Model.Name} is the base)",
            MergeBase.First => ", the base being one of them",
            _ => "",
        };
        throw faults.Error(config.MethodAt, $"{config.Method} takes {wanted} model{(most == 1 && least == 1 ? "" : "s")}{beside}; this file gives {inputs}.");
    }
}
