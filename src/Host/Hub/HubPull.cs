// A model from the hub into the cache: revision to commit, files side by side, the branch's reference last, so that a pull
// that was stopped goes on where it was.

using PeftAlign.Models.Checkpoints;

namespace PeftAlign.Host.Hub;

/// <param name="Id">OWNER/NAME.</param>
/// <param name="Commit">The commit.</param>
/// <param name="Folder">A model folder.</param>
/// <param name="Files">What was asked for.</param>
/// <param name="FetchedBytes">What had to be fetched.</param>
internal sealed record PulledModel(string Id, string Commit, string Folder, IReadOnlyList<string> Files, long FetchedBytes);

internal sealed class HubPull(HubSettings settings, Action<string> remark, Action<string>? progress = null)
{
    private const int AtOnce = 4;

    /// <summary>Bytes that a folder's disk has room for, null = not known; another answer in tests.</summary>
    internal Func<string, long?> Free { get; init; } = FreeSpace.In;

    internal async Task<PulledModel> RunAsync(HubName name, string revision, HubSelection selection, CancellationToken cancel)
    {
        var cache = new HubCache(settings.Cache, name);
        if (settings.Offline) return Kept(cache, name, revision);
        using var client = new HubClient(settings, remark);
        var found = await client.RevisionAsync(name, revision, cancel);
        var files = selection.Of(name, found.Files);
        var missing = files.Where(file => !cache.Has(found.Commit, file.Path)).ToList();
        if (missing.Count > 0 || !cache.Refers(revision, found.Commit)) CheckPlace(cache);
        CheckSpace(cache, name, missing);

        long fetched = 0;
        var counter = new HubProgress(name.Id, missing, progress);
        await using (counter.ConfigureAwait(false))
        {
            await Parallel.ForEachAsync(missing, new ParallelOptions { MaxDegreeOfParallelism = AtOnce, CancellationToken = cancel }, async (file, stop) =>
                Interlocked.Add(ref fetched, await FetchAsync(client, cache, name, found.Commit, file, counter, stop)));
        }
        cache.Refer(revision, found.Commit);
        return new PulledModel(name.Id, found.Commit, cache.Snapshot(found.Commit), [.. files.Select(file => file.Path)], fetched);
    }

    private async Task<long> FetchAsync(HubClient client, HubCache cache, HubName name, string commit, HubFile file, HubProgress counter, CancellationToken cancel)
    {
        var metadata = await client.MetadataAsync(name, commit, file.Path, cancel);
        using var held = await cache.LockAsync(metadata.ETag, remark, cancel);
        var download = new HubDownload(client, name, commit, file.Path, metadata, remark);
        if (!File.Exists(cache.Blob(metadata.ETag)))
        {
            counter.Watch(file, () => download.Arrived);
            await download.RunAsync(cache.Incomplete(metadata.ETag), cache.Blob(metadata.ETag), cancel);
        }
        cache.Link(commit, file.Path, metadata.ETag);
        return download.Arrived;
    }

    private static PulledModel Kept(HubCache cache, HubName name, string revision)
    {
        if (cache.Commit(revision) is { } commit && Directory.Exists(cache.Snapshot(commit)))
        {
            var folder = cache.Snapshot(commit);
            var files = Directory.EnumerateFiles(folder, "*", SearchOption.AllDirectories).Where(File.Exists).Select(file => Path.GetRelativePath(folder, file));
            return new PulledModel(name.Id, commit, folder, [.. files.Order(StringComparer.Ordinal)], 0);
        }
        throw new UserError($"{name.Id}@{revision}", $"is not in {cache.Root}, and HF_HUB_OFFLINE forbids the network", "unset HF_HUB_OFFLINE, or copy the cache from a machine that has it");
    }

    // A cache that has everything may be read-only, as one that many share.
    private static void CheckPlace(HubCache cache)
    {
        try
        {
            cache.Make();
        }
        catch (Exception e) when (NewFolder.IsRefused(e))
        {
            throw new UserError(cache.Root, $"cannot be written ({e.Message.ReplaceLineEndings(" ").TrimEnd('.')})", "make it writable for you, or set HF_HOME to another folder", e);
        }
    }

    private void CheckSpace(HubCache cache, HubName name, IReadOnlyList<HubFile> missing)
    {
        var needed = missing.Sum(file => Math.Max(0, (file.Size ?? 0) - Held(cache, file)));
        if (Free(cache.Root) is { } free && needed > free)
            throw new UserError($"{name.Id} has {Inspection.Sizes.Bytes(needed)} to fetch", $"{cache.Root} has room for {Inspection.Sizes.Bytes(free)}", "free some, or set HF_HOME to a larger disk");
    }

    // What a pull that was stopped has fetched, and what another revision has, takes no room any more.
    private static long Held(HubCache cache, HubFile file)
    {
        if (file.Tag is not { } tag) return 0;
        if (File.Exists(cache.Blob(tag))) return file.Size ?? 0;
        return new FileInfo(cache.Incomplete(tag)) is { Exists: true } begun ? begun.Length : 0;
    }
}
