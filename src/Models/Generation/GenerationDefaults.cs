// generation_config.json as generation options: what transformers' generate would do with the file. What changes
// results there and is not built here is refused, so that nothing is read and ignored.

using System.Text.Json;
using PeftAlign.Abstractions;
using PeftAlign.Models.Checkpoints;

namespace PeftAlign.Models.Generation;

/// <summary>A model's own defaults for generation.</summary>
public static class GenerationDefaults
{
    /// <summary>New tokens where neither file nor caller says.</summary>
    public const int MaxNewTokens = 256;

    // transformers keeps the 50 best where a file asks for sampling and says nothing of top_k.
    private const int SampledTopK = 50;

    /// <summary>Keys that change results and are not built, with the value at which they do nothing.</summary>
    private static readonly Dictionary<string, string[]> Neutral = new()
    {
        ["num_beam_groups"] = ["1"],
        ["diversity_penalty"] = ["0", "0.0"],
        ["penalty_alpha"] = ["0", "0.0"],
        ["guidance_scale"] = ["1", "1.0"],
        ["encoder_repetition_penalty"] = ["1", "1.0"],
        ["encoder_no_repeat_ngram_size"] = ["0"],
        ["min_length"] = ["0"],
        ["forced_bos_token_id"] = [],
        ["forced_eos_token_id"] = [],
        ["exponential_decay_length_penalty"] = [],
        ["force_words_ids"] = [],
        ["constraints"] = [],
        ["watermarking_config"] = [],
        ["top_h"] = [],
        ["token_healing"] = [],
        ["dola_layers"] = [],
    };

    /// <summary>The options of a file. What it says of sampling counts where there is any, whether or not the file itself asks for it.</summary>
    /// <param name="config">The file.</param>
    /// <param name="temperature">Replaces the file's, and its do_sample; 0 is greedy. Null = as the file says.</param>
    /// <exception cref="UserErrorException">A value has another type, or asks for what is not built.</exception>
    public static GenerationOptions Of(GenerationConfig config, double? temperature = null)
    {
        var reader = new ConfigReader(config.File, config.Json);
        Refuse(reader);
        var own = config.DoSample == true ? config.Temperature ?? 1 : 0;
        var samples = (temperature ?? own) > 0;
        var options = new GenerationOptions
        {
            Temperature = temperature ?? own,
            TopK = samples ? config.TopK ?? (config.DoSample == true ? SampledTopK : 0) : 0,
            TopP = samples ? config.TopP ?? 1 : 1,
            MinP = samples ? config.MinP ?? 0 : 0,
            TypicalP = samples ? reader.Number("typical_p") ?? 1 : 1,
            EpsilonCutoff = samples ? reader.Number("epsilon_cutoff") ?? 0 : 0,
            EtaCutoff = samples ? reader.Number("eta_cutoff") ?? 0 : 0,
            RepetitionPenalty = config.RepetitionPenalty ?? 1,
            NoRepeatNgramSize = Whole(reader, "no_repeat_ngram_size") ?? 0,
            MinNewTokens = Whole(reader, "min_new_tokens") ?? 0,
            NumBeams = config.BeamCount ?? 1,
            NumReturnSequences = Whole(reader, "num_return_sequences") ?? 1,
            LengthPenalty = reader.Number("length_penalty") ?? 1,
            EarlyStopping = Stopping(reader),
            EosTokenIds = config.EosTokenIds,
            SuppressTokens = reader.Ids("suppress_tokens") ?? [],
            BeginSuppressTokens = reader.Ids("begin_suppress_tokens") ?? [],
            BadWordsIds = Words(reader),
            SequenceBias = Biases(reader),
            RenormalizeLogits = reader.Bool("renormalize_logits") ?? false,
            StopStrings = reader.Find("stop_strings") is { ValueKind: JsonValueKind.String } one ? [one.GetString()!] : reader.Texts("stop_strings") ?? [],
        };
        return options with
        {
            MaxNewTokens = config.MaxNewTokens ?? (config.MaxLength is null ? MaxNewTokens : int.MaxValue),
            MaxLength = config.MaxNewTokens is null ? config.MaxLength : null,
        };
    }

    private static void Refuse(ConfigReader reader)
    {
        foreach (var (key, neutral) in Neutral)
            if (reader.Find(key) is { } value && value.GetRawText() is var text && text is not ("false" or "[]") && !neutral.Contains(text))
                throw reader.Wrong(key, text, "absent (it is not built yet: take it out; in generate --generation-config none leaves the whole file out)");
    }

    private static int? Whole(ConfigReader reader, string key) => (int?)reader.Whole(key, 0, int.MaxValue);

    private static EarlyStopping Stopping(ConfigReader reader) => reader.Find("early_stopping") switch
    {
        null => EarlyStopping.Heuristic,
        { ValueKind: JsonValueKind.True } => EarlyStopping.Always,
        { ValueKind: JsonValueKind.False } => EarlyStopping.Heuristic,
        { ValueKind: JsonValueKind.String } text when text.GetString() == "never" => EarlyStopping.Never,
        { } other => throw reader.Wrong("early_stopping", other.GetRawText(), "true, false or \"never\""),
    };

    private static IReadOnlyList<int[]> Words(ConfigReader reader)
    {
        if (reader.Find("bad_words_ids") is not { } words) return [];
        return words.ValueKind == JsonValueKind.Array ? [.. words.EnumerateArray().Select(w => Sequence(reader, "bad_words_ids", w))]
            : throw reader.Wrong("bad_words_ids", words.GetRawText(), "a list of lists of token ids");
    }

    private static IReadOnlyList<SequenceBias> Biases(ConfigReader reader)
    {
        const string Key = "sequence_bias";
        if (reader.Find(Key) is not { } biases) return [];
        if (biases.ValueKind != JsonValueKind.Array) throw reader.Wrong(Key, biases.GetRawText(), "a list of pairs of token ids and a number");
        var pairs = biases.EnumerateArray().Select(b => b.ValueKind == JsonValueKind.Array && b.GetArrayLength() == 2 && b[1].ValueKind == JsonValueKind.Number
            ? new SequenceBias(Sequence(reader, Key, b[0]), b[1].GetDouble())
            : throw reader.Wrong(Key, b.GetRawText(), "a pair of token ids and a number"));
        // Of a sequence that comes again the last number counts, as in transformers.
        return [.. pairs.GroupBy(b => string.Join(' ', b.Ids)).Select(same => same.Last())];
    }

    private static int[] Sequence(ConfigReader reader, string key, JsonElement list)
    {
        if (list.ValueKind != JsonValueKind.Array || list.GetArrayLength() == 0) throw reader.Wrong(key, list.GetRawText(), "a list of token ids");
        return [.. list.EnumerateArray().Select(id => id.ValueKind == JsonValueKind.Number && id.TryGetInt32(out var n) && n >= 0 ? n : throw reader.Wrong(key, id.GetRawText(), "a token id"))];
    }
}
