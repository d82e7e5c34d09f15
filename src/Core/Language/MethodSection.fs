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

let private methodCore =
    fields {
        let! node = self
        and! name = required "type" "The method." (marked (filled (Name "method type")))

        and! adapter =
            optional "adapter" "An adapter's name; full fine-tuning where absent." Selections.adapterName

        and! select = optional "select" "Keeps one variant of a grid." select
        and! tags = tags
        return node, name, adapter, select, tags
    }

/// Options are bound by Methods.bind, since rows may override them.
let method: Reader<Method> =
    recordWith
        (Configured("method", "type", methodCore.Specs))
        methodCore
        (fun context path _ (node, (name, mark), adapter, select, tags) others ->
            contract context (join path "type") "method" name mark
            |> Option.map (fun found ->
                {
                    Contract = found
                    Mark = node.Mark
                    Entries = others
                    Adapter = adapter |> Option.filter ((<>) "none")
                    Select = select
                    Tags = tags
                }))
