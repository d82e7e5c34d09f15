// Reading selections: a mapping from axes to accepted values.
module internal PeftAlign.Core.Language.Selections

open PeftAlign.Core.Language
open PeftAlign.Core.Language.Readers
open PeftAlign.Core.Language.Records

/// The axes of a trained or merged policy, in the order of labels.
let axes =
    [
        "model"
        "dataset"
        "method"
        "adapter"
        "seed"
        "stage"
        "tag"
        "merge"
        "row"
        "kind"
    ]

/// How the names of a chain's methods make one name.
let chainName (methods: string list) = String.concat ">" methods

/// A chain as a selection writes it: this chain and no longer one, even where it has one stage.
let exactly (chain: string) = "=" + chain

/// An adapter's name, or "none" for full fine-tuning.
let adapterName: Reader<string> =
    let named = name "adapter"

    {
        Shape = Either [ Choice([ "none" ], []); Name "adapter" ]
        Read =
            fun context path node ->
                match node.Body with
                | Scalar(Scalars.Text "none", _) -> Some "none"
                | _ -> named.Read context path node
    }

/// A method's name, or a list of them for exactly that chain.
let private methodOrChain: Reader<string> =
    let one = name "method"
    let chain = filledList one

    byLook (Either [ one.Shape; chain.Shape ]) (fun node ->
        match node.Body with
        | Sequence _ -> Some(map (chainName >> exactly) chain)
        | _ -> Some one)

let private positive = small (Interval.atLeast 1)

/// A seed or a stage; that there is one is checked as names are.
let private number kind range : Reader<string> = small range |> map string |> noted kind

let reader: Reader<Selection> =
    let axis key docs item = optional key docs (oneOrMany item)

    let content =
        fields {
            let! node = self
            and! model = axis "model" "Models, by name." (name "model")
            and! dataset = axis "dataset" "Data sets, by name." (name "dataset")

            and! methods =
                axis "method" "Keys under methods; a list in the list is a chain." methodOrChain

            and! adapter = axis "adapter" "Adapters, by name, or none." adapterName
            and! seed = axis "seed" "Seeds." (number "seed" Interval.all)

            and! stage =
                axis "stage" "Stages of a chain, from 1; the last where absent." (number "stage" (Interval.atLeast 1))

            and! tag =
                axis "tag" "Tags of models, data sets, methods, adapters, rows or merges." (name "tag")

            and! merge = axis "merge" "Merges, by name." (name "merge")
            and! row = axis "row" "Rows under train, by name." (name "row")

            and! kind =
                axis "kind" "What kind of policy." (choice [ "untouched"; "trained"; "merged" ])

            and! checkpoints =
                optional "checkpoints" "Steps whose checkpoints are kept and taken." (oneOrMany positive)

            let values =
                [ model; dataset; methods; adapter; seed; stage; tag; merge; row; kind ]

            return
                {
                    Mark = node.Mark
                    Path = ""
                    Axes =
                        List.zip axes values
                        |> List.choose (fun (axis, found) -> found |> Option.map (fun found -> axis, found))
                    Checkpoints = checkpoints |> Option.defaultValue [] |> List.distinct
                }
        }

    let inner = record content

    {
        Shape = inner.Shape
        Read =
            fun context path node ->
                inner.Read context path node
                |> Option.map (fun selection -> { selection with Path = path })
    }
