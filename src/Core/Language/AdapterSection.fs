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
        match Given.text found.Schema.Alias with
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

let private adapterCore =
    fields {
        let! name =
            required "type" "The adapter's type." (marked (filled (Name "adapter type")))

        and! quantization =
            optional "quantization" "Train over a base quantised like this." (marked (filled AnyText))

        and! tags = tags
        return name, quantization, tags
    }

let adapter: Reader<Adapter> =
    let names = adapterCore.Specs |> List.map (fun spec -> spec.Name)

    recordWith
        (Configured("adapter", "type", adapterCore.Specs))
        adapterCore
        (fun context path node ((name, mark), quantization, tags) others ->
            expand context (join path "type") quantization name mark
            |> Option.bind (fun (found, quantization) ->
                let quantized =
                    quantization
                    |> Option.map (fun (name, mark) -> contract context (join path "quantization") "quantization" name mark)

                match quantized with
                | Some None -> None
                | _ ->
                    let quantized = quantized |> Option.bind id
                    let own = schemas found
                    let ownNames = own |> List.map _.Name |> set

                    let extra =
                        quantized
                        |> Option.map schemas
                        |> Option.defaultValue []
                        |> List.filter (fun schema -> not (ownNames.Contains schema.Name))

                    let owner = $"the adapter '{name}'"

                    Options.bind context path owner node.Mark names true (own @ extra) others
                    |> Option.map (fun options ->
                        let mine, others =
                            options |> List.partition (fun (name, _) -> ownNames.Contains name)

                        {
                            Bound = { Contract = found; Options = Map mine }
                            Quantization =
                                quantized
                                |> Option.map (fun contract ->
                                    {
                                        Contract = contract
                                        Options = Map others
                                    })
                            Tags = tags
                        })))
