// Diversity and copying of token lists: distinct-n (Li et al. 2016), repetition, longest common run.
namespace PeftAlign.Core.Metrics

open PeftAlign.Core.Statistics

/// Diversity of texts as token lists. Values are NaN where a text has no n-gram.
[<AbstractClass; Sealed>]
type Diversity =
    static member private Grams(tokens: string[], n: int) =
        if n < 1 then
            Guard.fail $"n is {n}; n-grams have at least one token."

        Ngrams.ofWords n tokens

    /// Unique n-grams over n-grams.
    static member Distinct(tokens: string[], n: int) : float =
        let grams = Diversity.Grams(tokens, n)
        float grams.Count / float (Ngrams.total grams)

    /// Unique n-grams over tokens.
    static member DistinctOverTokens(tokens: string[], n: int) : float =
        float (Diversity.Grams(tokens, n).Count) / float tokens.Length

    /// Share of n-grams that repeat an earlier one: 1 - Distinct.
    static member Repetition(tokens: string[], n: int) : float = 1.0 - Diversity.Distinct(tokens, n)

    static member private Pool(texts: string[][], n: int) =
        let grams = texts |> Array.map (fun t -> Diversity.Grams(t, n))

        let unique =
            grams |> Seq.collect (fun g -> g.Keys) |> Seq.distinct |> Seq.length |> float

        unique, grams |> Array.sumBy Ngrams.total |> float

    /// Unique n-grams over n-grams of all texts together.
    static member CorpusDistinct(texts: string[][], n: int) : float =
        let unique, all = Diversity.Pool(texts, n)
        unique / all

    /// Unique n-grams of all texts together over their tokens.
    static member CorpusDistinctOverTokens(texts: string[][], n: int) : float =
        let unique, _ = Diversity.Pool(texts, n)
        unique / float (texts |> Array.sumBy Array.length)

    /// Mean of Distinct over the texts that have an n-gram.
    static member MeanDistinct(texts: string[][], n: int) : float =
        let long = texts |> Array.filter (fun t -> t.Length >= n)

        if long.Length = 0 then
            nan
        else
            long |> Array.averageBy (fun t -> Diversity.Distinct(t, n))

    /// Length of the longest contiguous run of tokens that both lists hold: how much is copied.
    static member LongestCommonRun(first: string[], second: string[]) : int =
        // lengths[j]: common run that ends before first[i] and second[j].
        let mutable best = 0
        let lengths = Array.zeroCreate (second.Length + 1)

        for i in 1 .. first.Length do
            for j in second.Length .. -1 .. 1 do
                lengths[j] <-
                    if first[i - 1] = second[j - 1] then
                        lengths[j - 1] + 1
                    else
                        0

                best <- max best lengths[j]

        best
