// The hub's HTTP protocol: a revision's commit and files, a file's entity tag and size, its bytes from an offset on.
// The token goes to the endpoint alone: files lie on other hosts, which the endpoint redirects to. Answers that pass with
// time (429, 5xx, broken connections) are asked for again; the rest become messages that say what to do.

using System.Globalization;
using System.Net;
using System.Net.Http.Headers;
using System.Text.Json;

namespace PeftAlign.Host.Hub;

/// <param name="Commit">The commit that the revision's name stands for.</param>
/// <param name="Files">Paths within the repository, with sizes where the hub says them.</param>
internal sealed record HubRevision(string Commit, IReadOnlyList<HubFile> Files);

/// <param name="Path">Relative, with slashes.</param>
/// <param name="Size">Bytes; null where unknown.</param>
internal sealed record HubFile(string Path, long? Size)
{
    /// <summary>Its blob's name, as the list of files tells it; null where it does not.</summary>
    internal string? Tag { get; init; }
}

/// <param name="ETag">SHA-256 of a large file, git's SHA-1 of a small one, without quotes.</param>
/// <param name="Size">Bytes; null where the server does not say.</param>
internal sealed record HubMetadata(string ETag, long? Size);

internal sealed class HubClient : IDisposable
{
    private const int Attempts = 5;
    private const int Redirects = 8;
    private static readonly TimeSpan LongestWait = TimeSpan.FromMinutes(2);

    private readonly HubSettings settings;
    private readonly Action<string> remark;
    private readonly HttpClient http = new(new SocketsHttpHandler { AllowAutoRedirect = false, ConnectTimeout = TimeSpan.FromSeconds(20) }) { Timeout = Timeout.InfiniteTimeSpan };

    /// <param name="settings">Endpoint, token, patience.</param>
    /// <param name="remark">Told when something is asked for again.</param>
    internal HubClient(HubSettings settings, Action<string> remark)
    {
        (this.settings, this.remark) = (settings, remark);
        http.DefaultRequestHeaders.UserAgent.Add(new ProductInfoHeaderValue("peftalign", CommandLine.TopHelp.Version));
        http.DefaultRequestHeaders.AcceptEncoding.Add(new StringWithQualityHeaderValue("identity")); // sizes are those of the files
    }

    internal async Task<HubRevision> RevisionAsync(HubName name, string revision, CancellationToken cancel)
    {
        var address = new Uri($"{settings.Endpoint}/api/models/{name.Id}/revision/{Uri.EscapeDataString(revision)}?blobs=true");
        using var answer = await SendAsync(HttpMethod.Get, address, null, name, $"{name.Id}@{revision}", cancel);
        var text = await PatientlyAsync(answer.Content.ReadAsStringAsync, cancel);
        try
        {
            using var json = JsonDocument.Parse(text);
            var files = json.RootElement.GetProperty("siblings").EnumerateArray().Select(file => new HubFile(
                HubCache.Checked(file.GetProperty("rfilename").GetString()!),
                file.TryGetProperty("size", out var size) && size.ValueKind == JsonValueKind.Number ? size.GetInt64() : null)
            { Tag = Tag(file) }).ToList();
            return new HubRevision(HubCache.CheckedName(json.RootElement.GetProperty("sha").GetString()!, "commit"), files);
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or KeyNotFoundException or FormatException or ArgumentNullException)
        {
            throw new InvalidDataException($"{address}: the answer is not a model's description ({e.Message}); is HF_ENDPOINT a hub?");
        }
    }

    // Large files are known by their SHA-256, the others by git's hash.
    private static string? Tag(JsonElement file)
    {
        var tag = file.TryGetProperty("lfs", out var large) && large.ValueKind == JsonValueKind.Object && large.TryGetProperty("sha256", out var hash) ? hash : file.TryGetProperty("blobId", out var id) ? id : default;
        return tag.ValueKind == JsonValueKind.String && tag.GetString() is { Length: 40 or 64 } text && text.All(char.IsAsciiHexDigit) ? text : null;
    }

    internal async Task<HubMetadata> MetadataAsync(HubName name, string commit, string path, CancellationToken cancel)
    {
        using var answer = await SendAsync(HttpMethod.Head, Address(name, commit, path), null, name, $"{name.Id}/{path}", cancel, stopAtOtherHosts: true);
        var tag = Header(answer, "X-Linked-Etag") ?? Header(answer, "ETag") ?? throw new InvalidDataException($"{name.Id}/{path}: the server gives no ETag, so the file cannot be told from another; is HF_ENDPOINT a hub?");
        var weak = tag.StartsWith("W/", StringComparison.Ordinal) ? tag[2..] : tag;
        var linked = long.TryParse(Header(answer, "X-Linked-Size"), NumberStyles.None, CultureInfo.InvariantCulture, out var size);
        return new HubMetadata(HubCache.CheckedName(weak.Trim('"'), "ETag"), linked ? size : IsRedirect(answer) ? null : answer.Content.Headers.ContentLength);
    }

    /// <summary>The file from an offset on; the server may begin at 0 all the same (status 200).</summary>
    internal Task<HttpResponseMessage> OpenAsync(HubName name, string commit, string path, long offset, CancellationToken cancel) =>
        SendAsync(HttpMethod.Get, Address(name, commit, path), offset > 0 ? new RangeHeaderValue(offset, null) : null, name, $"{name.Id}/{path}", cancel);

    /// <summary>Waits for one piece of an answer, but no longer than the settings' patience.</summary>
    /// <exception cref="IOException">The server fell silent.</exception>
    internal async Task<T> PatientlyAsync<T>(Func<CancellationToken, Task<T>> ask, CancellationToken cancel)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancel);
        limit.CancelAfter(settings.Patience);
        try
        {
            return await ask(limit.Token);
        }
        catch (OperationCanceledException) when (!cancel.IsCancellationRequested)
        {
            throw new IOException($"the server was silent for {settings.Patience.TotalSeconds:0} s");
        }
    }

    internal TimeSpan Wait(int attempt) => settings.FirstWait * Math.Pow(2, attempt);

    public void Dispose() => http.Dispose();

    private Uri Address(HubName name, string commit, string path) =>
        new($"{settings.Endpoint}/{name.Id}/resolve/{commit}/{string.Join('/', path.Split('/').Select(Uri.EscapeDataString))}");

    private async Task<HttpResponseMessage> SendAsync(HttpMethod method, Uri address, RangeHeaderValue? range, HubName name, string what, CancellationToken cancel, bool stopAtOtherHosts = false)
    {
        for (var attempt = 0; ; attempt++)
        {
            var (wait, cause) = (Wait(attempt), "");
            HttpResponseMessage? answer = null;
            try
            {
                answer = await FollowAsync(method, address, range, stopAtOtherHosts, cancel);
            }
            catch (Exception e) when (e is HttpRequestException or IOException)
            {
                if (attempt == Attempts - 1) throw HubErrors.Unreachable(e, what, settings, attempt + 1);
                cause = e.Message;
            }
            if (answer is not null)
            {
                if (answer.IsSuccessStatusCode || IsRedirect(answer) || answer.StatusCode == HttpStatusCode.RequestedRangeNotSatisfiable) return answer;
                using (answer)
                {
                    wait = RetryAfter(answer) ?? wait;
                    if (!PassesWithTime(answer.StatusCode) || attempt == Attempts - 1 || wait > LongestWait) throw HubErrors.Of(answer, name, what, settings, attempt + 1);
                    cause = $"the server answers {(int)answer.StatusCode}";
                }
            }
            remark($"{what}: {cause}; again in {wait.TotalSeconds:0.#} s");
            await Task.Delay(wait, cancel);
        }
    }

    private async Task<HttpResponseMessage> FollowAsync(HttpMethod method, Uri address, RangeHeaderValue? range, bool stopAtOtherHosts, CancellationToken cancel)
    {
        for (var hop = 0; hop < Redirects; hop++)
        {
            using var request = new HttpRequestMessage(method, address);
            request.Headers.Range = range;
            if (settings.Token is { } token && IsEndpoint(address)) request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", token);
            var answer = await PatientlyAsync(limit => http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, limit), cancel);
            if (!IsRedirect(answer)) return answer;
            var next = new Uri(address, answer.Headers.Location!);
            // What a large file is, the endpoint says with the redirect; a renamed repository redirects within the endpoint.
            if (stopAtOtherHosts && !IsEndpoint(next)) return answer;
            answer.Dispose();
            address = next;
        }
        throw new InvalidDataException($"{address}: more than {Redirects} redirects");
    }

    private bool IsEndpoint(Uri address) => Uri.Compare(address, new Uri(settings.Endpoint), UriComponents.SchemeAndServer, UriFormat.SafeUnescaped, StringComparison.OrdinalIgnoreCase) == 0;

    private static bool IsRedirect(HttpResponseMessage answer) => (int)answer.StatusCode is 301 or 302 or 303 or 307 or 308 && answer.Headers.Location is not null;

    private static bool PassesWithTime(HttpStatusCode status) => (int)status is 408 or 429 or 500 or 502 or 503 or 504;

    private static TimeSpan? RetryAfter(HttpResponseMessage answer) => answer.Headers.RetryAfter switch
    {
        { Delta: { } delta } => delta,
        { Date: { } date } => date - DateTimeOffset.UtcNow is var left && left > TimeSpan.Zero ? left : TimeSpan.Zero,
        _ => null,
    };

    private static string? Header(HttpResponseMessage answer, string name) =>
        answer.Headers.TryGetValues(name, out var values) ? values.FirstOrDefault(value => value.Length > 0) : null;
}
