// Which trained tensors are embeddings, as transformers' Trainer sees them: weights of nn.Embedding, whose moments it does not quantise
// (GlobalOptimManager). Rows of rare tokens have second moments far below their block's largest, which 8 bits would lose.

using System.Text.RegularExpressions;
using PeftAlign.Models.Decoders;

namespace PeftAlign.Training;

internal static partial class Embeddings
{
    /// <summary>Names of a model's own: tokens' and, where they are learned, positions'. A tied head is the former.</summary>
    internal static IReadOnlySet<string> Of(DecoderModel model) => Modules(model).Select(module => module + ".weight").ToHashSet();

    /// <summary>Whether an adapter's tensor is one: a copy that is trained whole, virtual tokens, prefixes. LoRA's factors are none, nor trained rows.</summary>
    /// <param name="model">The base.</param>
    /// <param name="module">The module's dotted name.</param>
    /// <param name="role">weight, prompt_embeddings, lora_A ...</param>
    internal static bool Has(DecoderModel model, string module, string role) => Modules(model).Contains(module) && Weight().IsMatch(role);

    private static IEnumerable<string> Modules(DecoderModel model) => new[] { model.Spec.Names.Embedding, model.Spec.Names.Positions }.OfType<string>();

    [GeneratedRegex(@"^(\d+\.)*(weight|embedding\.weight|prompt_embeddings)$")]
    private static partial Regex Weight();
}
