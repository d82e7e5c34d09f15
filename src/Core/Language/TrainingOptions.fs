// The options that every training job has, whatever its method: names and defaults as transformers' TrainingArguments and TRL's
// trainers have them. A method plugin that declares one of these names changes its default, or, for an option that a loss uses, takes it over.
module internal PeftAlign.Core.Language.TrainingOptions

open PeftAlign.Core

let private option name kind (initial: string | null) range docs =
    {
        Name = name
        Type = kind
        Default = initial
        Range = range
        Choices = [||]
        ChoiceAliases = [||]
        Aliases = [||]
        Required = false
        Filled = false
        Recorded = false
        OnlyWith = ""
        PerModel = false
        Docs = docs
    }

let private number name (initial: string | null) range docs = option name "number" initial range docs

let private integer name (initial: string | null) range docs =
    option name "integer" initial range docs

/// The loop counts in 32 bits.
let private count name (initial: string | null) (least: int) docs =
    integer name initial $"[{least},2147483647]" docs

let private flag name initial docs = option name "boolean" initial "" docs

let private oneOf name (initial: string) (choices: string list) docs =
    { option name "string" $"\"{initial}\"" "" docs with
        Choices = Array.ofList choices
    }

let private aka (aliases: string list) schema =
    { schema with
        Aliases = Array.ofList aliases
    }

/// An option that means something only beside others, as in OptionSchema.OnlyWith.
let private onlyWith (condition: string) (schema: OptionSchema) = { schema with OnlyWith = condition }

let private warms = "lr_scheduler=linear|cosine|constant_with_warmup|inverse_sqrt"
let private isAdam = "optimizer=adamw|paged_adamw|adamw_8bit|paged_adamw_8bit"

/// transformers' names of what is here.
let private optimizerSpellings =
    [|
        "adamw_torch=adamw"
        "adamw_torch_fused=adamw"
        "paged_adamw_32bit=paged_adamw"
        "adamw_bnb_8bit=adamw_8bit"
    |]

let private recorded schema = { schema with Recorded = true }

/// How long and how fast.
let private optimisation: OptionSchema list =
    [
        number "learning_rate" "5e-5" "[0,3.4e38]" "Peak learning rate."
        oneOf
            "lr_scheduler"
            "linear"
            [ "linear"; "cosine"; "constant"; "constant_with_warmup"; "inverse_sqrt" ]
            "Shape of the learning rate over the steps."
        |> aka [ "lr_scheduler_type" ]
        count "warmup_steps" null 0 "Steps of linear warm-up; instead of warmup_ratio."
        |> onlyWith warms
        number "warmup_ratio" null "[0,1]" "Share of all steps that warms up; instead of warmup_steps."
        |> onlyWith warms
        count "max_steps" null 1 "Optimiser steps; instead of epochs."
        number "epochs" null "(0,)" "Passes over the data; 3 where max_steps is not given."
        |> aka [ "num_train_epochs" ]
        count "batch_size" "8" 1 "Records (pairs for pairs) per device and forward pass."
        |> aka [ "per_device_train_batch_size" ]
        count "gradient_accumulation_steps" "1" 1 "Batches per optimiser step."
        number "weight_decay" "0" "[0,)" "Decoupled weight decay."
        number "adam_beta1" "0.9" "[0,1)" "AdamW's first beta." |> onlyWith isAdam
        number "adam_beta2" "0.999" "[0,1)" "AdamW's second beta." |> onlyWith isAdam
        number "adam_epsilon" "1e-8" "[0,)" "AdamW's epsilon." |> onlyWith isAdam
        number "max_grad_norm" "1" "[0,)" "Gradient clipping by global norm; 0 is off."
        { oneOf
              "optimizer"
              "adamw"
              [ "adamw"; "paged_adamw"; "adamw_8bit"; "paged_adamw_8bit"; "rmsprop"; "sgd" ]
              "The optimiser." with
            ChoiceAliases = optimizerSpellings
        }
        |> aka [ "optim" ]
    ]

/// On what, and what is kept and measured.
let private dataAndRecords: OptionSchema list =
    [
        count "max_length" "1024" 1 "Longest sequence in tokens."
        count "max_prompt_length" null 1 "Longest prompt in tokens."
        oneOf "truncation" "keep_start" [ "keep_start"; "keep_end" ] "Which side of a long prompt stays."
        |> aka [ "truncation_mode" ]
        flag "packing" "false" "Several rows in one sequence."
        oneOf "packing_strategy" "bfd" [ "bfd"; "bfd_split"; "wrapped" ] "How rows are packed."
        |> onlyWith "packing=true"
        flag "padding_free" "false" "Batches as one sequence without padding."
        number "label_smoothing_factor" "0" "[0,1)" "Label smoothing of the token loss."
        flag "shuffle" "true" "Rows in random order."
        integer "data_seed" null "[0,)" "Seed of the order of rows; the run's seed where it is not given."
        count "save_every" null 1 "Steps between checkpoints."
        |> aka [ "save_steps" ]
        |> recorded
        count "keep_checkpoints" null 1 "How many of the latest checkpoints stay."
        |> aka [ "save_total_limit" ]
        |> recorded
        count "eval_every" null 1 "Steps between passes over eval_data; there is one after the last step in any case."
        |> aka [ "eval_steps" ]
        |> onlyWith "eval_data"
        count
            "eval_batch_size"
            null
            1
            "Records per forward pass over eval_data; as many as of a training batch where it is not given."
        |> aka [ "per_device_eval_batch_size" ]
        |> onlyWith "eval_data"
        option "eval_packing" "boolean" null "" "Packing of eval_data's rows; as the training rows' where it is not given."
        |> onlyWith "eval_data"
        option "eval_data" "dataset" null "" "A data set whose loss is measured."
        flag "gradient_checkpointing" "false" "Recompute activations to save memory."
        |> recorded
        { option "dtype" "string" null "" "Compute type; the device's default where it is not given." with
            Choices = [| "float32"; "bfloat16"; "float16" |]
        }
        option "init_adapter" "path" null "" "A PEFT folder to start from."
        { option "reference" "string" "\"start\"" "" "The reference policy: where training starts, or the bare base model." with
            Type = "string|path"
            Choices = [| "start"; "base" |]
        }
        flag "precompute_reference" "false" "Reference log-probabilities of the whole data set as a job of their own, shared."
        |> aka [ "precompute_ref_log_probs" ]
    ]

let all = optimisation @ dataAndRecords

let names = all |> List.map (fun schema -> schema.Name) |> set

/// Options that the loop has by name only: where a method declares one, it is its loss that uses it.
let private ofLosses = set [ "label_smoothing_factor" ]

/// Whether the option is the loop's rather than the method's, given the method's declarations.
let isOfLoop (method: OptionSchema list) name =
    let isDeclared = method |> List.exists (fun schema -> schema.Name = name)
    names.Contains name && not (isDeclared && ofLosses.Contains name)

/// Options that a method whose loss does not use them accepts only at their defaults, which its jobs have always recorded.
let unused (method: OptionSchema list) =
    let isDeclared name =
        method |> List.exists (fun schema -> schema.Name = name)

    ofLosses |> Set.filter (isDeclared >> not)

/// Options that only methods with a reference policy have.
let private ofReference = set [ "reference"; "precompute_reference" ]

/// The method's own options and the training options, the method's declaration winning.
let withMethod (traits: string seq) (method: OptionSchema list) =
    let own = method |> List.map _.Name |> set
    let hasReference = traits |> Seq.contains "reference"

    let applies (schema: OptionSchema) =
        not (own.Contains schema.Name)
        && (hasReference || not (ofReference.Contains schema.Name))

    method @ (all |> List.filter applies)
