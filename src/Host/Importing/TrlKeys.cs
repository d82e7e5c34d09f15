// What the keys of TRL's configurations mean to us: those that change no number, those that we have no counterpart for, and the
// defaults of TRL 1.16 that differ from ours or may come to. Facts: dataclass fields of SFTConfig, DPOConfig, KTOConfig, ORPOConfig,
// CPOConfig, RewardConfig, ModelConfig and ScriptArguments.

using System.Text.Json.Nodes;

namespace PeftAlign.Host.Importing;

internal static class TrlKeys
{
    /// <summary>The trainers whose configurations are read, with the method of ours.</summary>
    internal static IReadOnlyList<string> Methods { get; } = ["sft", "dpo", "kto", "orpo", "cpo", "reward"];

    /// <summary>Keys that say where results go, how progress is shown or how the work is spread: no result depends on them.</summary>
    internal static IReadOnlySet<string> WithoutEffect { get; } = Set(
        "output_dir do_train do_eval do_predict report_to run_name project logging_steps logging_strategy logging_first_step logging_nan_inf_filter log_level log_level_replica log_on_each_node disable_tqdm"
        + " dataloader_num_workers dataloader_pin_memory dataloader_prefetch_factor dataloader_persistent_workers dataloader_in_order dataloader_multiprocessing_context dataset_num_proc remove_unused_columns length_column_name"
        + " push_to_hub hub_model_id hub_strategy hub_token hub_private_repo hub_always_push hub_revision trackio_space_id trackio_bucket_id trackio_static_space_id"
        + " gradient_checkpointing_kwargs activation_checkpointing activation_checkpointing_kwargs activation_offloading torch_empty_cache_steps skip_memory_metrics include_num_input_tokens_seen include_for_metrics"
        + " attn_implementation use_liger_kernel liger_kernel_config torch_compile torch_compile_backend torch_compile_mode tf32 use_cache full_determinism enable_jit_checkpoint"
        + " pad_to_multiple_of padding_value save_on_each_node save_only_model overwrite_output_dir ddp_timeout ddp_backend ddp_bucket_cap_mb ddp_broadcast_buffers ddp_find_unused_parameters ddp_static_graph"
        + " average_tokens_across_devices local_rank debug trust_remote_code precompute_ref_batch_size eval_do_concat_batches eval_use_gather_object eval_accumulation_steps"
        + " batch_eval_metrics prediction_loss_only bf16_full_eval fp16_full_eval is_encoder_decoder ignore_bias_buffers bnb_4bit_quant_storage generate_during_eval resume_from_checkpoint restore_callback_states_from_checkpoint"
        + " ignore_data_skip auto_find_batch_size label_names accelerator_config use_cpu env config");

    /// <summary>Keys of every trainer that only some losses use; 0 is off.</summary>
    internal static IReadOnlySet<string> OfLosses { get; } = Set("label_smoothing_factor");

    /// <summary>Keys that change results and have no counterpart, each with TRL's default, at which it changes nothing.</summary>
    internal static IReadOnlyDictionary<string, (JsonNode? Default, string Instead)> WithoutCounterpart { get; } = new Dictionary<string, (JsonNode?, string)>
    {
        ["neftune_noise_alpha"] = (null, "no noise is added to embeddings"),
        ["sync_ref_model"] = (false, "the reference policy stays as it is"),
        ["ref_model_mixup_alpha"] = (0.6, "goes with sync_ref_model"),
        ["ref_model_sync_steps"] = (512, "goes with sync_ref_model"),
        ["router_aux_loss_coef"] = (null, "mixtures of experts are no known architecture"),
        ["load_in_8bit"] = (false, "bases are float32, bfloat16, or 4-bit by adapter type qlora"),
        ["lora_target_parameters"] = (null, "LoRA is on modules"),
        ["eos_token"] = (null, "the tokenizer's own end token is used; set it in the model's tokenizer_config.json"),
        ["model_revision"] = ("main", "fetch that revision: peftalign models pull HUB_ID --revision NAME"),
        ["model_init_kwargs"] = (null, "the folder's config.json says how the model is built"),
        ["dataset_config"] = (null, "give the file of that configuration"),
        ["dataset_kwargs"] = (null, "rows are prepared as docs/training.md says"),
        ["test_split_size"] = (null, "write the test rows to a file of their own and name it as eval_data"),
        ["load_best_model_at_end"] = (false, "name the checkpoint that you want, or select by eval_loss in a grid"),
        ["metric_for_best_model"] = (null, "goes with load_best_model_at_end"),
        ["greater_is_better"] = (null, "goes with load_best_model_at_end"),
        ["lr_scheduler_kwargs"] = (null, "schedules have transformers' standard shapes"),
        ["optim_args"] = (null, "the optimiser's options are adam_beta1, adam_beta2, adam_epsilon"),
        ["optim_target_modules"] = (null, "all trained tensors have one optimiser"),
        ["dataloader_drop_last"] = (false, "a last batch that is not full is trained on"),
        ["eval_delay"] = (0, "evaluation starts at the first multiple of eval_every"),
        ["eval_on_start"] = (false, "evaluate the untouched model by evaluate"),
        ["deepspeed"] = (null, "a training runs on one device"),
        ["fsdp"] = (null, "a training runs on one device"),
        ["fsdp_config"] = (null, "a training runs on one device"),
        ["parallelism_config"] = (null, "a training runs on one device"),
        ["max_completion_length"] = (null, "max_length bounds prompt and completion together"),
        ["use_logits_to_keep"] = (null, "the head is computed only where it is asked"),
        ["shuffle_dataset"] = (false, "rows are drawn in random order by shuffle"),
    };

    /// <summary>TRL's defaults by its own names.</summary>
    internal static IReadOnlyDictionary<string, JsonNode> Defaults(string method)
    {
        var all = new Dictionary<string, JsonNode>
        {
            ["per_device_train_batch_size"] = 8,
            ["gradient_accumulation_steps"] = 1,
            ["learning_rate"] = method switch { "sft" => 2e-5, "reward" => 1e-4, _ => 1e-6 },
            ["lr_scheduler_type"] = "linear",
            ["weight_decay"] = 0.0,
            ["max_grad_norm"] = 1.0,
            ["max_length"] = 1024,
            ["save_steps"] = 500,
            ["seed"] = 42,
        };
        if (method is "dpo" or "kto" or "orpo" or "cpo") all["beta"] = 0.1;
        if (method is "dpo") all["loss_type"] = "sigmoid";
        if (method is "cpo") (all["loss_type"], all["cpo_alpha"], all["simpo_gamma"]) = ("sigmoid", 1.0, 0.5);
        if (method is "kto") (all["loss_type"], all["desirable_weight"], all["undesirable_weight"]) = ("kto", 1.0, 1.0);
        if (method is "sft" or "dpo") all["truncation_mode"] = "keep_start";
        if (method is "sft") (all["packing"], all["loss_type"]) = (false, "nll");
        if (method is not "sft") all["disable_dropout"] = true;
        return all;
    }

    /// <summary>TRL's defaults of --use_peft, which are not PEFT's.</summary>
    internal static IReadOnlyDictionary<string, JsonNode> AdapterDefaults { get; } =
        new Dictionary<string, JsonNode> { ["lora_r"] = 16, ["lora_alpha"] = 32, ["lora_dropout"] = 0.05 };

    /// <summary>Keys that are read one by one.</summary>
    internal static IReadOnlyList<string> Special { get; } =
    [
        "model_name_or_path", "dtype", "bf16", "fp16", "use_peft", "lora_r", "lora_alpha", "lora_dropout", "lora_target_modules", "lora_modules_to_save", "use_rslora", "use_dora",
        "load_in_4bit", "bnb_4bit_quant_type", "use_bnb_nested_quant", "dataset_name", "datasets", "dataset_train_split", "dataset_test_split", "dataset_text_field", "dataset_streaming", "streaming", "chat_template_path", "pad_token", "lora_task_type", "seed", "data_seed",
        "max_steps", "num_train_epochs", "optim", "warmup_steps", "warmup_ratio", "save_strategy", "save_steps", "eval_strategy", "eval_steps", "per_device_eval_batch_size", "eval_packing", "train_sampling_strategy", "gradient_checkpointing",
    ];

    /// <summary>Values that a key takes under an older name, or a shorter one, and what they are called.</summary>
    internal static IReadOnlyList<(string Key, string Old, string Now)> OldNames { get; } = [("loss_type", "chunked_nll", "nll"), ("loss_type", "alphapo", "simpo"), ("packing_strategy", "bfd-requeue", "bfd_split")];

    /// <summary>Whether null is TRL's default for a key, or no result depends on it.</summary>
    internal static bool MayBeNull(string key) => WithoutEffect.Contains(key) || Nulls.Contains(key) || (WithoutCounterpart.TryGetValue(key, out var known) && known.Default is null);

    private static IReadOnlySet<string> Nulls { get; } = Set(
        "model_name_or_path dataset_name datasets dtype bf16 chat_template_path lora_target_modules lora_modules_to_save eval_steps eval_packing data_seed save_total_limit completion_only_loss"
        + " pad_token ld_alpha loss_weights center_rewards_coefficient max_prompt_length warmup_ratio");

    /// <summary>The keys of TRL's that an option of a made manifest may come from, where they have other names.</summary>
    /// <param name="section">methods, adapters, models, datasets or seeds.</param>
    /// <param name="name">The option.</param>
    internal static IReadOnlyList<string> Origins(string section, string name) => (section, name) switch
    {
        ("seeds", _) => ["seed"],
        ("models", "path") => ["model_name_or_path"],
        ("models", "chat_template") => ["chat_template_path"],
        ("datasets", "path") => ["dataset_name"],
        ("datasets", "map" or "text") => ["dataset_text_field"],
        ("adapters", "rank") => ["lora_r"],
        ("adapters", "alpha" or "dropout") => [$"lora_{name}"],
        ("adapters", "targets") => ["lora_target_modules"],
        ("adapters", "modules_to_save") => ["lora_modules_to_save"],
        ("adapters", "quantization" or "quant_type") => ["bnb_4bit_quant_type"],
        ("adapters", "double_quant") => ["use_bnb_nested_quant"],
        ("methods", "epochs") => ["num_train_epochs"],
        ("methods", "warmup_ratio") => ["warmup_steps", "warmup_ratio"],
        ("methods", "eval_batch_size") => ["per_device_eval_batch_size"],
        ("methods", "eval_every") => ["eval_steps", "logging_steps"],
        _ => [],
    };

    /// <summary>Every key that is known for a method, for suggestions.</summary>
    internal static IEnumerable<string> Known => WithoutEffect.Concat(OfLosses).Concat(WithoutCounterpart.Keys).Concat(Special);

    /// <summary>torch's and bitsandbytes' names of optimisers, as ours.</summary>
    internal static string? Optimizer(string name) => name switch
    {
        "adamw_torch" or "adamw_torch_fused" or "adamw_hf" or "adamw" => "adamw",
        "paged_adamw" or "paged_adamw_32bit" => "paged_adamw",
        "adamw_8bit" or "adamw_bnb_8bit" => "adamw_8bit",
        "paged_adamw_8bit" => "paged_adamw_8bit",
        "sgd" => "sgd",
        "rmsprop" => "rmsprop",
        _ => null,
    };

    private static HashSet<string> Set(string names) => [.. names.Split(' ', StringSplitOptions.RemoveEmptyEntries)];
}
