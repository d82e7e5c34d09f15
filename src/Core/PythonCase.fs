// Python's letters with a case, and its lower case: what Unicode says of them and .NET not, or otherwise. Metrics and chat templates go by
// this one table. Source: SpecialCasing.txt and PropList.txt of the Unicode Character Database, and CPython's rule for the final sigma.
module internal PeftAlign.Core.PythonCase

open System
open System.Collections.Generic
open System.Globalization
open System.Text

/// Other_Lowercase, as first and last code points.
let private otherLower =
    [|
        0xAA, 0xAA
        0xBA, 0xBA
        0x2B0, 0x2B8
        0x2C0, 0x2C1
        0x2E0, 0x2E4
        0x345, 0x345
        0x37A, 0x37A
        0x10FC, 0x10FC
        0x1D2C, 0x1D6A
        0x1D78, 0x1D78
        0x1D9B, 0x1DBF
        0x2071, 0x2071
        0x207F, 0x207F
        0x2090, 0x209C
        0x2170, 0x217F
        0x24D0, 0x24E9
        0x2C7C, 0x2C7D
        0xA69C, 0xA69D
        0xA770, 0xA770
        0xA7F2, 0xA7F4
        0xA7F8, 0xA7F9
        0xAB5C, 0xAB5F
        0xAB69, 0xAB69
        0x10780, 0x10780
        0x10783, 0x10785
        0x10787, 0x107B0
        0x107B2, 0x107BA
        0x1E030, 0x1E06D
    |]

/// Other_Uppercase: Roman numerals, letters in circles and squares.
let private otherUpper =
    [|
        0x2160, 0x216F
        0x24B6, 0x24CF
        0x1F130, 0x1F149
        0x1F150, 0x1F169
        0x1F170, 0x1F189
    |]

let private within ranges (code: int) =
    code >= 0xAA
    && ranges |> Array.exists (fun (first, last) -> first <= code && code <= last)

let private category (code: int) = CharUnicodeInfo.GetUnicodeCategory code

[<CompiledName("IsLower")>]
let isLower code =
    category code = UnicodeCategory.LowercaseLetter || within otherLower code

[<CompiledName("IsUpper")>]
let isUpper code =
    category code = UnicodeCategory.UppercaseLetter || within otherUpper code

[<CompiledName("IsTitle")>]
let isTitle code =
    category code = UnicodeCategory.TitlecaseLetter

[<CompiledName("IsCased")>]
let isCased code =
    isLower code || isUpper code || isTitle code

/// Marks that stand within a word without being of it: Unicode's Case_Ignorable.
let private isWithinWord (code: int) =
    match category code with
    | UnicodeCategory.NonSpacingMark
    | UnicodeCategory.EnclosingMark
    | UnicodeCategory.Format
    | UnicodeCategory.ModifierLetter
    | UnicodeCategory.ModifierSymbol -> true
    | _ ->
        code = 0x1171E
        || code < 0x10000
           && "'.:\u00B7\u0387\u055F\u05F4\u2018\u2019\u2024\u2027\uFE13\uFE52\uFE55\uFF07\uFF0E\uFF1A".Contains(char code)

[<Literal>]
let private Sigma = 0x3A3

/// Of each place whether a sigma there would end a word: cased letters stand before it and none behind, marks within words aside. Empty
/// where no capital sigma is.
[<CompiledName("WordEnds")>]
let wordEnds (points: int[]) : bool[] =
    if not (Array.contains Sigma points) then
        [||]
    else
        let ends = Array.zeroCreate points.Length
        let mutable cased = false

        for k in 0 .. points.Length - 1 do
            ends[k] <- cased

            if not (isWithinWord points[k]) then
                cased <- isCased points[k]

        cased <- false

        for k in points.Length - 1 .. -1 .. 0 do
            ends[k] <- ends[k] && not cased

            if not (isWithinWord points[k]) then
                cased <- isCased points[k]

        ends

let private ascii =
    Array.init 128 (fun code -> string (Char.ToLowerInvariant(char code)))

let private simple (code: int) =
    if code < ascii.Length then ascii[code]
    elif not (Rune.IsValid code) then string (char code)
    else Rune.ToLowerInvariant(Rune code).ToString()

/// Lower case of a code point; a sigma's depends on whether it ends a word.
[<CompiledName("Lowered")>]
let lowered (code: int) (endsWord: bool) =
    match code with
    | 0x130 -> "i\u0307"
    | Sigma -> if endsWord then "\u03C2" else "\u03C3"
    | 0x1E9E -> "\u00DF"
    | 0x2126 -> "\u03C9"
    | 0x212A -> "k"
    | 0x212B -> "\u00E5"
    | _ -> simple code

/// Code points; half a pair that stands alone is one.
let private points (text: string) =
    let found = List<int> text.Length
    let mutable at = 0

    while at < text.Length do
        if at + 1 < text.Length && Char.IsSurrogatePair(text[at], text[at + 1]) then
            found.Add(Char.ConvertToUtf32(text[at], text[at + 1]))
            at <- at + 2
        else
            found.Add(int text[at])
            at <- at + 1

    found.ToArray()

/// str.lower().
[<CompiledName("Lower")>]
let lower (text: string) =
    if Ascii.IsValid(text.AsSpan()) then
        text.ToLowerInvariant()
    else
        let points = points text
        let ends = wordEnds points
        let result = StringBuilder text.Length

        points
        |> Array.iteri (fun k code -> result.Append(lowered code (ends.Length > 0 && ends[k])) |> ignore)

        result.ToString()
