// Reading `adapters`: an adapter's type with its options, perhaps over a quantised base.
module internal PeftAlign.Core.Language.AdapterSection

open PeftAlign.Core.Language
open PeftAlign.Core.Language.Readers
open PeftAlign.Core.Language.Records
open PeftAlign.Core.Language.Parts

/// What an adapter's type stands for: its contract and perhaps a quantisation (qlora = lora + nf4).
let private expand context path kind name mark =
    contract context path "adapter" name mark
    |> Option.bind (fun found ->
        match found.Schema.Alias with
        | "" -> Some(found, kind)
        | alias ->
            let tree = Tree.ofJson alias

            let word key =
                match Tree.find key tree with
                | Some(Text text) -> Some text
                | _ -> None

            contract context path "adapter" (word "type" |> Option.defaultValue "") mark
            |> Option.map (fun target ->
                target,
                kind
                |> Option.orElse (word "quantization" |> Option.map (fun name -> name, mark))))

let private beside = [ "type"; "quantization"; "tags" ]

/// The options of the adapter and, where the base is quantised, of the quantisation; a name that both have is the adapter's.
let private bind context path (node: Node) ((name, mark), quantization) =
    expand context (join path "type") quantization name mark
    |> Option.bind (fun (found, quantization) ->
        let quantized =
            quantization
            |> Option.map (fun (name, mark) -> contract context (join path "quantization") "quantization" name mark)

        if quantized |> Option.exists Option.isNone then
            None
        else
            let quantized = Option.flatten quantized
            let own = schemas found
            let ownNames = own |> List.map _.Name |> set
            let extra = quantized |> Option.map schemas |> Option.defaultValue []

            let all =
                own @ (extra |> List.filter (fun schema -> not (ownNames.Contains schema.Name)))

            Options.bind context path $"the adapter '{name}'" node.Mark beside true all (others beside node)
            |> Option.map (fun options ->
                let mine, others =
                    options |> List.partition (fun (name, _) -> ownNames.Contains name)

                let bound: Options.Bound = { Contract = found; Options = Map mine }

                bound,
                quantized
                |> Option.map (fun found ->
                    {
                        Options.Contract = found
                        Options.Options = Map others
                    })))

let private content =
    let types =
        fields {
            let! name =
                required "type" "The adapter's type." (marked (filled (Name "adapter type")))

            and! quantization =
                optional "quantization" "Train over a base quantised like this." (marked (filled AnyText))

            return name, quantization
        }

    fields {
        let! bound, quantization = refine bind types
        and! tags = tags

        return
            {
                Bound = bound
                Quantization = quantization
                Tags = tags
            }
    }

let adapter: Reader<Adapter> =
    openRecord (Configured("adapter", "type", content.Specs)) content
