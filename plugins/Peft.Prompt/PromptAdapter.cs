// Virtual tokens, new and to and from PEFT's files: one tensor prompt_embeddings (m, d), and tables of the base where PEFT saved them.

using PeftAlign.Abstractions;
using PeftAlign.Models.Adapters;
using PeftAlign.Torch;

namespace PeftAlign.Peft.Prompt;

internal sealed class PromptAdapter(PromptOptions options) : IPeftAdapter
{
    private const string Name = "prompt_embeddings";

    // What the folder says of its start; null where the options do.
    private (string? Init, string? Text, string? Tokenizer)? read;

    public string PeftType => "PROMPT_TUNING";

    public IReadOnlyList<AdapterSite> Attach(ModelOutline model, ulong seed)
    {
        var embedding = Embedding(model);
        return [new AdapterSite(embedding.Name, new VirtualTokens(PromptStart.Of(options, model, embedding, seed)))];
    }

    public IReadOnlyList<AdapterSite> Load(ModelOutline model, AdapterFiles files)
    {
        var (embedding, config) = (Embedding(model), files.Config);
        read = (config.Text("prompt_tuning_init"), config.Text("prompt_tuning_init_text"), config.Text("tokenizer_name_or_path"));
        var tensors = new AdapterTensors(files.Tensors);
        var values = tensors.Take(Name, [PromptConfig.VirtualTokens(config), embedding.Inputs], embedding.Device);
        return PromptConfig.Sites(model, files, tensors, new VirtualTokens(values), "virtual tokens");
    }

    public AdapterFiles Save(ModelOutline model, IReadOnlyList<AdapterSite> sites)
    {
        var values = ((VirtualTokens)PromptConfig.Front(sites)).Values;
        var config = PromptConfig.Of(model, PeftType, values.size(0), model.Decoder().Heads, values.size(1));
        var (init, text, tokenizer) = read ?? (options.Init.ToUpperInvariant(), options.InitText, options.InitText is null ? null : options.InitTokenizer ?? model.Path);
        (config["prompt_tuning_init"], config["prompt_tuning_init_text"], config["tokenizer_name_or_path"]) = (init ?? "RANDOM", text, tokenizer);
        config["tokenizer_kwargs"] = null;
        return new AdapterFiles(config, new Dictionary<string, Tensor>(PromptConfig.Tables(sites)) { [Name] = values });
    }

    private static ModuleOutline Embedding(ModelOutline model) => model.Modules.First(m => m.Name == model.Decoder().Names.Embedding);
}
