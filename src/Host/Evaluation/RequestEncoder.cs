// From requests to token ids, as lm-evaluation-harness (0.4.13) does it: white space at a context's end belongs to the
// continuation, but where a request keeps it; the joint text's ids beyond as many as the context alone has are the continuation's; what
// does not fit is cut on the left, but for a control, which stands there.

using PeftAlign.Abstractions;

namespace PeftAlign.Host.Evaluation;

/// <summary>A continuation with what stands before it, as the model is fed.</summary>
/// <param name="Context">At least one token.</param>
/// <param name="Continuation">What is scored.</param>
/// <param name="Cut">Tokens that did not fit.</param>
internal sealed record EncodedPair(int[] Context, int[] Continuation, int Cut)
{
    /// <summary>Whether the template took no system message.</summary>
    internal bool WithoutSystem { get; init; }
}

/// <summary>A prompt as the model is fed.</summary>
/// <param name="Ids">At least one token.</param>
/// <param name="Cut">Tokens that did not fit.</param>
/// <param name="WithoutSystem">Whether the template took no system message.</param>
internal sealed record EncodedPrompt(int[] Ids, int Cut, bool WithoutSystem);

/// <param name="tokenizer">The model's; null where its folder has none.</param>
/// <param name="template">The model's; null where it has none.</param>
/// <param name="maxLength">Most tokens of one sequence.</param>
/// <param name="takesLeadingBlank">See <see cref="EvalModel.TakesLeadingBlank"/>; only for benchmarks of the harness.</param>
/// <param name="addSpecialTokens">What the benchmark asks for; null = as the tokenizer's files say.</param>
/// <param name="control">Stands around every context and prompt; null for nothing.</param>
internal sealed class RequestEncoder(ITokenizer? tokenizer, IChatTemplate? template, int maxLength, bool takesLeadingBlank, bool? addSpecialTokens, TextControl? control = null)
{
    // Python's idea of white space.
    private static readonly System.Buffers.SearchValues<char> WhiteSpace = System.Buffers.SearchValues.Create([.. Enumerable.Range(0, char.MaxValue).Select(c => (char)c).Where(PythonWhiteSpace.Is)]);

    /// <summary>What is said where a model is asked in conversations and has no chat template.</summary>
    internal const string NoTemplate = "The benchmark asks in conversations, but the model has no chat template; give the model a chat_template, or ask without conversations (no option chat, rows of texts).";

    private (string Text, int[] Ids)? last; // an item's answers ask for its context one after the other

    private bool systemless;

    /// <summary>Told when a template takes no system message; null for nobody.</summary>
    internal Action<string>? Warn { private get; init; }

    private ITokenizer Tokenizer => tokenizer ?? throw new UserErrorException("The benchmark asks in text, but the model's folder has no tokenizer; put tokenizer.json beside config.json.");

    private string? Begin => Tokenizer is ITokenizerDetails details && Tokenizer.SpecialTokens.Bos is { } bos ? details.IdToToken(bos) : null;

    /// <summary>The ids of a context and its continuation.</summary>
    /// <exception cref="UserErrorException">There is nothing to score, or the continuation alone is too long.</exception>
    internal EncodedPair Pair(EvalRequest.LogLikelihood ask)
    {
        if (control is not null && ask.ContextIds is not null) throw NoText("token ids");
        var (whole, withoutSystem) = ask.Messages is { } messages ? Rendered(messages) : (control?.Around(ask.Context) ?? ask.Context, false);
        var (context, continuation) = ask is { ContextIds: { } c, ContinuationIds: { } k } ? (c.Length > 0 ? c : [First()], k) : Texts(ask, whole);
        if (continuation.Length == 0) throw new UserErrorException($"The continuation '{ask.Continuation}' has no token; every answer of a benchmark needs at least one.");
        if (continuation.Length > maxLength && ask.CutsContinuation) return new EncodedPair(Fitting(context, 1), continuation[..maxLength], context.Length - 1 + continuation.Length - maxLength) { WithoutSystem = withoutSystem };
        if (continuation.Length > maxLength) throw new UserErrorException($"The continuation '{Short(ask.Continuation)}' has {continuation.Length} tokens; the model takes {maxLength}. Leave the item out, or use a model with a longer context.");
        // The last token is never fed, so one more than the model takes.
        var fits = Math.Min(context.Length, maxLength + 1 - continuation.Length);
        return new EncodedPair(Fitting(context, fits), continuation, context.Length - fits) { WithoutSystem = withoutSystem };
    }

    /// <summary>Tokens that are computed for an item's answers: each context once, and every continuation.</summary>
    internal long Rows(IReadOnlyList<EvalRequest.LogLikelihood> requests)
    {
        var pairs = requests.Select(Pair).ToList();
        return pairs.Sum(p => (long)p.Continuation.Length) + pairs.DistinctBy(p => p.Context, IdsComparer.Instance).Sum(p => (long)p.Context.Length);
    }

    /// <summary>The windows of a text; each scores what the one before did not, the last with as much context as fits.</summary>
    /// <exception cref="UserErrorException">The text has no token.</exception>
    internal IReadOnlyList<EncodedPair> Rolling(string text)
    {
        if (control is not null) throw NoText("whole texts");
        var ids = Encode(text);
        if (ids.Length == 0) throw new UserErrorException("A text whose log-likelihood is asked for has no token; leave the item out.");
        var (first, windows) = (First(), new List<EncodedPair>());
        for (var done = 0; done < ids.Length;)
        {
            var (count, start) = (Math.Min(maxLength, ids.Length - done), done);
            done += count;
            var from = start == 0 ? 0 : Math.Max(0, done - maxLength - 1);
            int[] context = start == 0 ? [first] : ids[from..start];
            windows.Add(new EncodedPair(context, ids[start..done], 0));
        }
        return windows;
    }

    /// <summary>The ids of a prompt, cut on the left to leave room for the new tokens.</summary>
    /// <exception cref="UserErrorException">There is no room for a prompt.</exception>
    internal EncodedPrompt Prompt(EvalRequest.Generate ask)
    {
        var room = maxLength - ask.MaxNewTokens;
        if (room < 1) throw new UserErrorException($"{ask.MaxNewTokens} new tokens leave no room for a prompt: the model takes {maxLength} tokens in all. Lower the benchmark's number of new tokens.");
        var (whole, withoutSystem) = ask.Messages is { } messages ? Rendered(messages) : (control?.Around(ask.Prompt) ?? ask.Prompt, false);
        var ids = Encode(whole);
        if (ids.Length == 0) ids = [First()];
        var fits = Math.Min(ids.Length, room);
        return new EncodedPrompt(Fitting(ids, fits), ids.Length - fits, withoutSystem);
    }

    private int[] Fitting(int[] ids, int fits)
    {
        if (fits == ids.Length || control is not { Before.Length: > 0 }) return ids[^fits..];
        var said = Encode(control.Before).AsSpan().CommonPrefixLength(ids);
        var first = ids[0] == Tokenizer.SpecialTokens.Bos ? 1 : 0;
        var own = ids[first..Math.Max(first, said)];
        return own.Length >= fits ? own[^fits..] : [.. own, .. ids[^(fits - own.Length)..]];
    }

    private (int[] Context, int[] Continuation) Texts(EvalRequest.LogLikelihood ask, string whole)
    {
        if (ask.KeepsContext) return Kept(whole, ask.Continuation);
        var context = whole[..(whole.AsSpan().LastIndexOfAnyExcept(WhiteSpace) + 1)];
        var continuation = whole[context.Length..] + ask.Continuation;
        if (whole.Length == 0) return FromNothing(ask.Continuation);
        if (context.Length == 0) return FromNothing(continuation);
        var (known, all) = (Known(context), Encode(context + continuation));
        return (known, all[Math.Min(known.Length, all.Length)..]);
    }

    // The context's last tokens may join with the continuation; what both texts share is the context.
    private (int[] Context, int[] Continuation) Kept(string context, string continuation)
    {
        if (context.Length == 0) return FromNothing(continuation);
        var all = Encode(context + continuation);
        var shared = Known(context).AsSpan().CommonPrefixLength(all);
        return shared > 0 ? (all[..shared], all[shared..]) : ([First()], all);
    }

    private int[] Known(string context)
    {
        if (last is not { } known || known.Text != context) last = known = (context, Encode(context));
        return known.Ids;
    }

    // A continuation that begins with the begin token has it as its context.
    private (int[] Context, int[] Continuation) FromNothing(string continuation)
    {
        int[] ids = [.. Tokenizer.EncodeToIds(Start(continuation), addSpecialTokens: false)];
        var first = First();
        return ids.Length > 0 && ids[0] == first ? ([first], ids[1..]) : ([first], ids);
    }

    private int First() => Tokenizer.SpecialTokens.Bos ?? Tokenizer.SpecialTokens.Eos ?? throw new UserErrorException("An empty context needs a begin or end token; the tokenizer has neither.");

    // A text that begins with the begin token's own text, as chat templates write it, gets no second one.
    private int[] Encode(string text)
    {
        var written = Begin is { Length: > 0 } begin && text.StartsWith(begin, StringComparison.Ordinal);
        int[] ids = [.. Tokenizer.EncodeToIds(Start(text), addSpecialTokens: !written && addSpecialTokens != false)];
        return addSpecialTokens == true && !written && Tokenizer.SpecialTokens.Bos is { } bos && (ids.Length == 0 || ids[0] != bos) ? [bos, .. ids] : ids;
    }

    private string Start(string text) => takesLeadingBlank && text is [' ' or '\u2581', ..] ? text[1..] : text;

    private static UserErrorException NoText(string asked) => new($"The control is a text around a prompt, and the benchmark asks with {asked}; leave the control out, or take a policy whose controls are adapters (meet).");

    /// <summary>A conversation as it goes to a model whose template takes no system message.</summary>
    internal static IReadOnlyList<ChatTurn> Systemless(IReadOnlyList<ChatTurn> messages) => [.. messages.Where(m => m.Role != "system")];

    private (string Text, bool WithoutSystem) Rendered(IReadOnlyList<ChatTurn> messages)
    {
        if (control is not null) throw NoText("conversations");
        var own = template ?? throw new UserErrorException(NoTemplate);
        try
        {
            return (Rendered(own, messages), false);
        }
        // As the harness does it: templates such as Gemma's know no system.
        catch (ChatTemplateException e) when (e.Kind is ChatTemplateErrorKind.Raised or ChatTemplateErrorKind.Undefined && messages.Any(m => m.Role == "system"))
        {
            var text = Rendered(own, Systemless(messages));
            if (!systemless) Warn?.Invoke($"{e.Message}; prompts go without their system message");
            systemless = true;
            return (text, true);
        }
    }

    private static string Rendered(IChatTemplate template, IReadOnlyList<ChatTurn> messages) =>
        template.Render([.. messages.Select(m => ChatMessage.Of(m.Role, m.Content))], new ChatTemplateArguments { AddGenerationPrompt = true }).Text;

    private static string Short(string text) => text.Length <= 60 ? text : text[..60] + "...";
}
