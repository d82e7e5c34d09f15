// One file from the hub into the cache: resumed where it broke off, counted, hashed, renamed. A broken connection is taken
// up again as long as something arrives in between; bytes whose hash is wrong are dropped and fetched once more.

using System.Net;
using System.Security.Cryptography;
using System.Text;

namespace PeftAlign.Host.Hub;

internal sealed class HubDownload(HubClient client, HubName name, string commit, string path, HubMetadata metadata, Action<string> remark)
{
    private const int FruitlessAttempts = 5;
    private const int BufferBytes = 1 << 20;

    private string What => $"{name.Id}/{path}";

    /// <summary>Bytes that have arrived; falls back where the server starts anew.</summary>
    internal long Arrived { get; private set; }

    /// <summary>Fills and renames the blob; the caller holds its lock.</summary>
    internal async Task RunAsync(string incomplete, string blob, CancellationToken cancel)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(blob)!);
        for (var attempt = 0; ; attempt++)
        {
            await FillAsync(incomplete, cancel);
            if (await FaultAsync(incomplete, cancel) is not { } fault) break;
            File.Delete(incomplete);
            if (attempt > 0) throw new InvalidDataException($"{What}: {fault}, twice; the server or the line changes the bytes; nothing was kept");
            remark($"{What}: {fault}; fetching it anew");
        }
        File.Move(incomplete, blob, overwrite: true);
    }

    private async Task FillAsync(string incomplete, CancellationToken cancel)
    {
        await using var file = new FileStream(incomplete, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.Read, 1);
        for (var fruitless = 0; ;)
        {
            var before = file.Seek(0, SeekOrigin.End);
            if (metadata.Size is { } whole && before >= whole)
            {
                if (before > whole) file.SetLength(whole); // FaultAsync judges the bytes
                break;
            }
            var end = await ReceiveAsync(file, cancel);
            if (end is null) break;
            fruitless = file.Length > before ? 0 : fruitless + 1;
            if (fruitless == FruitlessAttempts)
                throw new IOException($"{What}: broke off at {file.Length} of {metadata.Size?.ToString() ?? "unknown"} bytes ({end}), {fruitless} times in a row without a byte more; pull again to go on from there");
            var wait = client.Wait(fruitless);
            remark($"{What}: broke off at {file.Length} bytes ({end}); going on in {wait.TotalSeconds:0.#} s");
            await Task.Delay(wait, cancel);
        }
        file.Flush(flushToDisk: true);
        Arrived = file.Length;
    }

    // null: the answer came to its proper end; else why it did not.
    private async Task<string?> ReceiveAsync(FileStream file, CancellationToken cancel)
    {
        using var answer = await client.OpenAsync(name, commit, path, file.Length, cancel);
        if (answer.StatusCode == HttpStatusCode.RequestedRangeNotSatisfiable || !ContinuesAt(answer, file.Length)) file.SetLength(0);
        if (answer.StatusCode == HttpStatusCode.RequestedRangeNotSatisfiable) return "the server has no such range";
        if (answer.StatusCode == HttpStatusCode.PartialContent && file.Length == 0 && (answer.Content.Headers.ContentRange?.From ?? 0) != 0) return "the server sent another range";
        Arrived = file.Seek(0, SeekOrigin.End);
        var buffer = new byte[BufferBytes];
        try
        {
            await using var body = await answer.Content.ReadAsStreamAsync(cancel);
            while (await client.PatientlyAsync(limit => body.ReadAsync(buffer, limit).AsTask(), cancel) is > 0 and var count)
            {
                if (metadata.Size is { } size && file.Length + count > size)
                {
                    file.SetLength(0);
                    throw new InvalidDataException($"{What}: the server announced {size} bytes and sends more; nothing was kept");
                }
                await file.WriteAsync(buffer.AsMemory(0, count), cancel);
                Arrived += count;
            }
        }
        catch (Exception e) when (e is HttpRequestException or IOException && e is not InvalidDataException && !IsDisk(e))
        {
            return e.Message;
        }
        return metadata.Size is { } whole && file.Length < whole ? "the answer was too short" : null;
    }

    private static bool ContinuesAt(HttpResponseMessage answer, long offset) =>
        offset == 0 || (answer.StatusCode == HttpStatusCode.PartialContent && answer.Content.Headers.ContentRange?.From == offset);

    // ENOSPC, EDQUOT, EFBIG: trying again does not help.
    private static bool IsDisk(Exception e) => (e.HResult & 0xffff) is 28 or 122 or 27;

    private async Task<string?> FaultAsync(string file, CancellationToken cancel)
    {
        var length = new FileInfo(file).Length;
        if (metadata.Size is { } size && length != size) return $"{length} bytes have come, {size} were announced";
        if (Hash(metadata.ETag.Length, length) is not { } hash)
        {
            remark($"{What}: its ETag '{metadata.ETag}' is no hash, so only the length was checked");
            return null;
        }
        using (hash)
        {
            await using var stream = new FileStream(file, FileMode.Open, FileAccess.Read, FileShare.Read, 1);
            var buffer = new byte[BufferBytes];
            while (await stream.ReadAsync(buffer, cancel) is > 0 and var count) hash.AppendData(buffer, 0, count);
            var found = Convert.ToHexStringLower(hash.GetHashAndReset());
            return found == metadata.ETag ? null : $"the bytes have the {(found.Length == 64 ? "SHA-256" : "git hash")} {found}, the hub says {metadata.ETag}";
        }
    }

    // Large files are known by their SHA-256; the others by git's SHA-1 of "blob LENGTH\0" and the bytes.
    private static IncrementalHash? Hash(int tagLength, long length)
    {
        if (tagLength == 64) return IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        if (tagLength != 40) return null;
        var git = IncrementalHash.CreateHash(HashAlgorithmName.SHA1);
        git.AppendData(Encoding.ASCII.GetBytes($"blob {length}\0"));
        return git;
    }
}
