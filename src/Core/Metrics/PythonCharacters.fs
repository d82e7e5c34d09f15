// Characters and classes of Python's re where .NET's are others: a character of two UTF-16 units is one, classes are Python's.
namespace PeftAlign.Core.Metrics

open System
open System.Collections.Generic
open System.Globalization
open System.Text
open PeftAlign.Core.Statistics

/// One unit for each character of two: of its kind (letter, digit, other), in their order, and not in any of the texts. The engine then
/// sees one character, and keeps its fast ways, which a pattern that takes pairs would lose.
type internal SingleUnits(texts: string list) =
    let units = Dictionary<int, char>()
    let characters = Dictionary<char, string>()

    // Yi letters and rare ideographs, digits of rare scripts, private use: none has case, and patterns seldom name them.
    let pool kinds first last =
        let used = HashSet<char>(Seq.concat texts)

        let free =
            seq { first..last }
            |> Seq.map char
            |> Seq.filter (fun c -> List.contains (Char.GetUnicodeCategory c) kinds && not (used.Contains c))

        free.GetEnumerator()

    let letters =
        lazy pool [ UnicodeCategory.OtherLetter; UnicodeCategory.ModifierLetter ] 0xA000 0xA48C

    let ideographs = lazy pool [ UnicodeCategory.OtherLetter ] 0x3400 0x4DBF

    let digits = lazy pool [ UnicodeCategory.DecimalDigitNumber ] 0x1946 0xABF9
    let others = lazy pool [ UnicodeCategory.PrivateUse ] 0xE000 0xF8FF

    let pools rune =
        if Rune.IsDigit rune then
            [ digits ]
        elif Rune.IsLetter rune || Rune.IsNumber rune then
            [ letters; ideographs ]
        else
            [ others ]

    do
        let pairs =
            texts
            |> Seq.collect (fun text -> text.EnumerateRunes() :> seq<Rune>)
            |> Seq.filter (fun rune -> not rune.IsBmp)

        for rune in pairs |> Seq.distinct |> Seq.sort do
            match pools rune |> List.tryFind (fun p -> p.Value.MoveNext()) with
            | Some p ->
                units[rune.Value] <- p.Value.Current
                characters[p.Value.Current] <- rune.ToString()
            | None ->
                Guard.fail
                    $"a text of {texts.Head.Length} characters has more different characters beyond U+FFFF than a regular expression takes ({units.Count}). Shorten the text."

    /// Whether a text has such characters, or halves of them.
    static member In(text: string) =
        text.AsSpan().ContainsAnyInRange(char 0xD800, char 0xDFFF)

    /// The text in single units; a half that stands alone stays.
    member _.Narrow(text: string) =
        let result = StringBuilder text.Length
        let mutable at = 0

        while at < text.Length do
            if at + 1 < text.Length && Char.IsSurrogatePair(text[at], text[at + 1]) then
                result.Append units[Char.ConvertToUtf32(text, at)] |> ignore
                at <- at + 2
            else
                result.Append text[at] |> ignore
                at <- at + 1

        result.ToString()

    /// The text with its own characters again.
    member _.Widen(text: string) =
        text
        |> String.collect (fun c ->
            match characters.TryGetValue c with
            | true, own -> own
            | _ -> string c)

/// Classes where .NET's are not Python's.
module internal PythonClasses =
    /// Whether the two differ about a character: marks, joiners and other connectors, numbers that are no digits, separators of files.
    let differ (c: char) =
        if Char.IsAscii c then
            c >= '\u001C' && c <= '\u001F'
        else
            match Char.GetUnicodeCategory c with
            | UnicodeCategory.NonSpacingMark
            | UnicodeCategory.SpacingCombiningMark
            | UnicodeCategory.EnclosingMark
            | UnicodeCategory.LetterNumber
            | UnicodeCategory.OtherNumber
            | UnicodeCategory.ConnectorPunctuation -> true
            | _ -> c = '\u200C' || c = '\u200D'

    let private word = @"\p{L}\p{N}_"

    let private space = @"\s\x1C-\x1F"

    /// The members of a class, to stand within [...].
    let members (letter: char) =
        match letter with
        | 'w' -> Some word
        // Within [...] nothing is subtracted: all categories but those of letters, numbers and (for _ alone) connectors.
        | 'W' -> Some @"\p{M}\p{Pd}\p{Ps}\p{Pe}\p{Pi}\p{Pf}\p{Po}\p{S}\p{Z}\p{C}\u203F\u2040\u2054\uFE33\uFE34\uFE4D-\uFE4F\uFF3F"
        | 's' -> Some space
        | 'S' -> Some @"\p{L}\p{M}\p{N}\p{P}\p{S}\p{Cf}\p{Cs}\p{Co}\p{Cn}\x00-\x08\x0E-\x1B\x7F-\x84\x86-\x9F"
        | _ -> None

    /// An escape outside of [...].
    let escape (letter: char) =
        match letter with
        | 'w'
        | 's' -> members letter |> Option.map (fun m -> $"[{m}]")
        | 'W' -> Some $"[^{word}]"
        | 'S' -> Some $"[^{space}]"
        | 'b' -> Some $"(?:(?<=[{word}])(?![{word}])|(?<![{word}])(?=[{word}]))"
        | 'B' -> Some $"(?:(?<=[{word}])(?=[{word}])|(?<![{word}])(?![{word}]))"
        | _ -> None

    /// The members of a class under the flag a.
    let asciiMembers (letter: char) =
        match letter with
        | 'w' -> Some "a-zA-Z0-9_"
        | 'W' -> Some @"\x00-/:-@\[-\^`{-\uFFFF"
        | 'd' -> Some "0-9"
        | 'D' -> Some @"\x00-/:-\uFFFF"
        | 's' -> Some @"\t-\r\x20"
        | 'S' -> Some @"\x00-\x08\x0E-\x1F!-\uFFFF"
        | _ -> None

    /// An escape outside of [...] under the flag a.
    let asciiEscape (letter: char) =
        match letter with
        | 'b' -> Some "(?:(?<=[a-zA-Z0-9_])(?![a-zA-Z0-9_])|(?<![a-zA-Z0-9_])(?=[a-zA-Z0-9_]))"
        | 'B' -> Some "(?:(?<=[a-zA-Z0-9_])(?=[a-zA-Z0-9_])|(?<![a-zA-Z0-9_])(?![a-zA-Z0-9_]))"
        | _ -> asciiMembers letter |> Option.map (fun m -> $"[{m}]")
