// peftalign quantize: a model folder in bitsandbytes' 4-bit format, which transformers loads.

using System.CommandLine;
using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Host.CommandLine;
using PeftAlign.Host.Quantizing;
using PeftAlign.Host.Running;
using PeftAlign.Models.Checkpoints;
using PeftAlign.Models.Decoders;
using PeftAlign.Plugins;
using PeftAlign.Torch;

namespace PeftAlign.Host.Commands;

internal static class QuantizeCommand
{
    private const string Summary = "write a model folder with its linear layers in 4 bits";

    public static CommandEntry Entry { get; } = new("quantize", Summary, Create);

    private static Command Create(CommandFrame frame)
    {
        var model = new Option<string>("--model") { HelpName = "DIR", Required = true, Description = "A model folder." };
        var output = new Option<string>("--out") { HelpName = "DIR", Required = true, Description = "Folder of the quantised model; must not be there, or be empty." };
        var choice = new QuantizationChoice("--type", "nf4");
        var plugins = new Option<string[]>("--plugins") { HelpName = "DIR", Description = "A further folder of plugins; repeatable.", AllowMultipleArgumentsPerToken = false };
        const string description = """
            Writes the model with its linear layers in 4 bits, as bitsandbytes has them and transformers loads them. Embeddings,
            norms, biases and the output head keep their element type. score, generate, judge, chat and train take the folder like
            any other.
            """;
        var command = new Command("quantize", description) { model, output, plugins };
        foreach (var option in choice.Options) command.Add(option);
        frame.OnRun(command, Uses.Threads, (parsed, session, _) =>
        {
            torch.set_num_threads(session.Global.Threads ?? Environment.ProcessorCount);
            var (from, target) = (parsed.GetValue(model)!, parsed.GetValue(output)!);
            if (!Directory.Exists(from)) throw new UserError($"--model {from}", "is no folder", "give a model folder");
            NewFolder.ThrowIfTaken(target);
            var catalogue = PluginSearch.Of(AppContext.BaseDirectory, parsed.GetValue(plugins) ?? []).Scan();
            var (quantization, skipped) = (choice.Make(parsed, catalogue)!, choice.Skipped(parsed));
            var architectures = PluginArchitectures.Of(catalogue);
            ThrowIfUnknown(skipped, architectures.Describe(ModelConfig.Open(from)));
            QuantizedFolderFacts facts = null!;
            RunFolder.Fill(target, folder => facts = QuantizedFolder.Write(folder, from, quantization, skipped, architectures));
            session.Output.Result(
                () => new JsonObject { ["out"] = Path.GetFullPath(target), ["quantized"] = facts.Quantized, ["kept"] = facts.Kept, ["bytes_before"] = facts.Before, ["bytes_after"] = facts.After },
                () => [string.Create(System.Globalization.CultureInfo.InvariantCulture, $"{target}: {facts.Quantized} linear layers in 4 bits{(facts.Kept > 0 ? $", {facts.Kept} kept" : "")}; weights {facts.Before / 1e6:0.0} MB -> {facts.After / 1e6:0.0} MB")]);
            return Task.FromResult(ExitCode.Done);
        });
        return command;
    }

    // A misspelt entry would quantise what was meant to stay.
    private static void ThrowIfUnknown(IReadOnlyList<string> skipped, DecoderSpec spec)
    {
        var modules = spec.Weights().Where(w => w.Role is WeightRole.Matrix or WeightRole.Head).Select(w => w.Name[..^".weight".Length]).Append(spec.Names.Head).ToList();
        foreach (var name in skipped)
            if (!modules.Any(m => m == name || m.EndsWith("." + name, StringComparison.Ordinal) || m.StartsWith(name + ".", StringComparison.Ordinal)))
                throw new UserError($"--skip {name}", "is no linear layer of this model", $"use whole names, dotted beginnings or suffixes, such as {string.Join(", ", modules.Select(m => m[(m.LastIndexOf('.') + 1)..]).Distinct())}");
    }
}
