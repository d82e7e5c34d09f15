// Readers turn nodes into values and collect faults. A reader carries its shape, for messages and the JSON Schema.
namespace PeftAlign.Core.Language

open System
open System.Collections.Generic
open System.Text.RegularExpressions

/// The use of a name that another place declares; checked when everything has been read.
[<Struct>]
type internal Use =
    {
        Kind: string
        Name: string
        Mark: Place
        Path: string
    }

type internal Context =
    {
        Faults: Faults
        Known: Known
        Uses: ResizeArray<Use>
    }

/// Read gives None after it reported at least one fault.
type internal Reader<'T> =
    {
        Shape: Shape
        Read: Context -> string -> Node -> 'T option
    }

module internal Readers =
    let join (path: string) (key: string) =
        if path = "" then key else path + "." + key

    let at (path: string) (index: int) = $"{path}[{index}]"

    let fault context (node: Node) path message =
        context.Faults.Add(node.Mark, path, message)
        None

    let wrong context (node: Node) path shape =
        match node.Body with
        | Broken -> None
        | Scalar(Scalars.Null, _) -> fault context node path $"a value is missing; expected {Shape.describe shape}"
        | _ -> fault context node path $"expected {Shape.describe shape}, not {Nodes.describe node}"

    /// A scalar reader: the function gives the value, or None for a wrong kind, or Some(Error why).
    let private scalar shape (pick: Scalars.Scalar -> string -> Result<'T, string> option) : Reader<'T> =
        {
            Shape = shape
            Read =
                fun context path node ->
                    match node.Body with
                    | Scalar(value, written) ->
                        match pick value written with
                        | Some(Ok result) -> Some result
                        | Some(Error why) -> fault context node path why
                        | None -> wrong context node path shape
                    | _ -> wrong context node path shape
        }

    let text: Reader<string> =
        {
            Shape = AnyText
            Read =
                fun context path node ->
                    match node.Body with
                    | Scalar(Scalars.Text value, _) -> Some value
                    | Scalar((Scalars.Whole _ | Scalars.Real _ | Scalars.Flag _), written) ->
                        fault context node path $"expected text, not {Nodes.describe node}; put it in quotes: '{written}'"
                    | _ -> wrong context node path AnyText
        }

    /// Text that may not be empty, and holds no control characters: no path and no name can.
    let filled shape : Reader<string> =
        {
            Shape = shape
            Read =
                fun context path node ->
                    match text.Read context path node with
                    | Some value when String.IsNullOrWhiteSpace value ->
                        fault context node path $"expected {Shape.describe shape}, not an empty text"
                    | Some value when value |> Seq.exists Char.IsControl ->
                        fault
                            context
                            node
                            path
                            $"{Suggest.shown value} holds a control character; write {Shape.describe shape} without it"
                    | value -> value
        }

    /// One of the names, or a spelling that means one.
    let spelt (names: string list) (spellings: (string * string) list) : Reader<string> =
        let one = String.Join(" | ", names)

        let pick value (_: string) =
            match value with
            | Scalars.Text name when List.contains name names -> Some(Ok name)
            | Scalars.Text name when spellings |> List.exists (fun (spelling, _) -> spelling = name) ->
                Some(Ok(spellings |> List.find (fun (spelling, _) -> spelling = name) |> snd))
            | Scalars.Text name -> Some(Error $"{Suggest.shown name} is not one of {one}{Suggest.near names name}")
            | _ -> None

        scalar (Choice(names, spellings)) pick

    let choice names = spelt names []

    let private limited (range: Interval) shown (value: float) result =
        if Interval.contains value range then
            Some(Ok result)
        else
            Some(Error $"{shown} is out of range; it must lie in {range.Written}")

    let integer range : Reader<int64> =
        scalar (Integer range) (fun value written ->
            match value with
            | Scalars.Whole whole -> limited range written (float whole) whole
            | Scalars.Real real when real = Math.Floor real && abs real < 9.0e15 -> limited range written real (int64 real)
            | _ -> None)

    /// An integer that fits 32 bits.
    let small range : Reader<int> =
        let reader = integer range

        {
            Shape = reader.Shape
            Read =
                fun context path node ->
                    match reader.Read context path node with
                    | Some value when value > int64 Int32.MaxValue || value < -(int64 Int32.MaxValue) ->
                        fault context node path $"{value} is out of range; the limit is {Int32.MaxValue}"
                    | value -> value |> Option.map int
        }

    let number range : Reader<float> =
        scalar (Number range) (fun value written ->
            match value with
            | Scalars.Whole whole -> limited range written (float whole) (float whole)
            | Scalars.Real real when Double.IsNaN real -> Some(Error "not a number (.nan) is no value here")
            | Scalars.Real real -> limited range written real real
            | _ -> None)

    let truth: Reader<bool> =
        scalar Truth (fun value written ->
            match value with
            | Scalars.Flag flag -> Some(Ok flag)
            | Scalars.Text("yes" | "no" | "on" | "off") ->
                Some(Error $"expected true or false; in YAML 1.2 '{written}' is a text")
            | _ -> None)

    let map (f: 'A -> 'B) (reader: Reader<'A>) : Reader<'B> =
        {
            Shape = reader.Shape
            Read = fun context path node -> reader.Read context path node |> Option.map f
        }

    /// The value with its position.
    let marked (reader: Reader<'T>) : Reader<'T * Place> =
        {
            Shape = reader.Shape
            Read = fun context path node -> reader.Read context path node |> Option.map (fun value -> value, node.Mark)
        }

    let private all (items: 'T option seq) =
        let items = Seq.toList items

        if items |> List.forall Option.isSome then
            Some(items |> List.map Option.get)
        else
            None

    let list (item: Reader<'T>) : Reader<'T list> =
        {
            Shape = ListOf item.Shape
            Read =
                fun context path node ->
                    match node.Body with
                    | Sequence nodes -> nodes |> Array.mapi (fun i -> item.Read context (at path i)) |> all
                    | _ -> wrong context node path (ListOf item.Shape)
        }

    /// A list that must hold something.
    let filledList (item: Reader<'T>) : Reader<'T list> =
        let reader = list item

        {
            Shape = reader.Shape
            Read =
                fun context path node ->
                    match reader.Read context path node with
                    | Some [] -> fault context node path "the list is empty; name at least one"
                    | value -> value
        }

    /// One value, or a list that holds at least one.
    let oneOrMany (item: Reader<'T>) : Reader<'T list> =
        let many = filledList item

        {
            Shape = Either [ item.Shape; many.Shape ]
            Read =
                fun context path node ->
                    match node.Body with
                    | Sequence _ -> many.Read context path node
                    | _ -> item.Read context path node |> Option.map List.singleton
        }

    let private isName (name: string) =
        Regex.IsMatch(name, @"^[A-Za-z0-9_][A-Za-z0-9_.+\-]*\z")

    let private noName (name: string) =
        $"{Suggest.shown name} is no name; use letters, digits, '.', '_', '-' and '+'"

    /// The name that a thing gives itself; labels and selections are made of them.
    let ownName: Reader<string> =
        let reader = filled AnyText

        {
            Shape = reader.Shape
            Read =
                fun context path node ->
                    match reader.Read context path node with
                    | Some name when not (isName name) -> fault context node path (noName name)
                    | found -> found
        }

    /// A mapping whose keys are what the function finds no fault with.
    let private keyed (wrongKey: string -> string option) (item: Reader<'T>) : Reader<(string * Place * 'T option) list> =
        {
            Shape = MapOf item.Shape
            Read =
                fun context path node ->
                    match node.Body with
                    | Mapping entries ->
                        Some
                            [
                                for entry in entries do
                                    wrongKey entry.Key
                                    |> Option.iter (fun why -> context.Faults.Add(entry.KeyMark, path, why))

                                    entry.Key, entry.KeyMark, item.Read context (join path entry.Key) entry.Value
                            ]
                    | Scalar(Scalars.Null, _) -> Some []
                    | _ -> wrong context node path (MapOf item.Shape)
        }

    /// A mapping from names; an entry whose value is broken keeps its name, so that uses of it are not called dangling.
    let named (item: Reader<'T>) : Reader<(string * Place * 'T option) list> =
        item |> keyed (fun key -> if isName key then None else Some(noName key))

    /// A mapping of an option, whose keys are texts of the user's choice, such as expressions for names of layers.
    let texts (item: Reader<'T>) : Reader<(string * Place * 'T option) list> =
        item
        |> keyed (fun key ->
            if String.IsNullOrWhiteSpace key then
                Some "a key is empty; write what the value is for"
            else
                None)

    /// Notes what is read as a name of that kind: whether there is one so called is asked when all is read.
    let noted kind (reader: Reader<string>) : Reader<string> =
        { reader with
            Read =
                fun context path node ->
                    let found = reader.Read context path node

                    found
                    |> Option.iter (fun name ->
                        context.Uses.Add
                            {
                                Kind = kind
                                Name = name
                                Mark = node.Mark
                                Path = path
                            })

                    found
        }

    /// The name of something declared elsewhere.
    let name kind : Reader<string> =
        noted
            kind
            { filled (Name kind) with
                Shape = Name kind
            }

    /// Reads what the functions choose by the node's look.
    let byLook shape (choose: Node -> Reader<'T> option) : Reader<'T> =
        {
            Shape = shape
            Read =
                fun context path node ->
                    match choose node with
                    | Some reader -> reader.Read context path node
                    | None -> wrong context node path shape
        }
