// A chat service on this machine that misbehaves on demand: too many requests, errors, silence, broken replies, refusals.

using System.Collections.Concurrent;
using System.Net;
using System.Text;
using System.Text.Json.Nodes;

namespace PeftAlign.Judges.Tests;

internal sealed class LocalService : IDisposable
{
    private readonly HttpListener listener = new();
    private readonly Func<int, JsonNode, (int Status, string Body, double Delay)> answer;
    private int count;

    public LocalService(Func<int, JsonNode, (int Status, string Body, double Delay)> answer)
    {
        this.answer = answer;
        for (var port = 18500 + Random.Shared.Next(2000); ; port = 18500 + Random.Shared.Next(2000))
        {
            listener.Prefixes.Clear();
            listener.Prefixes.Add($"http://127.0.0.1:{port}/");
            try
            {
                listener.Start();
                Url = $"http://127.0.0.1:{port}/v1";
                break;
            }
            catch (HttpListenerException)
            {
                // taken: another one
            }
        }
        _ = Task.Run(ServeAsync);
    }

    public string Url { get; }

    public int Requests => count;

    /// <summary>What replies say they are.</summary>
    public string ContentType { get; init; } = "application/json";

    public ConcurrentBag<string> Keys { get; } = [];

    public void Dispose() => listener.Close();

    /// <summary>A chat completion that says a text.</summary>
    public static (int, string, double) Says(string text, double delay = 0) => (200, Completion(new JsonObject { ["role"] = "assistant", ["content"] = text }).ToJsonString(), delay);

    public static JsonObject Completion(JsonObject message) => new()
    {
        ["choices"] = new JsonArray(new JsonObject { ["index"] = 0, ["message"] = message, ["finish_reason"] = "stop" }),
        ["usage"] = new JsonObject { ["prompt_tokens"] = 100, ["completion_tokens"] = 10 },
    };

    private async Task ServeAsync()
    {
        while (listener.IsListening)
        {
            try
            {
                var context = await listener.GetContextAsync();
                _ = Task.Run(() => OneAsync(context));
            }
            catch (Exception e) when (e is HttpListenerException or ObjectDisposedException)
            {
                return;
            }
        }
    }

    private async Task OneAsync(HttpListenerContext context)
    {
        try
        {
            using var reader = new StreamReader(context.Request.InputStream);
            var body = JsonNode.Parse(await reader.ReadToEndAsync())!;
            Keys.Add(context.Request.Headers["Authorization"] ?? "");
            var (status, text, delay) = answer(Interlocked.Increment(ref count), body);
            if (delay > 0) await Task.Delay(TimeSpan.FromSeconds(delay));
            (context.Response.StatusCode, context.Response.ContentType) = (status, ContentType);
            if (status == 429) context.Response.Headers["Retry-After"] = "0";
            await context.Response.OutputStream.WriteAsync(Encoding.UTF8.GetBytes(text));
            context.Response.Close();
        }
        catch (Exception e) when (e is HttpListenerException or ObjectDisposedException or IOException)
        {
            // the client gave up, as a test wanted
        }
    }
}
