// Requests and responses as JSON: what records and samples files hold. A request's text also tells whether a kept answer still
// belongs to what is asked.

using System.Security.Cryptography;
using System.Text;
using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Host.Jobs;

namespace PeftAlign.Host.Evaluation;

internal static class RequestJson
{
    /// <summary>The arguments of a request as they went to the model: without the system message that its template did not take.</summary>
    internal static JsonArray Sent(EvalRequest request, EvalResponse response) => Of((request, response.WithoutSystem) switch
    {
        (EvalRequest.LogLikelihood { Messages: { } messages } ask, true) => ask with { Messages = RequestEncoder.Systemless(messages) },
        (EvalRequest.Generate { Messages: { } messages } ask, true) => ask with { Messages = RequestEncoder.Systemless(messages) },
        _ => request,
    });

    /// <summary>The arguments of a request, as lm-evaluation-harness logs them: the context first.</summary>
    internal static JsonArray Of(EvalRequest request) => request switch
    {
        EvalRequest.LogLikelihood { ContextIds: { } context, ContinuationIds: { } continuation } => [Ids(context), Ids(continuation)],
        EvalRequest.LogLikelihood ask => [Context(ask.Messages, ask.Context), ask.Continuation],
        EvalRequest.RollingLogLikelihood ask => [ask.Text],
        EvalRequest.Generate ask => [Context(ask.Messages, ask.Prompt), Options(ask)],
        EvalRequest.Judge { Question: JudgeQuestion.Rate ask } => [ask.Prompt, ask.Response],
        EvalRequest.Judge { Question: JudgeQuestion.Compare ask } => [ask.Prompt, ask.First, ask.Second],
        EvalRequest.Judge { Question: JudgeQuestion.Ask ask } => [ask.Prompt],
        _ => throw new NotSupportedException($"a request of kind {request.GetType().Name}"),
    };

    /// <summary>What identifies everything that is asked about an item, how its texts become tokens, and by which judge.</summary>
    /// <param name="requests">What is asked.</param>
    /// <param name="addSpecialTokens">What the benchmark asks for; null, as the tokenizer's files say, leaves no trace, so that older records hold.</param>
    /// <param name="modelsDefaults">Whether texts are generated as the model's generation_config.json says.</param>
    internal static string Key(IReadOnlyList<EvalRequest> requests, bool? addSpecialTokens, bool modelsDefaults = false)
    {
        var special = (addSpecialTokens is { } asked ? $"special tokens {asked}\n" : "") + (modelsDefaults && requests.Any(r => r is EvalRequest.Generate) ? "generation_config.json\n" : "")
            + (modelsDefaults && requests.OfType<EvalRequest.Generate>().Any(AnswerLength.IsOneToken) ? "one token\n" : "");
        var text = special + string.Join("\n", requests.Select(r => $"{r.GetType().Name} {(r is EvalRequest.LogLikelihood { KeepsContext: true } ? "keeps its context " : "")}{(r as EvalRequest.Judge)?.By.Definition.ToJsonString()}{Of(r).ToJsonString()}"));
        return Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(text)))[..32];
    }

    /// <summary>A response as records keep it.</summary>
    internal static JsonObject Of(EvalResponse response)
    {
        var json = new JsonObject { ["logprob"] = JsonNumber.Of(response.LogProb), ["tokens"] = response.Tokens, ["greedy"] = response.IsGreedy, ["prompt_tokens"] = response.PromptTokens };
        if (response.TokensCut > 0) json["tokens_cut"] = response.TokensCut;
        if (response.MaxNewTokens is { } most) json["max_new_tokens"] = most;
        if (response.WithoutSystem) json["without_system"] = true;
        if (response.Texts.Count > 0) json["texts"] = Texts(response.Texts);
        if (response.Judgement is { } judgement) json["judgement"] = Judgement(judgement);
        return json;
    }

    /// <summary>A judge's answer: what it has of scores, preference, text, failure.</summary>
    internal static JsonObject Judgement(JudgeAnswer answer)
    {
        var json = new JsonObject();
        if (answer.Scores is { } scores) json["scores"] = new JsonArray([.. scores.Select(JsonNumber.Of)]);
        if (answer.Preference is { } preference) json["preference"] = preference;
        if (answer.Text is { } text) json["text"] = text;
        if (answer.Failure is { } failure) json["failure"] = failure;
        if (answer.Unanswered) json["unanswered"] = true;
        return json;
    }

    /// <summary>A response that was kept.</summary>
    internal static EvalResponse Response(JsonNode json) => new(JsonNumber.Value(json["logprob"]), (int)json["tokens"]!, (bool)json["greedy"]!)
    {
        PromptTokens = (int)json["prompt_tokens"]!,
        TokensCut = (int?)json["tokens_cut"] ?? 0,
        MaxNewTokens = (int?)json["max_new_tokens"],
        WithoutSystem = (bool?)json["without_system"] == true,
        Texts = json["texts"] is JsonArray texts ? [.. texts.Select(t => (string)t!)] : [],
        Judgement = json["judgement"] is JsonObject answer
            ? new JudgeAnswer { Scores = answer["scores"]?.AsArray().Select(JsonNumber.Value).ToList(), Preference = (double?)answer["preference"], Text = (string?)answer["text"], Failure = (string?)answer["failure"], Unanswered = (bool?)answer["unanswered"] == true }
            : null,
    };

    internal static JsonArray Texts(IEnumerable<string> texts) => new([.. texts.Select(t => (JsonNode)t)]);

    private static JsonArray Ids(int[] ids) => new([.. ids.Select(id => (JsonNode)id)]);

    private static JsonNode Context(IReadOnlyList<ChatTurn>? messages, string text) => messages is null
        ? text
        : new JsonArray([.. messages.Select(m => (JsonNode)new JsonObject { ["role"] = m.Role, ["content"] = m.Content })]);

    private static JsonObject Options(EvalRequest.Generate ask) => new()
    {
        ["until"] = Texts(ask.Until),
        ["max_gen_toks"] = ask.MaxNewTokens,
        ["do_sample"] = ask.Temperature > 0,
        ["temperature"] = ask.Temperature,
        ["top_p"] = ask.TopP,
        ["top_k"] = ask.TopK,
        ["samples"] = ask.Samples,
        ["seed"] = ask.Seed,
    };
}
