// Random studies: a small description from which manifests are written, in any order of sections, keys and rows.
module PeftAlign.Core.Tests.Language.Study

open System
open FsCheck
open FsCheck.FSharp

/// Numbers stand for names and values: model 2 is "m2" with the path "models/m2".
type Study =
    {
        Seeds: int list
        Models: int
        Datasets: int
        /// For each method: its step count, its learning rate and whether it has the adapter.
        Methods: (int * int * bool) list
        /// For each row: models, data sets, chains of methods.
        Rows: (int list * int list * int list list) list
        Merges: int list
        Benchmarks: int list
    }

let private some (items: 'T list) =
    gen {
        let! count = Gen.choose (1, items.Length)
        let! shuffled = Gen.shuffle (Array.ofList items)
        return shuffled |> Array.truncate count |> List.ofArray
    }

let private row models datasets methods =
    gen {
        let! rowModels = some [ 1..models ]
        let! rowDatasets = some [ 1..datasets ]
        let! chainCount = Gen.choose (1, 3)

        let! chains =
            Gen.listOfLength
                chainCount
                (Gen.choose (1, 3)
                 |> Gen.bind (fun n -> Gen.listOfLength n (Gen.choose (1, methods))))

        return rowModels, rowDatasets, List.distinct chains
    }

let private study =
    gen {
        let! models = Gen.choose (1, 3)
        let! datasets = Gen.choose (2, 3)
        let! methodCount = Gen.choose (1, 3)
        let! seeds = some [ 1; 2; 3 ]

        let! methods =
            Gen.listOfLength methodCount (Gen.zip3 (Gen.choose (1, 50)) (Gen.choose (1, 9)) (Gen.elements [ true; false ]))

        let! rowCount = Gen.choose (1, 3)
        let! rows = Gen.listOfLength rowCount (row models datasets methodCount)
        // A merge needs two data sets under one single-stage method.
        let! wantsMerge = Gen.elements [ true; false ]
        let! benchmarks = some [ 1..3 ]

        let rows =
            if wantsMerge then
                rows @ [ [ 1 ], [ 1..datasets ], [ [ 1 ] ] ]
            else
                rows

        return
            {
                Seeds = seeds
                Models = models
                Datasets = datasets
                Methods = methods
                Rows = rows
                Merges = (if wantsMerge then [ 1 ] else [])
                Benchmarks = benchmarks
            }
    }

type Studies =
    static member Study() = Arb.fromGen study

let private flow (names: string list) = "[" + String.concat ", " names + "]"

/// The manifest; order decides how things that have no order are written, edit what each value is.
let write (order: Random) (edit: string -> string) (study: Study) : string =
    let shuffled (items: 'T list) =
        items |> List.sortBy (fun _ -> order.Next())

    let mapping (entries: (string * string) list) =
        "{ "
        + String.concat ", " [ for key, value in shuffled entries -> $"{key}: {edit value}" ]
        + " }"

    let names prefix (numbers: int list) =
        numbers |> shuffled |> List.map (fun n -> $"{prefix}{n}") |> flow

    let section name (entries: (string * string) list) =
        name
        + ":\n"
        + String.concat "" [ for key, value in shuffled entries -> $"  {key}: {value}\n" ]

    let rows name (items: string list) =
        name
        + ":\n"
        + String.concat "" [ for item in shuffled items -> $"  - {item}\n" ]

    let chain (methods: int list) =
        flow (methods |> List.map (fun n -> $"x{n}"))

    [
        "peftalign: 1\n"
        "seeds: " + flow (study.Seeds |> shuffled |> List.map string) + "\n"
        section
            "models"
            [
                for n in 1 .. study.Models -> $"m{n}", mapping [ "path", $"models/m{n}"; "chat_template", "plain" ]
            ]
        section
            "datasets"
            [
                for n in 1 .. study.Datasets -> $"d{n}", mapping [ "reader", "jsonl"; "path", $"data/d{n}"; "take", "90" ]
            ]
        section "adapters" [ "low", mapping [ "type", "lora"; "rank", "16"; "dropout", "0.05" ] ]
        section
            "methods"
            [
                for i, (steps, rate, adapted) in List.indexed study.Methods ->
                    $"x{i + 1}",
                    mapping
                        [
                            "type", "sft"
                            "max_steps", string (1000 * (i + 1) + steps)
                            "learning_rate", $"{rate}.0e-{i + 3}"
                            if adapted then
                                "adapter", "low"
                        ]
            ]
        rows
            "train"
            [
                for models, datasets, chains in study.Rows ->
                    mapping
                        [
                            "models", names "m" models
                            "datasets", names "d" datasets
                            "methods", flow (chains |> shuffled |> List.map chain)
                        ]
            ]
        if not study.Merges.IsEmpty then
            let parents = "{ model: m1, method: [[x1]], dataset: [d1, d2] }"

            rows
                "merge"
                [
                    mapping
                        [
                            "name", "blend"
                            "method", "dare_ties"
                            "of", parents
                            "across", "dataset"
                            "parameters", "{ density: 0.5 }"
                        ]
                ]
        rows
            "evaluate"
            [
                mapping
                    [
                        "of", "[untouched, trained" + (if study.Merges.IsEmpty then "]" else ", merged]")
                        "with",
                        flow (
                            study.Benchmarks
                            |> shuffled
                            |> List.map (fun n -> $"{{ type: mmlu, path: bench/{n} }}")
                        )
                    ]
            ]
        "report: {}\n"
    ]
    |> fun parts -> List.head parts :: shuffled (List.tail parts)
    |> String.concat ""
