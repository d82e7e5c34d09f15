// The architectures that a process knows: the built-in ones and those of plugins, by model_type.

using System.Text.Json;
using PeftAlign.Abstractions;
using PeftAlign.Models.Checkpoints;

namespace PeftAlign.Models.Decoders;

/// <summary>Architectures by model_type. Immutable.</summary>
public sealed class ModelArchitectures
{
    private readonly IReadOnlyDictionary<string, IModelArchitecture> all;

    private readonly Func<JsonElement, IQuantization?> quantizationOf;

    private ModelArchitectures(IReadOnlyDictionary<string, IModelArchitecture> all, Func<JsonElement, IQuantization?> quantizationOf) => (this.all, this.quantizationOf) = (all, quantizationOf);

    /// <summary>Those that are built in.</summary>
    public static ModelArchitectures BuiltIn { get; } = new(new Dictionary<string, IModelArchitecture>
    {
        ["llama"] = new LlamaArchitecture(),
        ["mistral"] = new MistralArchitecture(),
        ["qwen2"] = new Qwen2Architecture(),
        ["qwen3"] = new Qwen3Architecture(),
        ["gemma"] = new GemmaArchitecture(),
        ["gemma2"] = new Gemma2Architecture(),
        ["gemma3"] = new Gemma3Architecture(),
        ["gemma3_text"] = new Gemma3TextArchitecture(),
        ["cohere"] = new CohereArchitecture(),
        ["granite"] = new GraniteArchitecture(),
        ["olmo2"] = new Olmo2Architecture(),
        ["olmo3"] = new Olmo3Architecture(),
        ["smollm3"] = new SmolLm3Architecture(),
        ["phi"] = new PhiArchitecture(),
        ["phi3"] = new Phi3Architecture(),
        ["stablelm"] = new StableLmArchitecture(),
        ["gpt2"] = new Gpt2Architecture(),
        ["gpt_neo"] = new GptNeoArchitecture(),
        ["gpt_neox"] = new GptNeoXArchitecture(),
        ["gptj"] = new GptJArchitecture(),
        ["falcon"] = new FalconArchitecture(),
        ["opt"] = new OptArchitecture(),
    }, _ => null);

    /// <summary>Every known model_type, sorted.</summary>
    public IReadOnlyList<string> Names => [.. all.Keys.Order(StringComparer.Ordinal)];

    /// <summary>Those of which a new model can be made, sorted.</summary>
    public IReadOnlyList<string> NamesToMake => [.. Names.Where(name => IsMadeAnew(all[name]))];

    /// <summary>These and further ones; a built-in one cannot be replaced.</summary>
    /// <param name="further">From plugins, by model_type.</param>
    public ModelArchitectures With(IEnumerable<KeyValuePair<string, IModelArchitecture>> further)
    {
        var joined = new Dictionary<string, IModelArchitecture>(all);
        foreach (var (name, architecture) in further)
            if (!joined.TryAdd(name, architecture)) throw new UserErrorException($"A plugin provides the architecture {name}, which is known already; remove the plugin.");
        return new ModelArchitectures(joined, quantizationOf);
    }

    /// <summary>These, with quantised folders of the formats that plugins read.</summary>
    /// <param name="find">From a folder's quantization_config to what reads it; null = nothing does.</param>
    public ModelArchitectures Reading(Func<JsonElement, IQuantization?> find) => new(all, find);

    /// <summary>What reads a folder's quantised matrices; null where the folder has none.</summary>
    /// <param name="config">config.json.</param>
    /// <exception cref="UserErrorException">It has some, and nothing that is installed reads them.</exception>
    public IQuantization? QuantizationOf(ModelConfig config)
    {
        if (!config.IsQuantized) return null;
        return quantizationOf(config.Json.GetProperty("quantization_config"))
            ?? throw config.Wrong("quantization_config", "of a format that an installed plugin reads (peft.qlora: bitsandbytes in 4 bits), or absent");
    }

    /// <summary>The architecture of a name.</summary>
    /// <exception cref="UserErrorException">There is none; the message names the known ones.</exception>
    public IModelArchitecture Find(string name) => all.TryGetValue(name, out var found) ? found
        : throw new UserErrorException($"The architecture {Fault.Quote(name)} is not known; known are {string.Join(", ", Names)}.");

    /// <summary>The architecture of a new model.</summary>
    /// <exception cref="UserErrorException">There is none of the name, or it has a part beside its text part.</exception>
    public IModelArchitecture ToMake(string name) => Find(name) is var found && IsMadeAnew(found) ? found
        : throw new UserErrorException($"The architecture {name} has a part that reads images, which is not made anew; make gemma3_text, its text part alone.");

    private static bool IsMadeAnew(IModelArchitecture architecture) => architecture is not Gemma3Architecture;

    /// <summary>What a configuration describes.</summary>
    /// <param name="config">config.json.</param>
    /// <exception cref="UserErrorException">The architecture is unknown, or a key asks for what it cannot compute.</exception>
    public DecoderSpec Describe(ModelConfig config)
    {
        if (!all.TryGetValue(config.ModelType, out var architecture)) throw config.UnknownArchitecture(all.Keys);
        return Checked(architecture.Describe(config), config);
    }

    private static DecoderSpec Checked(DecoderSpec spec, ModelConfig config)
    {
        if (spec is { HeadBias: true, TiedHead: true }) throw config.Wrong("tie_word_embeddings", "false or absent: a head with a bias has a matrix of its own here");
        foreach (var rope in spec.Ropes.Append(spec.Rope).OfType<RopeParameters>())
        {
            var width = RotaryFrequencies.Width(rope, spec.HeadWidth);
            if (width % 2 != 0) throw config.Wrong("head_dim", $"a size of which an even number of dimensions turns; {width} would");
            if (rope.ShortFactor is { } factors && factors.Count != width / 2)
                throw config.Wrong("rope_scaling", $"such that short_factor and long_factor have {width / 2} entries, one for each frequency; they have {factors.Count}");
        }
        return spec;
    }
}
