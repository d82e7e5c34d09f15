// String operations with Python's meaning, on which published scores depend: white space, split, strip, lower, punctuation.
module internal PeftAlign.Core.Metrics.PythonText

open System
open System.Text

/// Characters that str.split() and str.strip() drop: Unicode white space, and the four information separators.
let isSpace (c: char) =
    Char.IsWhiteSpace c || (c >= '\u001C' && c <= '\u001F')

/// Parts between runs of white space.
let split (text: string) : string[] =
    let parts = Collections.Generic.List<string>()
    let mutable start = -1

    for i in 0 .. text.Length do
        if i < text.Length && not (isSpace text[i]) then
            if start < 0 then
                start <- i
        elif start >= 0 then
            parts.Add(text.Substring(start, i - start))
            start <- -1

    parts.ToArray()

let strip (text: string) =
    let mutable first, last = 0, text.Length - 1

    while first <= last && isSpace text[first] do
        first <- first + 1

    while last >= first && isSpace text[last] do
        last <- last - 1

    text.Substring(first, last - first + 1)

/// The 32 ASCII punctuation characters.
let isPunctuation (c: char) =
    Char.IsAscii c && (Char.IsPunctuation c || Char.IsSymbol c)

/// Lower case: simple mappings, and the two that depend on more than one character (I with dot; final sigma).
let lower (text: string) =
    let simple = text.ToLowerInvariant()

    if not (text.Contains '\u0130' || text.Contains '\u03A3') then
        simple
    else
        let result = StringBuilder()

        for i in 0 .. text.Length - 1 do
            let letterAt k =
                k >= 0 && k < text.Length && Char.IsLetter text[k]

            match text[i] with
            | '\u0130' -> result.Append "i\u0307" |> ignore
            | '\u03A3' when letterAt (i - 1) && not (letterAt (i + 1)) -> result.Append '\u03C2' |> ignore
            | _ -> result.Append simple[i] |> ignore

        result.ToString()
