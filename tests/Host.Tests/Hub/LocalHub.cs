// A hub on this machine, spoken to over real sockets: an endpoint that lists files and redirects large ones to a second
// server, as the real one does, and that can misbehave in the ways that networks and servers do.

using System.Collections.Concurrent;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json.Nodes;

namespace PeftAlign.Host.Tests.Hub;

internal sealed record HubRequest(string Method, string Path, IReadOnlyDictionary<string, string> Headers, bool AtStore);

/// <summary>What goes wrong with one answer about a file's bytes.</summary>
/// <param name="BreakAfter">The connection closes after so many bytes of the body.</param>
/// <param name="Announce">Content-Length, where it is not the truth.</param>
/// <param name="Append">Bytes beyond the file's.</param>
/// <param name="Flip">Whether the first byte is changed.</param>
/// <param name="IgnoreRange">Whether a range is answered with the whole file.</param>
internal sealed record Mishap(int? BreakAfter = null, long? Announce = null, int Append = 0, bool Flip = false, bool IgnoreRange = false);

internal sealed class LocalHub : IDisposable
{
    internal const string Commit = "0123456789abcdef0123456789abcdef01234567";
    private const int LargeFrom = 1000; // bytes; larger files lie at the store

    private readonly TcpListener endpoint = new(IPAddress.Loopback, 0);
    private readonly TcpListener store = new(IPAddress.Loopback, 0);
    private readonly CancellationTokenSource stop = new();

    internal LocalHub()
    {
        foreach (var (listener, atStore) in new[] { (endpoint, false), (store, true) })
        {
            listener.Start();
            _ = AcceptAsync(listener, atStore);
        }
    }

    internal string Endpoint => $"http://127.0.0.1:{((IPEndPoint)endpoint.LocalEndpoint).Port}";

    internal Dictionary<string, byte[]> Files { get; } = [];

    /// <summary>Mishaps of the next answers with a file's bytes, by path.</summary>
    internal ConcurrentDictionary<string, ConcurrentQueue<Mishap>> Mishaps { get; } = new();

    /// <summary>Refusals of the next requests to the endpoint: status line and headers.</summary>
    internal ConcurrentQueue<string> Refusals { get; } = new();

    /// <summary>Where set, every request needs this token.</summary>
    internal string? Token { get; set; }

    internal ConcurrentQueue<HubRequest> Requests { get; } = new();

    internal static string ETag(byte[] bytes) => bytes.Length >= LargeFrom
        ? Convert.ToHexStringLower(SHA256.HashData(bytes))
        : Convert.ToHexStringLower(SHA1.HashData([.. Encoding.ASCII.GetBytes($"blob {bytes.Length}\0"), .. bytes]));

    public void Dispose()
    {
        stop.Cancel();
        endpoint.Dispose();
        store.Dispose();
        stop.Dispose();
    }

    private async Task AcceptAsync(TcpListener listener, bool atStore)
    {
        try
        {
            while (true) _ = ServeAsync(await listener.AcceptTcpClientAsync(stop.Token), atStore);
        }
        catch (Exception e) when (e is OperationCanceledException or SocketException or ObjectDisposedException)
        {
            // the test is over
        }
    }

    private async Task ServeAsync(TcpClient client, bool atStore)
    {
        using (client)
        {
            var stream = client.GetStream();
            using var reader = new StreamReader(stream, Encoding.ASCII, leaveOpen: true);
            if (await reader.ReadLineAsync() is not { } line) return;
            var headers = new Dictionary<string, string>(StringComparer.OrdinalIgnoreCase);
            while (await reader.ReadLineAsync() is { Length: > 0 } header) headers[header.Split(':')[0]] = header[(header.IndexOf(':') + 1)..].Trim();
            var request = new HubRequest(line.Split(' ')[0], Uri.UnescapeDataString(line.Split(' ')[1]), headers, atStore);
            Requests.Enqueue(request);
            try
            {
                await AnswerAsync(request, stream);
            }
            catch (IOException)
            {
                // the client had enough
            }
        }
    }

    private Task AnswerAsync(HubRequest request, NetworkStream stream)
    {
        if (!request.AtStore && Refusals.TryDequeue(out var refusal)) return WriteAsync(stream, refusal, [], request);
        if (!request.AtStore && Token is { } token && request.Headers.GetValueOrDefault("Authorization") != $"Bearer {token}")
            return WriteAsync(stream, "401 Unauthorized\r\nX-Error-Message: Invalid username or password.", [], request);
        if (request.Path.StartsWith("/api/models/acme/tiny/revision/main", StringComparison.Ordinal)) return WriteAsync(stream, "200 OK", Listing(), request);
        if (request.Path.StartsWith("/api/models/old/name/", StringComparison.Ordinal)) return WriteAsync(stream, "307 Moved\r\nLocation: " + request.Path.Replace("old/name", "acme/tiny"), [], request);
        if (request.Path.StartsWith("/api/models/acme/tiny/revision/", StringComparison.Ordinal)) return WriteAsync(stream, "404 Not Found\r\nX-Error-Code: RevisionNotFound", [], request);
        var path = request.Path.Split($"/resolve/{Commit}/")[^1];
        if (!Files.TryGetValue(path, out var bytes)) return WriteAsync(stream, "404 Not Found\r\nX-Error-Code: RepoNotFound", [], request);
        if (!request.AtStore && bytes.Length >= LargeFrom)
        {
            var there = $"http://localhost:{((IPEndPoint)store.LocalEndpoint).Port}{request.Path}";
            return WriteAsync(stream, $"302 Found\r\nX-Linked-Etag: \"{ETag(bytes)}\"\r\nX-Linked-Size: {bytes.Length}\r\nETag: \"other\"\r\nLocation: {there}", [], request);
        }
        return BytesAsync(stream, path, bytes, request);
    }

    private byte[] Listing() => Encoding.UTF8.GetBytes(new JsonObject
    {
        ["sha"] = Commit,
        ["siblings"] = new JsonArray([.. Files.Select(file => (JsonNode)Sibling(file.Key, file.Value))]),
    }.ToJsonString());

    private static JsonObject Sibling(string path, byte[] bytes)
    {
        var file = new JsonObject { ["rfilename"] = path, ["size"] = bytes.Length, ["blobId"] = new string('0', 40) };
        if (bytes.Length >= LargeFrom) file["lfs"] = new JsonObject { ["sha256"] = ETag(bytes), ["size"] = bytes.Length };
        else file["blobId"] = ETag(bytes);
        return file;
    }

    private Task BytesAsync(NetworkStream stream, string path, byte[] bytes, HubRequest request)
    {
        var mishap = request.Method == "GET" && Mishaps.TryGetValue(path, out var queue) && queue.TryDequeue(out var next) ? next : new Mishap();
        var from = !mishap.IgnoreRange && request.Headers.TryGetValue("Range", out var range) ? int.Parse(range.Split('=', '-')[1], CultureInfo.InvariantCulture) : 0;
        var body = bytes[from..].Concat(new byte[mishap.Append]).ToArray();
        if (mishap.Flip) body[0] ^= 1;
        var status = (from > 0 ? $"206 Partial Content\r\nContent-Range: bytes {from}-{bytes.Length - 1}/{bytes.Length}" : "200 OK") + $"\r\nETag: W/\"{ETag(bytes)}\"";
        return WriteAsync(stream, status, body, request, mishap);
    }

    private static async Task WriteAsync(NetworkStream stream, string status, byte[] body, HubRequest request, Mishap? mishap = null)
    {
        var head = $"HTTP/1.1 {status}\r\nContent-Length: {mishap?.Announce ?? body.Length}\r\nConnection: close\r\n\r\n";
        await stream.WriteAsync(Encoding.ASCII.GetBytes(head));
        if (request.Method != "HEAD") await stream.WriteAsync(body.AsMemory(0, Math.Min(body.Length, mishap?.BreakAfter ?? body.Length)));
    }
}
