// One folder of the reference models: its rows as completion groups, and the numbers to equal.

using System.Text.Json;
using PeftAlign.Abstractions;
using PeftAlign.Models.Checkpoints;
using PeftAlign.Models.Decoders;
using PeftAlign.Models.Engine;
using PeftAlign.Models.Tests.Checkpoints;
using PeftAlign.Torch;

namespace PeftAlign.Models.Tests.Engine;

/// <param name="inputs">Folder of input_ids and masks.</param>
internal sealed class GoldenFolder(string inputs) : IDisposable
{
    private readonly SafetensorsFile file = SafetensorsFile.Open(Path.Combine(inputs, "golden.safetensors"));

    /// <summary>The families whose models lie beside the tests.</summary>
    internal static readonly string[] BesideTheTests = ["gpt-neox", "gpt-neox-serial", "opt", "opt-after", "opt-plain", "phi", "gptj", "falcon", "falcon-groups", "falcon-serial", "cohere", "gemma3-images"];

    /// <summary>A family's model, beside the tests or among the shared ones.</summary>
    internal static string Of(string family) => BesideTheTests.Contains(family) ? Checkout.Fixture("families", family, "base-model") : Shared.Golden("models", family);

    internal Tensor Tensor(string name) => file.Tensor(name);

    /// <summary>A folder's or a variant's file of expected numbers.</summary>
    internal static SafetensorsFile Expected(string folder) => SafetensorsFile.Open(Path.Combine(folder, "golden.safetensors"));

    internal JsonElement Json => JsonDocument.Parse(File.ReadAllBytes(Path.Combine(inputs, "golden.json"))).RootElement;

    /// <summary>Rows without their padding.</summary>
    internal int[][] Rows(int most = int.MaxValue)
    {
        var (ids, mask) = (Tensor("input_ids"), Tensor("attention_mask"));
        return Enumerable.Range(0, (int)ids.size(0)).Select(b =>
            ids.select(0, b).data<long>().ToArray()[..(int)Math.Min(most, mask.select(0, b).sum().item<long>())].Select(i => (int)i).ToArray()).ToArray();
    }

    /// <summary>Each row as a first token and a completion; weighted: only tokens of completion_mask count.</summary>
    internal List<CompletionGroup> Groups(bool weighted)
    {
        var asked = weighted ? Tensor("completion_mask") : null;
        return Rows().Select((row, b) => new CompletionGroup(row[..1], [asked is not null
            ? new Completion(row[1..], asked.select(0, b).data<long>().ToArray()[1..row.Length].Select(w => (float)w).ToArray())
            : Completion.Of(row[1..])])).ToList();
    }

    internal double[][] LogProbs()
    {
        var expected = Tensor("logprobs");
        return Rows().Select((row, b) => expected.select(0, b).data<float>().ToArray()[..(row.Length - 1)].Select(v => (double)v).ToArray()).ToArray();
    }

    /// <summary>(T, V) logits of a row, the last position included.</summary>
    internal static Tensor Logits(DecoderModel model, int[] row)
    {
        using var scope = torch.NewDisposeScope();
        using var off = torch.no_grad();
        // A further token has the last position make a row; it is not seen by any.
        using var pack = Pack.Of([new CompletionGroup(row[..1], [Completion.Of([.. row[1..], 0])])], 4096, Place.Of(model).BeforeLast).Single();
        return model.HeadUnder(ForwardMode.Plain).Logits(model.Forward(pack, ForwardMode.Plain), model.Spec.LogitCap ?? 0).MoveToOuterDisposeScope();
    }

    /// <summary>A variant's folder as a model folder: its own configuration over the weights of the folder above.</summary>
    internal static string Joined(string variant)
    {
        var folder = Shared.Scratch();
        File.Copy(Path.Combine(variant, "config.json"), Path.Combine(folder, "config.json"));
        File.CreateSymbolicLink(Path.Combine(folder, "model.safetensors"), Path.GetFullPath(Path.Combine(variant, "..", "..", "model.safetensors")));
        return folder;
    }

    public void Dispose() => file.Dispose();
}
