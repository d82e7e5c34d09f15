// String operations with Python's meaning, on which published scores depend: white space, split, strip, lower, punctuation.
module internal PeftAlign.Core.Metrics.PythonText

open System
open System.Globalization
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

/// Letters whose lower case .NET has not, or has otherwise: I with dot, sharp S, and the signs of ohm, kelvin and angstrom.
let private lowered (c: char) =
    match c with
    | '\u0130' -> "i\u0307"
    | '\u1E9E' -> "\u00DF"
    | '\u2126' -> "\u03C9"
    | '\u212A' -> "k"
    | '\u212B' -> "\u00E5"
    | _ -> ""

/// Marks that stand within a word without being of it: Unicode's Case_Ignorable.
let private isWithinWord (rune: Rune) =
    match rune.Value, Rune.GetUnicodeCategory rune with
    | _, UnicodeCategory.NonSpacingMark
    | _, UnicodeCategory.EnclosingMark
    | _, UnicodeCategory.Format
    | _, UnicodeCategory.ModifierLetter
    | _, UnicodeCategory.ModifierSymbol -> true
    | 0x1171E, _ -> true
    | value, _ ->
        value < 0x10000
        && "'.:\u00B7\u0387\u055F\u05F4\u2018\u2019\u2024\u2027\uFE13\uFE52\uFE55\uFF07\uFF0E\uFF1A".Contains(char value)

/// Numerals and signs that have a case although they are no cased letters: ordinals, Roman numerals, letters in circles and squares.
let private casedSigns =
    [
        0xAA, 0xAA
        0xBA, 0xBA
        0x2160, 0x217F
        0x24B6, 0x24E9
        0x1F130, 0x1F149
        0x1F150, 0x1F169
        0x1F170, 0x1F189
    ]

/// Unicode's Cased: letters with a case, and the signs above.
let private isCased (rune: Rune) =
    Rune.IsUpper rune
    || Rune.IsLower rune
    || Rune.GetUnicodeCategory rune = UnicodeCategory.TitlecaseLetter
    || casedSigns
       |> List.exists (fun (first, last) -> first <= rune.Value && rune.Value <= last)

/// Whether a sigma ends a word: cased letters stand before it and none behind, marks within words aside.
let private isFinal (runes: Rune[]) at =
    let next (places: int seq) =
        places
        |> Seq.map (fun k -> runes[k])
        |> Seq.tryFind (isWithinWord >> not)
        |> Option.exists isCased

    next (seq { at - 1 .. -1 .. 0 })
    && not (next (seq { at + 1 .. runes.Length - 1 }))

/// Lower case: simple mappings but for a few letters, and the sigma that ends a word.
let lower (text: string) =
    let simple = text.ToLowerInvariant()

    if not (text.Contains '\u03A3' || Seq.exists (fun c -> lowered c <> "") text) then
        simple
    else
        let runes = Seq.toArray (text.EnumerateRunes())
        let result = StringBuilder()
        let mutable unit = 0

        for k in 0 .. runes.Length - 1 do
            let width = runes[k].Utf16SequenceLength

            match text[unit] with
            | '\u03A3' when isFinal runes k -> result.Append '\u03C2' |> ignore
            | c when lowered c <> "" -> result.Append(lowered c) |> ignore
            | _ -> result.Append(simple, unit, width) |> ignore

            unit <- unit + width

        result.ToString()
