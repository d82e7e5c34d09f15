// Regular expressions as Python's re reads them, on .NET's engine: groups are numbered by where they open, classes are Python's,
// and a character of two UTF-16 units is one.
namespace PeftAlign.Core.Metrics

open System
open System.Collections.Concurrent
open System.Collections.Generic
open System.Globalization
open System.Text
open System.Text.RegularExpressions
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

/// A pattern in .NET's spelling, with the places of its named groups.
/// `own`: whether classes are spelled out, for texts with characters about which .NET and Python differ.
type internal PatternText(pattern: string, own: bool) =
    let text = StringBuilder()
    let names = Dictionary<string, int>()
    let mutable groups = 0
    let mutable at = 0

    let emit (s: string) = text.Append s |> ignore

    let copy length =
        text.Append(pattern, at, length) |> ignore
        at <- at + length

    let ahead (s: string) =
        String.CompareOrdinal(pattern, at, s, 0, s.Length) = 0

    /// An escape as `spelled` has it; one of a character that needs none, which .NET refuses, is the character.
    let escape (spelled: char -> string option) =
        let letter = if at + 1 < pattern.Length then pattern[at + 1] else ' '

        match (if own then spelled letter else None) with
        | Some other -> emit other
        | None when letter = '_' || not (Char.IsAscii letter) -> emit (string letter)
        | None -> text.Append(pattern, at, min 2 (pattern.Length - at)) |> ignore

        at <- min pattern.Length (at + 2)

    /// [...]: a bracket that is first, or opens within, is a character.
    let set () =
        copy (if ahead "[^" then 2 else 1)
        let mutable first = true

        while at < pattern.Length && (first || pattern[at] <> ']') do
            match pattern[at] with
            | '\\' when at + 1 < pattern.Length -> escape PythonClasses.members
            | '['
            | ']' ->
                emit @"\"
                copy 1
            | _ -> copy 1

            first <- false

        if at < pattern.Length then
            copy 1

    let upTo (mark: char) (from: int) =
        match pattern.IndexOf(mark, from) with
        | -1 -> pattern.Length
        | found -> found

    let place (name: string) =
        match names.TryGetValue name with
        | true, k -> string k
        | _ -> name

    let opens (name: string option) =
        groups <- groups + 1
        name |> Option.iter (fun n -> names[n] <- groups)
        emit $"(?<{groups}>"

    let named prefix =
        let close = upTo '>' at

        let name =
            pattern.Substring(at + String.length prefix, max 0 (close - at - String.length prefix))

        opens (Some name)
        at <- min pattern.Length (close + 1)

    let refers (prefix: string) (shape: string -> string) =
        let close = upTo ')' at
        emit (shape (place (pattern.Substring(at + prefix.Length, close - at - prefix.Length))))
        at <- min pattern.Length (close + 1)

    let group () =
        if ahead "(?P<" then
            named "(?P<"
        elif ahead "(?<" && not (ahead "(?<=" || ahead "(?<!") then
            named "(?<"
        elif ahead "(?P=" then
            refers "(?P=" (fun name -> $@"\k<{name}>")
        elif ahead "(?(" then
            refers "(?(" (fun name -> $"(?({name})")
        elif ahead "(?#" then
            at <- min pattern.Length (upTo ')' at + 1)
        elif ahead "(?" then
            copy 2
        else
            opens None
            at <- at + 1

    do
        while at < pattern.Length do
            match pattern[at] with
            | '\\' when ahead @"\Z" ->
                emit @"\z"
                at <- at + 2
            | '\\' -> escape PythonClasses.escape
            | '[' -> set ()
            | '(' -> group ()
            | '{' when ahead "{," && Regex.IsMatch(pattern.Substring at, @"^\{,[0-9]*\}") ->
                emit "{0,"
                at <- at + 2
            | _ -> copy 1

    /// The pattern as .NET reads it.
    member _.Text = text.ToString()

    /// The number of each named group.
    member _.Names: IReadOnlyDictionary<string, int> = names

module internal Patterns =
    /// A user's pattern, in single units: a fault in it is the user's mistake, and a match that explodes is stopped.
    let private compile (given: string) (struct (pattern: string, own: bool)) =
        let translated = PatternText(pattern, own)

        try
            struct (Regex(translated.Text, RegexOptions.CultureInvariant, TimeSpan.FromSeconds 3.0), translated.Names)
        with :? ArgumentException as error ->
            Guard.fail $"regular expression '{given}' cannot be read: {error.Message} Correct the pattern."

    let private compiled =
        ConcurrentDictionary<struct (string * bool), struct (Regex * IReadOnlyDictionary<string, int>)>()

    /// What `action` makes of the compiled pattern, the numbers of its named groups, the text in single units, and the way back from those,
    /// which leaves the characters of `other` alone.
    let apply
        (pattern: string)
        (text: string)
        (other: string)
        (action: Regex -> IReadOnlyDictionary<string, int> -> string -> (string -> string) -> 'a)
        : 'a =
        let inText, inPattern = SingleUnits.In text, SingleUnits.In pattern

        let narrow, widen =
            if inText || inPattern then
                let units = SingleUnits [ text; pattern; other ]
                units.Narrow, units.Widen
            else
                id, id

        let narrowed = narrow text
        let key = struct (narrow pattern, String.exists PythonClasses.differ narrowed)

        let struct (regex, names) =
            // The units of a pattern with such characters are other ones for each text.
            if inText && inPattern then
                compile pattern key
            else
                compiled.GetOrAdd(key, compile pattern)

        try
            action regex names narrowed widen
        with :? RegexMatchTimeoutException ->
            Guard.fail
                $"regular expression '{pattern}' took over 3 s on a text of {text.Length} characters. Make its repetitions unambiguous."

/// Python's re on texts.
[<AbstractClass; Sealed>]
type PythonRegex =
    /// All matches: each as the whole and then its groups, in the order in which they open; "" for a group that took no part.
    static member Matches(text: string, pattern: string) : string[][] =
        Patterns.apply pattern text "" (fun regex _ narrowed widen ->
            [|
                for m in regex.Matches narrowed -> [| for g in m.Groups -> widen g.Value |]
            |])

    /// re.sub: every match, or the first `count`, is replaced; in the replacement \1 and \g<name> are groups.
    /// Error: a replacement with another escape, or a group that the pattern has not.
    static member Replace(text: string, pattern: string, replacement: string, count: int) : string =
        let wrong (what: string) =
            Guard.fail $"replacement '{replacement}' has {what}. Write \\1, \\g<name>, \\n, \\t, \\r or \\\\."

        Patterns.apply pattern text replacement (fun regex names narrowed widen ->
            let group (m: Match) (name: string) =
                let number =
                    match names.TryGetValue name, Int32.TryParse name with
                    | (true, k), _ -> k
                    | _, (true, k) -> k
                    | _ -> -1

                if number < 0 || number >= m.Groups.Count then
                    wrong $"the group {name}, which the pattern has not"

                m.Groups[number].Value

            let escaped (m: Match) (found: Match) =
                match found.Groups[1].Value, found.Groups[2].Value with
                | "", "n" -> "\n"
                | "", "t" -> "\t"
                | "", "r" -> "\r"
                | "", "\\" -> "\\"
                | "", other when other <> "" && Char.IsAsciiDigit other[0] -> group m other
                | "", other -> wrong $"the escape \\{other}"
                | name, _ -> group m name

            let expand (m: Match) =
                Regex.Replace(replacement, @"\\(?:g<([^>]*)>|([1-9][0-9]?|[\s\S]|\z))", MatchEvaluator(escaped m))

            widen (regex.Replace(narrowed, MatchEvaluator expand, (if count <= 0 then -1 else count))))
