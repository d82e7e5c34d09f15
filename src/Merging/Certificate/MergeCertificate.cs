// The certificate of a merge: what went in (names, files, hashes), how it was merged (configuration, strategy, seed, versions), what
// came out (per tensor: lengths, sign conflicts; ties; hashes) and how far that is from each parent. JSON, and a page for people.

using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Models.Decoders;
using PeftAlign.Plugins;
using PeftAlign.Torch.Extras;

namespace PeftAlign.Merging;

/// <param name="Configuration">The configuration's text.</param>
/// <param name="Plugin">Who provides the strategy.</param>
/// <param name="Version">The product's version.</param>
/// <param name="Seed">Of random strategies.</param>
/// <param name="Probe">Texts for the drift.</param>
/// <param name="Architectures">What reads the models for the drift.</param>
internal sealed record CertificateRequest(string Configuration, Provided Plugin, string Version, ulong Seed, Probe Probe, ModelArchitectures Architectures)
{
    /// <summary>What quantised the bases of adapters when these were trained, and its name; null = nothing did.</summary>
    public (string Name, IQuantization Quantization)? TrainedOver { get; init; }

    /// <summary>Ends the hashing between two blocks of a file.</summary>
    public required CancellationToken Cancellation { get; init; }
}

internal static class MergeCertificate
{
    public const string JsonFile = "certificate.json";
    public const string PageFile = "certificate.html";

    /// <summary>Writes both files into the folder of the merged model.</summary>
    /// <returns>Why the drift from some parents is not measured, a sentence each.</returns>
    public static IReadOnlyList<string> Write(MergePlan plan, TensorLedger ledger, CertificateRequest request, string folder)
    {
        var drift = Drift.Measure(plan, folder, request.Probe, request.Architectures, request.TrainedOver?.Quantization);
        var certificate = Json(plan, ledger, request, folder, drift);
        var text = certificate.ToJsonString(new() { WriteIndented = true, Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping });
        File.WriteAllText(Path.Combine(folder, JsonFile), text + "\n");
        File.WriteAllText(Path.Combine(folder, PageFile), CertificatePage.Of(certificate));
        return [.. drift.Where(d => d.Reason is not null).GroupBy(d => d.Reason).Select(g => $"The drift from {string.Join(", ", g.Select(d => d.Parent))} is not measured: {g.Key}")];
    }

    private static JsonObject Json(MergePlan plan, TensorLedger ledger, CertificateRequest request, string folder, IReadOnlyList<DriftResult> drift) => new()
    {
        ["merge_method"] = plan.Config.Method,
        ["seed"] = request.Seed,
        ["configuration"] = request.Configuration,
        ["configuration_sha256"] = Hash(Encoding.UTF8.GetBytes(request.Configuration)),
        ["versions"] = new JsonObject
        {
            ["peftalign"] = request.Version,
            ["plugin"] = $"{request.Plugin.Plugin.Manifest.Id} {request.Plugin.Plugin.Manifest.Version}",
            ["result_version"] = request.Plugin.Contract.ResultVersion,
            ["plugin_sha256"] = request.Plugin.Plugin.Manifest.Files.FirstOrDefault(file => file.Path == request.Plugin.Plugin.Manifest.EntryAssembly)?.Sha256,
            ["libtorch"] = LibTorch.Version,
            ["dotnet"] = Environment.Version.ToString(),
        },
        ["inputs"] = new JsonArray([.. plan.Models.Select(model => Input(model, request.Cancellation))]),
        ["outputs"] = Files(folder, name => name.StartsWith("model", StringComparison.Ordinal) || name is "config.json" or "tokenizer.json", request.Cancellation),
        ["tied_weights"] = Ties(plan),
        ["drift"] = new JsonObject
        {
            ["probe"] = request.Probe.Name,
            ["probe_rows"] = request.Probe.Rows.Count,
            ["probe_sha256"] = request.Probe.Sha256,
            ["adapters_trained_over"] = request.TrainedOver?.Name,
            ["parents"] = new JsonArray([.. drift.Select(Parent)]),
        },
        ["tensors"] = new JsonArray([.. plan.Tensors.Select(tensor => Tensor(tensor, ledger.Accounts[tensor.Name]))]),
        ["warnings"] = new JsonArray([.. plan.Warnings.Select(warning => (JsonNode)warning)]),
    };

    private static JsonNode Input(InputModel model, CancellationToken cancel) => new JsonObject
    {
        ["name"] = model.Name,
        ["model_type"] = model.Config.ModelType,
        ["matrices_decoded_from_4_bits"] = model.Decoded,
        ["files"] = Files(model.Folder, IsWeight, cancel),
        ["adapter_files"] = model.Adapter is { } adapter ? Files(adapter.Folder, name => name.StartsWith("adapter_", StringComparison.Ordinal), cancel) : null,
    };

    private static bool IsWeight(string name) => name == "config.json" || (Path.GetExtension(name) is ".safetensors" or ".bin" && !name.StartsWith("adapter_", StringComparison.Ordinal));

    /// <summary>Hashes of a folder's files by name.</summary>
    internal static JsonObject Files(string folder, Func<string, bool> wanted, CancellationToken cancel)
    {
        var files = new JsonObject();
        foreach (var file in Directory.EnumerateFiles(folder).Where(file => wanted(Path.GetFileName(file))).Order(StringComparer.Ordinal))
        {
            using var stream = File.OpenRead(file);
            files[Path.GetFileName(file)] = StreamHash.Sha256(stream, cancel);
        }
        return files;
    }

    // Which models tie their output head to the embedding, and what became of that.
    private static JsonObject Ties(MergePlan plan) => new()
    {
        ["inputs"] = new JsonObject(plan.Models.Select(model => KeyValuePair.Create(model.Name, (JsonNode?)!model.Names.Any(TensorNames.IsHead)))),
        ["result"] = plan.Tensors.All(tensor => !TensorNames.IsHead(tensor.Name)),
    };

    private static JsonNode Parent(DriftResult drift)
    {
        if (drift.Reason is { } reason) return new JsonObject { ["parent"] = drift.Parent, ["not_measured"] = reason };
        var json = new JsonObject { ["parent"] = drift.Parent, ["tokens"] = drift.Tokens, ["kl_per_token"] = Number(drift.Merged.Kl), ["top1_agreement"] = Number(drift.Merged.Agreement) };
        if (drift.OverFourBits is var (full, merged))
            json["over_4_bits"] = new JsonObject
            {
                ["kl_per_token_to_full_base"] = Number(full.Kl),
                ["top1_agreement_with_full_base"] = Number(full.Agreement),
                ["kl_per_token"] = Number(merged.Kl),
                ["top1_agreement"] = Number(merged.Agreement),
            };
        return json;
    }

    private static JsonNode Tensor(PlannedTensor tensor, TensorAccount account)
    {
        var json = new JsonObject
        {
            ["name"] = tensor.Name,
            ["shape"] = new JsonArray([.. tensor.Shape.Select(size => (JsonNode)size)]),
            ["dtype"] = tensor.Result.ToString().ToLowerInvariant(),
            [tensor.Base is null ? "norms" : "difference_norms"] = new JsonObject(tensor.Inputs.Select((input, k) => KeyValuePair.Create(input.Model.Name, (JsonNode?)Number(account.Inputs[k])))),
            [tensor.Base is null ? "result_norm" : "result_difference_norm"] = Number(account.Result),
            ["sign_conflicts"] = Number(account.Conflicts),
        };
        if (account.Changed is { } changed) json["changed"] = Number(changed);
        return json;
    }

    // JSON has no NaN.
    private static JsonNode Number(double value) => double.IsFinite(value) ? value : value.ToString(CultureInfo.InvariantCulture);

    private static string Hash(byte[] bytes) => Convert.ToHexStringLower(SHA256.HashData(bytes));
}
