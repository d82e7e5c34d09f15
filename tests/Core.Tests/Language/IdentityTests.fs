// What a job's id means, on random studies: plans are complete and without circles; order does not count; an evaluator adds
// evaluations only; a field that matters changes exactly the ids downstream.
module PeftAlign.Core.Tests.Language.IdentityTests

open System
open System.Collections.Generic
open NUnit.Framework
open PeftAlign.Core
open PeftAlign.Core.Tests.Language.Study
open PeftAlign.Core.Tests.Language.TestManifests

let private planned study = plan (write (Random 1) id study)

/// Labels of the jobs that satisfy the condition, and of all that depend on them.
let private downstream (isTouched: PlanJob -> bool) (plan: Plan) =
    let touched = HashSet<string>()

    for job in plan.Jobs do
        if isTouched job || job.DependsOn |> Seq.exists touched.Contains then
            touched.Add job.Id |> ignore

    plan.Jobs
    |> Seq.filter (fun job -> touched.Contains job.Id)
    |> Seq.map _.Id
    |> set

/// The ids that are in one plan only are exactly those downstream of what changed, on both sides.
let private changesExactly (before: Plan) touchedBefore (after: Plan) touchedAfter =
    let common = Set.intersect (ids before) (ids after)
    same (Set.difference (ids before) common) (downstream touchedBefore before)
    same (Set.difference (ids after) common) (downstream touchedAfter after)

/// One value written instead of another, everywhere.
let private instead (one: string) (other: string) (value: string) = if value = one then other else value

let private mentions (text: string) (job: PlanJob) = job.Options.Contains(text: string)

[<FsCheck.NUnit.Property(Arbitrary = [| typeof<Studies> |], MaxTest = 100)>]
let ``a plan has no circle, no missing dependency, no job twice`` (study: Study) =
    let plan = planned study
    let seen = HashSet<string>()

    for job in plan.Jobs do
        Assert.That(job.DependsOn |> Seq.forall seen.Contains, Is.True, job.Label)
        Assert.That(seen.Add job.Id, Is.True, job.Label)

    same plan.Jobs.Count (plan.Jobs |> Seq.map _.Label |> Seq.distinct |> Seq.length)

[<FsCheck.NUnit.Property(Arbitrary = [| typeof<Studies> |], MaxTest = 100)>]
let ``a plan holds every cell of every row and its evaluations`` (study: Study) =
    let plan = planned study

    let cells =
        set
            [
                for models, datasets, chains in study.Rows do
                    for model in models do
                        for dataset in datasets do
                            for chain in chains do
                                for seed in study.Seeds -> model, dataset, chain, seed
            ]

    let label (model, dataset, chain: int list, seed) =
        $"m{model}/"
        + String.concat "/" [ for n in chain -> $"d{dataset}/x{n}" ]
        + $"/s{seed}"

    let merges =
        if study.Merges.IsEmpty then
            []
        else
            [ for seed in study.Seeds -> $"blend/m1/x1/s{seed}" ]

    let policies =
        [ for n in 1 .. study.Models -> $"m{n}" ]
        @ [ for cell in cells -> label cell ]
        @ merges

    for cell in cells do
        job ("train/" + label cell) plan |> ignore

    // Two methods of the same settings are one job, with both labels; labels of evaluations are told apart by their job.
    let evaluations =
        ofKind "evaluate" plan
        |> List.collect (fun job -> job.Labels |> Seq.map (fun label -> label.Split('#')[0]) |> List.ofSeq)
        |> set

    same (set [ for policy in policies -> "evaluate/mmlu/" + policy ]) evaluations
    let perPolicy = study.Benchmarks.Length

    let tested =
        ofKind "evaluate" plan
        |> List.map (fun job -> Seq.tryHead job.DependsOn, job.Options.Substring(job.Options.IndexOf "\"policy\""))
        |> List.countBy id

    Assert.That(tested |> List.forall (fun (_, count) -> count = perPolicy), Is.True)

[<FsCheck.NUnit.Property(Arbitrary = [| typeof<Studies> |], MaxTest = 100)>]
let ``no order of sections, keys, rows or list items changes an id`` (study: Study) (order: int) =
    same (ids (planned study)) (ids (plan (write (Random order) id study)))

[<FsCheck.NUnit.Property(Arbitrary = [| typeof<Studies> |], MaxTest = 100)>]
let ``another evaluator adds evaluations and renews the report`` (study: Study) =
    let before = planned study

    let after =
        planned
            { study with
                Benchmarks = 9 :: study.Benchmarks
            }

    let added =
        after.Jobs
        |> Seq.filter (fun job -> not ((ids before).Contains job.Id))
        |> List.ofSeq

    let lost = Set.difference (ids before) (ids after)
    Assert.That(added |> List.forall (fun job -> job.Kind = "evaluate" || job.Kind = "report"), Is.True)
    same (set (ofKind "report" before |> List.map _.Id)) lost

[<FsCheck.NUnit.Property(Arbitrary = [| typeof<Studies> |], MaxTest = 100)>]
let ``another file changes exactly what is downstream of it`` (study: Study) =
    for path in [ "models/m1"; "data/d1"; "bench/1" ] do
        let before = planned study

        let touched (name: string) (job: PlanJob) =
            job.Inputs |> Seq.exists (fun input -> input.Path = name)

        let after =
            if path = "bench/1" then
                plan ((write (Random 1) id study).Replace("bench/1", "bench/other"))
            else
                plan (write (Random 1) (instead path "other") study)

        changesExactly before (touched path) after (touched (if path = "bench/1" then "bench/other" else "other"))

[<FsCheck.NUnit.Property(Arbitrary = [| typeof<Studies> |], MaxTest = 100)>]
let ``another setting changes exactly what is downstream of it`` (study: Study) =
    // Each setting has a value of its own, which its jobs' options show.
    let steps, _, _ = study.Methods[0]
    let one = string (1000 + steps)

    for value, other, key in [ one, "7777", "max_steps"; "16", "32", "rank"; "0.05", "0.06", "dropout" ] do
        let shows (value: string) = mentions $"\"{key}\":{value}"
        changesExactly (planned study) (shows value) (plan (write (Random 1) (instead value other) study)) (shows other)

[<FsCheck.NUnit.Property(Arbitrary = [| typeof<Studies> |], MaxTest = 100)>]
let ``an option that cannot change a result changes no id`` (study: Study) =
    let text = write (Random 1) id study
    same (ids (plan text)) (ids (plan (text.Replace("type: sft", "type: sft, save_every: 7, gradient_checkpointing: true"))))

[<FsCheck.NUnit.Property(Arbitrary = [| typeof<Studies> |], MaxTest = 100)>]
let ``names and places do not count, content does`` (study: Study) =
    let text = write (Random 1) id study

    let renamed =
        text.Replace("models/m", "elsewhere/m").Replace("m1", "first").Replace("x1", "one").Replace("low", "lora-16")

    let byContent =
        Func<string, string>(fun path -> "c:" + path.Substring(path.LastIndexOf '/' + 1).Replace("first", "m1"))

    let planBy text =
        match (Plans.Create(experiment text, byContent)).Plan with
        | null -> failwith "no plan"
        | plan -> plan

    same (ids (planBy text)) (ids (planBy renamed))

[<Test>]
let ``a contract's result version is part of the identity, its plugin's version is not`` () =
    let planOver (change: PluginSchema -> PluginSchema) =
        let catalogue =
            { TestCatalogue.catalogue with
                Plugins = TestCatalogue.plugins |> List.map change |> Array.ofList
            }

        match (Manifests.Read(quickstart, "q.yaml", catalogue, [||])).Experiment with
        | null -> failwith "not read"
        | found -> (Plans.Create(found, byName)).Plan |> nonNull

    let before = planOver id
    same (ids before) (ids (planOver (fun plugin -> { plugin with Version = "9.9.9" })))

    let raised id kind =
        planOver (fun plugin ->
            if plugin.Id <> id then
                plugin
            else
                { plugin with
                    Provides =
                        plugin.Provides
                        |> Seq.map (fun contract ->
                            if contract.Kind = kind then
                                { contract with ResultVersion = 2 }
                            else
                                contract)
                        |> Array.ofSeq
                })

    let lora = raised "peft.lora" "adapter"
    changesExactly before (mentions "peft.lora/lora") lora (mentions "peft.lora/lora")
    let engine = raised "" "engine"
    changesExactly before (fun job -> job.Kind = "train") engine (fun job -> job.Kind = "train")

[<Test>]
let ``identity is canonical JSON without paths`` () =
    let job = job "train/taught/facts/sft-lora/s1" (plan quickstart)
    Assert.That(job.Identity, Does.Contain "\"path\":\"content:h:facts.jsonl\"")
    Assert.That(job.Identity, Does.Not.Contain "gradient_checkpointing")
    Assert.That(job.Options, Does.Contain "gradient_checkpointing")
    use document = System.Text.Json.JsonDocument.Parse job.Identity

    let keys =
        [ for property in document.RootElement.EnumerateObject() -> property.Name ]

    same (List.sortWith (fun a b -> String.CompareOrdinal(a, b)) keys) keys
    same 32 job.Id.Length

[<Test>]
let ``paths in lists and mappings are told by their content, defaults too`` () =
    let more =
        [
            TestCatalogue.option "given" "path|path[]" null
            TestCatalogue.option "standard" "path|path[]" "[\"s1\",\"s2\"]"
            TestCatalogue.option "named" "{path}" null
            TestCatalogue.option "none" "path" "\"\""
            TestCatalogue.option "blanks" "path[]" "[\"\",\"s3\"]"
        ]

    let withMore (contract: ContractSchema) =
        if contract.Name = "perplexity" then
            { contract with
                Options = Seq.append contract.Options more |> Array.ofSeq
            }
        else
            contract

    let catalogue =
        { TestCatalogue.catalogue with
            Plugins =
                [|
                    for plugin in TestCatalogue.plugins do
                        { plugin with
                            Provides = plugin.Provides |> Seq.map withMore |> Array.ofSeq
                        }
                |]
        }

    let planned given =
        let text =
            quickstart.Replace("with: { type: perplexity,", $"with: {{ type: perplexity, given: {given}, named: {{ a: n1 }},")

        match (Manifests.Read(text, "q.yaml", catalogue, [||])).Experiment with
        | null -> failwith "not read"
        | found -> job "evaluate/perplexity/tiny" (nonNull (Plans.Create(found, byName)).Plan)

    for given, content in [ "[g1, g2]", "[\"content:h:g1\",\"content:h:g2\"]"; "g1", "\"content:h:g1\"" ] do
        let identity = (planned given).Identity
        Assert.That(identity, Does.Contain("\"given\":" + content))
        Assert.That(identity, Does.Contain "\"standard\":[\"content:h:s1\",\"content:h:s2\"]")
        Assert.That(identity, Does.Contain "\"named\":{\"a\":\"content:h:n1\"}")
        Assert.That(identity, Does.Contain "\"blanks\":[\"\",\"content:h:s3\"]")
        Assert.That(identity, Does.Not.Contain "\"none\"", "an empty path is no path")

    let inputs = (planned "[g1, g2]").Inputs |> Seq.map _.Path |> set
    Assert.That(Set.isSubset (set [ "g1"; "g2"; "s1"; "s2"; "n1"; "s3" ]) inputs, Is.True)
    Assert.That(inputs, Does.Not.Contain "")

[<Test>]
let ``numbers are equal however they are written`` () =
    let written rate =
        ids (plan (quickstart.Replace("2.0e-3", rate)))

    for same' in [ "0.002"; "2e-3"; "0.2e-2"; "+.002" ] do
        same (written "2.0e-3") (written same')

[<Test>]
let ``a folder's architecture that a plugin computes is part of what uses the model, and its plugin of what loads it`` () =
    let text =
        header
        + """train:
  - { models: [a, b], datasets: d, methods: [sft], seeds: [1] }
evaluate:
  - { of: [untouched, trained], with: { type: perplexity, path: facts.jsonl } }
"""

    let planBy version =
        let partsOf =
            Func<string, IReadOnlyList<FolderPart>>(fun path ->
                [|
                    if path = "models/a" && version > 0 then
                        {
                            Plugin = "acme.zoo"
                            Name = "mine"
                            ResultVersion = version
                        }

                    if path = "models/a" && version = 3 then
                        {
                            Plugin = "acme.bits"
                            Name = "eight"
                            ResultVersion = 7
                        }
                |])

        (Plans.Create(experiment text, byName, false, partsOf)).Plan |> nonNull

    let before, first, second = planBy 0, planBy 1, planBy 2
    same (ids before) (ids (plan text))

    let usesIt (job: PlanJob) =
        job.Kind <> "report"
        && Seq.contains
            "a"
            (Seq.choose
                (fun (axis: KeyValuePair<string, string>) -> if axis.Key = "model" then Some axis.Value else None)
                job.Axes)

    changesExactly before usesIt first usesIt
    changesExactly first usesIt second usesIt

    for job in first.Jobs do
        if job.Kind <> "report" then
            same (usesIt job) (Seq.contains "acme.zoo" job.Plugins)

    Assert.That((job "evaluate/perplexity/a" first).Identity, Does.Contain "\"weights\":\"content:h:models/a+acme.zoo/mine@1\"")

    // Its quantisation is another part, of another plugin.
    let both = planBy 3
    changesExactly second usesIt both usesIt

    Assert.That(
        (job "evaluate/perplexity/a" both).Identity,
        Does.Contain "\"weights\":\"content:h:models/a+acme.zoo/mine@3+acme.bits/eight@7\""
    )

    for job in both.Jobs do
        if job.Kind <> "report" then
            same (usesIt job) (Seq.contains "acme.bits" job.Plugins)

    same
        [ "h:models/a" ]
        [
            for input in (job "evaluate/perplexity/a" first).Inputs do
                if input.Path = "models/a" then
                    input.Hash
        ]
