// The options by which generate and chat say how to continue a prompt: generation_config.json first, then each flag.

using System.CommandLine;
using PeftAlign.Abstractions;
using PeftAlign.Models.Checkpoints;
using PeftAlign.Models.Generation;

namespace PeftAlign.Host.Inference;

internal sealed class GenerationFlags
{
    internal const string Rules = """
        generation_config.json in the model's folder holds as in transformers' generate: its eos_token_id, and all else that
        it says (sampling only if it has do_sample: true; then top_k is 50 unless it says otherwise). Each flag replaces one
        of its entries, --temperature its do_sample too; what neither says is off. Temperature 0, the default, takes the most
        likely token.
        """;

    private readonly Option<int?> maxNew = new("--max-new-tokens") { HelpName = "N", Description = $"Most new tokens (default: the file's, else {GenerationDefaults.MaxNewTokens})." };
    private readonly Option<int?> minNew = new("--min-new-tokens") { HelpName = "N", Description = "No end token before this many new tokens." };
    private readonly Option<double?> temperature = new("--temperature") { HelpName = "T", Description = "Divides the scores; 0 is greedy." };
    private readonly Option<int?> topK = new("--top-k") { HelpName = "K", Description = "Sample from the K most likely tokens; 0 = all." };
    private readonly Option<double?> topP = new("--top-p") { HelpName = "P", Description = "Sample from the fewest tokens whose probability reaches P." };
    private readonly Option<double?> minP = new("--min-p") { HelpName = "P", Description = "Sample from tokens of at least P times the likeliest one's probability." };
    private readonly Option<double?> typical = new("--typical-p") { HelpName = "P", Description = "Sample from tokens of typical surprise up to probability P." };
    private readonly Option<double?> epsilon = new("--epsilon-cutoff") { HelpName = "E", Description = "Sample from tokens of at least this probability." };
    private readonly Option<double?> eta = new("--eta-cutoff") { HelpName = "E", Description = "Like --epsilon-cutoff, but lower where the distribution is flat." };
    private readonly Option<double?> repetition = new("--repetition-penalty") { HelpName = "R", Description = "Above 1: tokens that appeared become less likely." };
    private readonly Option<int?> ngram = new("--no-repeat-ngram-size") { HelpName = "N", Description = "No run of N tokens occurs twice; 0 = off." };
    private readonly Option<string[]> stop = new("--stop") { HelpName = "S", Description = "A text that ends a continuation with the token that completes it; may be given several times." };
    private readonly Option<int[]> eos = new("--eos") { HelpName = "ID", Description = "An end token in place of the file's; may be given several times." };
    private readonly Option<bool> ignoreEos = new("--ignore-eos") { Description = "No end token." };
    private readonly Option<string?> file = new("--generation-config") { HelpName = "FILE", Description = "Another generation_config.json (also for bad_words_ids, suppress_tokens, sequence_bias); none leaves the model's out." };

    internal void AddTo(Command command)
    {
        foreach (var option in (Option[])[maxNew, minNew, temperature, topK, topP, minP, typical, epsilon, eta, repetition, ngram, stop, eos, ignoreEos, file])
            command.Add(option);
    }

    /// <summary>What file and flags say together.</summary>
    /// <exception cref="UserErrorException">A flag that would do nothing, or a broken file.</exception>
    internal GenerationOptions Read(ParseResult parsed, string folder, long? seed)
    {
        if (parsed.GetValue(ignoreEos) && parsed.GetValue(eos) is { Length: > 0 }) throw new UserError("--ignore-eos --eos", "one leaves end tokens out and the other names some", "give one of them");
        var asked = Config(parsed.GetValue(file), folder, parsed.GetValue(temperature)) with { Seed = (ulong)(seed ?? 0) };
        asked = parsed.GetValue(maxNew) is { } most ? asked with { MaxNewTokens = most, MaxLength = null } : asked;
        foreach (var option in (Option[])[topK, topP, minP, typical, epsilon, eta])
            if (asked.Temperature == 0 && parsed.GetResult(option) is not null) throw new UserError(option.Name, "means something in sampling only", "add --temperature 1, or leave it out");
        return asked with
        {
            MinNewTokens = parsed.GetValue(minNew) ?? asked.MinNewTokens,
            TopK = parsed.GetValue(topK) ?? asked.TopK,
            TopP = parsed.GetValue(topP) ?? asked.TopP,
            MinP = parsed.GetValue(minP) ?? asked.MinP,
            TypicalP = parsed.GetValue(typical) ?? asked.TypicalP,
            EpsilonCutoff = parsed.GetValue(epsilon) ?? asked.EpsilonCutoff,
            EtaCutoff = parsed.GetValue(eta) ?? asked.EtaCutoff,
            RepetitionPenalty = parsed.GetValue(repetition) ?? asked.RepetitionPenalty,
            NoRepeatNgramSize = parsed.GetValue(ngram) ?? asked.NoRepeatNgramSize,
            StopStrings = [.. asked.StopStrings, .. parsed.GetValue(stop) ?? []],
            EosTokenIds = parsed.GetValue(ignoreEos) ? [] : parsed.GetValue(eos) is { Length: > 0 } ends ? ends : asked.EosTokenIds,
        };
    }

    private static GenerationOptions Config(string? file, string folder, double? temperature)
    {
        var config = ModelConfig.Open(folder);
        if (file == "none") return new GenerationOptions { EosTokenIds = config.EosTokenIds, Temperature = temperature ?? 0 };
        return GenerationDefaults.Of(file is null ? config.Generation : config.GenerationFrom(file), temperature);
    }
}

/// <summary>Beams and samples: generate's own.</summary>
internal sealed class SearchFlags
{
    private readonly Option<int?> beams = new("--num-beams") { HelpName = "B", Description = "Beam search of this width." };
    private readonly Option<double?> length = new("--length-penalty") { HelpName = "L", Description = "Beams are compared by sum of log-probs / length^L (default 1)." };
    private readonly Option<string?> early = new("--early-stopping") { HelpName = "WHEN", Description = "When beam search ends: true (as many ended beams as it is wide), false (no better one likely; the default) or never (no better one possible)." };
    private readonly Option<int?> n = new("--n") { HelpName = "N", Description = "Continuations of each prompt: samples, or the best beams." };

    internal void AddTo(Command command)
    {
        foreach (var option in (Option[])[beams, length, early, n]) command.Add(option);
    }

    /// <exception cref="UserErrorException">A flag that would do nothing, or an unknown word.</exception>
    internal GenerationOptions Read(ParseResult parsed, GenerationOptions basis)
    {
        var asked = basis with { NumBeams = parsed.GetValue(beams) ?? basis.NumBeams, NumReturnSequences = parsed.GetValue(n) ?? basis.NumReturnSequences };
        foreach (var option in (Option[])[length, early])
            if (asked.NumBeams == 1 && parsed.GetResult(option) is not null) throw new UserError(option.Name, "means something in beam search only", "add --num-beams 4, or leave it out");
        return asked with
        {
            LengthPenalty = parsed.GetValue(length) ?? asked.LengthPenalty,
            EarlyStopping = parsed.GetValue(early) switch
            {
                null => asked.EarlyStopping,
                "true" => EarlyStopping.Always,
                "false" => EarlyStopping.Heuristic,
                "never" => EarlyStopping.Never,
                var other => throw new UserError($"--early-stopping {other}", "is true, false or never", "leave it out for false"),
            },
        };
    }
}
