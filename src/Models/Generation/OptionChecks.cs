// Refuses generation options that contradict each other, leave their range, or name tokens that the model does not have.

using PeftAlign.Abstractions;

namespace PeftAlign.Models.Generation;

internal static class OptionChecks
{
    /// <exception cref="UserErrorException">The first fault.</exception>
    internal static void Check(GenerationOptions o, long vocabulary, bool hasTokenizer)
    {
        Range("max_new_tokens", o.MaxNewTokens, 1, int.MaxValue);
        Range("max_length", o.MaxLength ?? 1, 1, int.MaxValue);
        Range("min_new_tokens", o.MinNewTokens, 0, o.MaxNewTokens);
        Range("temperature", o.Temperature, 0, 1e6);
        Range("top_k", o.TopK, 0, int.MaxValue);
        Range("top_p", o.TopP, 0, 1);
        Range("min_p", o.MinP, 0, 1);
        Range("typical_p", o.TypicalP, 0, 1);
        Range("epsilon_cutoff", o.EpsilonCutoff, 0, 1);
        Range("eta_cutoff", o.EtaCutoff, 0, 1);
        Range("repetition_penalty", o.RepetitionPenalty, 1e-6, 1e6);
        Range("no_repeat_ngram_size", o.NoRepeatNgramSize, 0, int.MaxValue);
        Range("num_beams", o.NumBeams, 1, 1024);
        Range("length_penalty", o.LengthPenalty, -1e3, 1e3);
        Range("num_return_sequences", o.NumReturnSequences, 1, 65536);
        Searches(o);
        if (o.StopStrings.Contains("")) throw new UserErrorException("A stop string is empty; it would end every continuation at once. Leave it out.");
        if (o.StopStrings.Count > 0 && !hasTokenizer) throw new UserErrorException("Stop strings need a tokenizer, and the model's folder has none; put tokenizer.json beside config.json.");
        Ids(o, vocabulary);
    }

    private static void Searches(GenerationOptions o)
    {
        if (o.NumBeams > 1 && o.Temperature > 0)
            throw new UserErrorException($"num_beams {o.NumBeams} with temperature {o.Temperature}: beam search is not sampled here; set the temperature to 0, or num_beams to 1.");
        if (o.NumBeams > 1 && o.NumReturnSequences > o.NumBeams)
            throw new UserErrorException($"num_return_sequences {o.NumReturnSequences} is more than num_beams {o.NumBeams}; raise num_beams.");
        if (o.NumBeams == 1 && o.Temperature == 0 && o.NumReturnSequences > 1)
            throw new UserErrorException($"num_return_sequences {o.NumReturnSequences} at temperature 0 would be {o.NumReturnSequences} equal continuations; raise the temperature, or use beams.");
    }

    private static void Ids(GenerationOptions o, long vocabulary)
    {
        var ids = o.EosTokenIds.Concat(o.SuppressTokens).Concat(o.BeginSuppressTokens).Concat(o.BadWordsIds.SelectMany(w => w)).Concat(o.SequenceBias.SelectMany(b => b.Ids));
        foreach (var id in ids)
            if (id < 0 || id >= vocabulary) throw new UserErrorException($"Token id {id} of the generation options is not in the model's vocabulary of {vocabulary}.");
        if (o.BadWordsIds.Any(w => w.Length == 0) || o.SequenceBias.Any(b => b.Ids.Length == 0))
            throw new UserErrorException("bad_words_ids and sequence_bias need at least one token id in each sequence.");
    }

    private static void Range(string name, double value, double least, double most)
    {
        if (!(value >= least && value <= most)) throw new UserErrorException($"{name} is {value}; it must be from {least} to {most}.");
    }
}
