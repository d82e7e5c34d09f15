// Rows of generate: prompts are gathered into batches, continued together, and written in order.

using System.Text.Json;
using PeftAlign.Abstractions;
using PeftAlign.Host.Rows;

namespace PeftAlign.Host.Inference;

/// <param name="model">The model.</param>
/// <param name="generator">Continues.</param>
/// <param name="options">How.</param>
/// <param name="writer">Where results go.</param>
internal sealed class RowGeneration(InferenceModel model, IGenerator generator, GenerationOptions options, RowWriter writer)
{
    /// <summary>Continues prompts and writes a line for each continuation.</summary>
    /// <param name="prompts">The prompts with their places in the input.</param>
    /// <param name="cancel">Ends the work at the next token.</param>
    internal void Answer(IReadOnlyList<(GenerationPrompt Prompt, string Place)> prompts, CancellationToken cancel)
    {
        if (prompts.Count == 0) return;
        var all = Continued(prompts, cancel);
        for (var k = 0; k < all.Count; k++)
            for (var sample = 0; sample < all[k].Count; sample++)
            {
                var (one, number, row) = (all[k][sample], sample, prompts[k].Prompt.Row);
                writer.Write(json => Write(json, one, row, number));
            }
    }

    // A prompt at fault is found before any is continued; alone again it says which row it is.
    private IReadOnlyList<IReadOnlyList<GeneratedSequence>> Continued(IReadOnlyList<(GenerationPrompt Prompt, string Place)> prompts, CancellationToken cancel)
    {
        foreach (var (prompt, place) in prompts)
        {
            try
            {
                generator.Check(prompt, options);
            }
            catch (UserErrorException e)
            {
                throw new UserErrorException($"{place}: {e.Message}", e);
            }
        }
        return generator.Generate([.. prompts.Select(p => p.Prompt)], options, cancel: cancel);
    }

    private void Write(Utf8JsonWriter json, GeneratedSequence one, long row, int sample)
    {
        if (options.NumReturnSequences > 1)
        {
            json.WriteNumber("row", row);
            json.WriteNumber("sample", sample);
        }
        if (model.Tokenizer is { } tokenizer) json.WriteString("text", tokenizer.Decode(one.Ids, skipSpecialTokens: true));
        json.WriteNumbers("ids", one.Ids);
        json.WriteString("finish", one.Finish.Word());
        if (one.Score is { } score) json.WriteNumber("score", score);
    }
}

internal static class FinishWords
{
    internal static string Word(this FinishReason reason) => reason switch
    {
        FinishReason.Eos => "eos",
        FinishReason.Stop => "stop",
        _ => "length",
    };
}
