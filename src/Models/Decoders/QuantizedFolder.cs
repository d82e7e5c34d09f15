// Writes a model folder whose linear layers are quantised: embeddings, norms, biases and the output head stay as they are. One
// full matrix is in memory at a time; the rest is read from mapped files.

using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Models.Checkpoints;
using PeftAlign.Torch;

namespace PeftAlign.Models.Decoders;

/// <summary>Quantised model folders.</summary>
public static class QuantizedFolder
{
    /// <summary>Quantises a folder.</summary>
    /// <param name="target">An empty folder.</param>
    /// <param name="from">A model folder; its configuration and tokenizer are copied.</param>
    /// <param name="quantization">The format.</param>
    /// <param name="skipped">What the user asked to leave as it is, for the configuration; every entry must mean a layer.</param>
    /// <param name="architectures">The known ones.</param>
    /// <param name="progress">Told of layers done and of all.</param>
    /// <param name="device">Where to quantise; null = the processor.</param>
    /// <param name="warn">Told of what is odd but usable.</param>
    /// <returns>Layers quantised, layers kept, and bytes of the weights before and after.</returns>
    /// <exception cref="UserErrorException">The folder is quantised already, no model, or has a weight that cannot be quantised.</exception>
    public static QuantizedFolderFacts Write(string target, string from, IQuantization quantization, IReadOnlyList<string> skipped, ModelArchitectures architectures, Action<int, int>? progress = null, torch.Device? device = null, Action<string>? warn = null)
    {
        var config = ModelConfig.Open(from);
        if (config.IsQuantized) throw config.Wrong("quantization_config", "absent: the folder is quantised already, and nothing is quantised twice");
        var place = device ?? torch.CPU;
        using var scope = torch.NewDisposeScope();
        using var checkpoint = CheckpointFolder.Open(from);
        var spec = TiedHead.Settled(architectures.Describe(config), checkpoint, warn);
        var names = StoredNames.Of(spec, checkpoint);
        checkpoint.Require(spec.Weights().ToDictionary(w => names.Of(w.Name), w => w.Shape), names.IsIgnored);
        var matrices = spec.Weights().Where(w => w.Role == WeightRole.Matrix).ToList();
        var kept = matrices.Where(w => !quantization.Takes(ModelFolder.ModuleOf(w))).Select(w => w.Name).ToHashSet();
        if (kept.Count == matrices.Count) throw new UserErrorException($"Every one of the {matrices.Count} linear layers is skipped, so nothing would be quantised; shorten the skip list.");
        // Half a byte for each number in 4 bits is a little less than it will be, which is not known before.
        FreeSpace.Require(target, spec.Weights().Sum(w => checkpoint.Find(names.Of(w.Name)) is var own && w.Role == WeightRole.Matrix && !kept.Contains(w.Name) ? own.Count / 2 : own.Bytes)
            + names.Beside(checkpoint).Sum(part => checkpoint.Find(part.Name).Bytes));
        long before = 0, after = 0;
        var (tensors, done) = (new List<PendingTensor>(), 0);
        foreach (var weight in spec.Weights())
        {
            var own = checkpoint.Tensor(names.Of(weight.Name));
            before += own.numel() * own.element_size();
            if (weight.Role != WeightRole.Matrix || kept.Contains(weight.Name))
            {
                tensors.Add(PendingTensor.Of(names.Written(weight.Name), own));
                after += own.numel() * own.element_size();
                continue;
            }
            using var inner = torch.NewDisposeScope(); // of the full matrix nothing stays, of the other one its parts
            var quantized = quantization.Quantized(weight.Name, ModelFolder.Outward(weight, own.to(place)));
            tensors.AddRange(quantized.Parts.Select(part => PendingTensor.Of(names.Written(weight.Name) + part.Key, part.Value.cpu().MoveToOuterDisposeScope())));
            after += quantized.Bytes;
            if (place.type != DeviceType.CPU) quantized.Dispose(); // its parts are here by now
            checkpoint.Forget(names.Of(weight.Name));
            done++;
            progress?.Invoke(done, matrices.Count - kept.Count);
        }
        foreach (var (name, written) in names.Beside(checkpoint)) tensors.Add(PendingTensor.Of(written, checkpoint.Tensor(name)));
        ModelFolder.CopyCompanions(from, target, null);
        var others = checkpoint.Tensor(names.Of(spec.Names.Embedding + ".weight")).dtype;
        string[] left = [.. skipped, .. spec.Names.Stored.Where(part => spec.Names.Beside.Contains(part.Stored)).Select(part => part.Module.TrimEnd('.'))];
        SayFormat(Path.Combine(target, "config.json"), quantization.Config(left.Length == 0 ? [] : [spec.Names.Head, .. left.Where(name => name != spec.Names.Head)], others));
        TiedHead.Say(target, spec);
        CheckpointFolder.Write(target, tensors);
        return new QuantizedFolderFacts(done, kept.Count, before, after);
    }

    private static void SayFormat(string file, JsonObject format)
    {
        var config = JsonNode.Parse(File.ReadAllText(file))!.AsObject();
        config["quantization_config"] = format;
        AtomicFile.Write(file, config.ToJsonString(new() { WriteIndented = true }) + "\n");
    }
}

/// <summary>What became of a folder.</summary>
/// <param name="Quantized">Linear layers in fewer bits.</param>
/// <param name="Kept">Linear layers as they were.</param>
/// <param name="Before">Bytes of all weights before.</param>
/// <param name="After">Bytes of all weights after.</param>
public sealed record QuantizedFolderFacts(int Quantized, int Kept, long Before, long After);
