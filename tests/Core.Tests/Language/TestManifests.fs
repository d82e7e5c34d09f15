// Manifests that tests share, and short ways to read and plan one.
module PeftAlign.Core.Tests.Language.TestManifests

open System
open System.Text.RegularExpressions
open NUnit.Framework
open PeftAlign.Core

let read (overrides: string list) (text: string) =
    Manifests.Read(text, "test.yaml", TestCatalogue.catalogue, Array.ofList overrides)

let private show (faults: Fault seq) =
    faults |> Seq.map string |> String.concat Environment.NewLine

let experiment text =
    match (read [] text).Experiment with
    | null -> failwith (show (read [] text).Faults)
    | found -> found

/// A path's name stands for its content.
let byName = Func<string, string>(fun path -> "h:" + path)

let planWith (overrides: string list) text : Plan =
    let result = read overrides text

    match result.Experiment with
    | null -> failwith (show result.Faults)
    | found ->
        let planned = Plans.Create(found, byName)

        match planned.Plan with
        | null -> failwith (show planned.Faults)
        | plan -> plan

let plan text = planWith [] text

/// Faults of reading, or of planning where reading finds none.
let faults text : Fault list =
    let result = read [] text

    match result.Experiment with
    | null -> List.ofSeq result.Faults
    | found -> List.ofSeq (Plans.Create(found, byName)).Faults

let ofKind kind (plan: Plan) =
    plan.Jobs |> Seq.filter (fun job -> job.Kind = kind) |> List.ofSeq

let count kind plan = (ofKind kind plan).Length

let ids (plan: Plan) = plan.Jobs |> Seq.map _.Id |> Set.ofSeq

let labels kind plan =
    ofKind kind plan |> List.map _.Label |> List.sort

let job label (plan: Plan) =
    match plan.Jobs |> Seq.filter (fun job -> Seq.contains label job.Labels) |> List.ofSeq with
    | [ one ] -> one
    | found ->
        let known = plan.Jobs |> Seq.map _.Label |> String.concat "\n"
        failwith $"{found.Length} jobs are called {label}; there are\n{known}"

/// Fails unless one fault stands on this line and says this.
let expect (line: int) (pattern: string) (found: Fault list) =
    let hit =
        found
        |> List.exists (fun fault -> fault.Line = line && Regex.IsMatch(fault.Message, pattern))

    Assert.That(hit, Is.True, $"no fault on line {line} matches '{pattern}' in\n{show found}")

let quickstart =
    """peftalign: 1
name: quickstart
seeds: [1]
models:
  tiny: { init: llama, set: { hidden_size: 64, num_hidden_layers: 2 }, tokenizer: bytes }
  taught: { run: { model: tiny, method: sft-full } }
datasets:
  world: { reader: synthetic, rows: 300, seed: 7 }
  facts: { reader: jsonl, path: facts.jsonl }
adapters:
  small: { type: lora, rank: 4, alpha: 8, targets: [q_proj, v_proj] }
methods:
  sft-full: { type: sft, learning_rate: 1e-3, max_steps: 30, batch_size: 8 }
  sft-lora: { type: sft, adapter: small, learning_rate: 2.0e-3, max_steps: 20, batch_size: 8 }
train:
  - { models: tiny, datasets: world, methods: sft-full }
  - { models: taught, datasets: facts, methods: sft-lora }
evaluate:
  - of: [untouched, trained]
    with: { type: perplexity, path: facts.jsonl }
report: {}
"""

/// F# equality with both values in the message.
let same (expected: 'T) (actual: 'T) =
    if actual <> expected then
        Assert.Fail $"expected {expected}\nbut was  {actual}"

/// A small world for rows to stand in.
let header =
    """peftalign: 1
seeds: [1, 2]
models:
  a: { path: models/a, tags: [small] }
  b: { path: models/b, chat_template: vicuna }
datasets:
  d: { reader: jsonl, path: d.jsonl, tags: [news] }
  e: { reader: jsonl, path: e.jsonl, split: train, take: 100, map: { prompt: question } }
  mix: { mixture: { d: 1, e: 3 } }
adapters:
  l8: { type: lora, rank: 8 }
  l16: { type: lora, rank: 16 }
methods:
  sft: { type: sft, epochs: 9 }
  dpo: { type: dpo, adapter: l8, max_steps: 100 }
judges:
  tox: { type: classifier, path: models/tox }
"""

let planned rows = plan (header + rows)

/// A manifest's trainings, with one row.
let train (row: string) = $"train:\n  - {{ {row} }}\n"
