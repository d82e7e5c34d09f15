// Prompt tuning (Lester et al. 2021): trained vectors before the text, in PEFT's files.

using PeftAlign.Abstractions;

[assembly: PeftAlignPlugin(typeof(PeftAlign.Peft.Prompt.PromptPlugin))]

namespace PeftAlign.Peft.Prompt;

/// <summary>Provides the adapter prompt.</summary>
public sealed class PromptPlugin : IPlugin
{
    /// <inheritdoc/>
    public void Register(IPluginRegistry registry) =>
        registry.Add<IPeftAdapter, PromptOptions>("prompt", resultVersion: 2, (_, options) => new PromptAdapter(options));
}

/// <summary>Options of prompt.</summary>
[ContractTraits("no-weights", "own-start")]
public sealed class PromptOptions
{
    /// <summary>Number of trained vectors before the text.</summary>
    [OptionRange(1)]
    public int NumVirtualTokens { get; set; } = 20;

    /// <summary>Initial values: random (standard normal), text (the embeddings of init_text's tokens), sample_vocab (those of random tokens).</summary>
    [OptionChoices("random", "text", "sample_vocab", "RANDOM", "TEXT", "SAMPLE_VOCAB")]
    [OptionAlias("prompt_tuning_init")]
    public string Init { get; set; } = "random";

    /// <summary>With init: text, the text; its tokens, special ones included, are repeated or cut to the number of vectors.</summary>
    [OptionAlias("prompt_tuning_init_text")]
    [OptionOnlyWith("init", "text", "TEXT")]
    public string? InitText { get; set; }

    /// <summary>With init: text, a folder with another tokenizer than the model's.</summary>
    [OptionAlias("tokenizer_name_or_path")]
    [OptionNames("path")]
    [OptionOnlyWith("init", "text", "TEXT")]
    public string? InitTokenizer { get; set; }
}
