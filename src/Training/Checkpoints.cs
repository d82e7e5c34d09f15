// checkpoints/STEP/: everything that an interrupted run needs to end with the same bytes. A checkpoint is written under
// a temporary name and renamed, so a folder that is there is whole.

using System.Globalization;
using System.Text.Json.Nodes;
using PeftAlign.Models.Checkpoints;
using PeftAlign.Torch;

namespace PeftAlign.Training;

internal sealed class Checkpoints(string folder, int keep)
{
    private const string Parameters = "trainable.safetensors";
    private const string Optimizer = "optimizer.safetensors";
    private const string StateFile = "state.json";

    /// <summary>Saved step, bytes of metrics.jsonl, tokens seen and last loss.</summary>
    internal sealed record State(int Step, long MetricsBytes, long Tokens, double Loss);

    internal void Save(State state, FlatParameters parameters, AdamW optimizer)
    {
        var target = Path.Combine(folder, state.Step.ToString(CultureInfo.InvariantCulture));
        var temporary = target + ".partial";
        if (Directory.Exists(temporary)) Directory.Delete(temporary, recursive: true);
        Directory.CreateDirectory(temporary);
        SafetensorsWriter.Write(Path.Combine(temporary, Parameters), parameters.Members.Select(m => KeyValuePair.Create(m.Name, m.Tensor.detach())));
        SafetensorsWriter.Write(Path.Combine(temporary, Optimizer), [KeyValuePair.Create("exp_avg", optimizer.FirstMoment), KeyValuePair.Create("exp_avg_sq", optimizer.SecondMoment)]);
        var json = new JsonObject { ["step"] = state.Step, ["metrics_bytes"] = state.MetricsBytes, ["tokens"] = state.Tokens, ["loss"] = state.Loss };
        File.WriteAllText(Path.Combine(temporary, StateFile), json.ToJsonString());
        if (Directory.Exists(target)) Directory.Delete(target, recursive: true);
        Directory.Move(temporary, target);
        foreach (var old in Steps().SkipLast(keep)) Directory.Delete(Path.Combine(folder, old.ToString(CultureInfo.InvariantCulture)), recursive: true);
    }

    /// <summary>Loads the latest checkpoint into parameters and optimiser; null where there is none.</summary>
    internal State? Restore(FlatParameters parameters, AdamW optimizer)
    {
        if (Steps() is not [.., var step]) return null;
        var latest = Path.Combine(folder, step.ToString(CultureInfo.InvariantCulture));
        using var off = torch.no_grad();
        using var scope = torch.NewDisposeScope();
        using (var saved = SafetensorsFile.Open(Path.Combine(latest, Parameters)))
            foreach (var (name, tensor) in parameters.Members) tensor.copy_(saved.Tensor(name));
        using (var saved = SafetensorsFile.Open(Path.Combine(latest, Optimizer)))
        {
            optimizer.FirstMoment.copy_(saved.Tensor("exp_avg"));
            optimizer.SecondMoment.copy_(saved.Tensor("exp_avg_sq"));
        }
        var json = JsonNode.Parse(File.ReadAllText(Path.Combine(latest, StateFile)))!;
        optimizer.Steps = step;
        return new State(step, (long)json["metrics_bytes"]!, (long)json["tokens"]!, (double)json["loss"]!);
    }

    private List<int> Steps()
    {
        if (!Directory.Exists(folder)) return [];
        return Directory.GetDirectories(folder).Select(d => int.TryParse(Path.GetFileName(d), NumberStyles.None, CultureInfo.InvariantCulture, out var step) ? step : -1)
            .Where(step => step > 0).Order().ToList();
    }
}
