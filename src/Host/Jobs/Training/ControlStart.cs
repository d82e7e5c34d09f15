// Where a method's controls start: one copy of the training's adapter for each control, with a seed of its own and "{control}" in the
// adapter's texts replaced by the control's name; or the folders of these names inside init_adapter.

using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Host.Adapters;
using PeftAlign.Torch;
using PeftAlign.Torch.Extras;
using PeftAlign.Training;

namespace PeftAlign.Host.Jobs;

/// <param name="Adapter">Reads and writes the control's folder.</param>
/// <param name="Sites">Its sites at their start.</param>
internal sealed record ControlStart(IPeftAdapter Adapter, IReadOnlyList<AdapterSite> Sites)
{
    private const string Name = "{control}";

    /// <exception cref="UserErrorException">There is no adapter, or the policy or init_adapter does not go with controls.</exception>
    internal static TrainingStart Of(JobContext job, Policy policy, TrainingOptions options, ITrainsControls method)
    {
        if (job.Spec.Options["adapter"] is not { } contract)
            throw new UserErrorException($"This method trains the controls {string.Join(", ", method.Controls)}, each an adapter; name one (adapter: prompt, or lora).");
        var trainsModel = method.Phases[^1].ModelRate > 0;
        if (trainsModel && policy.Model.Quantized.Count > 0)
            throw new UserErrorException($"{policy.Model.Quantized.Count} matrices of this base are in 4 bits, which are frozen, and the last phase of this method trains them; train the controls alone (stages: controls), or a full-precision base.");
        if (trainsModel && options.Dtype != torch.ScalarType.Float32)
            throw new UserErrorException("dtype bfloat16 is for adapters over a bfloat16 base, and the last phase of this method trains all weights, in float32; leave dtype out, or train the controls alone (stages: controls).");
        if (policy.Adapters.Count > 0 && policy.Model.Quantized.Count > 0)
            throw new UserErrorException("The policy has adapters over a base in 4 bits, and controls are trained over weights that hold them; train the stage before over a full-precision base, or leave it out.");
        return TrainingStart.AfterMerging(policy) with { Controls = method.Controls.ToDictionary(name => name, name => Of(job, policy, options, contract, name)) };
    }

    private static ControlStart Of(JobContext job, Policy policy, TrainingOptions options, JsonNode contract, string name)
    {
        var adapter = job.Create<IPeftAdapter>(Named(contract, name));
        if (options.InitAdapter is null) return new ControlStart(adapter, TrainingStart.Wide(adapter.Attached(policy.Outline, Seed(options.Seed, name))));
        var folder = Path.Combine(job.Spec.FullPath(options.InitAdapter), name);
        if (!Directory.Exists(folder)) throw new UserErrorException($"init_adapter {options.InitAdapter} has no folder '{name}'; give the adapter folder of a training with the same controls.");
        var files = Policies.Open(job, folder).Files;
        InitAdapter.ThrowIfOther(job, contract, policy.Outline, folder, files);
        return new ControlStart(adapter, TrainingStart.Wide(TrainingStart.Again(adapter, contract, policy.Outline, files, folder, job.Warn)));
    }

    // So that no two controls begin at the same numbers.
    private static ulong Seed(long seed, string name) => new CounterStream((ulong)seed, "control", name).Address.Key;

    private static JsonNode Named(JsonNode contract, string control)
    {
        var named = contract.DeepClone();
        foreach (var (key, value) in named["options"]?.AsObject().ToList() ?? [])
            if (value is JsonValue text && text.TryGetValue<string>(out var written) && written.Contains(Name, StringComparison.Ordinal)) named["options"]![key] = written.Replace(Name, control, StringComparison.Ordinal);
        return named;
    }
}
