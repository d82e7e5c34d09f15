// Regular expressions as Python's re reads them, on .NET's engine: groups are numbered by where they open, \w knows no combining marks,
// and a character of two UTF-16 units is one.
namespace PeftAlign.Core.Metrics

open System
open System.Collections.Concurrent
open System.Collections.Generic
open System.Text
open System.Text.RegularExpressions
open PeftAlign.Core.Statistics

/// A pattern in .NET's spelling, with the places of its named groups.
type internal PatternText(pattern: string, wide: bool) =
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

    /// What takes any character must take both halves of one.
    let one (set: string) =
        if wide then
            $@"(?>[\uD800-\uDBFF][\uDC00-\uDFFF]|(?![\uD800-\uDFFF]){set})"
        else
            set

    let word = @"\p{L}\p{N}_"

    let escape () =
        match (if at + 1 < pattern.Length then pattern[at + 1] else ' ') with
        | 'Z' -> emit @"\z"
        | 'w' -> emit $"[{word}]"
        | 'W' -> emit (one $"[^{word}]")
        | 'S' -> emit (one @"\S")
        | 'D' -> emit (one @"\D")
        | _ -> text.Append(pattern, at, min 2 (pattern.Length - at)) |> ignore

        at <- min pattern.Length (at + 2)

    /// [...]: a bracket that is first, or opens within, is a character.
    let set () =
        let start = text.Length
        let negated = ahead "[^"
        copy (if negated then 2 else 1)
        let mutable wants = negated && wide
        let mutable first = true

        while at < pattern.Length && (first || pattern[at] <> ']') do
            match pattern[at] with
            | '\\' when at + 1 < pattern.Length ->
                wants <-
                    wants
                    || (wide
                        && (pattern[at + 1] = 'W' || pattern[at + 1] = 'S' || pattern[at + 1] = 'D'))

                if pattern[at + 1] = 'w' then
                    emit word
                    at <- at + 2
                else
                    copy 2
            | '['
            | ']' ->
                emit @"\"
                copy 1
            | _ -> copy 1

            first <- false

        if at < pattern.Length then
            copy 1

        if wants then
            let own = text.ToString(start, text.Length - start)
            text.Length <- start
            emit (one own)

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
            | '\\' -> escape ()
            | '[' -> set ()
            | '(' -> group ()
            | '.' ->
                emit (one ".")
                at <- at + 1
            | '{' when ahead "{," && Regex.IsMatch(pattern.Substring at, @"^\{,[0-9]*\}") ->
                emit "{0,"
                at <- at + 2
            | c when Char.IsHighSurrogate c && at + 1 < pattern.Length ->
                emit $"(?:{pattern.Substring(at, 2)})"
                at <- at + 2
            | _ -> copy 1

    /// The pattern as .NET reads it.
    member _.Text = text.ToString()

    /// The number of each named group.
    member _.Names: IReadOnlyDictionary<string, int> = names

module internal Patterns =
    /// A user's pattern: a fault in it is the user's mistake, and a match that explodes is stopped.
    let private compile (struct (pattern: string, wide: bool)) =
        let translated = PatternText(pattern, wide)

        try
            struct (Regex(translated.Text, RegexOptions.CultureInvariant, TimeSpan.FromSeconds 3.0), translated.Names)
        with :? ArgumentException as error ->
            Guard.fail $"regular expression '{pattern}' cannot be read: {error.Message} Correct the pattern."

    let private compiled =
        ConcurrentDictionary<struct (string * bool), struct (Regex * IReadOnlyDictionary<string, int>)>()

    /// What `action` makes of the compiled pattern, the numbers of its named groups, and the text.
    let apply (pattern: string) (text: string) (action: Regex -> IReadOnlyDictionary<string, int> -> 'a) : 'a =
        try
            // Few texts have characters of two units, and for those the engine is slower.
            let struct (regex, names) =
                compiled.GetOrAdd(struct (pattern, Seq.exists Char.IsSurrogate text), compile)

            action regex names
        with :? RegexMatchTimeoutException ->
            Guard.fail
                $"regular expression '{pattern}' took over 3 s on a text of {text.Length} characters. Make its repetitions unambiguous."

/// Python's re on texts.
[<AbstractClass; Sealed>]
type PythonRegex =
    /// All matches: each as the whole and then its groups, in the order in which they open; "" for a group that took no part.
    static member Matches(text: string, pattern: string) : string[][] =
        Patterns.apply pattern text (fun regex _ -> [| for m in regex.Matches text -> [| for g in m.Groups -> g.Value |] |])

    /// re.sub: every match, or the first `count`, is replaced; in the replacement \1 and \g<name> are groups.
    /// Error: a replacement with another escape, or a group that the pattern has not.
    static member Replace(text: string, pattern: string, replacement: string, count: int) : string =
        let wrong (what: string) =
            Guard.fail $"replacement '{replacement}' has {what}. Write \\1, \\g<name>, \\n, \\t, \\r or \\\\."

        Patterns.apply pattern text (fun regex names ->
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

            regex.Replace(text, MatchEvaluator expand, (if count <= 0 then -1 else count)))
