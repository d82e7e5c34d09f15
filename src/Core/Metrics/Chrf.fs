// chrF and chrF++ (Popovic 2015, 2017) as sacrebleu 2.6.0 computes them: F score of averaged precision and recall over
// character n-grams (and word n-grams for chrF++), times 100.
namespace PeftAlign.Core.Metrics

open System
open PeftAlign.Core.Statistics

/// Settings of chrF. WordOrder 2 is chrF++. KeepWhitespace counts white space as characters.
/// EpsilonSmoothing averages F over orders, as chrF++.py and NLTK do.
type ChrfOptions =
    {
        CharacterOrder: int
        WordOrder: int
        Beta: float
        KeepWhitespace: bool
        Lowercase: bool
        EpsilonSmoothing: bool
    }

    /// chrF2: character order 6, no words, beta 2, white space dropped.
    static member Default =
        {
            CharacterOrder = 6
            WordOrder = 0
            Beta = 2.0
            KeepWhitespace = false
            Lowercase = false
            EpsilonSmoothing = false
        }

module private ChrfCounts =
    /// Counts of one order: in the hypothesis, in the reference, in both.
    [<Struct>]
    type Order =
        {
            Hypothesis: int
            Reference: int
            Matches: int
        }

    /// One punctuation mark at a word's end, else at its start, becomes a word of its own.
    let words (text: string) =
        PythonText.split text
        |> Array.collect (fun w ->
            let last = w.Length - 1
            // A word of one code point stays whole, also where it takes two UTF-16 units (those are no punctuation).
            if last = 0 then
                [| w |]
            elif PythonText.isPunctuation w[last] then
                [| w.Substring(0, last); w.Substring last |]
            elif PythonText.isPunctuation w[0] then
                [| w.Substring(0, 1); w.Substring 1 |]
            else
                [| w |])

    let ngrams (options: ChrfOptions) (text: string) =
        let text = if options.Lowercase then PythonText.lower text else text

        let characters =
            if options.KeepWhitespace then
                text
            else
                String.Concat(PythonText.split text)

        let parts = if options.WordOrder > 0 then words text else [||]

        Array.append
            (Array.init options.CharacterOrder (fun n -> Ngrams.ofCharacters (n + 1) characters))
            (Array.init options.WordOrder (fun n -> Ngrams.ofWords (n + 1) parts))

    let compare hypothesis reference =
        Array.map2
            (fun (h: Ngrams.Counts) (r: Ngrams.Counts) ->
                { // Without n-grams in the reference those of the hypothesis do not count either.
                    Hypothesis = (if r.Count = 0 then 0 else Ngrams.total h)
                    Reference = Ngrams.total r
                    Matches = Ngrams.matches h r
                })
            hypothesis
            reference

    let private epsilon = 1e-16

    let score (options: ChrfOptions) (orders: Order[]) =
        let factor = options.Beta * options.Beta

        let share matches count =
            if count > 0 then float matches / float count else epsilon

        let rates =
            orders
            |> Array.map (fun o -> share o.Matches o.Hypothesis, share o.Matches o.Reference)

        if options.EpsilonSmoothing then
            let f (p, r) =
                let below = factor * p + r

                if below > 0.0 then
                    (1.0 + factor) * p * r / below
                else
                    epsilon

            100.0 * Array.averageBy f rates
        else
            let counted =
                Array.zip orders rates
                |> Array.filter (fun (o, _) -> o.Hypothesis > 0 && o.Reference > 0)

            if counted.Length = 0 then
                0.0
            else
                let precision = counted |> Array.averageBy (fun (_, (p, _)) -> p)
                let recall = counted |> Array.averageBy (fun (_, (_, r)) -> r)

                if precision + recall = 0.0 then
                    0.0
                else
                    100.0 * (1.0 + factor) * precision * recall / (factor * precision + recall)

    /// Counts against the reference that gives the best score, the first on a tie.
    let best options hypothesis (references: string[]) =
        Guard.atLeast "references" 1 references
        let own = ngrams options hypothesis

        references
        |> Array.map (fun r -> compare own (ngrams options r))
        |> Array.maxBy (score options)

    let private sum (a: Order) (b: Order) : Order =
        {
            Hypothesis = a.Hypothesis + b.Hypothesis
            Reference = a.Reference + b.Reference
            Matches = a.Matches + b.Matches
        }

    /// Score of counts summed over texts.
    let together options (texts: Order[][]) =
        texts |> Array.reduce (Array.map2 sum) |> score options

/// Character n-gram F score, in percent.
[<AbstractClass; Sealed>]
type Chrf =
    /// Score of one text against its best reference.
    static member Sentence(hypothesis: string, references: string[], options: ChrfOptions) : float =
        ChrfCounts.best options hypothesis references |> ChrfCounts.score options

    /// chrF2 of one text against one reference.
    static member Sentence(hypothesis: string, reference: string) : float =
        Chrf.Sentence(hypothesis, [| reference |], ChrfOptions.Default)

    /// Score of counts summed over texts; references[i] are those of hypotheses[i].
    static member Corpus(hypotheses: string[], references: string[][], options: ChrfOptions) : float =
        Chrf.OfRows(hypotheses, references, options).Invoke [| 0 .. hypotheses.Length - 1 |]

    /// The corpus score of any rows of the texts, named by their numbers, a row as often as it is named: resampling counts n-grams once.
    static member OfRows(hypotheses: string[], references: string[][], options: ChrfOptions) : Func<int[], float> =
        Guard.atLeast "hypotheses" 1 hypotheses
        Guard.sameLength "hypotheses" hypotheses "references" references
        let counts = Array.map2 (ChrfCounts.best options) hypotheses references

        Func<int[], float>(fun rows ->
            Guard.atLeast "rows" 1 rows
            rows |> Array.map (fun row -> counts[row]) |> ChrfCounts.together options)
