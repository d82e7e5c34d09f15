// Prefixes, new and to and from PEFT's files: one tensor prompt_embeddings (m, 2 * blocks * G * D), and tables of the base where PEFT saved
// them. A projection is not in the file, so that what is loaded goes on without it.

using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Models.Adapters;
using PeftAlign.Torch;

namespace PeftAlign.Peft.Prefix;

internal sealed class PrefixAdapter(PrefixOptions options) : IPeftAdapter
{
    private const string Name = "prompt_embeddings";

    // What the folder says of its start; null where the options do.
    private (bool Projection, int Hidden, string? Init)? read;

    public string PeftType => "PREFIX_TUNING";

    public IReadOnlyList<AdapterSite> Attach(ModelOutline model, ulong seed)
    {
        var embedding = Embedding(model);
        return [new AdapterSite(embedding.Name, PrefixStart.Of(options, PrefixShape.Of(model.Decoder(), options.NumVirtualTokens), seed, embedding.Device))];
    }

    public IReadOnlyList<AdapterSite> Load(ModelOutline model, AdapterFiles files)
    {
        var (embedding, config) = (Embedding(model), files.Config);
        var shape = PrefixShape.Of(model.Decoder(), PromptConfig.VirtualTokens(config));
        read = (config.Flag("prefix_projection"), config.Size("encoder_hidden_size", (int)shape.Width), config.Text("init_weights"));
        var tensors = new AdapterTensors(files.Tensors);
        var values = tensors.Take(Name, [shape.Tokens, shape.Flat], embedding.Device);
        return PromptConfig.Sites(model, files, tensors, new PrefixKV(values), "keys and values of virtual tokens");
    }

    public AdapterFiles Save(ModelOutline model, IReadOnlyList<AdapterSite> sites)
    {
        using var off = torch.no_grad();
        var (values, spec) = (Prefixes.Flat((PrefixKV)PromptConfig.Front(sites)), model.Decoder());
        var width = spec.KeyValueHeads * spec.HeadWidth;
        var config = PromptConfig.Of(model, PeftType, values.size(0), spec.KeyValueHeads, width);
        var (projection, hidden, init) = read ?? (options.PrefixProjection, options.EncoderHiddenSize ?? (int)width, options.Init == "zero" ? "zero" : null);
        (config["prefix_projection"], config["encoder_hidden_size"], config["init_weights"]) = (projection, hidden, init is null ? null : JsonValue.Create(init));
        return new AdapterFiles(config, new Dictionary<string, Tensor>(PromptConfig.Tables(sites)) { [Name] = values });
    }

    private static ModuleOutline Embedding(ModelOutline model) => model.Modules.First(m => m.Name == model.Decoder().Names.Embedding);
}
