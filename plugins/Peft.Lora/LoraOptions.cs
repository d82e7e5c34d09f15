// The options of lora: names are PEFT's, shortened; PEFT's own spellings are aliases.

using PeftAlign.Abstractions;

namespace PeftAlign.Peft.Lora;

/// <summary>Options of lora.</summary>
public sealed class LoraOptions
{
    /// <summary>Rank of the change, r.</summary>
    [OptionRange(1)]
    [OptionAlias("r")]
    public int Rank { get; set; } = 8;

    /// <summary>The change is scaled by alpha / rank.</summary>
    [OptionRange(0, ExclusiveMinimum = true)]
    [OptionAlias("lora_alpha")]
    public double Alpha { get; set; } = 8;

    /// <summary>Share of the adapter's inputs that are dropped in training.</summary>
    [OptionRange(0, 0.999)]
    [OptionAlias("lora_dropout")]
    public double Dropout { get; set; }

    /// <summary>Modules to change: whole names or dotted suffixes, one regular expression for whole names, or all-linear; without any the architecture's usual ones.</summary>
    [OptionAlias("target_modules")]
    [OptionFilled]
    public List<string> Targets { get; set; } = [];

    /// <summary>Modules to leave out, written as targets.</summary>
    public List<string> ExcludeModules { get; set; } = [];

    /// <summary>Numbers of the blocks to change, from 0; without any, all blocks.</summary>
    [OptionRange(0)]
    public List<int> LayersToTransform { get; set; } = [];

    /// <summary>What stands before a block's number in module names, where it is not the first number.</summary>
    public List<string> LayersPattern { get; set; } = [];

    /// <summary>Ranks of single modules, by the end of the name (a regular expression); two that match one module must agree.</summary>
    [OptionRange(1)]
    public Dictionary<string, int> RankPattern { get; set; } = [];

    /// <summary>Alphas of single modules, by the end of the name (a regular expression); two that match one module must agree.</summary>
    [OptionRange(0, ExclusiveMinimum = true)]
    public Dictionary<string, double> AlphaPattern { get; set; } = [];

    /// <summary>Biases to train: none, all, or those of changed modules (lora_only).</summary>
    [OptionChoices("none", "all", "lora_only")]
    public string Bias { get; set; } = "none";

    /// <summary>Scale by alpha / sqrt(rank) instead (rsLoRA).</summary>
    public bool UseRslora { get; set; }

    /// <summary>Train the lengths of the weights' rows apart from their directions (DoRA).</summary>
    public bool UseDora { get; set; }

    /// <summary>Initial values of A and B: default, gaussian, pissa, pissa_niter_N (randomised, N iterations), olora, or loftq over a base that is quantised while it is loaded.</summary>
    [OptionAlias("init_lora_weights")]
    public string Init { get; set; } = LoraStart.Default;

    /// <summary>Alternations of loftq. One in training; quantize --loftq-rank writes a base and an adapter after more.</summary>
    [OptionRange(1)]
    [OptionOnlyWith("init", LoraStart.Loftq)]
    public int LoftqIter { get; set; } = 1;

    /// <summary>Modules to train whole, beside the change.</summary>
    public List<string> ModulesToSave { get; set; } = [];

    /// <summary>Ids of tokens whose embedding rows are trained.</summary>
    [OptionRange(0)]
    [OptionAlias("trainable_token_indices")]
    public List<long> TrainableTokens { get; set; } = [];
}
