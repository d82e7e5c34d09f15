// Which tensors of a model lie in a layer, before the first and after the last, by their names in Hugging Face's checkpoints:
// model.layers.N., transformer.h.N., bert.encoder.layer.N. and the like; embeddings come before, norms and heads after.

using System.Globalization;
using System.Text.RegularExpressions;
using PeftAlign.Models.Decoders;

namespace PeftAlign.Merging;

internal static partial class TensorNames
{
    public const string Head = "lm_head.weight";

    // InternLM 2 calls its own output.weight; what else ends so is no head.
    private static readonly string[] HeadNames = [Head, "embed_out.weight", "lm_head.linear.weight"];
    private static readonly string[] Tables = ["embed_tokens.weight", "wte.weight", "embed_in.weight", "word_embeddings.weight", "tok_embeddings.weight", "shared.weight", "backbone.embeddings.weight"];

    // Biases of heads, and the heads of masked language models.
    private static readonly string[] OtherVocabulary =
        ["lm_head.bias", "lm_head.linear.bias", "lm_head.decoder.weight", "lm_head.decoder.bias", "predictions.bias", "predictions.decoder.weight", "predictions.decoder.bias", "vocab_projector.weight", "vocab_projector.bias", "output_layer.weight"];

    /// <summary>The layer of a tensor, or null.</summary>
    public static int? Layer(string name) => !Vision().IsMatch(name) && Numbered().Match(name) is { Success: true } match ? int.Parse(match.Groups[2].ValueSpan, CultureInfo.InvariantCulture) : null;

    /// <summary>The same tensor of another layer.</summary>
    public static string InLayer(string name, long layer) => Vision().IsMatch(name) ? name : Numbered().Replace(name, match => $"{match.Groups[1].Value}{layer}.", 1);

    /// <summary>Whether a tensor outside the layers belongs before the first.</summary>
    public static bool IsBefore(string name) => !IsHead(name) && (name.Contains("embed", StringComparison.Ordinal) || IsOneOf(name, ["wte.weight", "wpe.weight", "project_in.weight"]));

    /// <summary>Whether the first dimension counts tokens.</summary>
    public static bool IsVocabulary(string name) => IsHead(name) || IsTable(name) || IsOneOf(name, OtherVocabulary);

    /// <summary>Whether it is a token embedding.</summary>
    public static bool IsTable(string name) => IsOneOf(name, Tables) && Layer(name) is null;

    /// <summary>The token embedding among names; null where none is known.</summary>
    public static string? Embedding(IEnumerable<string> names) => names.FirstOrDefault(IsTable);

    /// <summary>Whether it is an output head, also of a model within a model; GPT-NeoX calls its own embed_out.</summary>
    public static bool IsHead(string name) => IsOneOf(name, HeadNames) || name == "output.weight";

    /// <summary>Tensors that a model may have or not: biases that an architecture does not list, and rotary tables.</summary>
    public static bool IsOptional(string name) => name.EndsWith(".bias", StringComparison.Ordinal) || name.EndsWith("inv_freq", StringComparison.Ordinal) || StoredNames.IsTable(name);

    // The whole last parts of a name.
    private static bool IsOneOf(string name, string[] ends) => ends.Any(end => name == end || (name.EndsWith(end, StringComparison.Ordinal) && name[^(end.Length + 1)] == '.'));

    // Blocks of a vision tower are none of the language model's layers: they are merged as what lies outside of them.
    [GeneratedRegex(@"(?<![^.])(?:visual|vision_tower|vision_model)\.")]
    private static partial Regex Vision();

    [GeneratedRegex(@"(?<![^.])((?:layers?|h|blocks?)\.)(\d+)\.")]
    private static partial Regex Numbered();
}
