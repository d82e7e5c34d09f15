// Keys that a manifest gives to the host where it also gives a contract's options. An option of such a name would be read by the
// host and never reach the plugin, so that it is refused where a plugin is built and where its plugin.json is read.

namespace PeftAlign.Plugins;

internal static class HostKeys
{
    /// <summary>Options of the training loop, which stand beside a method's, with their other spellings. A method may declare
    /// label_smoothing_factor: it is then the loss's.</summary>
    internal static readonly string[] Training =
    [
        "adam_beta1", "adam_beta2", "adam_epsilon", "batch_size", "data_seed", "dtype", "epochs", "eval_batch_size", "eval_data", "eval_every", "eval_packing", "eval_steps",
        "gradient_accumulation_steps", "gradient_checkpointing", "init_adapter", "keep_checkpoints", "learning_rate", "lr_scheduler",
        "lr_scheduler_type", "max_grad_norm", "max_length", "max_prompt_length", "max_steps", "num_train_epochs", "optim", "optimizer",
        "packing", "packing_strategy", "padding_free", "per_device_eval_batch_size", "per_device_train_batch_size", "precompute_ref_log_probs", "precompute_reference",
        "reference", "save_every", "save_steps", "save_total_limit", "shuffle", "truncation", "truncation_mode", "warmup_ratio",
        "warmup_steps", "weight_decay",
    ];

    /// <summary>The keys beside the options of a kind; none where its options have a mapping of their own.</summary>
    internal static IReadOnlyList<string> Of(string kind) => kind switch
    {
        "method" => ["type", "adapter", "select", "tags", .. Training],
        "adapter" or "quantization" => ["type", "quantization", "tags"],
        "benchmark" => ["type", "name"],
        "reader" => ["reader", "split", "take", "map", "tags"],
        "judge" => ["type", "run", "init"],
        "tracker" => ["type"],
        _ => [],
    };

    /// <summary>Refuses an option that the host would keep for itself.</summary>
    /// <param name="provided">A contract with its options.</param>
    /// <exception cref="PluginException">Its name, or another spelling of it, is a key of the host's.</exception>
    internal static void ThrowIfTaken(ProvidedContract provided)
    {
        var keys = Of(provided.Kind);
        // A judge over a folder may be a model that the run makes; these keys say how.
        if (provided.Kind == "judge" && provided.Options.Options.Any(option => option.Name == "path")) keys = [.. keys, "set", "tokenizer", "seed"];
        foreach (var option in provided.Options.Options)
            if (option.Aliases.Prepend(option.Name).FirstOrDefault(keys.Contains) is { } taken)
                throw new PluginException($"The {provided.Kind} '{provided.Name}' has an option '{taken}', but beside a {provided.Kind}'s options that key is the host's, so that its value would never reach the plugin. Rename the property or its alias, for instance to {provided.Name.Replace('-', '_').Replace('.', '_')}_{taken}.");
    }
}
