// peftalign bench-device: for bench/gpu/run, on a machine with a GPU: does it compute what the processor computes, and how fast are
// training steps. One JSON document.

using System.CommandLine;
using System.Text.Json.Nodes;
using PeftAlign.Host.Bench;
using PeftAlign.Host.CommandLine;
using PeftAlign.Host.Inference;
using PeftAlign.Plugins;
using PeftAlign.Torch;
using PeftAlign.Torch.Extras;

namespace PeftAlign.Host.Commands;

internal static class BenchDeviceCommand
{
    private static readonly string[] Methods = ["sft", "dpo"];

    public static CommandEntry Entry { get; } = new("bench-device", "Checks a device against the processor and times training steps on it.", Build) { IsHidden = true };

    private static Command Build(CommandFrame frame)
    {
        var parts = new Argument<string[]>("PART") { Description = "check, sft, dpo (default: all).", Arity = ArgumentArity.ZeroOrMore };
        var shape = new Option<string>("--shape") { HelpName = "NAME", Description = $"{string.Join(", ", DrawnShape.Known.Keys)}.", DefaultValueFactory = _ => "7b" };
        var batch = new Option<int>("--batch") { HelpName = "N", Description = "Rows or pairs per step.", DefaultValueFactory = _ => 16 };
        var steps = new Option<int>("--steps") { HelpName = "N", Description = "Measured steps.", DefaultValueFactory = _ => 5 };
        var full = new Option<bool>("--full-base") { Description = "LoRA over a base that is not quantised." };
        var output = new Option<string?>("--out") { HelpName = "F.json", Description = "Write the document here too, after every part." };
        var command = new Command("bench-device", Entry.Summary) { parts, shape, batch, steps, full, output };
        frame.OnRun(command, Uses.Device | Uses.Dtype | Uses.Threads, (parsed, session, cancel) =>
        {
            string[] asked = parsed.GetValue(parts) is { Length: > 0 } some ? some : ["check", .. Methods];
            if (asked.FirstOrDefault(part => part != "check" && !Methods.Contains(part)) is { } unknown) throw new UserError(unknown, "is no part", "there are check, sft and dpo");
            var name = parsed.GetValue(shape)!;
            if (!DrawnShape.Known.ContainsKey(name)) throw new UserError($"--shape {name}", $"is one of {string.Join(", ", DrawnShape.Known.Keys)}", Near.DidYouMean(name, DrawnShape.Known.Keys) ?? "leave it out for 7b");
            foreach (var (option, count, usual) in ((string, int, int)[])[("--batch", parsed.GetValue(batch), 16), ("--steps", parsed.GetValue(steps), 5)])
                if (count < 1) throw new UserError($"{option} {count}", "is a whole number from 1", $"leave it out for {usual}");
            torch.set_num_threads(session.Threads);
            return Task.FromResult(Run(asked, (name, parsed.GetValue(batch), parsed.GetValue(steps), !parsed.GetValue(full)), parsed.GetValue(output), session, cancel));
        });
        return command;
    }

    private static int Run(string[] parts, (string Shape, int Batch, int Steps, bool FourBit) asked, string? file, Session session, CancellationToken cancel)
    {
        var device = ComputeDevice.Of(session);
        var dtype = session.Global.Dtype is { } name ? Enum.Parse<torch.ScalarType>(name, ignoreCase: true) : device.type == DeviceType.CUDA ? torch.bfloat16 : torch.float32;
        var plugins = PluginSearch.Of(AppContext.BaseDirectory, []).Scan();
        var rate = Doctor.Gemm.Rate(device, dtype, cancel);
        var document = new JsonObject { ["peftalign"] = TopHelp.Version, ["libtorch"] = LibTorch.Version, ["device"] = $"{device}", ["matmul_tflops"] = Math.Round(rate / 1000, 3), ["complete"] = false, ["runs"] = new JsonArray() };
        var (sound, memory) = (true, new DeviceMemory(device));
        foreach (var part in parts)
        {
            if (part == "check")
            {
                document.Remove("check");
                var check = new DeviceCheck(device, plugins) { Said = Noted }.Run(cancel);
                sound &= (bool)check["sound"]!;
                session.Output.Remark($"check: {((bool)check["sound"]! ? "the device computes what the processor computes" : "differences beyond their limits")}");
            }
            else
            {
                DeviceSteps.Fitting(new DeviceSteps(part, asked.Shape, asked.Batch, asked.Steps, asked.Batch, false, asked.FourBit), Measured);
            }
        }
        document["complete"] = true;
        Write();
        session.Output.Result(() => document, () => [document.ToJsonString(new() { WriteIndented = true })]);
        return sound ? ExitCode.Done : ExitCode.Failed;

        JsonObject Measured(DeviceSteps steps)
        {
            var facts = steps.Run(memory, dtype, plugins, cancel);
            if (facts["model_tflops"] is { } reached) facts["share_of_matmul"] = Math.Round((double)reached! / (rate / 1000), 4);
            sound &= facts["error"] is null;
            document["runs"]!.AsArray().Add(facts);
            session.Output.Remark($"{steps.Method} of {steps.Shape}, passes of {steps.Pass}{(steps.Checkpointing ? ", gradient checkpointing" : "")}: {((string?)facts["error"] is { } error ? error.ReplaceLineEndings(" ") : facts["out_of_memory"] is null ? $"{facts["tokens_per_s"]} tokens/s" : "out of memory")}");
            memory.Empty();
            Write();
            return facts;
        }

        void Noted(JsonObject check)
        {
            document["check"] ??= check;
            Write();
        }

        void Write()
        {
            if (file is not null) Running.RunFolder.Write(Path.GetFullPath(file), document.ToJsonString(new() { WriteIndented = true }) + "\n");
        }
    }
}
