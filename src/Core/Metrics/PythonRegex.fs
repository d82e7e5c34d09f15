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

/// A pattern in .NET's spelling, with the places of its named groups.
/// `own`: whether classes are spelled out, for texts with characters about which .NET and Python differ.
type internal PatternText(pattern: string, own: bool) =
    let text = StringBuilder()
    let names = Dictionary<string, int>()
    let mutable groups = 0
    let mutable at = 0
    /// Where what a quantifier repeats begins in `text`, and the end of the last possessive repetition there.
    let mutable atom = 0
    let mutable possessed = -1
    /// Whether classes are ASCII's, and for each open group where it begins and what was so around it.
    let mutable ascii = false
    let opened = Stack<struct (int * bool)>()

    // An escape of more than two characters: a code, or a group of two digits.
    static let longer =
        Regex(@"\G\\(?:x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|0[0-7]{1,2}|[1-7][0-7]{2}|[1-9][0-9])", RegexOptions.CultureInvariant)

    // A letter's other cases are Python's only without the flag a.
    let ignoresCase = lazy Regex.IsMatch(pattern, @"\(\?[a-zA-Z]*i[a-zA-Z-]*[:)]")

    let emit (s: string) = text.Append s |> ignore

    let copy length =
        text.Append(pattern, at, length) |> ignore
        at <- at + length

    let ahead (s: string) =
        String.CompareOrdinal(pattern, at, s, 0, s.Length) = 0

    /// An escape as `spelled` has it; an unnecessary escape, which .NET refuses, becomes the character itself.
    let escape (spelled: char -> string option) (asciiSpelled: char -> string option) =
        let letter = if at + 1 < pattern.Length then pattern[at + 1] else ' '

        match
            (if ascii then asciiSpelled letter
             elif own then spelled letter
             else None)
        with
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
            | '\\' when at + 1 < pattern.Length -> escape PythonClasses.members PythonClasses.asciiMembers
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

    /// Flags: u is implied for texts, a means ASCII classes, and .NET has the others too. False where .NET is left to refuse them.
    let flags () =
        let found = Regex.Match(pattern.Substring at, @"^\(\?([imsxau]+)(-[imsx]+)?([:)])")
        let on = found.Groups[1].Value
        let whole = found.Groups[3].Value = ")"
        // For the whole expression they stand before everything.
        let first = Regex.IsMatch(pattern.Substring(0, at), @"^(\(\?[a-z]+\))*$")

        let kind = on.Contains 'a' || on.Contains 'u'

        if
            not found.Success
            || kind && whole && not first
            || on.Contains 'a' && (on.Contains 'u' || ignoresCase.Value)
        then
            false
        else
            let rest = String.filter (fun c -> c <> 'a' && c <> 'u') on + found.Groups[2].Value

            if not whole then
                opened.Push(struct (text.Length, ascii))

            if kind then
                ascii <- on.Contains 'a'

            if not (whole && rest = "") then
                emit $"(?{rest}{found.Groups[3].Value}"

            at <- at + found.Length
            true

    let group () =
        let start, depth = text.Length, opened.Count
        let enters () = opened.Push(struct (start, ascii))

        if ahead "(?#" then
            at <- min pattern.Length (upTo ')' at + 1)
        else
            if ahead "(?P<" then
                enters ()
                named "(?P<"
            elif ahead "(?<" && not (ahead "(?<=" || ahead "(?<!") then
                enters ()
                named "(?<"
            elif ahead "(?P=" then
                refers "(?P=" (fun name -> $@"\k<{name}>")
            elif ahead "(?(" then
                enters ()
                refers "(?(" (fun name -> $"(?({name})")
            elif not (ahead "(?") then
                enters ()
                opens None
                at <- at + 1
            elif not (flags ()) then
                enters ()
                copy (max 2 (Regex.Match(pattern.Substring at, @"^\(\?(?:<?[=!]|[:>])").Length))

            atom <- if opened.Count > depth then text.Length else start

    /// What may be repeated.
    let starts (emitted: unit -> unit) =
        atom <- text.Length
        emitted ()

    let closes () =
        copy 1

        if opened.Count > 0 then
            let struct (start, around) = opened.Pop()
            atom <- start
            ascii <- around

    /// A repetition; a possessive one is .NET's group that gives nothing back.
    let repeats (written: string) =
        if text.Length = possessed then
            Guard.fail $"regular expression '{pattern}' cannot be read: at {at} a repetition is repeated. Correct the pattern."

        at <- at + written.Length

        let bounds =
            if written.StartsWith("{,", StringComparison.Ordinal) then
                "{0" + written.Substring 1
            else
                written

        if at < pattern.Length && pattern[at] = '+' then
            // .NET folds a repetition of a bare atomic loop into one loop; an assertion after it that always holds prevents that.
            text.Insert(atom, "(?>").Append(bounds).Append("(?!(?!)))") |> ignore
            at <- at + 1
            possessed <- text.Length
        else
            emit bounds

            if at < pattern.Length && pattern[at] = '?' then
                copy 1

    let bounds () =
        let found =
            Regex.Match(pattern.Substring at, @"^\{(?:[0-9]+(?:,[0-9]*)?|,[0-9]*)\}")

        if found.Success then Some found.Value else None

    do
        while at < pattern.Length do
            match pattern[at] with
            | '\\' when ahead @"\Z" ->
                starts (fun () -> emit @"\z")
                at <- at + 2
            | '\\' ->
                let whole = at + max 2 (longer.Match(pattern, at).Length)

                starts (fun () ->
                    escape PythonClasses.escape PythonClasses.asciiEscape
                    copy (max 0 (whole - at)))
            | '[' -> starts set
            | '(' -> group ()
            | ')' -> closes ()
            | '|' ->
                copy 1
                atom <- text.Length
            | '*'
            | '+'
            | '?' -> repeats (string pattern[at])
            | '{' ->
                match bounds () with
                | Some written -> repeats written
                | None -> starts (fun () -> copy 1)
            | _ -> starts (fun () -> copy 1)

    /// The pattern as .NET reads it.
    member _.Text = text.ToString()

    /// The number of each named group.
    member _.Names: IReadOnlyDictionary<string, int> = names

module internal Patterns =
    /// \U and eight digits as the character, which .NET has no escape for.
    let private spelled (pattern: string) =
        let character (found: Match) =
            match Int32.TryParse(found.Groups[1].Value, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture) with
            | true, code when code >= 0 && code < 0x10000 -> $@"\u{code:X4}"
            | true, code when code >= 0x10000 && code <= 0x10FFFF -> Char.ConvertFromUtf32 code
            | _ -> found.Value

        Regex.Replace(pattern, @"\\(?:U([0-9a-fA-F]{8})|[\s\S])", MatchEvaluator character)

    /// A user's pattern, in single units: a fault in it is the user's mistake, and a match that explodes is stopped.
    let private compile (given: string) (struct (pattern: string, own: bool)) =
        let translated = PatternText(pattern, own)

        let regex text =
            Regex(text, RegexOptions.CultureInvariant, TimeSpan.FromSeconds 3.0)

        // With the flag x the last line may end in a comment, hence the line break; flags of the whole pattern stand at its beginning.
        let ending =
            if Regex.IsMatch(pattern, @"^(?:\(\?[a-zA-Z]+\))*\(\?[a-zA-Z]*x[a-zA-Z]*\)") then
                "\n"
            else
                ""

        try
            struct (regex translated.Text, lazy regex $@"(?:{translated.Text}{ending})(?!\G)", translated.Names)
        with :? ArgumentException as error ->
            Guard.fail $"regular expression '{given}' cannot be read: {error.Message} Correct the pattern."

    let private compiled =
        ConcurrentDictionary<struct (string * bool), struct (Regex * Lazy<Regex> * IReadOnlyDictionary<string, int>)>()

    /// All matches in their order. After an empty one Python looks at the same place again, for one that is not empty; .NET goes on.
    let private all (regex: Regex) (advancing: Lazy<Regex>) (text: string) =
        Seq.unfold
            (fun struct (at, isEmpty) ->
                let sought = if isEmpty then advancing.Value else regex
                let found = PatientMatch.Of(fun () -> sought.Match(text, at))

                if found.Success && found.Index < at then
                    Guard.fail $"regular expression: .NET's engine makes no progress in '{regex}'; write it differently."
                elif found.Success then
                    Some(found, struct (found.Index + found.Length, found.Length = 0))
                else
                    None)
            struct (0, false)

    /// Calls `action` with the pattern's matches, the numbers of its named groups, the text in single units, and the way back from those units,
    /// which leaves the characters of `other` alone.
    let apply
        (pattern: string)
        (text: string)
        (other: string)
        (action: Match seq -> IReadOnlyDictionary<string, int> -> string -> (string -> string) -> 'a)
        : 'a =
        let pattern = spelled pattern
        let inText, inPattern = SingleUnits.In text, SingleUnits.In pattern

        let narrow, widen =
            if inText || inPattern then
                let units = SingleUnits [ text; pattern; other ]
                units.Narrow, units.Widen
            else
                id, id

        let narrowed = narrow text
        let key = struct (narrow pattern, String.exists PythonClasses.differ narrowed)

        let struct (regex, advancing, names) =
            // A pattern with such characters gets different units for each text.
            if inText && inPattern then
                compile pattern key
            else
                compiled.GetOrAdd(key, compile pattern)

        try
            action (all regex advancing narrowed) names narrowed widen
        with :? RegexMatchTimeoutException ->
            Guard.fail
                $"regular expression '{pattern}' took over 3 s on a text of {text.Length} characters, {PatientMatch.Tries} times. Make its repetitions unambiguous."

/// Python's re on texts.
[<AbstractClass; Sealed>]
type PythonRegex =
    /// All matches: each as the whole and then its groups, in the order in which they open; "" for a group that took no part.
    static member Matches(text: string, pattern: string) : string[][] =
        Patterns.apply pattern text "" (fun found _ _ widen -> [| for m in found -> [| for g in m.Groups -> widen g.Value |] |])

    /// re.sub: every match, or the first `count`, is replaced; in the replacement \1 and \g<name> are groups.
    /// Error: a replacement with another escape, or a group that the pattern has not.
    static member Replace(text: string, pattern: string, replacement: string, count: int) : string =
        let wrong (what: string) =
            Guard.fail $"replacement '{replacement}' has {what}. Write \\1, \\g<name>, \\n, \\t, \\r or \\\\."

        Patterns.apply pattern text replacement (fun matches names narrowed widen ->
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

            let result = StringBuilder()
            let mutable last = 0

            for m in (if count <= 0 then matches else Seq.truncate count matches) do
                result.Append(narrowed, last, m.Index - last).Append(expand m) |> ignore
                last <- m.Index + m.Length

            widen (result.Append(narrowed, last, narrowed.Length - last).ToString()))
