// How long an answer may be where lm-evaluation-harness asks transformers' generate for it.

using PeftAlign.Abstractions;
using PeftAlign.Models.Checkpoints;

namespace PeftAlign.Host.Evaluation;

internal static class AnswerLength
{
    /// <summary>Most new tokens that count. The room that prompts leave is the request's own number all the same, as in the harness.</summary>
    /// <param name="ask">The request.</param>
    /// <param name="asHarness">Whether the benchmark follows the harness; others say all of it themselves.</param>
    /// <param name="defaults">The model's generation_config.json; null where it has none.</param>
    internal static int Of(EvalRequest.Generate ask, bool asHarness, GenerationConfig? defaults) =>
        !asHarness ? ask.MaxNewTokens : IsOneToken(ask) ? 1 : defaults?.MaxNewTokens ?? ask.MaxNewTokens;

    /// <summary>Whether a stop text is empty, which the harness finds in every first token.</summary>
    internal static bool IsOneToken(EvalRequest.Generate ask) => ask.Until.Contains("");
}
