// Reading `methods`: a method's type, its adapter, and its options as written.
module internal PeftAlign.Core.Language.MethodSection

open PeftAlign.Core.Language
open PeftAlign.Core.Language.Readers
open PeftAlign.Core.Language.Records
open PeftAlign.Core.Language.Parts

let private select: Reader<Select> =
    record (
        fields {
            let! by = required "by" "A metric of the training job." (filled AnyText)

            and! mode =
                optional "mode" "min or max; min for losses where absent." (choice [ "min"; "max" ])

            return
                {
                    By = by
                    Largest =
                        match mode with
                        | Some mode -> mode = "max"
                        | None -> not (by.Contains "loss" || by.Contains "perplexity")
                }
        }
    )

let private beside = [ "type"; "adapter"; "select"; "tags" ]

/// Options are bound by Methods.bind, since rows may override them.
let private content =
    let known =
        required "type" "The method." (marked (filled (Name "method type")))
        |> refine (fun context path _ (name, mark) -> contract context (join path "type") "method" name mark)

    fields {
        let! node = self
        and! contract = known

        and! adapter =
            optional "adapter" "An adapter's name; full fine-tuning where absent." Selections.adapterName

        and! select = optional "select" "Keeps one variant of a grid." select
        and! tags = tags

        return
            {
                Contract = contract
                Mark = node.Mark
                Entries = others beside node
                Adapter = adapter |> Option.filter ((<>) "none")
                Select = select
                Tags = tags
            }
    }

let method: Reader<Method> =
    openRecord (Configured("method", "type", content.Specs)) content
