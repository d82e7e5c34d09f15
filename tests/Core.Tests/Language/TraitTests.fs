// What plugins say of themselves, kept by plans: methods that pack rows and those that do not, adapters that weights cannot hold or
// that start by themselves, options that mean something beside numbers above a bound alone.
module PeftAlign.Core.Tests.Language.TraitTests

open System
open NUnit.Framework
open PeftAlign.Core
open PeftAlign.Core.Tests.Language.TestCatalogue
open PeftAlign.Core.Tests.Language.TestManifests

let private added =
    [|
        plugin
            "peft.prompt"
            [
                { contract "adapter" "prompt" [ option "num" "integer" "4"; option "init" "string" "\"random\"" ] with
                    Traits = [| "no-weights"; "own-start" |]
                }
            ]
        { plugin "theirs" [ contract "method" "theirs" [] ] with
            IsProduct = false
        }
        plugin
            "mixing"
            [
                { contract "method" "some" [ option "loss" "string" "\"mixed\""; option "wide" "boolean" "true" ] with
                    Traits = [| "reference"; "mixes-answers:loss=mixed|blended" |]
                }
                { contract "method" "all" [] with
                    Traits = [| "reference"; "mixes-answers" |]
                }
            ]
        plugin
            "drawn"
            [
                contract
                    "benchmark"
                    "drawn"
                    [
                        option "temperature" "number" "0"
                        { option "top_p" "number" "1" with
                            OnlyWith = "temperature=>0"
                        }
                        { option "floor" "number" "0" with
                            OnlyWith = "top_p=0.5|0.9"
                        }
                        option "file" "string" null
                        { option "of" "string" null with
                            OnlyWith = "file"
                        }
                        { option "from" "string" null with
                            OnlyWith = "file="
                        }
                        option "marks" "{number}" null
                    ]
            ]
    |]

let private catalogue =
    { TestCatalogue.catalogue with
        Plugins = Array.append (Array.ofSeq TestCatalogue.catalogue.Plugins) added
    }

// Others' plugins are known where a manifest lists them, and then so are the product's.
let private listed =
    String.Join(", ", catalogue.Plugins |> Seq.map _.Id |> Seq.filter ((<>) ""))

let private head =
    $"peftalign: 1\nplugins: [{listed}]\n"
    + "seeds: [1]\nmodels: { a: { path: a } }\ndatasets: { d: { reader: jsonl, path: d }, e: { reader: jsonl, path: e } }\n"
    + "adapters: { soft: { type: prompt }, long: { type: prompt, num: 8 }, again: { type: prompt, init: zero }, l: { type: lora } }\n"

/// The faults of these lines, the first of which is line 7.
let private faults (text: string) =
    let read = Manifests.Read(head + text + "\n", "m.yaml", catalogue, [||])

    match read.Experiment with
    | null -> List.ofSeq read.Faults
    | found -> List.ofSeq (Plans.Create(found, Func<string, string>(fun path -> "h:" + path))).Faults

[<Test>]
let ``packing is an option of the product's methods that pack`` () =
    let method options =
        faults $"methods: {{ m: {{ {options} }} }}"

    expect 7 "'packing' is .*'true', but the method 'm' does not pack rows" (method "type: dpo, packing: true")
    expect 7 "'packing' is .*does not pack rows" (method "type: dpo, packing: { grid: [false, true] }")
    expect 7 "'eval_packing' is .*does not pack rows" (method "type: meet, eval_data: d, eval_packing: true")

    expect
        8
        "'packing' is .*does not pack rows"
        (faults "methods: { m: { type: dpo } }\ntrain: [{ models: a, datasets: d, methods: m, set: { packing: true } }]")

    for options in
        [
            "type: dpo, packing: false"
            "type: sft, packing: true, packing_strategy: wrapped"
            "type: theirs, packing: true"
        ] do
        same [] (method options)

let private merged adapter methods selection =
    faults (
        $"methods: {{ m: {{ type: sft, adapter: {adapter} }}, n: {{ type: sft, adapter: l }} }}\ntrain: [{{ models: a, datasets: [d, e], methods: {methods} }}]\n"
        + $"merge: [{{ name: both, method: slerp, of: {{ {selection} }}, across: dataset, parameters: {{ t: 0.5 }} }}]"
    )

[<Test>]
let ``adapters that no weights can hold are not merged`` () =
    let why =
        "merge 'both' gathers a/d/m.*/s1, and no weights can hold its adapter 'soft' \\(prompt\\)"

    expect 9 why (merged "soft" "m" "method: m")
    expect 9 why (merged "soft" "[[m, n]]" "stage: 2")
    same [] (merged "l" "m" "method: m")

[<Test>]
let ``a start that only the training knows has no reference log-probs before it`` () =
    let trained more methods =
        faults (
            $"methods: {{ m: {{ type: dpo, precompute_reference: true, {more} }}, s: {{ type: sft, adapter: soft }} }}\n"
            + $"train: [{{ models: a, datasets: d, methods: {methods} }}]"
        )

    let why adapter =
        $"reference: start is the policy with the new adapter '{adapter}' \\(prompt\\), .*leave precompute_reference out, or give reference: base"

    expect 7 (why "soft") (trained "adapter: soft" "m")
    expect 7 (why "long") (trained "adapter: long" "[[s, m]]")

    for more, methods in
        [
            "adapter: soft, reference: base", "m"
            "adapter: soft, init_adapter: there", "m"
            "adapter: l", "m"
            "adapter: soft", "[[s, m]]"
            "adapter: again", "[[s, m]]"
        ] do
        same [] (trained more methods)

[<Test>]
let ``an option may go with numbers above a bound, or with any value`` () =
    let asked options =
        faults $"evaluate: [{{ of: untouched, with: {{ type: drawn, {options} }} }}]"

    expect 7 "'top_p' is used with temperature >0 only, and temperature is 0" (asked "top_p: 0.5")

    expect
        7
        "'top_p' is used with temperature >0 only, and temperature is 0, 0"
        (asked "top_p: 0.5, temperature: { grid: [0, 0.0] }")

    expect 7 "'top_p' is used with temperature >0 only, and temperature is 0" (asked "top_p: { grid: [1, 0.5] }")
    expect 7 "'of' is used with file only, and there is no file" (asked "of: x")
    expect 7 "'from' is used with file only, and there is no file" (asked "from: x")

    for options in
        [
            "top_p: 0.5, temperature: 0.1"
            "top_p: 0.5, temperature: { grid: [0.5, 1] }"
            // A default that is spelt out says nothing.
            "top_p: 1, temperature: 0"
            "top_p: { grid: [1] }"
            "of: x, from: y, file: f"
            "top_p: 0.5, temperature: { grid: [0, 1] }"
        ] do
        same [] (asked options)

/// The variants of the benchmark with these options, and of each the values of the named ones.
let private drawn (names: string list) (given: string) =
    let text =
        head + $"evaluate: [{{ of: untouched, with: {{ type: drawn, {given} }} }}]\n"

    let experiment =
        Manifests.Read(text, "m.yaml", catalogue, [||]).Experiment |> nonNull

    let plan =
        Plans.Create(experiment, Func<string, string>(fun path -> "h:" + path)).Plan
        |> nonNull

    List.sort
        [
            for job in plan.Jobs do
                if job.Kind = "evaluate" then
                    use options = System.Text.Json.JsonDocument.Parse job.Options
                    let own = options.RootElement.GetProperty("benchmark").GetProperty "options"

                    job.Axes["benchmark_variant"],
                    names
                    |> List.map (fun name -> own.GetProperty(name).GetRawText())
                    |> String.concat " "
        ]

[<Test>]
let ``a variant that makes an option meaningless has its default, and is one`` () =
    same
        [
            "temperature=0", "1"
            "temperature=0.7,top_p=0.5", "0.5"
            "temperature=0.7,top_p=0.9", "0.9"
        ]
        (drawn [ "top_p" ] "temperature: { grid: [0, 0.7] }, top_p: { grid: [0.5, 0.9] }, file: f, of: x")

[<Test>]
let ``a variant that makes an option meaningless does so to what goes with that option`` () =
    same
        [
            "temperature=0", "1 0"
            "temperature=0.7,floor=0.1", "0.5 0.1"
            "temperature=0.7,floor=0.2", "0.5 0.2"
        ]
        (drawn [ "top_p"; "floor" ] "temperature: { grid: [0, 0.7] }, top_p: 0.5, floor: { grid: [0.1, 0.2] }")

[<Test>]
let ``all weights are not trained on from a policy that they cannot hold`` () =
    let trained methods =
        faults (
            "methods: { p: { type: sft, adapter: soft }, q: { type: sft, adapter: l }, w: { type: sft } }\n"
            + $"train: [{{ models: a, datasets: d, methods: {methods} }}]"
        )

    let why =
        "a/d/.*trains all weights after a stage with the adapter 'soft' \\(prompt\\), which no weights can hold; give this method an adapter"

    expect 7 why (trained "[[p, w]]")
    expect 7 why (trained "[[p, q, w]]")

    for methods in [ "[[q, w]]"; "[[p, q]]"; "[[w, p]]"; "w" ] do
        same [] (trained methods)

[<Test>]
let ``what a mapping says under an option's name is no option`` () =
    let marks = """{"top_p":0.5}"""

    same
        [ "temperature=0", marks + " 1"; "temperature=0.7", marks + " 0.25" ]
        (drawn [ "marks"; "top_p" ] "marks: { top_p: 0.5 }, temperature: { grid: [0, 0.7] }, top_p: 0.25")

[<TestCase("type: some", 0)>]
[<TestCase("type: some, loss: blended", 0)>]
[<TestCase("type: some, loss: plain", 1)>]
[<TestCase("type: all", 0)>]
[<TestCase("type: dpo", 1)>]
let ``no reference is computed before for answers that a batch mixes`` (options: string) (jobs: int) =
    let text =
        head
        + $"methods: {{ m: {{ {options}, max_steps: 9, precompute_reference: true }} }}\ntrain: [{{ models: a, datasets: d, methods: m }}]\n"

    let read = Manifests.Read(text, "m.yaml", catalogue, [||])

    match read.Experiment with
    | null -> Assert.Fail(String.Join('\n', read.Faults))
    | found ->
        match Plans.Create(found, Func<string, string>(fun path -> "h:" + path)).Plan with
        | null -> Assert.Fail "no plan"
        | plan -> Assert.That(plan.Jobs |> Seq.filter (fun job -> job.Kind = "reference") |> Seq.length, Is.EqualTo jobs)
