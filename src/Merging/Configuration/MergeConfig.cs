// A merge configuration as mergekit's YAML has it, typed. Model names are as written; nothing is opened here.

namespace PeftAlign.Merging;

/// <summary>Where something stands in the file.</summary>
internal readonly record struct Spot(int Line, int Column);

/// <summary>A model by name: a folder, or a folder and a LoRA adapter that is merged into it.</summary>
/// <param name="Text">As written: PATH or PATH+ADAPTER.</param>
/// <param name="At">Where it stands first.</param>
internal sealed record ModelName(string Text, Spot At)
{
    public bool Equals(ModelName? other) => other is not null && Text == other.Text;

    public override int GetHashCode() => Text.GetHashCode(StringComparison.Ordinal);

    public override string ToString() => Text;
}

/// <summary>Settings of one place: parameter name to setting, in the order of the file.</summary>
internal sealed record Settings(IReadOnlyDictionary<string, Setting> ByName)
{
    public static Settings None { get; } = new(new Dictionary<string, Setting>());
}

/// <summary>One model of a slice.</summary>
/// <param name="Layers">First layer and the one after the last; null for all.</param>
internal sealed record SourceConfig(ModelName Model, (long First, long End, Spot At)? Layers, Settings Parameters, Spot At);

/// <summary>Some layers of the result.</summary>
internal sealed record SliceConfig(IReadOnlyList<SourceConfig> Sources, ModelName? BaseModel, Settings Parameters, Spot At);

/// <summary>Where a new token's embedding comes from.</summary>
/// <param name="Zero">Zeros.</param>
/// <param name="Model">That model's row of the token, or of <paramref name="Token"/> or <paramref name="Id"/>.</param>
/// <param name="Force">For models that have the token too.</param>
internal sealed record TokenConfig(bool Zero, ModelName? Model, string? Token, long? Id, bool Force, Spot At);

/// <summary>Which tokenizer the result has.</summary>
/// <param name="Source">union, base, or a model.</param>
internal sealed record TokenizerConfig(string Source, ModelName? Model, IReadOnlyDictionary<string, TokenConfig> Tokens, long? PadToMultipleOf, Spot At);

/// <summary>The whole configuration.</summary>
/// <param name="Slices">Layers of the result, lowest first; one slice without ranges where models are listed.</param>
/// <param name="ListsModels">True where it lists models, to which the base is added.</param>
/// <param name="ModuleParameters">Settings of the module, below the slices' and above the merge's.</param>
internal sealed record MergeConfig(string Method, Spot MethodAt, ModelName? BaseModel, IReadOnlyList<SliceConfig> Slices, bool ListsModels, Settings ModuleParameters, Settings Parameters)
{
    /// <summary>float32, bfloat16, float16 or float64; null for the files' own.</summary>
    public string? Dtype { get; init; }

    /// <summary>Type of the result; null for <see cref="Dtype"/>.</summary>
    public string? OutDtype { get; init; }

    public TokenizerConfig? Tokenizer { get; init; }

    /// <summary>Name of a built-in template, a template's text, or auto.</summary>
    public (string Text, Spot At)? ChatTemplate { get; init; }

    /// <summary>True for files of mergekit: what this product defaults to otherwise (rescale: exact) is then mergekit's (l1).</summary>
    public bool MergekitDefaults { get; init; } = true;
}
