// One question to a service: sent within the rate limit, tried again after errors that may pass (429, 5xx, no or no readable reply),
// with the pause that the service asks for or a growing one.

using System.Net;
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using PeftAlign.Abstractions;

namespace PeftAlign.Eval.Judges;

/// <summary>What came of a question to the service.</summary>
/// <param name="Json">The service's whole reply, with a choice in it; null where there is none.</param>
/// <param name="Failure">Why there is none.</param>
/// <param name="Unanswered">Whether a later try may do better.</param>
internal sealed record ServiceReply(JsonNode? Json, string Failure = "", bool Unanswered = false);

internal sealed class ChatService : IDisposable
{
    private const int MostQuoted = 200; // characters
    private const double LongestPause = 60; // seconds
    private readonly OpenAiOptions options;
    private readonly Uri address;
    private readonly HttpClient client;
    private readonly SemaphoreSlim turn = new(1);
    private long next; // in milliseconds of the clock that nobody sets

    internal ChatService(OpenAiOptions options)
    {
        this.options = options;
        if (!Uri.TryCreate(options.Url.TrimEnd('/') + "/chat/completions", UriKind.Absolute, out var uri) || uri.Scheme is not ("http" or "https"))
            throw new UserErrorException($"url '{options.Url}' of the judge is no http(s) address; give for instance https://api.openai.com/v1.");
        address = uri;
        client = new HttpClient { Timeout = TimeSpan.FromSeconds(options.Timeout) };
    }

    public void Dispose()
    {
        client.Dispose();
        turn.Dispose();
    }

    /// <summary>Sends a question until there is a final reply or the attempts are used up.</summary>
    /// <param name="body">The request, JSON.</param>
    /// <param name="asked">Called before each request that is sent.</param>
    /// <param name="again">Called before each retry.</param>
    /// <param name="cancel">Ends the wait.</param>
    /// <exception cref="UserErrorException">The service does not let us in, or is not there: no question would be answered.</exception>
    internal async Task<ServiceReply> AskAsync(string body, Action asked, Action again, CancellationToken cancel)
    {
        var why = "";
        for (var attempt = 1; attempt <= options.Attempts; attempt++)
        {
            if (attempt > 1) again();
            await TurnAsync(cancel);
            asked();
            var (reply, pause, reason) = await TryAsync(body, cancel);
            if (reply is not null) return reply;
            why = reason;
            if (attempt == options.Attempts) break;
            await Task.Delay(TimeSpan.FromSeconds(pause ?? Math.Min(LongestPause, options.RetryDelay * Math.Pow(2, attempt - 1))), cancel);
        }
        return new ServiceReply(null, $"{why}, {options.Attempts} times", Unanswered: true);
    }

    // A final reply; or the pause that was asked for and the reason to try again.
    private async Task<(ServiceReply? Reply, double? Pause, string Reason)> TryAsync(string body, CancellationToken cancel)
    {
        try
        {
            using var request = new HttpRequestMessage(HttpMethod.Post, address) { Content = new StringContent(body, Encoding.UTF8, "application/json") };
            if (Key() is { } key) request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", key);
            using var response = await client.SendAsync(request, cancel);
            // JSON is UTF-8; headers name other encodings, and ones that there are not (utf8).
            var text = Encoding.UTF8.GetString(await response.Content.ReadAsByteArrayAsync(cancel)).TrimStart('\uFEFF');
            if (response.StatusCode is HttpStatusCode.Unauthorized or HttpStatusCode.Forbidden or HttpStatusCode.NotFound)
                throw new UserErrorException($"The judge's service {address} answers {(int)response.StatusCode}: {Start(text)}. Check url, model '{options.Model}' and the key in {(options.KeyEnv.Length > 0 ? options.KeyEnv : "key_env, which names none")}.");
            if (response.StatusCode == HttpStatusCode.TooManyRequests || (int)response.StatusCode >= 500)
                return (null, Pause(response), $"the service answered {(int)response.StatusCode}");
            if (!response.IsSuccessStatusCode) return (new ServiceReply(null, $"the service answered {(int)response.StatusCode}: {Start(text)}"), null, "");
            return Readable(text) is { } json ? (new ServiceReply(json), null, "") : (null, null, "the reply was no chat completion");
        }
        catch (HttpRequestException e)
        {
            return (null, null, $"the service could not be reached ({e.Message})");
        }
        catch (TaskCanceledException) when (!cancel.IsCancellationRequested)
        {
            return (null, null, $"no reply within {options.Timeout} s");
        }
    }

    private string? Key()
    {
        if (options.KeyEnv.Length == 0) return null;
        return Environment.GetEnvironmentVariable(options.KeyEnv) is { Length: > 0 } key ? key
            : throw new UserErrorException($"The judge's key is not there: set the environment variable {options.KeyEnv}, or key_env: '' for a service without keys.");
    }

    private static double? Pause(HttpResponseMessage response) =>
        response.Headers.RetryAfter is not { } after ? null
        : Math.Clamp(after.Delta?.TotalSeconds ?? (after.Date - DateTimeOffset.UtcNow)?.TotalSeconds ?? 0, 0, LongestPause);

    private static JsonNode? Readable(string text)
    {
        try
        {
            return JsonNode.Parse(text) is JsonObject json && json["choices"] is JsonArray { Count: > 0 } choices && choices[0] is JsonObject choice && choice["message"] is JsonObject ? json : null;
        }
        catch (JsonException)
        {
            return null;
        }
    }

    // Of a page of HTML, as proxies send, the message quotes the beginning.
    private static string Start(string text) => text.Length <= MostQuoted ? text.ReplaceLineEndings(" ") : text[..MostQuoted].ReplaceLineEndings(" ") + "...";

    private async Task TurnAsync(CancellationToken cancel)
    {
        if (options.RequestsPerMinute == 0) return;
        await turn.WaitAsync(cancel);
        try
        {
            var wait = next - Environment.TickCount64;
            if (wait > 0) await Task.Delay(TimeSpan.FromMilliseconds(wait), cancel);
            next = Environment.TickCount64 + (long)Math.Ceiling(60_000.0 / options.RequestsPerMinute);
        }
        finally
        {
            turn.Release();
        }
    }
}
