// The manifest's JSON Schema (draft 2020-12), made from the same shapes that read it, and from the plugins' options: what an
// editor completes is what the reader accepts. References between names are texts here.
module internal PeftAlign.Core.Language.JsonSchema

open System
open PeftAlign.Core

let private words (names: string list) = List(names |> List.map Text)

let private anyOf (schemas: Tree list) =
    match List.distinct schemas with
    | [] -> Flag false // nothing is known that could stand here
    | [ one ] -> one
    | several -> Map [ "anyOf", List several ]

let private nothing = Map [ "type", Text "null" ]

let private bounds kind (range: Interval) =
    let bound key openKey isOpen (value: float) =
        if Double.IsFinite value then
            [ (if isOpen then openKey else key), Real value ]
        else
            []

    Map(
        ("type", Text kind)
        :: bound "minimum" "exclusiveMinimum" range.LowOpen range.Low
        @ bound "maximum" "exclusiveMaximum" range.HighOpen range.High
    )

let private described docs schema =
    match schema with
    | Map entries when docs <> "" -> Map(entries @ [ "description", Text docs ])
    | other -> other

/// A closed mapping.
let private object (required: string list) (properties: (string * Tree) list) =
    Map
        [
            "type", Text "object"
            "properties", Map(properties |> List.distinctBy fst)
            if not required.IsEmpty then
                "required", words required
            "additionalProperties", Flag false
        ]

/// Methods, adapters and benchmarks take `{ grid: [...] }` on a value.
let private withGrid schema =
    let grid =
        object [ "grid" ] [ "grid", Map [ "type", Text "array"; "items", schema; "minItems", Whole 1L ] ]

    anyOf [ schema; grid ]

/// Parameters of merges may differ between layers and tensors (MergeParameters).
let private withVaried scalar schema =
    let layers =
        object
            [ "layers" ]
            [
                "layers", Map [ "type", Text "array"; "items", scalar; "minItems", Whole 1L ]
            ]

    let listOf item =
        Map [ "type", Text "array"; "items", item ]

    let one = anyOf [ scalar; layers ]

    let case =
        object [ "value" ] [ "filter", Map [ "type", Text "string" ]; "value", one ]

    anyOf [ schema; layers; listOf one; listOf case ]

let rec private ofShape (known: Known) shape : Tree =
    match shape with
    | Anything -> Map []
    | Name "architecture" -> Map [ "enum", words (known.Names "architecture") ]
    | AnyText
    | FilePath
    | Name _ -> Map [ "type", Text "string" ]
    | Choice(names, spellings) -> Map [ "enum", words (names @ List.map fst spellings) ]
    | Integer range -> bounds "integer" range
    | Number range -> bounds "number" range
    | Truth -> Map [ "type", Text "boolean" ]
    | ListOf inner -> Map [ "type", Text "array"; "items", ofShape known inner ]
    | MapOf inner -> Map [ "type", Text "object"; "additionalProperties", ofShape known inner ]
    | RowFields ->
        object
            []
            (DatasetSection.rowFields known
             |> List.map (fun field -> field, Map [ "type", Text "string" ]))
    | Either shapes -> anyOf (shapes |> List.map (ofShape known))
    | Record specs -> object (required specs) (properties known specs)
    | Configured(kind, key, specs) -> anyOf (known.OfKind kind |> List.map (configured known kind key specs))

and private required specs =
    specs |> List.filter _.Required |> List.map _.Name

and private properties known specs =
    specs
    |> List.map (fun spec ->
        let schema = ofShape known spec.Shape |> described spec.Docs
        spec.Name, (if spec.Required then schema else anyOf [ schema; nothing ]))

/// One contract: its name fixed, its options beside the record's own keys.
and private configured known kind key specs contract =
    let hasGrid = List.contains kind [ "method"; "adapter"; "benchmark" ]
    let schemas = optionsOf known kind contract

    let option (schema: OptionSchema) =
        let value = Shape.ofOption schema |> ofShape known
        let value = if hasGrid then withGrid value else value

        let value =
            if kind = "merge" then
                match Shape.ofOption schema with
                | Either shapes -> withVaried (ofShape known (shapes |> List.find (fun shape -> not shape.IsListOf))) value
                | _ -> withVaried value value
            else
                value

        let value = anyOf [ value; nothing ] |> described schema.Docs

        [ schema.Name; yield! schema.Aliases ] |> List.map (fun name -> name, value)

    let fixedKey =
        if key = "" then
            []
        else
            [
                key, Map [ "enum", words (List.distinct [ contract.Schema.Name; contract.Name ]) ]
            ]

    // An alias stands for a required option too, and a judge made in the run has no path: those are left to the reader.
    let needed =
        schemas
        |> List.filter (fun schema -> schema.Required && Seq.isEmpty (schema.Aliases) && kind <> "judge")
        |> List.map _.Name

    object (required specs @ needed |> List.distinct) (fixedKey @ properties known specs @ (schemas |> List.collect option))

/// All options that may stand beside a contract's name.
and private optionsOf known kind contract =
    let own = Parts.schemas contract

    match kind with
    | "method" -> TrainingOptions.withMethod (contract.Schema.Traits) own
    | "adapter" ->
        let target =
            match contract.Schema.Alias with
            | "" -> own
            | alias ->
                match Tree.find "type" (Tree.ofJson alias) with
                | Some(Text name) ->
                    match known.Find("adapter", name) with
                    | Ok found -> Parts.schemas found
                    | Error _ -> []
                | _ -> []

        target @ (known.OfKind "quantization" |> List.collect Parts.schemas)
    | _ -> own

/// The schema of manifests over these plugins.
let generate (known: Known) : Tree =
    match ofShape known Document.reader.Shape with
    | Map entries ->
        Map(
            [
                "$schema", Text "https://json-schema.org/draft/2020-12/schema"
                "title", Text "PeftAlign manifest"
            ]
            @ entries
        )
    | other -> other
