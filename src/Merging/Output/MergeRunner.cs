// Carries out a plan: one tensor after another, the next made while the last is written, into a folder under a temporary name
// that is renamed when all is there. A kill leaves nothing under the folder's own name.

extern alias models;

using System.Diagnostics;
using System.Globalization;
using PeftAlign.Abstractions;
using PeftAlign.Models.Checkpoints;
using PeftAlign.Torch;
using PeftAlign.Torch.Extras;
using Durable = models::PeftAlign.AtomicFile;

namespace PeftAlign.Merging;

/// <summary>How to carry it out.</summary>
internal sealed record MergeOptions
{
    /// <summary>Seed of the strategies' random numbers.</summary>
    public ulong Seed { get; init; }

    /// <summary>How many merges lie one over another in the models. Their draws are among this merge's inputs, so that it takes others.</summary>
    public int Level { get; init; }

    /// <summary>A shard grows up to this size (mergekit's default).</summary>
    public long ShardBytes { get; init; } = 5_000_000_000;

    /// <summary>Told of each tensor: how many are done, of how many, its name.</summary>
    public Action<int, int, string>? Progress { get; init; }

    /// <summary>Sees each tensor as it is made, with what it was made of.</summary>
    public Action<PlannedTensor, IReadOnlyList<Tensor>, Tensor?, Tensor>? Observe { get; init; }

    /// <summary>For tests: a keep mask by model and tensor in the place of random numbers.</summary>
    public Func<string, string, Tensor>? Masks { get; init; }

    public CancellationToken Cancellation { get; init; }
}

/// <param name="Bytes">Of tensors written.</param>
/// <param name="MergeTime">From the first tensor to the last byte handed to the system.</param>
/// <param name="FlushTime">Waiting for the disk.</param>
internal sealed record MergeOutcome(long Bytes, TimeSpan MergeTime, TimeSpan FlushTime);

internal sealed class MergeRunner(MergePlan plan, MergeOptions options)
{
    private static readonly Dictionary<string, string> Pt = new() { ["format"] = "pt" };
    private readonly Queue<PlannedTensor> made = [];
    private int done;

    /// <summary>Writes the merged model.</summary>
    /// <param name="folder">Appears by rename; must not be there, or be empty.</param>
    /// <param name="finish">Adds further files before the rename; the folder that it gets is the temporary one.</param>
    /// <exception cref="UserErrorException">The folder is taken, the disk is too small, or a tensor's merge fails.</exception>
    public MergeOutcome Write(string folder, Action<string>? finish = null)
    {
        var target = Place(folder);
        Check(target);
        using var held = Made(target, () => PartialFolder.Make(target));
        var partial = held.Path;
        try
        {
            var clock = Stopwatch.StartNew();
            var files = WriteShards(partial);
            var merged = clock.Elapsed;
            foreach (var file in files) Flush(file);
            var flushed = clock.Elapsed;
            OutputFiles.Write(plan, partial);
            finish?.Invoke(partial);
            Publish(partial, target);
            return new MergeOutcome(plan.Tensors.Sum(tensor => tensor.Bytes), merged, flushed - merged);
        }
        catch
        {
            if (Directory.Exists(partial)) Directory.Delete(partial, recursive: true);
            throw;
        }
    }

    // A link leads to where the result goes, and stays.
    private static string Place(string folder)
    {
        var target = Path.GetFullPath(folder).TrimEnd(Path.DirectorySeparatorChar);
        return new DirectoryInfo(target) is { LinkTarget: not null } link ? link.ResolveLinkTarget(returnFinalTarget: true)!.FullName : target;
    }

    // What came to be there since is somebody else's; the work is kept beside it.
    private static void Publish(string partial, string target)
    {
        try
        {
            if (Directory.Exists(target)) Directory.Delete(target);
            Durable.MoveFolder(partial, target);
        }
        catch (IOException e) when (Path.Exists(target))
        {
            var kept = $"{target}.merged-{Environment.ProcessId}";
            Directory.Move(partial, kept);
            throw new UserErrorException($"{target} came to be there, and not empty, while this merge ran; the merged model is whole in {kept}: move it to where it belongs.", e);
        }
    }

    private void Check(string target)
    {
        if (File.Exists(target)) throw new UserErrorException($"{target} is a file; give --out a folder that is not there yet.");
        if (Directory.Exists(target) && Directory.EnumerateFileSystemEntries(target).Any()) throw new UserErrorException($"{target} is there and not empty; give --out another folder, or remove it.");
        var parent = Path.GetDirectoryName(target)!;
        _ = Made(parent, () => Directory.CreateDirectory(parent));
        PartialFolder.DeleteAbandoned(target);
        FreeSpace.Require(target, plan.Tensors.Sum(tensor => tensor.Bytes));
    }

    private static T Made<T>(string folder, Func<T> make)
    {
        try
        {
            return make();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new UserErrorException($"--out: {folder} cannot be made: {e.Message.TrimEnd('.')}; give another folder.", e);
        }
    }

    private List<string> WriteShards(string folder)
    {
        var shards = Shards();
        var (files, map) = (new List<string>(), new Dictionary<string, string>());
        for (var k = 0; k < shards.Count; k++)
        {
            var name = shards.Count == 1 ? "model.safetensors" : string.Create(CultureInfo.InvariantCulture, $"model-{k + 1:00000}-of-{shards.Count:00000}.safetensors");
            files.Add(Path.Combine(folder, name));
            using var stream = new FileStream(files[^1], new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.Write, BufferSize = 0 });
            SafetensorsWriter.WriteAhead(stream, [.. shards[k].Select(tensor => new PendingTensor(tensor.Name, tensor.Result, tensor.Shape, () => Make(tensor)))], Pt);
            foreach (var tensor in shards[k]) map[tensor.Name] = name;
        }
        if (shards.Count > 1) File.WriteAllText(Path.Combine(folder, "model.safetensors.index.json"), ShardIndex.Text(map, plan.Tensors.Sum(t => t.Bytes), plan.Tensors.Sum(t => t.Count)));
        return files;
    }

    private List<List<PlannedTensor>> Shards()
    {
        var (shards, bytes) = (new List<List<PlannedTensor>> { new() }, 0L);
        foreach (var tensor in plan.Tensors)
        {
            if (shards[^1].Count > 0 && bytes + tensor.Bytes > options.ShardBytes) (bytes, _) = (0, AddTo(shards));
            shards[^1].Add(tensor);
            bytes += tensor.Bytes;
        }
        return shards;
    }

    private static int AddTo(List<List<PlannedTensor>> shards)
    {
        shards.Add([]);
        return shards.Count;
    }

    private static void Flush(string file)
    {
        using var stream = new FileStream(file, FileMode.Open, FileAccess.ReadWrite);
        stream.Flush(flushToDisk: true);
    }

    internal Tensor Make(PlannedTensor tensor)
    {
        options.Cancellation.ThrowIfCancellationRequested();
        Forget();
        using var scope = torch.NewDisposeScope();
        using var noGrad = torch.no_grad();
        var (inputs, origin) = Inputs(tensor);
        var masks = options.Masks is { } mask ? tensor.Inputs.Select(input => mask(input.Model.Name, tensor.Name)).ToArray() : null;
        // By place and by no name: a model that is moved, or trained anew to the same weights, keeps its draws. Merges of one seed drop the
        // same entries at the same place: each is the draw that it should be, and two of them compare without the noise of another.
        CounterStream Random(int input) => new(options.Seed, string.Create(CultureInfo.InvariantCulture, $"merge {input}"), tensor.Name, options.Level);
        var merged = Checked(tensor, tensor.Strategy.Merge(new MergeTensor(tensor.Name, origin, inputs, tensor.Result, Random) { Masks = masks }));
        var result = merged.to(tensor.Result).contiguous();
        // What masks are filled with is an infinity in float16.
        if (!tensor.Name.EndsWith(".masked_bias", StringComparison.Ordinal) && FiniteScan.CountNonFinite(result) is var bad and > 0) throw NotFinite(tensor, inputs, origin, bad);
        options.Observe?.Invoke(tensor, inputs, origin, result);
        options.Progress?.Invoke(Interlocked.Increment(ref done), plan.Tensors.Count, tensor.Name);
        made.Enqueue(tensor);
        return result.MoveToOuterDisposeScope();
    }

    private static Tensor Checked(PlannedTensor tensor, Tensor? merged)
    {
        var gave = merged is null ? "null" : !merged.shape.SequenceEqual(tensor.Shape) ? $"the shape [{string.Join(", ", merged.shape)}]" : !CopyStrategy.Takes(tensor.Result) && !merged.is_floating_point() ? $"the type {merged.dtype}" : null;
        return gave is null ? merged! : throw new BrokenContractException(tensor.Strategy, $"Merge gave {gave} for {tensor.Name}", $"a tensor of the inputs' shape [{string.Join(", ", tensor.Shape)}] and a floating-point type is asked for");
    }

    // What a tensor was made of, once the one that followed it is made: until then it may be written from there.
    private void Forget()
    {
        while (made.Count > 1)
        {
            var past = made.Dequeue();
            foreach (var (model, name) in (InputTensor[])[.. past.Inputs, .. past.Base is { } origin ? (InputTensor[])[origin] : []]) model.Forget(name);
        }
    }

    private static (IReadOnlyList<Tensor> Inputs, Tensor? Base) Inputs(PlannedTensor tensor)
    {
        InputTensor[] all = tensor.Base is { } origin ? [.. tensor.Inputs, origin] : [.. tensor.Inputs];
        // Models that only lend rows have the tensor under the result's name.
        Tensor Read(int k) => k < all.Length ? all[k].Model.Tensor(all[k].Name) : tensor.Rows!.Models[k].Tensor(tensor.Name);
        var read = tensor.Rows is { } rows ? rows.Align(Read) : [.. all.Select((_, k) => Read(k))];
        Tensor[] rounded = tensor.RoundTo is { } type ? [.. read.Select(x => x.to(type))] : [.. read];
        return tensor.Base is null ? (rounded, null) : (rounded[..^1], rounded[^1]);
    }

    private static UserErrorException NotFinite(PlannedTensor tensor, IReadOnlyList<Tensor> inputs, Tensor? origin, long count)
    {
        var sick = tensor.Inputs.Where((_, k) => FiniteScan.CountNonFinite(inputs[k]) > 0).Select(input => input.Model.Name).ToList();
        if (origin is not null && FiniteScan.CountNonFinite(origin) > 0) sick.Add(tensor.Base!.Value.Model.Name);
        var why = sick.Count > 0 ? $"{string.Join(", ", sick)} hold NaN or infinity there; these weights are damaged" : $"the inputs are finite, so {Maker(tensor.Strategy)}the parameters make it overflow; use smaller weights or a wider dtype";
        return new UserErrorException($"{tensor.Name}: {count} of {tensor.Count} merged values are NaN or infinite: {why}.");
    }

    private static string Maker(IMergeStrategy strategy) => BrokenContractException.Of(strategy.GetType().Assembly) is { } plugin ? $"{plugin}: {strategy.GetType().FullName}.Merge made them, or " : "";
}
