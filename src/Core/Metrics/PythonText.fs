// String operations with Python's meaning, on which published scores depend: white space, split, strip, lower, punctuation.
module internal PeftAlign.Core.Metrics.PythonText

open System

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

/// str.lower().
let lower (text: string) = PeftAlign.Core.PythonCase.lower text
