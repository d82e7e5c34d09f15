// The small story model with its reference numbers, as the generation tests use them.

using System.Text.Json;
using PeftAlign.Abstractions;
using PeftAlign.Models.Decoders;
using PeftAlign.Models.Generation;
using PeftAlign.Models.Text;

namespace PeftAlign.Models.Tests.Generation;

internal static class Stories
{
    private static readonly Lazy<DecoderModel> Loaded = new(() => ModelFolder.Load(Folder, device: TestDevice.Here));
    private static readonly Lazy<ITokenizer> Words = new(() => TokenizerLoader.Load(Folder));

    internal static string Folder => Checkout.Fixture("stories260K");

    internal static DecoderModel Model => Loaded.Value;

    internal static ITokenizer Tokenizer => Words.Value;

    internal static JsonElement Json(string name) => JsonDocument.Parse(File.ReadAllBytes(Path.Combine(Folder, name))).RootElement;

    internal static int[] Ids(this JsonElement list) => [.. list.EnumerateArray().Select(i => i.GetInt32())];

    internal static int[] Ids(this JsonElement row, string name) => row.GetProperty(name).Ids();

    /// <summary>Without a cache.</summary>
    internal static IGenerator Recomputing(int rowsAtOnce = 16) =>
        new Generator(new GenerationLimits(Model.Spec.Vocabulary, null), Tokenizer, () => new RecomputeSession(Model), rowsAtOnce);

    /// <summary>With the cache, as the product decodes.</summary>
    internal static IGenerator Cached(int rowsAtOnce = 16) =>
        new Generator(new GenerationLimits(Model.Spec.Vocabulary, null), Tokenizer, () => new CachedSession(Model, ForwardMode.Plain), rowsAtOnce);

    internal static GenerationPrompt Prompt(JsonElement row, long number = 0) => new(row.Ids("prompt_ids"), number);

    /// <summary>transformers' names to ours.</summary>
    internal static GenerationOptions Options(JsonElement settings)
    {
        var options = new GenerationOptions();
        foreach (var (name, value) in settings.EnumerateObject().Select(s => (s.Name, s.Value)))
        {
            options = name switch
            {
                "temperature" => options with { Temperature = value.GetDouble() },
                "top_k" => options with { TopK = value.GetInt32() },
                "top_p" => options with { TopP = value.GetDouble() },
                "min_p" => options with { MinP = value.GetDouble() },
                "typical_p" => options with { TypicalP = value.GetDouble() },
                "epsilon_cutoff" => options with { EpsilonCutoff = value.GetDouble() },
                "eta_cutoff" => options with { EtaCutoff = value.GetDouble() },
                "repetition_penalty" => options with { RepetitionPenalty = value.GetDouble() },
                "no_repeat_ngram_size" => options with { NoRepeatNgramSize = value.GetInt32() },
                "bad_words_ids" => options with { BadWordsIds = [.. value.EnumerateArray().Select(w => w.Ids())] },
                "suppress_tokens" => options with { SuppressTokens = value.Ids() },
                "min_new_tokens" => options with { MinNewTokens = value.GetInt32() },
                "sequence_bias" => options with { SequenceBias = [.. value.EnumerateArray().Select(b => new SequenceBias(b[0].Ids(), b[1].GetDouble()))] },
                "num_beams" => options with { NumBeams = value.GetInt32() },
                "max_new_tokens" => options with { MaxNewTokens = value.GetInt32() },
                "num_return_sequences" => options with { NumReturnSequences = value.GetInt32() },
                "length_penalty" => options with { LengthPenalty = value.GetDouble() },
                "eos_token_id" => options with { EosTokenIds = value.ValueKind == JsonValueKind.Number ? [value.GetInt32()] : [] },
                "early_stopping" => options with { EarlyStopping = value.ValueKind == JsonValueKind.True ? EarlyStopping.Always : EarlyStopping.Never },
                _ => throw new InvalidOperationException($"setting {name}"),
            };
        }
        return options;
    }
}
