// Answers in generated text: BIG-Bench Hard's official rule, lm-evaluation-harness's regex filter and exact match.
namespace PeftAlign.Core.Metrics

open System
open PeftAlign.Core.Statistics

/// What exact match ignores; the steps apply in the order of the fields.
type ExactMatchOptions =
    {
        RegexesToIgnore: string[]
        IgnoreCase: bool
        IgnorePunctuation: bool
        IgnoreNumbers: bool
    }

    /// Nothing is ignored.
    static member Plain =
        {
            RegexesToIgnore = [||]
            IgnoreCase = false
            IgnorePunctuation = false
            IgnoreNumbers = false
        }

    /// The relaxed match that lm-evaluation-harness uses for BIG-Bench Hard.
    static member BigBenchHard =
        { ExactMatchOptions.Plain with
            RegexesToIgnore = [| @"\.$"; ","; "\n"; @"\\"; "\"" |]
            IgnoreCase = true
        }

/// Extraction and comparison of answers.
[<AbstractClass; Sealed>]
type AnswerExtraction =
    /// BIG-Bench Hard: the text after the last "answer is", trimmed, one final period dropped (and not trimmed again).
    static member BigBenchHard(text: string) : string =
        let marker = "answer is"
        let at = text.LastIndexOf(marker, StringComparison.Ordinal)

        let answer =
            PythonText.strip (if at < 0 then text else text.Substring(at + marker.Length))

        if answer.EndsWith '.' then
            answer.Substring(0, answer.Length - 1)
        else
            answer

    /// lm-evaluation-harness's regex filter: of all matches the one at `select` (negative from the end), of its groups
    /// the first that is not empty (the whole match where the pattern has no group), trimmed; else `fallback`.
    /// Error: `select` beyond the matches that a text has.
    static member RegexFilter(text: string, pattern: string, select: int, fallback: string) : string =
        let matches = PythonRegex.Matches(text, pattern)

        if matches.Length = 0 then
            fallback
        else
            let index = if select < 0 then matches.Length + select else select

            if index < 0 || index >= matches.Length then
                Guard.fail $"group_select is {select}; the text has {matches.Length} matches of '{pattern}'. Use 0 or -1."

            match List.ofArray matches[index] with
            | [ found ]
            | [ _; found ] -> PythonText.strip found
            | several ->
                List.tail several
                |> List.tryFind (fun g -> g <> "")
                |> Option.defaultValue fallback
                |> PythonText.strip

    static member private Normalise(text: string, options: ExactMatchOptions) =
        let remove (t: string) pattern = PythonRegex.Replace(t, pattern, "", 0)

        let filtered = options.RegexesToIgnore |> Array.fold remove text

        let lowered =
            if options.IgnoreCase then
                PythonText.lower filtered
            else
                filtered

        let dropped c =
            options.IgnorePunctuation && PythonText.isPunctuation c
            || options.IgnoreNumbers && Char.IsAsciiDigit c

        String.filter (dropped >> not) lowered

    /// Whether prediction and reference are equal after what the options ignore is gone from both.
    static member ExactMatch(prediction: string, reference: string, options: ExactMatchOptions) : bool =
        String.Equals(
            AnswerExtraction.Normalise(prediction, options),
            AnswerExtraction.Normalise(reference, options),
            StringComparison.Ordinal
        )

    /// Mean over tasks after the three-, five- and seven-object sizes of one task are averaged: the BIG-Bench Hard
    /// paper's aggregate over 23 tasks. Names without such an ending count as they are.
    static member BigBenchHardMean(tasks: string[], scores: float[]) : float =
        Guard.atLeast "tasks" 1 tasks
        Guard.sameLength "tasks" tasks "scores" scores
        let sizes = [| "_three_objects"; "_five_objects"; "_seven_objects" |]

        let fold (name: string) =
            match sizes |> Array.tryFind (fun s -> name.EndsWith(s, StringComparison.Ordinal)) with
            | Some ending -> name.Substring(0, name.Length - ending.Length)
            | None -> name

        Array.zip tasks scores
        |> Array.groupBy (fst >> fold)
        |> Array.averageBy (fun (_, members) -> members |> Array.averageBy snd)
