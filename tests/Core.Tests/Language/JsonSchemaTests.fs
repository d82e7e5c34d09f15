// The JSON Schema says what the reader says: manifests that read are valid, manifests that do not are not.
module PeftAlign.Core.Tests.Language.JsonSchemaTests

open System
open System.IO
open System.Text.Json
open NUnit.Framework
open PeftAlign.Core
open PeftAlign.Core.Language
open PeftAlign.Core.Tests.Language.TestManifests

let private schemaText = lazy Manifests.JsonSchema TestCatalogue.catalogue

let private property (name: string) (schema: JsonElement) =
    match schema.TryGetProperty name with
    | true, found -> Some found
    | _ -> None

let private isOfType (node: Node) (name: string) =
    match name, node.Body with
    | "object", Mapping _
    | "array", Sequence _
    | "null", Body.Scalar(Scalars.Null, _)
    | "boolean", Body.Scalar(Scalars.Flag _, _)
    | "string", Body.Scalar(Scalars.Text _, _)
    | "integer", Body.Scalar(Scalars.Whole _, _)
    | "number", Body.Scalar((Scalars.Whole _ | Scalars.Real _), _) -> true
    | "integer", Body.Scalar(Scalars.Real value, _) -> value = floor value
    | _ -> false

let private number (node: Node) =
    match node.Body with
    | Body.Scalar(Scalars.Whole value, _) -> Some(float value)
    | Body.Scalar(Scalars.Real value, _) -> Some value
    | _ -> None

/// The keywords that the generator writes, as draft 2020-12 defines them; an unknown keyword is an error of this test.
let rec private isValid (schema: JsonElement) (node: Node) : bool =
    let limit (holds: float -> float -> bool) (value: JsonElement) =
        number node |> Option.forall (fun actual -> holds actual (value.GetDouble()))

    let keyword (rule: JsonProperty) =
        match rule.Name with
        | "$schema"
        | "title"
        | "description" -> true
        | "type" -> isOfType node (string rule.Value)
        | "enum" ->
            match node.Body with
            | Body.Scalar(Scalars.Text text, _) -> rule.Value.EnumerateArray() |> Seq.exists (fun item -> string item = text)
            | _ -> false
        | "anyOf" -> rule.Value.EnumerateArray() |> Seq.exists (fun option -> isValid option node)
        | "minimum" -> limit (>=) rule.Value
        | "maximum" -> limit (<=) rule.Value
        | "exclusiveMinimum" -> limit (>) rule.Value
        | "exclusiveMaximum" -> limit (<) rule.Value
        | "minItems" ->
            match node.Body with
            | Sequence items -> items.Length >= rule.Value.GetInt32()
            | _ -> true
        | "items" ->
            match node.Body with
            | Sequence items -> items |> Array.forall (isValid rule.Value)
            | _ -> true
        | "required" ->
            match node.Body with
            | Mapping entries ->
                rule.Value.EnumerateArray()
                |> Seq.forall (fun key -> entries |> Array.exists (fun entry -> entry.Key = string key))
            | _ -> true
        | "properties" ->
            match node.Body with
            | Mapping entries ->
                entries
                |> Array.forall (fun entry ->
                    property entry.Key rule.Value
                    |> Option.forall (fun inner -> isValid inner entry.Value))
            | _ -> true
        | "additionalProperties" ->
            match node.Body with
            | Mapping entries ->
                let known = property "properties" schema

                entries
                |> Array.filter (fun entry -> (known |> Option.bind (property entry.Key)).IsNone)
                |> Array.forall (fun entry -> rule.Value.ValueKind <> JsonValueKind.False && isValid rule.Value entry.Value)
            | _ -> true
        | other -> failwith $"the validator does not know '{other}'"

    match schema.ValueKind with
    | JsonValueKind.False -> false
    | _ -> schema.EnumerateObject() |> Seq.forall keyword

let check (text: string) =
    use schema = JsonDocument.Parse schemaText.Value
    isValid schema.RootElement (Yaml.parse text "" (Faults())).Value

let private deepDive =
    lazy File.ReadAllText(Path.Combine(TestContext.CurrentContext.TestDirectory, "Language", "deep-dive.yaml"))

[<Test>]
let ``manifests that read are valid`` () =
    Assert.That(check quickstart, Is.True)
    Assert.That(check deepDive.Value, Is.True)

    Assert.That(
        check (quickstart.Replace("jsonl, path: facts.jsonl }", "jsonl, path: facts.jsonl, map: { prompt: question } }")),
        Is.True
    )

    Assert.That(check (quickstart.Replace("rank: 4", "rank: { grid: [4, 8] }").Replace("dropout: 0.1", "dropout: null")), Is.True)

[<Test>]
let ``what the reader refuses by its form the schema refuses`` () =
    let wrong =
        [
            "models:", "modles:"
            "peftalign: 1\n", ""
            "seeds: [1]", "seeds: [one]"
            "jsonl, path: facts.jsonl }", "jsonl, path: facts.jsonl, map: { promt: question } }"
            "init: llama", "init: lama"
            "hidden_size: 64", "hidden_sizes: 64"
            "rank: 4", "rank: 0"
            "rank: 4", "rnak: 4"
            "rank: 4", "rank: { grid: [] }"
            "type: lora", "type: lroa"
            "type: sft, learning_rate: 1e-3", "learning_rate: 1e-3"
            "reader: jsonl, path: facts.jsonl", "reader: jsonl"
            "tokenizer: bytes", "tokenizer: { train: world, size: 3 }"
            "max_steps: 20", "max_steps: twenty"
            "of: [untouched, trained]", "of: [untouched, traind]"
            "models: tiny, datasets: world", "models: tiny"
            "report: {}", "report: { claim: x }"
        ]

    for right, mistake in wrong do
        let text = quickstart.Replace(right, mistake)
        Assert.That(text, Is.Not.EqualTo quickstart, right)
        Assert.That(check text, Is.False, mistake)
        Assert.That((read [] text).Faults, Is.Not.Empty, mistake)

[<Test>]
let ``options carry their docs, limits and every spelling`` () =
    Assert.That(schemaText.Value, Does.Contain "\"lora_alpha\"")
    Assert.That(schemaText.Value, Does.Contain "Peak learning rate.")
    Assert.That(schemaText.Value, Does.Contain "\"exclusiveMaximum\":1")
