// checkpoints/STEP/: everything that an interrupted run needs to end with the same bytes. A checkpoint is written under
// a temporary name and renamed once the disk has it, so a folder with the final name is whole; if the disk damages the latest all the same,
// training continues from the one before. The latest are kept, and those of points that are needed.

using System.Globalization;
using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Models.Checkpoints;
using PeftAlign.Torch;
using PeftAlign.Torch.Extras;

namespace PeftAlign.Training;

/// <param name="folder">checkpoints/ of the run.</param>
/// <param name="keep">How many of the latest stay, beside those that last.</param>
/// <param name="lasting">Steps whose checkpoints are not pruned.</param>
/// <param name="method">The method's state; empty where it has none.</param>
/// <param name="device">Where it is trained.</param>
/// <param name="inexact">Whether one of another machine may be gone on from.</param>
/// <param name="warn">Told of a damaged one.</param>
internal sealed class Checkpoints(string folder, int keep, IReadOnlySet<int> lasting, IReadOnlyDictionary<string, Tensor> method, torch.Device device, bool inexact = false, Action<string>? warn = null)
{
    private const string Parameters = "trainable.safetensors";
    private const string Optimizer = "optimizer.safetensors";
    private const string Carried = "carried.safetensors";
    private const string Method = "method.safetensors";
    private const string StateFile = "state.json";
    private const string TimingFile = "timing.json";
    private const string Unfinished = ".partial";
    private const string Damaged = ".damaged";

    /// <summary>Saved step, bytes of metrics.jsonl, tokens seen and last loss.</summary>
    internal sealed record State(int Step, long MetricsBytes, long Tokens, double Loss)
    {
        /// <summary>What all steps so far took, each counted once.</summary>
        internal Spent Spent { get; init; }
    }

    internal void Save(State state, Stage stage)
    {
        var target = Of(state.Step);
        var temporary = target + Unfinished;
        try
        {
            Fill(temporary, state, stage);
            AtomicFile.MoveFolder(temporary, target);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentOutOfRangeException)
        {
            Abandon(temporary);
            throw DiskFault.Of(temporary, e);
        }
        Prune(); // only now: what is deleted may have been the last whole one
    }

    private void Fill(string temporary, State state, Stage stage)
    {
        Directory.CreateDirectory(temporary);
        SafetensorsWriter.Write(Path.Combine(temporary, Parameters), stage.Groups.Members.Select(m => KeyValuePair.Create(m.Name, m.Tensor.detach())));
        SafetensorsWriter.Write(Path.Combine(temporary, Optimizer), stage.Groups.State.Select(s => KeyValuePair.Create(s.Name, s.Tensor)));
        if (stage.Carried.Count > 0) SafetensorsWriter.Write(Path.Combine(temporary, Carried), stage.Carried.Select(c => KeyValuePair.Create(c.Name, c.Tensor)));
        if (method.Count > 0) SafetensorsWriter.Write(Path.Combine(temporary, Method), method.OrderBy(s => s.Key, StringComparer.Ordinal).Select(s => KeyValuePair.Create(s.Key, s.Value.detach())));
        var json = new JsonObject { ["step"] = state.Step, ["metrics_bytes"] = state.MetricsBytes, ["tokens"] = state.Tokens, ["loss"] = state.Loss, ["made_on"] = Machine };
        File.WriteAllText(Path.Combine(temporary, StateFile), json.ToJsonString());
        // Apart from the state, which is equal for equal work.
        File.WriteAllText(Path.Combine(temporary, TimingFile), new JsonObject { ["seconds"] = Math.Round(state.Spent.Seconds, 3), ["processor_seconds"] = Math.Round(state.Spent.Processor, 3) }.ToJsonString());
    }

    /// <summary>The step of the latest checkpoint that can be read; 0 where there is none. Where none before a damaged one is left, it is
    /// that one's, which <see cref="Restore"/> refuses.</summary>
    /// <param name="notBehind">Checkpoints of later steps are deleted: what lies before them is needed and not there.</param>
    internal int Latest(int notBehind)
    {
        foreach (var later in Steps().Where(step => step > notBehind)) Delete(later);
        if (Steps() is { Count: > 1 } steps && Fault(steps[^1]) is { } fault)
        {
            PutAside(steps[^1], steps[^2], fault);
            return Latest(notBehind);
        }
        Prune();
        return Steps() is [.., var step] ? step : 0;
    }

    // Kept for who wants to look at it; metrics.jsonl is cut back to the one before, and the steps are made again to the same numbers.
    private void PutAside(int step, int before, string fault)
    {
        var aside = Of(step) + Damaged;
        if (Directory.Exists(aside)) Directory.Delete(aside, recursive: true);
        if (!AtomicFile.TryRename(Of(step), aside))
        {
            Directory.CreateDirectory(aside);
            foreach (var file in Directory.GetFiles(Of(step))) AtomicFile.Copy(file, Path.Combine(aside, Path.GetFileName(file)));
            Delete(step);
        }
        warn?.Invoke($"the checkpoint of step {step} is damaged ({fault} cannot be read); it is called {aside} now, and the training goes on from that of step {before}");
    }

    // The file that the disk damaged, if any; a checkpoint of other tensors or of another machine is whole, and refused.
    private string? Fault(int step)
    {
        string[] needed = method.Count > 0 ? [Parameters, Optimizer, Method, StateFile] : [Parameters, Optimizer, StateFile];
        return Directory.GetFiles(Of(step), "*.safetensors").Select(Path.GetFileName).OfType<string>().Union(needed).FirstOrDefault(file => !IsReadable(Path.Combine(Of(step), file), step));
    }

    private static bool IsReadable(string path, int step)
    {
        try
        {
            if (Path.GetFileName(path) == StateFile) _ = Read(path, step);
            else SafetensorsFile.Open(path).Dispose();
            return true;
        }
        catch (Exception e) when (e is UserErrorException || IsDamage(e))
        {
            return false;
        }
    }

    private static bool IsDamage(Exception e) => e is IOException or UnauthorizedAccessException or System.Text.Json.JsonException or InvalidOperationException or FormatException or NullReferenceException or ArgumentException;

    /// <summary>Loads a checkpoint into what a phase trains, its moments, and what it found.</summary>
    /// <exception cref="UserErrorException">It does not belong to this model, adapter and options, or was changed since.</exception>
    internal State Restore(int step, Stage stage)
    {
        var folderOfStep = Of(step);
        using var off = torch.no_grad();
        using var scope = torch.NewDisposeScope();
        Load(Path.Combine(folderOfStep, Parameters), stage.Groups.Members);
        stage.Groups.Round();
        Load(Path.Combine(folderOfStep, Optimizer), stage.Groups.State);
        if (stage.Carried.Count > 0) Load(Path.Combine(folderOfStep, Carried), stage.Carried);
        if (method.Count > 0) Load(Path.Combine(folderOfStep, Method), [.. method.Select(s => (s.Key, s.Value))]);
        stage.Groups.Steps = step - stage.Steps.Start;
        return ReadState(Path.Combine(folderOfStep, StateFile), step) with { Spent = ReadTiming(Path.Combine(folderOfStep, TimingFile)) };
    }

    // Only a time that people read: what is not there (in older checkpoints) or damaged stops no training.
    private static Spent ReadTiming(string path)
    {
        try
        {
            var json = JsonNode.Parse(File.ReadAllText(path))!;
            return new Spent((double)json["seconds"]!, (double)json["processor_seconds"]!);
        }
        catch (Exception e) when (IsDamage(e))
        {
            return default;
        }
    }

    // All tensors are compared before the first is copied; copy_ alone would spread a smaller tensor over a larger one.
    private void Load(string path, IReadOnlyList<(string Name, Tensor Tensor)> targets)
    {
        using var saved = SafetensorsFile.Open(path);
        foreach (var (name, tensor) in targets)
        {
            if (!saved.Contains(name)) throw Misfit(path, $"it lacks the tensor '{name}'");
            var found = saved.Find(name);
            if (!found.Shape.SequenceEqual(tensor.shape) || found.DType != tensor.dtype)
                throw Misfit(path, $"its tensor '{name}' is {found.DType} [{string.Join(", ", found.Shape)}]; this run trains {tensor.dtype} [{string.Join(", ", tensor.shape)}]");
        }
        if (saved.Tensors.FirstOrDefault(t => targets.All(known => known.Name != t.Name)) is { } extra)
            throw Misfit(path, $"it holds the tensor '{extra.Name}', which this run does not train");
        foreach (var (name, tensor) in targets) tensor.copy_(saved.Tensor(name));
    }

    private State ReadState(string path, int step)
    {
        try
        {
            var (state, madeOn) = Read(path, step);
            if (madeOn is { } other && other != Machine && !inexact)
                throw new UserErrorException($"The checkpoint {path} was made on {other}; this is {Machine}, where the same steps round differently. Continue on the former, let `run --inexact` accept that, or delete {folder} to train from the start.");
            return state;
        }
        catch (Exception e) when (IsDamage(e))
        {
            throw Misfit(path, "it cannot be read", e);
        }
    }

    private static (State State, string? MadeOn) Read(string path, int step)
    {
        var json = JsonNode.Parse(File.ReadAllText(path))!;
        return (new State(step, (long)json["metrics_bytes"]!, (long)json["tokens"]!, (double)json["loss"]!), (string?)json["made_on"]);
    }

    // Another libtorch, other matrix kernels, other vectors in our own kernels or another kind of device give other bits.
    private string Machine => $"libtorch {LibTorch.Version}, {(LibTorch.BlasKernels is { Length: > 0 } kernels ? kernels : "built-in")} kernels{(Products.Kernels == "libtorch" ? "" : ", own products")}, {LibTorch.Instructions} instructions, {torch.get_num_threads()} threads{(device.type == DeviceType.CPU ? "" : $", {device.type}")}";

    private UserErrorException Misfit(string path, string reason, Exception? inner = null) =>
        new($"The checkpoint {path} does not fit this run: {reason}. Delete {folder} to train from the start, or restore the options that it was made with.", inner);

    // Half a checkpoint would take what little room there is from the report and the log.
    private static void Abandon(string temporary)
    {
        try
        {
            if (Directory.Exists(temporary)) Directory.Delete(temporary, recursive: true);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // the next save or resumption deletes it; what ended this one says more
        }
    }

    // Also what an interrupted save or an interrupted pruning left.
    private void Prune()
    {
        if (!Directory.Exists(folder)) return;
        foreach (var partial in Directory.GetDirectories(folder).Where(path => path.EndsWith(Unfinished, StringComparison.Ordinal) || IsMarked(path))) Directory.Delete(partial, recursive: true);
        foreach (var old in Steps().Where(step => !lasting.Contains(step)).SkipLast(keep)) Delete(old);
    }

    private void Delete(int step)
    {
        var path = Of(step);
        // A folder under its own name is always whole, unless it says that it is not.
        if (AtomicFile.TryRename(path, path + Unfinished))
        {
            Directory.Delete(path + Unfinished, recursive: true);
            return;
        }
        var mark = Path.Combine(path, Unfinished);
        File.WriteAllText(mark, "");
        foreach (var file in Directory.GetFiles(path).Where(file => file != mark)) File.Delete(file);
        Directory.Delete(path, recursive: true);
    }

    private string Of(int step) => Path.Combine(folder, step.ToString(CultureInfo.InvariantCulture));

    private static bool IsMarked(string path) => File.Exists(Path.Combine(path, Unfinished));

    private List<int> Steps()
    {
        if (!Directory.Exists(folder)) return [];
        return Directory.GetDirectories(folder).Where(path => !IsMarked(path)).Select(d => int.TryParse(Path.GetFileName(d), NumberStyles.None, CultureInfo.InvariantCulture, out var step) ? step : -1)
            .Where(step => step > 0).Order().ToList();
    }
}
