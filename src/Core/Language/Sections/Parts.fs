// Readers of what a manifest is made of: sections of names, lists of rows, records that name a contract.
module internal PeftAlign.Core.Language.Parts

open PeftAlign.Core.Language
open PeftAlign.Core.Language.Readers
open PeftAlign.Core.Language.Records

/// What could be read of a list, and whether all of it could.
let rows (item: Reader<'T>) : Reader<'T list * bool> =
    {
        Shape = ListOf item.Shape
        Read =
            fun context path node ->
                match node.Body with
                | Sequence nodes ->
                    let items = nodes |> Array.mapi (fun i -> item.Read context (at path i))
                    Some(items |> Array.choose id |> List.ofArray, items |> Array.forall Option.isSome)
                | _ ->
                    Readers.wrong context node path (ListOf item.Shape)
                    |> Option.orElse (Some([], false))
    }

/// A mapping from names as a section; what could not be read keeps its name.
let section (item: Reader<'T>) : Reader<Section<'T>> =
    let reader = named item

    {
        Shape = reader.Shape
        Read =
            fun context path node ->
                let items = reader.Read context path node |> Option.defaultValue []

                Some
                    {
                        Marks = items |> List.map (fun (name, mark, _) -> name, mark)
                        Items =
                            items
                            |> List.choose (fun (name, _, item) -> item |> Option.map (fun item -> name, item))
                        Broken =
                            items
                            |> List.choose (fun (name, _, item) -> if item.IsNone then Some name else None)
                    }
    }

/// The contract of this kind and name, or a fault.
let contract context path kind (name: string) (mark: Place) =
    match context.Known.Find(kind, name) with
    | Ok found -> Some found
    | Error why ->
        context.Faults.Add(mark, path, why)
        None

/// The options' schemas of a contract.
let schemas (contract: Contract) = contract.Schema.Options |> List.ofSeq

/// A record that names a contract under `key` and holds its options beside `content`.
let configured kind key docs (content: Fields<'T>) allowGrid : Reader<'T * Options.Bound> =
    let beside = key :: names content

    let bound =
        required key docs (marked (filled (Name kind)))
        |> refine (fun context path node (name, mark) ->
            contract context (join path key) kind name mark
            |> Option.bind (fun contract ->
                let owner = $"the {kind} '{name}'"

                Options.bind context path owner node.Mark beside allowGrid (schemas contract) (others beside node)
                |> Option.map (fun options ->
                    {
                        Options.Contract = contract
                        Options.Options = Map options
                    })))

    let all =
        fields {
            let! own = content
            and! bound = bound
            return own, bound
        }

    openRecord (Configured(kind, key, all.Specs)) all

let tags =
    optional "tags" "Words by which selections find it." (oneOrMany (filled AnyText))
    |> fun field ->
        {
            Specs = field.Specs
            Get = fun context path node -> field.Get context path node |> Option.map (Option.defaultValue [])
        }

/// A list that may be absent.
let defaulted key docs (reader: Reader<'T list>) : Fields<'T list> = withDefault key docs [] reader

/// A record's place in the document.
let place: Fields<Place * string> =
    {
        Specs = []
        Get = fun _ path node -> Some(node.Mark, path)
    }

let benchmark: Reader<Benchmark> =
    let own = optional "name" "What reports call it; the type where absent." ownName

    configured "benchmark" "type" "The benchmark." own true
    |> map (fun (name, bound) ->
        {
            Label = name |> Option.defaultValue bound.Contract.Schema.Name
            Bound = bound
        })

let tracker: Reader<Options.Bound> =
    let nothing =
        {
            Specs = []
            Get = fun _ _ _ -> Some()
        }

    configured "tracker" "type" "The tracker." nothing false |> map snd
