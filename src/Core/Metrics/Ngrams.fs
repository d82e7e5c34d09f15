// Counts of n-grams over words or code points, shared by chrF, BLEU and the diversity metrics.
module internal PeftAlign.Core.Metrics.Ngrams

open System.Collections.Generic
open System.Text

type Counts = Dictionary<string, int>

let private add (counts: Counts) (key: string) =
    counts[key] <-
        (match counts.TryGetValue key with
         | true, n -> n + 1
         | _ -> 1)

/// Start of each code point in the text, and its end at last.
let private boundaries (text: string) =
    let starts = List<int>()
    let mutable at = 0

    while at < text.Length do
        starts.Add at
        let _, _, used = Rune.DecodeFromUtf16(System.MemoryExtensions.AsSpan(text, at))
        at <- at + used

    starts.Add text.Length
    starts.ToArray()

/// Character n-grams; characters are code points.
let ofCharacters n (text: string) : Counts =
    let at = boundaries text
    let counts = Counts()

    for i in 0 .. at.Length - 1 - n do
        add counts (text.Substring(at[i], at[i + n] - at[i]))

    counts

/// Word n-grams, keyed by their words and lengths so that no two differ only in where words end.
let ofWords n (words: string[]) : Counts =
    let counts = Counts()

    for i in 0 .. words.Length - n do
        let parts = Array.sub words i n

        let key =
            if n = 1 then
                parts[0]
            else
                parts |> Array.map (fun w -> $"{w.Length}:{w}") |> System.String.Concat

        add counts key

    counts

let total (counts: Counts) = Seq.sum counts.Values

/// Occurrences in both, each counted as often as the one that has it less often.
let matches (a: Counts) (b: Counts) =
    a
    |> Seq.sumBy (fun pair ->
        match b.TryGetValue pair.Key with
        | true, n -> min n pair.Value
        | _ -> 0)
