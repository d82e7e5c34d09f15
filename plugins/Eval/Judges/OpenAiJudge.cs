// A judge behind an OpenAI-compatible endpoint: questions go out in parallel within a rate limit, each once (the transcript answers
// repeats), are tried again where that may help, and end as an answer or as a counted failure.

using System.Text.Json;
using System.Text.Json.Nodes;
using PeftAlign.Abstractions;

namespace PeftAlign.Eval.Judges;

internal sealed class OpenAiJudge : IJudge, ICountsCost, IDisposable
{
    private readonly OpenAiOptions options;
    private readonly JudgePrompts prompts;
    private readonly ChatService service;
    private readonly Transcript transcript;
    private readonly Lock gate = new();
    private JudgeCost cost = new(0, 0, 0, 0, 0, 0, 0);

    public OpenAiJudge(OpenAiOptions options)
    {
        this.options = options;
        if (options.Model.Length == 0) throw new UserErrorException("The judge openai needs a model; give the service's name of one.");
        prompts = new JudgePrompts(options.CompareTemplate, options.RateTemplate);
        transcript = new Transcript(options.Transcript);
        service = new ChatService(options);
        Info = new JudgeInfo(options.Model, JudgeSkills.Rate | JudgeSkills.Compare | JudgeSkills.Ask) { Transcript = transcript.Folder, Offline = options.Offline };
    }

    public JudgeInfo Info { get; }

    public JudgeCost Cost
    {
        get { lock (gate) return cost; }
    }

    public void Dispose() => service.Dispose();

    public IReadOnlyList<JudgeAnswer> Answer(IReadOnlyList<JudgeQuestion> questions, CancellationToken cancel = default)
    {
        // The same question twice is one request.
        var bodies = questions.Select(Body).ToList();
        var distinct = bodies.Distinct().ToList();
        var replies = new System.Collections.Concurrent.ConcurrentDictionary<string, ServiceReply>();
        var parallel = new ParallelOptions { MaxDegreeOfParallelism = options.Concurrency, CancellationToken = cancel };
        try
        {
            Parallel.ForEachAsync(distinct, parallel, async (body, stop) => replies[body] = await ReplyAsync(body, stop)).GetAwaiter().GetResult();
        }
        catch (AggregateException e) when (e.InnerExceptions is [UserErrorException only])
        {
            throw only;
        }
        return [.. questions.Zip(bodies).Select(pair => Read(pair.First, replies[pair.Second]))];
    }

    private string Body(JudgeQuestion question)
    {
        var body = new JsonObject
        {
            ["model"] = options.Model,
            ["messages"] = new JsonArray(new JsonObject { ["role"] = "user", ["content"] = prompts.Of(question) }),
            ["temperature"] = options.Temperature,
            ["max_tokens"] = options.MaxTokens,
        };
        if (options.Logprobs && question is JudgeQuestion.Compare) (body["logprobs"], body["top_logprobs"], body["max_tokens"]) = (true, 5, 1);
        return body.ToJsonString();
    }

    private async Task<ServiceReply> ReplyAsync(string body, CancellationToken cancel)
    {
        var key = Transcript.Key(options.Url, body);
        if (transcript.Find(key, options.Offline) is { } kept)
        {
            Count(c => c with { FromCache = c.FromCache + 1 });
            return kept;
        }
        if (options.Offline) return new ServiceReply(null, "the transcript holds no answer, and the judge is offline", Unanswered: true);
        var reply = await service.AskAsync(body, () => Count(c => c with { Requests = c.Requests + 1 }), () => Count(c => c with { Retries = c.Retries + 1 }), cancel);
        if (!reply.Unanswered) transcript.Keep(key, options.Url, body, reply);
        if (reply.Json is null) return reply;
        var (prompt, completion) = (Tokens(reply.Json, "prompt_tokens"), Tokens(reply.Json, "completion_tokens"));
        Count(c => c with
        {
            PromptTokens = c.PromptTokens + prompt,
            CompletionTokens = c.CompletionTokens + completion,
            Price = c.Price + (((prompt * options.PromptPrice) + (completion * options.CompletionPrice)) / 1e6),
        });
        return reply;
    }

    // A question is answered also where a service says otherwise, or nothing, of what it took.
    private static long Tokens(JsonNode reply, string field) => (reply["usage"] as JsonObject)?[field] is JsonValue value && value.TryGetValue<double>(out var count) && count is >= 0 and < long.MaxValue ? (long)count : 0;

    private JudgeAnswer Read(JudgeQuestion question, ServiceReply reply)
    {
        var answer = reply.Json is null ? JudgeAnswer.Failed(reply.Failure) with { Unanswered = reply.Unanswered } : Read(question, reply.Json);
        if (answer.Failure is not null) Count(c => c with { Failures = c.Failures + 1 });
        return answer;
    }

    private static JudgeAnswer Read(JudgeQuestion question, JsonNode json)
    {
        var choice = json["choices"]![0]!;
        // Services that are nearly OpenAI's write false, "" or null where nothing was refused.
        if (choice["message"]?["refusal"] is JsonValue refusal && refusal.GetValueKind() != JsonValueKind.False && refusal.ToString() is { Length: > 0 } why) return JudgeAnswer.Failed("the judge refused", why);
        if (choice["finish_reason"] is JsonValue reason && reason.ToString() == "content_filter") return JudgeAnswer.Failed("the service's content filter took the reply");
        if (choice["message"]?["content"] is not JsonValue content || content.ToString() is not { Length: > 0 } text) return JudgeAnswer.Failed("the reply is empty");
        return question is JudgeQuestion.Compare && Weighed(choice) is { } preference
            ? new JudgeAnswer { Preference = preference, Text = text }
            : JudgePrompts.Read(question, text);
    }

    // p(A) / (p(A) + p(B)) over the first token, where the service gave it.
    private static double? Weighed(JsonNode choice)
    {
        if ((choice["logprobs"] as JsonObject)?["content"] is not JsonArray { Count: > 0 } tokens || (tokens[0] as JsonObject)?["top_logprobs"] is not JsonArray top) return null;
        double Of(string word) => top.OfType<JsonObject>().Sum(t => t["token"] is JsonValue token && token.ToString().Trim() == word && t["logprob"] is JsonValue value && value.TryGetValue<double>(out var logProb) ? Math.Exp(logProb) : 0);
        var (a, b) = (Of("A"), Of("B"));
        return a + b > 0 ? a / (a + b) : null;
    }

    private void Count(Func<JudgeCost, JudgeCost> what)
    {
        lock (gate) cost = what(cost);
    }
}
