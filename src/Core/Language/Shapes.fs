// What a value may look like, as data: one description serves reading, messages and the JSON Schema.
namespace PeftAlign.Core.Language

open System
open System.Globalization

/// A numeric interval; Written is how messages show it, "" for no limit.
type internal Interval =
    {
        Low: float
        LowOpen: bool
        High: float
        HighOpen: bool
        Written: string
    }

module internal Interval =
    let all =
        {
            Low = Double.NegativeInfinity
            LowOpen = false
            High = Double.PositiveInfinity
            HighOpen = false
            Written = ""
        }

    /// "[0,1)", "(0,)", "[1,]"; "" is no limit. Raises ArgumentException on anything else: a plugin's mistake.
    let parse (text: string) =
        let text = text.Replace(" ", "")

        let bad () =
            raise (ArgumentException $"'{text}' is no range; write it like [0,1) or (0,)")

        let bound (part: string) (missing: float) =
            match Double.TryParse(part, NumberStyles.Float, CultureInfo.InvariantCulture) with
            | _ when part = "" -> missing
            | true, value -> value
            | _ -> bad ()

        if text = "" then
            all
        elif
            text.Length < 3
            || not ("[(".Contains text[0])
            || not ("])".Contains text[text.Length - 1])
        then
            bad ()
        else
            match text.Substring(1, text.Length - 2).Split ',' with
            | [| low; high |] ->
                {
                    Low = bound low Double.NegativeInfinity
                    LowOpen = text[0] = '('
                    High = bound high Double.PositiveInfinity
                    HighOpen = text.EndsWith ')'
                    Written = text
                }
            | _ -> bad ()

    let contains (value: float) range =
        (value > range.Low || value = range.Low && not range.LowOpen)
        && (value < range.High || value = range.High && not range.HighOpen)

    let atLeast (low: int) = parse $"[{low},)"

type internal Shape =
    | Anything
    | AnyText
    /// Texts, and other spellings of some, each with the text that it means.
    | Choice of names: string list * spellings: (string * string) list
    | Integer of Interval
    | Number of Interval
    | Truth
    | FilePath
    /// The name of something that the manifest declares: model, dataset, adapter, method, judge.
    | Name of kind: string
    | ListOf of Shape
    /// A mapping from names or texts of the user's choice.
    | MapOf of Shape
    /// A mapping from fields of rows to a file's columns.
    | RowFields
    | Either of Shape list
    | Record of FieldSpec list
    /// A record whose "type" (or other key) names a contract, whose options stand beside it.
    | Configured of kind: string * key: string * FieldSpec list

and internal FieldSpec =
    {
        Name: string
        Shape: Shape
        Required: bool
        Docs: string
    }

module internal Shape =
    let rec private flat shape =
        match shape with
        | Either shapes -> List.collect flat shapes
        | single -> [ single ]

    let rec describe shape =
        match shape with
        | Anything -> "any value"
        | AnyText -> "text"
        | Choice(names, _) -> String.Join(" | ", names)
        | Integer range -> ("an integer " + (if range.Written = "" then "" else "in " + range.Written)).TrimEnd()
        | Number range -> ("a number " + (if range.Written = "" then "" else "in " + range.Written)).TrimEnd()
        | Truth -> "true or false"
        | FilePath -> "a path"
        | Name kind -> $"the name of a {kind}"
        | ListOf _ -> "a list"
        | MapOf _ -> "a mapping from names"
        | RowFields -> "a mapping from fields of rows"
        | Either shapes -> String.Join(", or ", shapes |> List.collect flat |> List.map describe |> List.distinct)
        | Record _
        | Configured _ -> "a mapping"

    /// An option's Type, Range and Choices as a shape. Raises ArgumentException on an unknown type: a plugin's mistake.
    let ofOption (option: PeftAlign.Core.OptionSchema) =
        let range = lazy (Interval.parse option.Range)
        let choices = option.Choices |> List.ofSeq

        let spellings =
            [
                for text in option.ChoiceAliases do
                    match text.Split '=' with
                    | [| spelling; meant |] when List.contains meant choices -> spelling, meant
                    | _ ->
                        raise (
                            ArgumentException
                                $"option '{option.Name}' has the choice alias '{text}', which is not like 'spelling=choice'"
                        )
            ]

        let rec one (text: string) =
            if text.EndsWith("[]", StringComparison.Ordinal) then
                ListOf(one (text.Substring(0, text.Length - 2)))
            elif text.StartsWith '{' && text.EndsWith '}' then
                MapOf(one (text.Substring(1, text.Length - 2)))
            else
                match text with
                | "string" when not choices.IsEmpty -> Choice(choices, spellings)
                | "string" -> AnyText
                | "integer" -> Integer range.Value
                | "number" -> Number range.Value
                | "boolean" -> Truth
                | "path" -> FilePath
                | "any" -> Anything
                | "model"
                | "dataset"
                | "judge" -> Name text
                | other -> raise (ArgumentException $"option '{option.Name}' has the unknown type '{other}'")

        match option.Type.Split '|' |> Array.map (fun part -> one (part.Trim())) with
        | [| single |] -> single
        | several -> Either(List.ofArray several)
