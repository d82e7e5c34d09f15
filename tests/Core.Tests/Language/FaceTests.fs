// What callers pass beside the manifest and what they get: overrides, parts of a plan, plugins, names.
module PeftAlign.Core.Tests.Language.FaceTests

open System
open NUnit.Framework
open PeftAlign.Core
open PeftAlign.Core.Tests.Language.TestManifests

[<Test>]
let ``overrides change the document before it is typed`` () =
    let rows = "train:\n  - { models: a, datasets: d, methods: sft }\n"
    let text = header + rows

    let plan =
        planWith
            [
                "seeds=[5]"
                "train[0].models=[a, b]"
                "methods.sft.epochs=2"
                "models.\"a\".path=other"
            ]
            text

    same [ "train/a/d/sft/s5"; "train/b/d/sft/s5" ] (labels "train" plan)
    Assert.That((job "train/a/d/sft/s5" plan).Options, Does.Contain "\"epochs\":2")
    Assert.That((job "train/a/d/sft/s5" plan).Options, Does.Contain "\"weights\":\"other\"")

    for wrong, message in
        [
            "seeds", "expected PATH=VALUE"
            "seeds=[x]", "--set seeds=\\[x\\]: expected an integer"
            "methods.sft.epoch=2", "no option 'epoch'; did you mean 'epochs'"
            "train[3].models=a", "item \\[3\\] does not exist; the list has 1, counted from 0, and the next is \\[1\\]"
            "seeds[0].x=1", "'x' would be a key of an integer '1'"
            "a..b=1", "is no path"
        ] do
        expect 0 message (List.ofSeq (read [ wrong ] text).Faults)

[<Test>]
let ``a preset is put in under the overrides, and is read only where it is chosen`` () =
    let text =
        header
        + "train:\n  - { models: a, datasets: d, methods: sft }\n"
        + "presets:\n"
        + "  small:\n    seeds: [7]\n    methods.sft: { type: sft, max_steps: 3 }\n    train[1]: { models: b, datasets: d, methods: sft }\n"
        + "  broken:\n    methods.sft.epochs: many\n    a..b: 1\n"

    same [ "train/a/d/sft/s1"; "train/a/d/sft/s2" ] (labels "train" (plan text))
    let small = planWith [ "preset=small" ] text
    same [ "train/a/d/sft/s7"; "train/b/d/sft/s7" ] (labels "train" small)
    Assert.That((job "train/a/d/sft/s7" small).Options, Does.Contain "\"max_steps\":3")
    // In the manifest as well as in an override; an override stands above the preset.
    same (labels "train" small) (labels "train" (plan (text + "preset: small\n")))
    same [ "train/a/d/sft/s1"; "train/b/d/sft/s1" ] (labels "train" (planWith [ "seeds=[1]"; "preset=small" ] text))

    let faults given = List.ofSeq (read given text).Faults

    let place = (text.Split '\n' |> Array.findIndex _.Contains("epochs: many")) + 1
    expect place "expected a number" (faults [ "preset=broken" ])
    expect (place + 1) "'a..b' is no path" (faults [ "preset=broken" ])
    expect 0 "there is no preset 'smal'; did you mean 'small'" (faults [ "preset=smal" ])

[<Test>]
let ``only keeps what matches and what that needs`` () =
    let whole = plan quickstart
    let part = Plans.Only(whole, "train/taught/*")

    part.Jobs
    |> Seq.map _.Kind
    |> List.ofSeq
    |> same [ "make-model"; "train"; "train" ]

    same 3 (Plans.Only(whole, "*/sft-full/s?")).Jobs.Count

    let refuse = Action(fun () -> Plans.Only(whole, "training/*") |> ignore)
    let error = nonNull (Assert.Throws<ArgumentException> refuse)
    Assert.That(error.Message, Does.Contain "matches none of 7 jobs")

[<Test>]
let ``the plugins section decides what is known`` () =
    let extra source : PluginSchema =
        { TestCatalogue.plugin "third.party" [ TestCatalogue.contract "method" "sft" [] ] with
            IsProduct = false
            Source = source
            Version = "1.4.0"
        }

    let readWith (plugin: PluginSchema) section =
        let catalogue =
            { TestCatalogue.catalogue with
                Plugins = Array.append (Array.ofSeq TestCatalogue.catalogue.Plugins) [| plugin |]
            }

        let text = quickstart.Replace("seeds: [1]", "seeds: [1]\nplugins: " + section)
        Manifests.Read(text, "q.yaml", catalogue, [||]).Faults |> List.ofSeq

    let all = "methods.sft, peft.lora, eval, data"
    same [] (readWith (extra "") $"[{all}]")

    expect
        14
        "no method 'sft' is provided by the plugins of this manifest; methods.sft or third.party would, if listed under plugins"
        (readWith (extra "") "[peft.lora, eval, data]")

    // Named already, but not as it should be: nothing to list.
    expect
        14
        "no method 'sft' is provided by the plugins of this manifest; none is declared$"
        (readWith (extra "../mine") "[{ id: methods.sft, version: '>=9' }, peft.lora, eval, data]")

    expect 14 "write methods.sft/sft or third.party/sft" (readWith (extra "") $"[{all}, third.party]")

    same
        []
        (readWith (extra "") "[third.party, peft.lora, eval, data]"
         |> List.filter (fun fault -> fault.Message.Contains "no method"))

    expect
        4
        "no plugin 'methods.stf' is installed; did you mean 'methods.sft'"
        (readWith (extra "") "[methods.stf, peft.lora, eval, data]")

    // A third party's, whose folder was not named.
    expect
        4
        "no plugin 'acme.rows' is installed; give the folder that it lies in by --plugins DIR"
        (readWith (extra "") $"[{all}, acme.rows]")

    expect 4 "version 1.4.0; the manifest asks for >=2" (readWith (extra "") $"[{all}, {{ id: third.party, version: '>=2' }}]")
    expect 4 "is no range of versions" (readWith (extra "") $"[{all}, {{ id: third.party, version: newest }}]")
    expect 14 "third.party/sft" (readWith (extra "../mine") $"[{all}, {{ path: ../mine }}]")
    expect 4 "the plugin at 'other' could not be loaded" (readWith (extra "../mine") $"[{all}, {{ file: other }}]")

[<Test>]
let ``versions compare by number`` () =
    let satisfies = PeftAlign.Core.Language.PluginList.satisfies
    same (Some true) (satisfies ">=1.2 <2" "1.10.0")
    same (Some false) (satisfies ">=1.2 <2" "2.0")
    same (Some true) (satisfies "1.2" "1.2.0")
    same (Some true) (satisfies ">1.2" "1.2.1-beta")
    same None (satisfies ">= 1.2" "1.2")

[<Test>]
let ``plugin requests are read without a catalogue`` () =
    let text =
        "plugins: [a, { id: b, version: '>=1' }, { path: ../c }, { file: d.peftplugin }]\nmodels: 7\n"

    let found = Manifests.Plugins(text, [||])
    same true found.HasSection

    found.Requests
    |> Seq.map (fun request -> request.Id, request.Version, request.Path, request.File, request.Line)
    |> List.ofSeq
    |> same
        [
            "a", "", "", "", 1
            "b", ">=1", "", "", 1
            "", "", "../c", "", 1
            "", "", "", "d.peftplugin", 1
        ]

    same false (Manifests.Plugins("models: {}", [||])).HasSection

[<Test>]
let ``a name in quotes is the experiment's, else the file's`` () =
    same "quickstart" (plan quickstart).Name
    let text = quickstart.Replace("name: quickstart\n", "")

    same
        "a.b"
        (Manifests.Read(text, "some/where/a.b.yaml", TestCatalogue.catalogue, [||]).Experiment
         |> nonNull)
            .Name

[<Test>]
let ``peers' spellings are the same options`` () =
    let peers =
        header
            .Replace("rank: 8", "r: 8, lora_alpha: 16")
            .Replace("max_steps: 100", "max_steps: 100, per_device_train_batch_size: 8, optim: adamw")

    let rows = "train:\n  - { models: a, datasets: d, methods: dpo }\n"
    same (ids (planned rows)) (ids (plan (peers + rows)))
    expect 11 "'r' and 'rank' are one option" (faults (header.Replace("rank: 8", "rank: 8, r: 8")))

[<Test>]
let ``transformers' names of optimisers are ours`` () =
    let rows = "train:\n  - { models: a, datasets: d, methods: dpo }\n"

    let with' optimizer =
        header.Replace("max_steps: 100", $"max_steps: 100, optimizer: {optimizer}")
        + rows

    for theirs, ours in
        [
            "adamw_torch", "adamw"
            "adamw_torch_fused", "adamw"
            "paged_adamw_32bit", "paged_adamw"
            "adamw_bnb_8bit", "adamw_8bit"
        ] do
        same (ids (plan (with' ours))) (ids (plan (with' theirs)))

    expect 15 "'adamw_16bit' is not one of adamw .* did you mean 'adamw_8bit'" (faults (with' "adamw_16bit"))

[<Test>]
let ``plugins read from JSON may leave things out`` () =
    let json =
        """[{ "provides": [{ "kind": "architecture", "name": "llama", "resultVersion": 1 }] },
            { "id": "m", "version": "1", "isProduct": true, "provides": [{ "kind": "method", "name": "sft", "options": [{ "name": "x", "type": "integer", "default": "3" }] }] },
            { "id": "d", "version": "1", "isProduct": true, "provides": [{ "kind": "reader", "name": "r" }] }]"""

    let options = Text.Json.JsonSerializerOptions Text.Json.JsonSerializerDefaults.Web

    let plugins =
        Text.Json.JsonSerializer.Deserialize<PluginSchema[]>(json, options) |> nonNull

    let text =
        "peftalign: 1\nmodels: { t: { init: llama, tokenizer: bytes } }\ndatasets: { d: { reader: r } }\nmethods: { s: { type: sft } }\ntrain: [{ models: t, datasets: d, methods: s }]\n"

    let catalogue = { Plugins = plugins }

    let experiment =
        (Manifests.Read(text, "x.yaml", catalogue, [||])).Experiment |> nonNull

    let plan = (Plans.Create(experiment, byName)).Plan |> nonNull
    Assert.That((job "train/t/d/s/s42" plan).Options, Does.Contain "\"options\":{\"x\":3}")
    Assert.That(Manifests.JsonSchema catalogue, Does.Contain "llama")

[<Test>]
let ``a plain document becomes JSON under the same bounds`` () =
    let found =
        Documents.ToJson "b: &b { x: 2.0e-1, 'a key': [1, no, ~, true] }\na: { <<: *b, x: '7' }\n"

    same 0 found.Faults.Count

    Assert.That(
        found.Json,
        Is.EqualTo "{\"a\":{\"a key\":[1,\"no\",null,true],\"x\":\"7\"},\"b\":{\"a key\":[1,\"no\",null,true],\"x\":0.2}}"
    )

    let broken = Documents.ToJson "a: [*b]\na: 2\n"
    Assert.That(broken.Json, Is.Null)
    same [ 1; 2 ] [ for fault in broken.Faults -> fault.Line ]

[<Test>]
let ``labels that read alike are different policies with different labels`` () =
    // Row "a" of model "b" on "d" by "sft", and model "a" on data set "b" by method "d" with the adapter axis "sft".
    let text =
        "peftalign: 1\nseeds: 1\nmodels: { a: { path: a }, b: { path: b } }\ndatasets: { b: { reader: jsonl, path: x }, d: { reader: jsonl, path: y } }\n"
        + "adapters: { sft: { type: lora } }\nmethods: { sft: { type: sft, max_steps: 1 }, d: { type: sft, max_steps: 2 } }\n"
        + "train:\n  - { name: a, models: b, datasets: d, methods: sft }\n  - { models: a, datasets: b, methods: d, adapters: sft }\n"

    let found = plan text |> ofKind "train"
    same 2 found.Length
    same 2 (found |> List.map _.Label |> List.distinct |> List.length)
    Assert.That(found |> List.forall (fun job -> job.Label.StartsWith "train/a/b/d/sft/s1#"), Is.True)
