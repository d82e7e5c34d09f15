// peftalign quantize: a model folder in bitsandbytes' 4-bit format, which transformers loads.

using System.CommandLine;
using System.Globalization;
using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Host.Adapters;
using PeftAlign.Host.CommandLine;
using PeftAlign.Host.Inference;
using PeftAlign.Host.Quantizing;
using PeftAlign.Models.Checkpoints;
using PeftAlign.Models.Decoders;
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
        var plugins = PluginFolders.Option();
        const string description = """
            Writes the model with its linear layers in 4 bits, as bitsandbytes has them and transformers loads them. Embeddings,
            norms, biases and the output head keep their element type. score, generate, judge, chat and train take the folder like
            any other. With --loftq-rank the base is LoftQ's, and DIR/loftq_init the LoRA adapter in PEFT's format that belongs to it:
            together they are nearer to the full model, and training goes on from there (train --model DIR --adapter lora
            --init-adapter DIR/loftq_init).
            """;
        var loftq = new LoftqChoice();
        var command = new Command("quantize", description) { model, output, plugins };
        foreach (var option in choice.Options.Concat(loftq.Options)) command.Add(option);
        frame.OnRun(command, Uses.Device | Uses.Threads, (parsed, session, _) =>
        {
            torch.set_num_threads(session.Threads);
            Quantize(parsed, session, parsed.GetValue(model)!, parsed.GetValue(output)!, plugins, choice, loftq);
            return Task.FromResult(ExitCode.Done);
        });
        return command;
    }

    private static void Quantize(ParseResult parsed, Session session, string from, string target, Option<string[]> plugins, QuantizationChoice choice, LoftqChoice loftq)
    {
        if (!Directory.Exists(from)) throw new UserError($"--model {from}", "is no folder", "give a model folder");
        NewFolder.ThrowIfTaken(target);
        var device = ComputeDevice.Of(session);
        var catalogue = PluginFolders.Search(parsed, plugins).Scan();
        var (quantization, skipped) = (choice.Make(parsed, catalogue)!, choice.Skipped(parsed));
        var architectures = PluginArchitectures.Of(catalogue);
        var spec = architectures.Describe(ModelConfig.Open(from));
        SkippedLayers.ThrowIfUnknown(skipped, spec, "--skip");
        var kept = spec.Weights().Where(w => w.Role == WeightRole.Matrix).Select(w => w.Name[..^".weight".Length]).Where(name => !quantization.Takes(name)).ToList();
        if (loftq.Make(parsed, catalogue, kept) is { } adapter)
        {
            ComputeDevice.ThrowUnlessProcessor(session, "LoftQ");
            Tell(session, target, WritePair(target, from, quantization, skipped, architectures, adapter, loftq.Iterations(parsed), session.Output.Warn));
            return;
        }
        QuantizedFolderFacts facts = null!;
        NewFolder.Fill(target, folder => facts = QuantizedFolder.Write(folder, from, quantization, skipped, architectures, Ticker.Counter(session.Output, "linear layers in 4 bits"), device, warn: session.Output.Warn));
        Tell(session, target, facts, [], "");
    }

    // The adapter's folder stands inside the base's, so that the pair appears in one step.
    private static LoftqFacts WritePair(string target, string from, IQuantization quantization, IReadOnlyList<string> skipped, ModelArchitectures architectures, IPeftAdapter adapter, int iterations, Action<string> warn)
    {
        LoftqFacts facts = null!;
        using var scope = torch.NewDisposeScope();
        NewFolder.Fill(target, folder =>
        {
            (facts, var files) = LoftqFolder.Write(folder, from, Path.GetFullPath(target), quantization, skipped, architectures, adapter, iterations, warn);
            AdapterReader.Write(Path.Combine(folder, LoftqChoice.Folder), files);
        });
        return facts;
    }

    private static void Tell(Session session, string target, LoftqFacts pair)
    {
        var adapter = Path.Combine(Path.GetFullPath(target), LoftqChoice.Folder);
        Tell(session, target, pair.Folder, new JsonObject { ["adapter"] = adapter, ["modules"] = pair.Modules, ["lost_by_quantising"] = pair.Lost, ["lost_by_the_pair"] = pair.Left },
            string.Create(CultureInfo.InvariantCulture, $"{adapter}: {pair.Modules} modules; of what quantising them loses, {pair.Lost:0.####} in length, the pair lacks {pair.Left:0.####}"));
    }

    private static void Tell(Session session, string target, QuantizedFolderFacts facts, JsonObject more, string line) => session.Output.Result(
        () =>
        {
            var document = new JsonObject { ["out"] = Path.GetFullPath(target), ["quantized"] = facts.Quantized, ["kept"] = facts.Kept, ["bytes_before"] = facts.Before, ["bytes_after"] = facts.After };
            foreach (var (key, value) in more) document[key] = value?.DeepClone();
            return document;
        },
        () =>
        {
            var first = string.Create(CultureInfo.InvariantCulture, $"{target}: {facts.Quantized} linear layers in 4 bits{(facts.Kept > 0 ? $", {facts.Kept} kept" : "")}; weights {facts.Before / 1e6:0.0} MB -> {facts.After / 1e6:0.0} MB");
            return line == "" ? [first] : [first, line];
        });
}
