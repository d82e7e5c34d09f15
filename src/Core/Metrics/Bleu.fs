// BLEU (Papineni et al. 2002) as sacrebleu computes it: tokenizer 13a, exponential smoothing, closest reference length.
namespace PeftAlign.Core.Metrics

open System
open System.Text.RegularExpressions
open PeftAlign.Core.Statistics

module private BleuCounts =
    type Counts =
        {
            Matches: int[]
            Totals: int[]
            Length: int
            ReferenceLength: int
        }

    let maximumOrder = 4

    let private rules =
        [ // Symbols and brackets stand apart; periods, commas and dashes only beside the right neighbours of digits.
            Regex(@"([\{-\~\[-\` -\&\(-\+\:-\@\/])", RegexOptions.CultureInvariant), " $1 "
            Regex(@"([^0-9])([\.,])", RegexOptions.CultureInvariant), "$1 $2 "
            Regex(@"([\.,])([^0-9])", RegexOptions.CultureInvariant), " $1 $2"
            Regex(@"([0-9])(-)", RegexOptions.CultureInvariant), "$1 $2 "
        ]

    /// mteval-v13a's tokenization.
    let tokens (text: string) =
        let plain =
            text.TrimEnd().Replace("<skipped>", "").Replace("-\n", "").Replace("\n", " ")

        let entities =
            plain.Replace("&quot;", "\"").Replace("&amp;", "&").Replace("&lt;", "<").Replace("&gt;", ">")

        rules
        |> List.fold (fun (line: string) (rule, into) -> rule.Replace(line, (into: string))) $" {entities} "
        |> PythonText.split

    let counts (hypothesis: string) (references: string[]) =
        Guard.atLeast "references" 1 references
        let own, others = tokens hypothesis, references |> Array.map tokens

        let most n =
            let union = Ngrams.Counts()

            for reference in others do
                for pair in Ngrams.ofWords n reference do
                    let known =
                        match union.TryGetValue pair.Key with
                        | true, c -> c
                        | _ -> 0

                    union[pair.Key] <- max known pair.Value

            union

        let orders = [| 1..maximumOrder |] |> Array.map (fun n -> Ngrams.ofWords n own)

        {
            Matches = orders |> Array.mapi (fun i c -> Ngrams.matches c (most (i + 1)))
            Totals = orders |> Array.map Ngrams.total
            Length = own.Length
            ReferenceLength =
                others
                |> Array.map (fun o -> o.Length)
                |> Array.minBy (fun l -> abs (l - own.Length), l)
        }

    let sum (a: Counts) (b: Counts) =
        {
            Matches = Array.map2 (+) a.Matches b.Matches
            Totals = Array.map2 (+) a.Totals b.Totals
            Length = a.Length + b.Length
            ReferenceLength = a.ReferenceLength + b.ReferenceLength
        }

    let score effectiveOrder (c: Counts) =
        if Array.forall ((=) 0) c.Matches then
            0.0
        else
            let used = c.Totals |> Array.takeWhile (fun t -> t > 0) |> Array.length
            // Each order without a match halves the probability mass that smoothing grants (method 3 of Chen and Cherry).
            let precision (misses, logs) n =
                if c.Matches[n] = 0 then
                    misses + 1, Math.Log(1.0 / (2.0 ** float (misses + 1) * float c.Totals[n])) :: logs
                else
                    misses, Math.Log(float c.Matches[n] / float c.Totals[n]) :: logs

            let _, logs = List.fold precision (0, []) [ 0 .. used - 1 ]

            let brevity =
                if c.Length >= c.ReferenceLength then
                    1.0
                else
                    exp (1.0 - float c.ReferenceLength / float c.Length)

            if not effectiveOrder && used < maximumOrder then
                0.0
            else
                100.0 * brevity * exp (List.average logs)

/// BLEU in percent.
[<AbstractClass; Sealed>]
type Bleu =
    /// Sentence BLEU with effective order: only orders that the text is long enough for.
    static member Sentence(hypothesis: string, references: string[]) : float =
        BleuCounts.counts hypothesis references |> BleuCounts.score true

    /// Corpus BLEU over counts summed over texts; references[i] are those of hypotheses[i].
    static member Corpus(hypotheses: string[], references: string[][]) : float =
        Bleu.OfRows(hypotheses, references).Invoke [| 0 .. hypotheses.Length - 1 |]

    /// Corpus BLEU of any rows of the texts, named by their numbers, a row as often as it is named: resampling counts n-grams once.
    static member OfRows(hypotheses: string[], references: string[][]) : Func<int[], float> =
        Guard.atLeast "hypotheses" 1 hypotheses
        Guard.sameLength "hypotheses" hypotheses "references" references
        let counts = Array.map2 BleuCounts.counts hypotheses references

        Func<int[], float>(fun rows ->
            Guard.atLeast "rows" 1 rows

            rows
            |> Array.map (fun row -> counts[row])
            |> Array.reduce BleuCounts.sum
            |> BleuCounts.score false)

    /// Self-BLEU (Zhu et al. 2018): mean sentence BLEU of each text against all others; high means alike.
    static member Self(texts: string[]) : float =
        Guard.atLeast "texts" 2 texts

        texts
        |> Array.mapi (fun i t -> Bleu.Sentence(t, Array.removeAt i texts))
        |> Array.average
