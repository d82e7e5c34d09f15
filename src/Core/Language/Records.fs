// Records: Fields describes a mapping's keys once, for reading, for messages and for the JSON Schema.
// `fields { let! a = required ... and! b = optional ... return ... }` is applicative: every key is looked at, whatever went
// wrong with the others.
namespace PeftAlign.Core.Language

type internal Fields<'T> =
    {
        Specs: FieldSpec list
        Get: Context -> string -> Node -> 'T option
    }

type internal FieldsBuilder() =
    member _.MergeSources(a: Fields<'A>, b: Fields<'B>) : Fields<'A * 'B> =
        {
            Specs = a.Specs @ b.Specs
            Get =
                fun context path node ->
                    let first = a.Get context path node
                    let second = b.Get context path node
                    Option.map2 (fun x y -> x, y) first second
        }

    member _.BindReturn(source: Fields<'A>, f: 'A -> 'B) : Fields<'B> =
        {
            Specs = source.Specs
            Get = fun context path node -> source.Get context path node |> Option.map f
        }

module internal Records =
    open Readers

    let fields = FieldsBuilder()

    let entries (node: Node) =
        match node.Body with
        | Mapping entries -> entries
        | _ -> [||]

    let private find (node: Node) key =
        entries node |> Array.tryFind (fun entry -> entry.Key = key)

    let private isNothing (node: Node) =
        match node.Body with
        | Scalar(Scalars.Null, _) -> true
        | _ -> false

    let required key docs (reader: Reader<'T>) : Fields<'T> =
        {
            Specs =
                [
                    {
                        Name = key
                        Shape = reader.Shape
                        Required = true
                        Docs = docs
                    }
                ]
            Get =
                fun context path node ->
                    match find node key with
                    | Some entry -> reader.Read context (join path key) entry.Value
                    | None when node.Body.IsMapping ->
                        fault context node path $"the key '{key}' is missing; expected {Shape.describe reader.Shape}"
                    | None -> None
        }

    /// None where the key is absent or null.
    let optional key docs (reader: Reader<'T>) : Fields<'T option> =
        {
            Specs =
                [
                    {
                        Name = key
                        Shape = reader.Shape
                        Required = false
                        Docs = docs
                    }
                ]
            Get =
                fun context path node ->
                    match find node key with
                    | Some entry when not (isNothing entry.Value) ->
                        reader.Read context (join path key) entry.Value |> Option.map Some
                    | _ -> Some None
        }

    let withDefault key docs (value: 'T) (reader: Reader<'T>) : Fields<'T> =
        let field = optional key docs reader

        {
            Specs = field.Specs
            Get = fun context path node -> field.Get context path node |> Option.map (Option.defaultValue value)
        }

    /// The record's own node.
    let self: Fields<Node> =
        {
            Specs = []
            Get = fun _ _ node -> Some node
        }

    let isMapping context path (node: Node) shape =
        node.Body.IsMapping || (wrong context node path shape |> Option.isSome)

    /// A mapping with exactly these keys.
    let record (content: Fields<'T>) : Reader<'T> =
        let shape = Record content.Specs
        let names = content.Specs |> List.map (fun spec -> spec.Name)

        {
            Shape = shape
            Read =
                fun context path node ->
                    if not (isMapping context path node shape) then
                        None
                    else
                        let unknown =
                            entries node |> Array.filter (fun entry -> not (List.contains entry.Key names))

                        for entry in unknown do
                            context.Faults.Add(
                                entry.KeyMark,
                                join path entry.Key,
                                $"unknown key '{entry.Key}'{Suggest.hint names entry.Key}"
                            )

                        content.Get context path node
        }

    /// The entries of keys that are not these: a contract's options.
    let others (names: string list) (node: Node) =
        entries node
        |> Array.filter (fun entry -> not (List.contains entry.Key names))
        |> List.ofArray

    /// The entries of a mapping that may be left out; none, and a fault, where it is something else.
    let optionalEntries context path (node: Node option) =
        match node with
        | Some node when isMapping context path node (MapOf Anything) -> others [] node
        | _ -> []

    /// A mapping with these keys, whose fields themselves look at the others.
    let openRecord shape (content: Fields<'T>) : Reader<'T> =
        {
            Shape = shape
            Read =
                fun context path node ->
                    if isMapping context path node shape then
                        content.Get context path node
                    else
                        None
        }

    /// Goes on with what was read; the fields beside it are read whatever comes of it.
    let refine (next: Context -> string -> Node -> 'T -> 'U option) (content: Fields<'T>) : Fields<'U> =
        {
            Specs = content.Specs
            Get = fun context path node -> content.Get context path node |> Option.bind (next context path node)
        }

    let names (content: Fields<'T>) = content.Specs |> List.map _.Name

    let hasKey key (node: Node) = (find node key).IsSome
