// YAML 1.2 core schema: what a plain scalar means. 'no', 'on' and 'yes' are texts; 2.0e-4, 5e-5, 0x1F and .inf are numbers.
// Source: YAML 1.2.2, section 10.3.2 (tag resolution).
module internal PeftAlign.Core.Language.Scalars

open System
open System.Globalization
open System.Text.RegularExpressions

type Scalar =
    | Null
    | Flag of bool
    | Whole of int64
    | Real of float
    | Text of string

let private pattern text =
    Regex("^(?:" + text + ")$", RegexOptions.CultureInvariant)

let private decimalInteger = pattern "[-+]?[0-9]+"
let private octal = pattern "0o[0-7]+"
let private hexadecimal = pattern "0x[0-9a-fA-F]+"
let private number = pattern @"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?"
let private infinite = pattern @"[-+]?(\.inf|\.Inf|\.INF)"

let private real (text: string) =
    Real(Double.Parse(text, NumberStyles.Float, CultureInfo.InvariantCulture))

/// An integer beyond 64 bits becomes the nearest double.
let private whole (text: string) =
    match Int64.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture) with
    | true, value -> Whole value
    | _ -> real text

/// Convert.ToInt64 would read the highest bit as a sign.
let private based (radix: int) (digits: string) =
    try
        match Convert.ToUInt64(digits, radix) with
        | value when value <= uint64 Int64.MaxValue -> Whole(int64 value)
        | value -> Real(float value)
    with :? OverflowException ->
        Real Double.PositiveInfinity

/// What a plain (unquoted, untagged) scalar means.
let resolve (text: string) =
    match text with
    | ""
    | "~"
    | "null"
    | "Null"
    | "NULL" -> Null
    | "true"
    | "True"
    | "TRUE" -> Flag true
    | "false"
    | "False"
    | "FALSE" -> Flag false
    | ".nan"
    | ".NaN"
    | ".NAN" -> Real nan
    | _ when not (Char.IsAsciiDigit text[0] || "+-.".Contains text[0]) -> Text text
    | _ when decimalInteger.IsMatch text -> whole text
    | _ when octal.IsMatch text -> based 8 (text.Substring 2)
    | _ when hexadecimal.IsMatch text -> based 16 (text.Substring 2)
    | _ when number.IsMatch text -> real text
    | _ when infinite.IsMatch text ->
        Real(
            if text[0] = '-' then
                Double.NegativeInfinity
            else
                Double.PositiveInfinity
        )
    | _ -> Text text

/// The kind of a scalar, as messages name it.
let kind scalar =
    match scalar with
    | Null -> "nothing"
    | Flag _ -> "true or false"
    | Whole _ -> "an integer"
    | Real _ -> "a number"
    | Text _ -> "text"
