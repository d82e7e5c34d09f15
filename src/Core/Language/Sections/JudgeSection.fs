// Reading `judges`: a classifier, a service, or a model made in the run.
module internal PeftAlign.Core.Language.JudgeSection

open PeftAlign.Core.Language
open PeftAlign.Core.Language.Readers
open PeftAlign.Core.Language.Records
open PeftAlign.Core.Language.Parts

let private judgeMade: Reader<Judge> =
    let source =
        byLook (Either [ (record ModelSection.fromRun).Shape; ModelSection.fresh.Shape ]) (fun node ->
            if hasKey "run" node then
                Some(record ModelSection.fromRun)
            else
                Some ModelSection.fresh)

    let sourceKeys = [ "run"; "init"; "set"; "tokenizer"; "seed" ]

    let made specs = Configured("judge", "type", specs)

    let shape =
        Either [ made ModelSection.fromRun.Specs; made ModelSection.architecture.Specs ]

    {
        Shape = shape
        Read =
            fun context path node ->
                let all = entries node

                let part keep =
                    Node(node.Mark, Mapping(all |> Array.filter (fun entry -> keep entry.Key)))

                let isSource key = List.contains key sourceKeys
                let made = source.Read context path (part isSource)

                let name, mark =
                    match all |> Array.tryFind (fun entry -> entry.Key = "type") with
                    | Some { Value = value } ->
                        (filled AnyText).Read context (join path "type") value |> Option.defaultValue "", value.Mark
                    | None -> "classifier", node.Mark

                if name = "" then
                    None
                else
                    contract context (join path "type") "judge" name mark
                    |> Option.bind (fun found ->
                        // What the run makes stands for the path.
                        let wanted = schemas found |> List.filter (fun schema -> schema.Name <> "path")

                        let given =
                            all
                            |> Array.filter (fun entry -> entry.Key <> "type" && not (isSource entry.Key))
                            |> List.ofArray

                        Options.bind context path $"the judge '{name}'" node.Mark sourceKeys false wanted given
                        |> Option.map2
                            (fun source options ->
                                {
                                    Bound =
                                        {
                                            Contract = found
                                            Options = Map options
                                        }
                                    Source = Some source
                                })
                            made)
    }

let judge: Reader<Judge> =
    let nothing =
        {
            Specs = []
            Get = fun _ _ _ -> Some()
        }

    let plain =
        configured "judge" "type" "The judge's type." nothing false
        |> map (fun ((), bound) -> { Bound = bound; Source = None })

    byLook (Either [ plain.Shape; judgeMade.Shape ]) (fun node ->
        if not node.Body.IsMapping then
            None
        elif hasKey "run" node || hasKey "init" node then
            Some judgeMade
        else
            Some plain)
