// Which tensors of a model lie in a layer, before the first and after the last, by their names in Hugging Face's checkpoints:
// model.layers.N., transformer.h.N. and the like; embeddings come before, norms and heads after.

using System.Globalization;
using System.Text.RegularExpressions;

namespace PeftAlign.Merging;

internal static partial class TensorNames
{
    public const string Head = "lm_head.weight";

    private static readonly string[] HeadNames = [Head, "embed_out.weight"];

    /// <summary>The layer of a tensor, or null.</summary>
    public static int? Layer(string name) => Numbered().Match(name) is { Success: true } match ? int.Parse(match.Groups[2].ValueSpan, CultureInfo.InvariantCulture) : null;

    /// <summary>The same tensor of another layer.</summary>
    public static string InLayer(string name, long layer) => Numbered().Replace(name, match => $"{match.Groups[1].Value}{layer}.", 1);

    /// <summary>Whether a tensor outside the layers belongs before the first.</summary>
    public static bool IsBefore(string name) => name.Contains("embed", StringComparison.Ordinal) || name.EndsWith("wte.weight", StringComparison.Ordinal) || name.EndsWith("wpe.weight", StringComparison.Ordinal);

    /// <summary>Whether the first dimension counts tokens.</summary>
    public static bool IsVocabulary(string name) => name == Head || name.EndsWith("embed_tokens.weight", StringComparison.Ordinal) || name.EndsWith("wte.weight", StringComparison.Ordinal);

    /// <summary>The token embedding among names; null where none is known.</summary>
    public static string? Embedding(IEnumerable<string> names) => names.FirstOrDefault(name => name != Head && IsVocabulary(name));

    /// <summary>Whether it is an output head, also of a model within a model; GPT-NeoX calls its own embed_out.</summary>
    public static bool IsHead(string name) => HeadNames.Any(head => name == head || name.EndsWith("." + head, StringComparison.Ordinal));

    /// <summary>Tensors that a model may have or not: biases that an architecture does not list, and rotary tables.</summary>
    public static bool IsOptional(string name) => name.EndsWith(".bias", StringComparison.Ordinal) || name.EndsWith("inv_freq", StringComparison.Ordinal);

    [GeneratedRegex(@"(\.?(?:layers|h|blocks|block)\.)(\d+)\.")]
    private static partial Regex Numbered();
}
