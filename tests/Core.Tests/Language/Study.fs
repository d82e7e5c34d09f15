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

/// Writes a study; order decides how things that have no order are written, edit what each value is.
type private Writer(order: Random, edit: string -> string, study: Study) =
    let shuffled (items: 'T list) =
        items |> List.sortBy (fun _ -> order.Next())

    let mapping (entries: (string * string) list) =
        let written = [ for key, value in shuffled entries -> $"{key}: {edit value}" ]
        "{ " + String.concat ", " written + " }"

    let names prefix (numbers: int list) =
        numbers |> shuffled |> List.map (fun n -> $"{prefix}{n}") |> flow

    let section name (entries: (string * string) list) =
        let lines = [ for key, value in shuffled entries -> $"  {key}: {value}\n" ]
        name + ":\n" + String.concat "" lines

    let rows name (items: string list) =
        let lines = [ for item in shuffled items -> $"  - {item}\n" ]
        name + ":\n" + String.concat "" lines

    let chain (methods: int list) =
        flow (methods |> List.map (fun n -> $"x{n}"))

    let model n =
        $"m{n}", mapping [ "path", $"models/m{n}"; "chat_template", "plain" ]

    let dataset n =
        $"d{n}", mapping [ "reader", "jsonl"; "path", $"data/d{n}"; "take", "90" ]

    let method (i, (steps, rate, adapted)) =
        let options =
            [
                "type", "sft"
                "max_steps", string (1000 * (i + 1) + steps)
                "learning_rate", $"{rate}.0e-{i + 3}"
            ]

        $"x{i + 1}", mapping (if adapted then ("adapter", "low") :: options else options)

    let row (models, datasets, chains) =
        mapping
            [
                "models", names "m" models
                "datasets", names "d" datasets
                "methods", flow (chains |> shuffled |> List.map chain)
            ]

    let merge =
        [
            "name", "blend"
            "method", "dare_ties"
            "of", "{ model: m1, method: [[x1]], dataset: [d1, d2] }"
            "across", "dataset"
            "parameters", "{ density: 0.5 }"
        ]

    let evaluation () =
        let benchmarks =
            study.Benchmarks
            |> shuffled
            |> List.map (fun n -> $"{{ type: mmlu, path: bench/{n} }}")

        let of' =
            if study.Merges.IsEmpty then
                "[untouched, trained]"
            else
                "[untouched, trained, merged]"

        mapping [ "of", of'; "with", flow benchmarks ]

    member _.Sections() =
        [
            "seeds: " + flow (study.Seeds |> shuffled |> List.map string) + "\n"
            section "models" (List.map model [ 1 .. study.Models ])
            section "datasets" (List.map dataset [ 1 .. study.Datasets ])
            section "adapters" [ "low", mapping [ "type", "lora"; "rank", "16"; "dropout", "0.05" ] ]
            section "methods" (study.Methods |> List.indexed |> List.map method)
            rows "train" (study.Rows |> List.map row)
            if not study.Merges.IsEmpty then
                rows "merge" [ mapping merge ]
            rows "evaluate" [ evaluation () ]
            "report: {}\n"
        ]
        |> shuffled

/// The manifest of a study.
let write (order: Random) (edit: string -> string) (study: Study) : string =
    "peftalign: 1\n" + String.concat "" (Writer(order, edit, study).Sections())
