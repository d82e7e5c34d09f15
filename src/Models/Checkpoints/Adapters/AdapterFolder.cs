// A folder in PEFT's format: adapter_config.json beside adapter_model.safetensors or adapter_model.bin. What any adapter
// type shares is checked here; LoRA's pairs too, since a half-loaded LoRA changes a model in silence.
// Format: PEFT, developer guide "PEFT checkpoint format".

using System.Text.Json;
using PeftAlign.Abstractions;
using PeftAlign.Torch;

namespace PeftAlign.Models.Checkpoints;

/// <summary>An adapter on disk. Its tensors stay valid after it is disposed.</summary>
public sealed partial class AdapterFolder : IDisposable
{
    private const string ConfigFile = "adapter_config.json";
    private const string Weights = "adapter_model.safetensors";
    private const string PickledWeights = "adapter_model.bin";

    private readonly ConfigReader reader;
    private readonly CheckpointFolder weights;
    private readonly List<string> warnings = [];

    private AdapterFolder(string path, ConfigReader reader, CheckpointFolder weights)
    {
        this.reader = reader;
        this.weights = weights;
        Path = path;
        PeftType = reader.Text("peft_type")!;
    }

    /// <summary>The adapter types that are known without a plugin's word.</summary>
    public static IReadOnlyList<string> KnownTypes { get; } = ["LORA", "IA3", "PROMPT_TUNING", "PREFIX_TUNING", "P_TUNING"];

    /// <summary>The folder as it was given.</summary>
    public string Path { get; }

    /// <summary>peft_type: LORA, IA3, PROMPT_TUNING ...</summary>
    public string PeftType { get; }

    /// <summary>adapter_config.json as a whole.</summary>
    public JsonElement Config => reader.Json;

    /// <summary>Facts about all tensors.</summary>
    public IReadOnlyCollection<StoredTensor> Tensors => weights.Tensors;

    /// <summary>Names of all tensors.</summary>
    public IReadOnlyCollection<string> Names => weights.Names;

    /// <summary>What is odd but does not stop: to be shown to the user once.</summary>
    public IReadOnlyList<string> Warnings => [.. weights.Warnings, .. warnings];

    /// <summary>The model that the adapter was trained on, as PEFT noted it, or null. A name, not to be opened unasked.</summary>
    public string? BaseModel => Text("base_model_name_or_path");

    /// <summary>LoRA: the rank r where rank_pattern does not say otherwise.</summary>
    /// <exception cref="UserErrorException">The configuration lacks it.</exception>
    public int Rank => reader.Size("r") ?? throw reader.Wrong("r", null, "the rank, a whole number from 1");

    /// <summary>Opens an adapter and checks configuration, names, shapes and numbers.</summary>
    /// <param name="path">The folder.</param>
    /// <param name="knownTypes">Values of peft_type that something implements; null stands for <see cref="KnownTypes"/>.</param>
    /// <exception cref="UserErrorException">It is missing, broken or of an unknown type; the message names file, key or tensor, value and limit.</exception>
    public static AdapterFolder Open(string path, IReadOnlyCollection<string>? knownTypes = null)
    {
        if (!Directory.Exists(path)) throw Fault.In(path, "there is no such adapter folder; check the path.");
        var file = System.IO.Path.Combine(path, ConfigFile);
        var reader = new ConfigReader(file, StrictJson.Object(file));
        CheckType(reader, knownTypes ?? KnownTypes);
        var weights = CheckpointFolder.Open(WeightsOf(path));
        try
        {
            var folder = new AdapterFolder(path, reader, weights);
            if (folder.PeftType == "LORA")
            {
                folder.CheckPairs();
                folder.WarnOfLonePattern();
            }
            folder.WarnOfNonFinite();
            return folder;
        }
        catch
        {
            weights.Dispose();
            throw;
        }
    }

    private static void CheckType(ConfigReader reader, IReadOnlyCollection<string> known)
    {
        var type = reader.Text("peft_type") ?? throw reader.Wrong("peft_type", null, "the adapter's type, for instance LORA");
        if (!known.Contains(type)) throw reader.Wrong("peft_type", type, $"one of {string.Join(", ", known)}; install a plugin that provides it");
    }

    private static string WeightsOf(string path)
    {
        foreach (var name in (string[])[Weights, PickledWeights])
            if (File.Exists(System.IO.Path.Combine(path, name))) return System.IO.Path.Combine(path, name);
        throw Fault.In(path, $"the adapter has no weights: neither {Weights} nor {PickledWeights} is there.");
    }

    private void WarnOfNonFinite()
    {
        var bad = Names.Where(name => weights.CountNonFinite(name) > 0).ToList();
        if (bad.Count > 0) warnings.Add($"{Path}: {bad.Count} of {Names.Count} tensors hold NaN or infinity: {Fault.Some(bad)}; outputs will not be numbers where they are used.");
    }

    /// <summary>A tensor, without a copy from safetensors.</summary>
    /// <exception cref="UserErrorException">There is none of this name.</exception>
    public Tensor Tensor(string name) => weights.Tensor(name);

    /// <summary>Facts about a tensor.</summary>
    /// <exception cref="UserErrorException">There is none of this name.</exception>
    public StoredTensor Find(string name) => weights.Find(name);

    /// <summary>True if there is a tensor of this name.</summary>
    public bool Contains(string name) => weights.Contains(name);

    /// <summary>A whole number of the configuration, or null where absent or null.</summary>
    /// <exception cref="UserErrorException">It is no whole number, or out of bounds.</exception>
    public int? Int(string key, int least = int.MinValue, int most = int.MaxValue) => (int?)reader.Whole(key, least, most);

    /// <summary>A number of the configuration, or null where absent or null.</summary>
    /// <exception cref="UserErrorException">It is no finite number.</exception>
    public double? Number(string key) => reader.Number(key);

    /// <summary>A truth value of the configuration, or null where absent or null.</summary>
    /// <exception cref="UserErrorException">It is something else.</exception>
    public bool? Bool(string key) => reader.Bool(key);

    /// <summary>A text of the configuration, or null where absent or null.</summary>
    /// <exception cref="UserErrorException">It is something else.</exception>
    public string? Text(string key) => reader.Text(key);

    /// <summary>A list of texts of the configuration, or null where absent, null or one text (a regular expression).</summary>
    /// <exception cref="UserErrorException">It is something else.</exception>
    public IReadOnlyList<string>? Texts(string key) => reader.Find(key) is { ValueKind: JsonValueKind.String } ? null : reader.Texts(key);

    /// <summary>The error for a value that an adapter cannot take.</summary>
    /// <param name="key">The key of adapter_config.json.</param>
    /// <param name="wanted">Ends the sentence "it must be ...".</param>
    public UserErrorException Wrong(string key, string wanted) => reader.Wrong(key, reader.Find(key), wanted);

    /// <summary>Writes adapter_model.safetensors and adapter_config.json (PEFT's spelling); each appears by rename, the configuration last.</summary>
    /// <param name="path">The folder; made if it is not there.</param>
    /// <param name="config">Values as <see cref="SortedJson"/> takes them; peft_type must be among them, inference_mode is set to true.</param>
    /// <param name="tensors">PEFT's names, without the adapter's own name; they stay the caller's.</param>
    public static void Write(string path, IReadOnlyDictionary<string, object?> config, IEnumerable<KeyValuePair<string, Tensor>> tensors)
    {
        if (!config.ContainsKey("peft_type")) throw new ArgumentException("an adapter's configuration needs peft_type");
        Directory.CreateDirectory(path);
        SafetensorsWriter.Write(System.IO.Path.Combine(path, Weights), tensors, new Dictionary<string, string> { ["format"] = "pt" });
        File.Delete(System.IO.Path.Combine(path, PickledWeights)); // of an earlier writing by another tool
        AtomicFile.Write(System.IO.Path.Combine(path, ConfigFile), SortedJson.Text(new Dictionary<string, object?>(config) { ["inference_mode"] = true }));
    }

    /// <summary>Lets go of the files; tensors made from them stay valid.</summary>
    public void Dispose() => weights.Dispose();
}
