// Values with which TRL 1.16 (transformers 5.23, PEFT 0.21) fails, each tried there, or with which it trains nothing: they are refused here
// too. A value that TRL accepts but that is unknown here is reported as not carried over instead.

using System.Text.Json.Nodes;
using PeftAlign.Core;
using PeftAlign.Plugins;

namespace PeftAlign.Host.Importing;

internal static class TrlRefusals
{
    private static readonly string[] Optimizers =
    [
        .. ("adamw_torch adamw_torch_fused adamw_torch_xla adamw_torch_npu_fused adafactor adamw_anyprecision adamw_torch_4bit adamw_torch_8bit ademamix sgd adagrad adamw_bnb_8bit adamw_8bit ademamix_8bit"
            + " lion_8bit lion_32bit paged_adamw_32bit paged_adamw_8bit paged_ademamix_32bit paged_ademamix_8bit paged_lion_32bit paged_lion_8bit rmsprop rmsprop_bnb rmsprop_bnb_8bit rmsprop_bnb_32bit galore_adamw"
            + " galore_adamw_8bit galore_adafactor galore_adamw_layerwise galore_adamw_8bit_layerwise galore_adafactor_layerwise lomo adalomo grokadamw schedule_free_radam schedule_free_adamw schedule_free_sgd"
            + " apollo_adamw apollo_adamw_layerwise stable_adamw").Split(' '),
    ];

    /// <summary>Why a value is refused, with those that are taken; null where it is not.</summary>
    /// <param name="method">One of <see cref="TrlKeys.Methods"/>.</param>
    /// <param name="key">A key of its configuration.</param>
    /// <param name="ours">Values of the option here, where it lists them: what TRL has not may be one of them.</param>
    /// <param name="given">What a key is given; null for nothing.</param>
    internal static string? Of(string method, string key, IReadOnlyList<string> ours, Func<string, DocumentNode?> given)
    {
        if (given(key) is not { } value || !IsUsed(key, given)) return null;
        if (Names(method, key) is { } names)
            return (value.Kind == "list" ? value.Items : [value]).FirstOrDefault(item => item.Kind == "text" && !names.Contains(item.Text) && !ours.Contains(item.Text) && !IsOlder(key, item.Text, names)) is { } other
                ? $"TRL has no '{other.Text}' here; it takes {string.Join(", ", names)}.{(Suggestions.Nearest(other.Text, names) is { } near ? $" Did you mean '{near}'?" : "")}" : null;
        if (key == "lora_target_modules") return value is { Kind: "list", Items.Count: 0 } ? "an adapter without a module is refused by PEFT; name modules, write all-linear, or leave it out for the architecture's usual ones" : null;
        if (Bounds(key) is not var (low, isIn, taken) || TrlValues.Number(value) is not { } number) return null;
        return Real(number) is var real && (real < low || !isIn(real)) ? taken : null;
    }

    // Without an adapter or an evaluation, their options are harmless.
    private static bool IsUsed(string key, Func<string, DocumentNode?> given)
    {
        bool Is(string other) => given(other) is { } node && TrlValues.Truth(node) is true;
        return key switch
        {
            "lora_r" or "lora_dropout" or "lora_target_modules" => Is("use_peft"),
            "num_train_epochs" => given("max_steps") is not { } steps || TrlValues.Number(steps) is not { } number || Real(number) <= 0,
            "per_device_eval_batch_size" => given("eval_strategy") is { Kind: "text", Text: not "no" },
            "packing_strategy" => Is("packing"),
            _ => true,
        };
    }

    private static double Real(JsonNode number) => number.AsValue().TryGetValue<long>(out var whole) ? whole : (double)number;

    // Names that TRL or transformers once accepted, and that are still read here.
    private static bool IsOlder(string key, string text, IReadOnlyList<string> names) =>
        (key == "optim" && TrlKeys.Optimizer(text) is not null) || TrlKeys.OldNames.Any(older => (older.Key, older.Old) == (key, text) && names.Contains(older.Now));

    private static IReadOnlyList<string>? Names(string method, string key) => (key, method) switch
    {
        ("loss_type", "sft") => ["nll", "dft"],
        ("loss_type", "dpo") => ["sigmoid", "hinge", "ipo", "exo_pair", "nca_pair", "robust", "bco_pair", "sppo_hard", "aot", "aot_unpaired", "apo_zero", "apo_down", "discopop", "sft", "sigmoid_norm"],
        ("loss_type", "kto") => ["kto", "apo_zero_unpaired"],
        ("loss_type", "cpo") => ["sigmoid", "hinge", "ipo", "simpo", "alphapo"],
        ("lr_scheduler_type", _) => ["linear", "cosine", "cosine_with_restarts", "polynomial", "constant", "constant_with_warmup", "inverse_sqrt", "reduce_lr_on_plateau", "cosine_with_min_lr", "cosine_warmup_with_min_lr", "warmup_stable_decay", "greedy"],
        ("optim", _) => Optimizers,
        ("save_strategy", _) => ["no", "steps", "epoch", "best"],
        ("eval_strategy", _) => ["no", "steps", "epoch"],
        ("packing_strategy", "sft") => ["bfd", "bfd_split", "wrapped"],
        ("truncation_mode", "sft" or "dpo") => ["keep_start", "keep_end"],
        _ => null,
    };

    // From where, what else must hold, and what to say.
    private static (double Low, Func<double, bool> IsIn, string Taken)? Bounds(string key) => key switch
    {
        "num_train_epochs" => (0, epochs => epochs > 0, "no update would be made; give more than 0 epochs, or max_steps"),
        "per_device_train_batch_size" or "per_device_eval_batch_size" or "gradient_accumulation_steps" or "lora_r" => (1, _ => true, "TRL refuses it; give a whole number from 1"),
        "lora_dropout" => (double.NegativeInfinity, share => share <= 1, "TRL refuses it; give a number from 0 to 1"),
        "seed" => (0, seed => seed <= uint.MaxValue, $"TRL refuses it; give a whole number from 0 to {uint.MaxValue}"),
        "learning_rate" or "adam_epsilon" or "warmup_steps" => (0, _ => true, "TRL refuses it; give a number from 0"),
        "adam_beta1" or "adam_beta2" => (0, beta => beta < 1, "TRL refuses it; give a number from 0 to below 1"),
        _ => null,
    };
}
