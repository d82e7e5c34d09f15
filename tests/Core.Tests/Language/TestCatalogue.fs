// Plugin schemas as plugin.json would give them, with the names that the studies use. No plugin is loaded here: the language
// needs their schemas only.
module PeftAlign.Core.Tests.Language.TestCatalogue

open PeftAlign.Core

let option name kind (initial: string | null) : OptionSchema =
    {
        Name = name
        Type = kind
        Default = initial
        Range = ""
        Choices = [||]
        ChoiceAliases = [||]
        Aliases = [||]
        Required = false
        Filled = false
        Recorded = false
        OnlyWith = ""
        PerModel = false
        Docs = name
    }

let inRange range (schema: OptionSchema) = { schema with Range = range }
let required (schema: OptionSchema) = { schema with Required = true }

let filled (schema: OptionSchema) = { schema with Filled = true }

let oneOf (choices: string list) (schema: OptionSchema) =
    { schema with
        Choices = Array.ofList choices
    }

let aka (aliases: string list) (schema: OptionSchema) =
    { schema with
        Aliases = Array.ofList aliases
    }

let contract kind name (options: OptionSchema list) : ContractSchema =
    {
        Kind = kind
        Name = name
        ResultVersion = 1
        Options = Array.ofList options
        Alias = ""
        Inputs = ""
        Traits = [||]
        Docs = name
    }

let plugin id (provides: ContractSchema list) : PluginSchema =
    {
        Id = id
        Version = "0.1.0"
        IsProduct = id <> ""
        Source = ""
        Folder = ""
        Provides = Array.ofList provides
    }

let private path = option "path" "path" null |> required

let private lora =
    [
        option "rank" "integer" "8" |> inRange "[1,)" |> aka [ "r" ]
        option "alpha" "number" "16" |> inRange "(0,)" |> aka [ "lora_alpha" ]
        option "dropout" "number" "0" |> inRange "[0,1)" |> aka [ "lora_dropout" ]
        option "targets" "string|string[]" "\"all-linear\""
        |> aka [ "target_modules" ]
        |> filled
        option "bias" "string" "\"none\"" |> oneOf [ "none"; "all"; "lora_only" ]
        option "rank_pattern" "{integer}" null |> inRange "[1,)"
    ]

let private density = option "density" "number" "1" |> inRange "(0,1]"

let private weight =
    { option "weight" "number|number[]" "1" with
        PerModel = true
    }

let private rescale =
    option "rescale" "string" "\"exact\"" |> oneOf [ "exact"; "l1"; "off" ]

let private limit = option "limit" "integer" null |> inRange "[1,)"
let private shots = option "shots" "integer" "0" |> inRange "[0,)"
let private judge = option "judge" "judge" null |> required

let private engineAndMethods: PluginSchema list =
    [
        plugin
            ""
            [
                contract
                    "architecture"
                    "llama"
                    [
                        option "hidden_size" "integer" "64" |> inRange "[1,)"
                        option "num_hidden_layers" "integer" "2" |> inRange "[1,)"
                        option "num_attention_heads" "integer" "4" |> inRange "[1,)"
                        option "intermediate_size" "integer" "128" |> inRange "[1,)"
                    ]
                contract "engine" "train" []
            ]
        plugin
            "methods.sft"
            [
                { contract
                      "method"
                      "sft"
                      [
                          option "learning_rate" "number" "2e-5" |> inRange "[0,)"
                          option "loss_type" "string" "\"nll\"" |> oneOf [ "nll"; "dft" ]
                          option "completion_only_loss" "boolean" null
                      ] with
                    Traits = [| "packs" |]
                }
            ]
        plugin
            "methods.dpo"
            [
                { contract
                      "method"
                      "dpo"
                      [
                          option "learning_rate" "number" "1e-6" |> inRange "[0,)"
                          option "beta" "number" "0.1" |> inRange "(0,)"
                          option "loss_type" "string|string[]" "\"sigmoid\""
                          |> oneOf [ "sigmoid"; "ipo"; "hinge" ]
                          option "label_smoothing" "number" "0" |> inRange "[0,0.5)"
                      ] with
                    Traits = [| "reference" |]
                }
                { contract "method" "reward" [ option "center_rewards_coefficient" "number" null ] with
                    Traits = [| "scores" |]
                }
            ]
        plugin
            "methods.meet"
            [
                { contract "method" "meet" [ option "learning_rate" "number" "2e-4" |> inRange "[0,)" ] with
                    Traits = [| "controls" |]
                }
            ]
    ]

let private adaptersAndMerges: PluginSchema list =
    [
        plugin "peft.lora" [ contract "adapter" "lora" lora ]
        plugin
            "peft.qlora"
            [
                contract
                    "quantization"
                    "nf4"
                    [
                        option "double_quant" "boolean" "true"
                        option "blocksize" "integer" "64" |> inRange "[16,4096]"
                        option "compute_dtype" "string" "\"bfloat16\""
                        |> oneOf [ "bfloat16"; "float32" ]
                    ]
                { contract "adapter" "qlora" [] with
                    Alias = """{"type":"lora","quantization":"nf4"}"""
                }
            ]
        plugin
            "merge.slerp"
            [
                { contract "merge" "slerp" [ option "t" "number|number[]" null |> inRange "[0,1]" |> required ] with
                    Inputs = "[2,2]"
                }
            ]
        plugin
            "merge.dare"
            [
                for name in [ "dare_ties"; "dare_linear" ] do
                    { contract "merge" name [ density; weight; rescale ] with
                        Traits = [| "base-origin" |]
                    }
            ]
    ]

let private evaluationAndData: PluginSchema list =
    [
        plugin
            "eval"
            [
                contract "benchmark" "mmlu" [ path; shots; limit ]
                contract "benchmark" "bbh" [ path; shots; limit ]
                contract "benchmark" "perplexity" [ path; limit ]
                contract "benchmark" "alpaca_eval" [ path; judge; limit; option "temperature" "number" "0" |> inRange "[0,)" ]
                contract "benchmark" "real_toxicity" [ path; judge; limit ]
                contract
                    "benchmark"
                    "winrate"
                    [
                        option "dataset" "dataset" null
                        option "path" "path" null
                        judge
                        option "baseline" "model" null
                    ]
                contract
                    "benchmark"
                    "red_instruct"
                    [
                        path
                        judge
                        limit
                        option "template" "string" "\"cou\"" |> oneOf [ "cou"; "cot"; "standard" ]
                    ]
                contract "judge" "classifier" [ path; option "batch_size" "integer" "8" |> inRange "[1,)" ]
                contract
                    "judge"
                    "openai"
                    [
                        option "url" "string" null |> required
                        option "model" "string" null |> required
                        { option "key_env" "string" null with
                            Recorded = true
                        }
                    ]
            ]
        plugin
            "trackers"
            [
                contract
                    "tracker"
                    "tensorboard"
                    [
                        option "folder" "path" "\"\""
                        option "every" "integer" "1" |> inRange "[1,)"
                    ]
                contract "tracker" "curious" [ option "about" "dataset" null ]
            ]
        plugin
            "data"
            [
                contract
                    "reader"
                    "hh-rlhf"
                    [
                        path
                        option "rule" "string" "\"all\"" |> oneOf [ "all"; "harmless"; "helpful" ]
                    ]
                contract
                    "reader"
                    "beavertails"
                    [
                        path
                        option "rule" "string" "\"all\"" |> oneOf [ "all"; "harmless"; "helpful" ]
                    ]
                contract "reader" "jsonl" [ path ]
                contract
                    "reader"
                    "synthetic"
                    [
                        option "rows" "integer" "100" |> inRange "[1,)"
                        option "seed" "integer" "0"
                        option "kind" "string" "\"text\""
                    ]
                contract
                    "reader"
                    "sampled-pairs"
                    [
                        option "prompts" "dataset" null |> required
                        option "model" "model" null |> required
                        option "temperature" "number" "1" |> inRange "[0,)"
                    ]
            ]
    ]

let plugins = engineAndMethods @ adaptersAndMerges @ evaluationAndData

let catalogue: Catalogue = { Plugins = Array.ofList plugins }
