// What adapter_config.json says of adapters that stand before the text: PEFT's PromptLearningConfig.

using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Torch;

namespace PeftAlign.Models.Adapters;

/// <summary>The keys that prompt and prefix tuning share.</summary>
public static class PromptConfig
{
    // PEFT wraps no layers for these.
    private const string OfBase = "base_model.";

    /// <summary>The decoder that virtual tokens stand before.</summary>
    /// <param name="model">The model.</param>
    /// <exception cref="UserErrorException">The model is none.</exception>
    public static DecoderSpec Decoder(this ModelOutline model) =>
        model.Spec ?? throw new UserErrorException($"{model.Path} ({model.Architecture}) is no decoder; virtual tokens and prefixes stand before a decoder's text.");

    /// <summary>The number of virtual tokens that a folder says it has.</summary>
    /// <param name="config">adapter_config.json.</param>
    /// <exception cref="UserErrorException">None is said, or it is of an encoder and decoder.</exception>
    public static int VirtualTokens(JsonObject config)
    {
        if (config["num_virtual_tokens"] is null) throw AdapterConfig.Wrong("num_virtual_tokens", null, "a whole number from 1");
        if (config.Size("num_transformer_submodules", 1) is not 1 and var parts) throw AdapterConfig.Wrong("num_transformer_submodules", parts, "1: this model is a decoder alone");
        if (config.Texts("modules_to_save") is [_, ..]) throw AdapterConfig.Wrong("modules_to_save", config["modules_to_save"], "null: PEFT trains no modules beside virtual tokens");
        return config.Size("num_virtual_tokens", 1);
    }

    /// <summary>The shared keys as PEFT writes them.</summary>
    /// <param name="model">The base.</param>
    /// <param name="type">peft_type.</param>
    /// <param name="tokens">Virtual tokens.</param>
    /// <param name="heads">Heads that token_dim is cut into.</param>
    /// <param name="width">token_dim.</param>
    public static JsonObject Of(ModelOutline model, string type, long tokens, long heads, long width) => new()
    {
        ["peft_type"] = type,
        ["task_type"] = "CAUSAL_LM",
        ["base_model_name_or_path"] = model.Path,
        ["inference_mode"] = true,
        ["modules_to_save"] = null,
        ["num_attention_heads"] = heads,
        ["num_layers"] = model.Decoder().Layers,
        ["num_transformer_submodules"] = 1,
        ["num_virtual_tokens"] = tokens,
        ["token_dim"] = width,
    };

    /// <summary>What stands before the text, as sites: with the folder's tables of the base beneath it, where these are not the model's own.</summary>
    /// <param name="model">The base.</param>
    /// <param name="files">The folder.</param>
    /// <param name="tensors">Its tensors, of which the front's own are taken.</param>
    /// <param name="front">Virtual tokens, or prefixes.</param>
    /// <param name="what">What else explains the tensors, for the message.</param>
    /// <exception cref="UserErrorException">A table has another size, or a tensor belongs to nothing.</exception>
    public static IReadOnlyList<AdapterSite> Sites(ModelOutline model, AdapterFiles files, AdapterTensors tensors, Delta front, string what)
    {
        SavedBase.ThrowIfResized(model, files.Tensors, OfBase);
        var sites = SavedBase.Under(model, [new AdapterSite(model.Decoder().Names.Embedding, front)], tensors, OfBase);
        tensors.RefuseRest(what);
        return sites;
    }

    /// <summary>The tables of the base in sites, under their names in the folder.</summary>
    /// <param name="sites">What <see cref="Sites"/> gave, or a new adapter's.</param>
    public static IEnumerable<KeyValuePair<string, Tensor>> Tables(IReadOnlyList<AdapterSite> sites) =>
        from site in sites
        from whole in Decoders.Deltas.Parts(site.Delta).OfType<Whole>()
        from part in ((string Name, Tensor? Tensor)[])[("weight", whole.Weight), ("bias", whole.Bias)]
        where part.Tensor is not null
        select KeyValuePair.Create($"{OfBase}{site.Module}.{part.Name}", part.Tensor!);

    /// <summary>The front of sites.</summary>
    /// <param name="sites">What <see cref="Sites"/> gave, or a new adapter's.</param>
    public static Delta Front(IReadOnlyList<AdapterSite> sites) => sites.Select(site => SavedBase.Trained(site.Delta)).Single(delta => delta is not Whole);
}
