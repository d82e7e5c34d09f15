// A benchmark's request as a completion group: text becomes ids as lm-evaluation-harness does it.

using PeftAlign.Abstractions;

namespace PeftAlign.Host.Jobs;

internal static class Requests
{
    /// <summary>An item's requests, in order; neighbours with one context share a group, so that it is computed once.</summary>
    internal static List<CompletionGroup> Groups(IReadOnlyList<EvalRequest> requests, ITokenizer? tokenizer)
    {
        var groups = new List<CompletionGroup>();
        foreach (var request in requests)
        {
            if (request is not EvalRequest.LogLikelihood ask) throw new NotSupportedException($"a request of kind {request.GetType().Name}");
            var (context, continuation) = ask is { ContextIds: { } c, ContinuationIds: { } k } ? (c, k) : Ids(ask, tokenizer);
            if (continuation.Length == 0) throw new UserErrorException($"The continuation '{ask.Continuation}' has no token; every answer of a benchmark needs at least one.");
            if (groups is [.., var last] && last.Prompt.AsSpan().SequenceEqual(context))
                groups[^1] = last with { Completions = [.. last.Completions, Completion.Of(continuation)] };
            else
                groups.Add(new CompletionGroup(context, [Completion.Of(continuation)]));
        }
        return groups;
    }

    // White space at the context's end belongs to the continuation; its ids are what the joint text has beyond the context's.
    private static (int[] Context, int[] Continuation) Ids(EvalRequest.LogLikelihood ask, ITokenizer? tokenizer)
    {
        if (tokenizer is null) throw new UserErrorException("The benchmark asks in text, but the model's folder has no tokenizer; put tokenizer.json beside config.json.");
        var trimmed = ask.Context.TrimEnd();
        var continuation = ask.Context[trimmed.Length..] + ask.Continuation;
        if (trimmed.Length == 0)
        {
            var first = tokenizer.SpecialTokens.Bos ?? tokenizer.SpecialTokens.Eos ?? throw new UserErrorException("An empty context needs a bos or eos token; the tokenizer has neither.");
            return ([first], [.. tokenizer.EncodeToIds(continuation, addSpecialTokens: false)]);
        }
        var context = tokenizer.EncodeToIds(trimmed);
        var whole = tokenizer.EncodeToIds(trimmed + continuation);
        return ([.. whole.Take(context.Count)], [.. whole.Skip(context.Count)]);
    }
}
