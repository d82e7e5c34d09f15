// generation_config.json: the model's own defaults for generation. Where the file is absent, config.json's token ids count
// (older folders keep sampling parameters there too; transformers reads them from there as well).

using System.Text.Json;
using PeftAlign.Abstractions;

namespace PeftAlign.Models.Checkpoints;

/// <summary>Defaults for generation; null where the model does not say.</summary>
public sealed record GenerationConfig
{
    /// <summary>Path of the file that it was read from.</summary>
    public required string File { get; init; }

    /// <summary>Token put before a text.</summary>
    public int? BosTokenId { get; init; }

    /// <summary>Tokens that end a generation; empty if there is none.</summary>
    public IReadOnlyList<int> EosTokenIds { get; init; } = [];

    /// <summary>Token for padding.</summary>
    public int? PadTokenId { get; init; }

    /// <summary>Sample, or take the likeliest token.</summary>
    public bool? DoSample { get; init; }

    /// <summary>Divides the logits; 0 stands for greedy.</summary>
    public double? Temperature { get; init; }

    /// <summary>Keep this many of the likeliest tokens; 0 = all.</summary>
    public int? TopK { get; init; }

    /// <summary>Keep the likeliest tokens up to this probability.</summary>
    public double? TopP { get; init; }

    /// <summary>Keep tokens of at least this share of the likeliest one's probability.</summary>
    public double? MinP { get; init; }

    /// <summary>Divides the score of tokens that appeared.</summary>
    public double? RepetitionPenalty { get; init; }

    /// <summary>Width of beam search.</summary>
    public int? BeamCount { get; init; }

    /// <summary>Most tokens to generate.</summary>
    public int? MaxNewTokens { get; init; }

    /// <summary>Most tokens of prompt and answer together.</summary>
    public int? MaxLength { get; init; }

    /// <summary>The whole object, for an option without a member here.</summary>
    public JsonElement Json { get; init; }

    /// <summary>Reads the file, or, where there is none, what config.json says.</summary>
    /// <param name="config">config.json.</param>
    /// <param name="file">The file; null where there is none.</param>
    /// <param name="basis">What the model's own file says, where this is another; as in transformers its end tokens count where this one names none. Where the
    /// model's own names none, config.json's do not count.</param>
    /// <exception cref="UserErrorException">A value is wrong.</exception>
    internal static GenerationConfig Read(ConfigReader config, string? file, GenerationConfig? basis = null)
    {
        var r = file is null ? config : new ConfigReader(file, StrictJson.Object(file));
        return new GenerationConfig
        {
            File = r.File,
            Json = r.Json,
            BosTokenId = r.Id("bos_token_id") ?? config.Id("bos_token_id"),
            EosTokenIds = r.Ids("eos_token_id") ?? basis?.EosTokenIds ?? [],
            PadTokenId = r.Id("pad_token_id") ?? config.Id("pad_token_id"),
            DoSample = r.Bool("do_sample"),
            Temperature = Within(r, "temperature", 0, double.MaxValue),
            TopK = (int?)r.Whole("top_k", 0, int.MaxValue),
            TopP = Within(r, "top_p", 0, 1),
            MinP = Within(r, "min_p", 0, 1),
            RepetitionPenalty = r.Positive("repetition_penalty"),
            BeamCount = r.Size("num_beams"),
            MaxNewTokens = (int?)r.Whole("max_new_tokens", 1, int.MaxValue),
            MaxLength = (int?)r.Whole("max_length", 1, int.MaxValue),
        };
    }

    private static double? Within(ConfigReader r, string key, double least, double most) =>
        r.Number(key) is not { } number ? null : number >= least && number <= most ? number : throw r.Wrong(key, number, $"from {least} to {most}");
}
