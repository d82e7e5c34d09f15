// peftalign winrate: whose answers a judge prefers.

using System.CommandLine;
using System.Text.Json.Nodes;
using PeftAlign.Host.CommandLine;
using PeftAlign.Host.Evaluation;
using PeftAlign.Torch;

namespace PeftAlign.Host.Commands;

internal static class WinrateCommand
{
    private const string Description = """
        Compares the answers of file A with those of file B, pair by pair, and writes DIR/results.json, DIR/samples_winrate.jsonl and
        DIR/annotations.json. The win rate is A's. Each pair is judged in both orders; a pair that lacks a verdict in one order is
        counted as failed and left out of the rates.

        Files are JSON lines or a JSON list, plain or .gz: AlpacaEval's outputs {instruction, output, generator}, samples of an
        evaluation, rows {prompt, response}, or rows of `generate` (with --prompts, as these do not hold what was asked). Rows are
        joined by their prompts, or in order where a file does not have them.

        --annotations takes judgements that were made before instead, as AlpacaEval keeps them: JSON with preference, output_1 and
        output_2, or CSV with model, preference, len_output_1 and len_output_2; of several models each gets a row. --data names
        AlpacaEval's folder, whose difficulties and weights length-controlled rates need.
        """;

    private sealed class Flags
    {
        internal Option<string?> A { get; } = new("--a") { HelpName = "F.jsonl", Description = "The answers whose win rate is asked for." };

        internal Option<string?> B { get; } = new("--b") { HelpName = "F.jsonl", Description = "The answers that they are compared with." };

        internal Option<string?> Prompts { get; } = new("--prompts") { HelpName = "F.jsonl", Description = "The prompts, rows {prompt} in the answers' order, where neither file has them." };

        internal Option<string?> Annotations { get; } = new("--annotations") { HelpName = "F", Description = "Existing judgements, instead of --a, --b and --judge." };

        internal Option<string?> Only { get; } = new("--only") { HelpName = "MODEL", Description = "The model to take from annotations of several models." };

        internal Option<string?> Data { get; } = new("--data") { HelpName = "DIR", Description = "AlpacaEval's data: instructions, difficulties, published weights." };

        internal Option<string?> Order { get; } = new("--order") { HelpName = "ORDER", Description = "both (default), baseline_first or model_first." };

        internal Option<string?> Length { get; } = new("--length-controlled") { HelpName = "FORM", Description = "auto (default), v1, noreg, minimal, published or none." };

        internal Option<string?> Gamed { get; } = new("--gamed") { HelpName = "F.csv", Description = "The gamed baselines' rows, which form v1 needs." };

        internal Option<int?> Limit { get; } = new("--limit") { HelpName = "N", Description = "At most this many pairs (of each model)." };

        internal Option<string> Target { get; } = new("--out") { HelpName = "DIR", Required = true, Description = "Where results go." };

        internal IEnumerable<Option> All => [A, B, Prompts, Annotations, Only, Data, Order, Length, Gamed, Limit, Target];
    }

    public static CommandEntry Entry { get; } = new("winrate", "whose answers a judge prefers", Build);

    private static Command Build(CommandFrame frame)
    {
        var (flags, judge, folders) = (new Flags(), new JudgeFlags(), PluginFolders.Option());
        var command = new Command("winrate", Description);
        foreach (var flag in flags.All) command.Add(flag);
        judge.AddTo(command);
        command.Add(folders);
        frame.OnRun(command, Uses.Device | Uses.Threads, (parsed, session, cancel) =>
        {
            var plugins = PluginFolders.Search(parsed, folders).Scan();
            torch.set_num_threads(session.Threads);
            var results = new WinrateRun(Options(parsed, flags, judge.Read(parsed, plugins)), parsed.GetValue(flags.Target)!, plugins, session, cancel).Run();
            session.Output.Result(() => results, () => PairLines.Of(results));
            return Task.FromResult(ExitCode.Done);
        });
        return command;
    }

    private static JsonObject Options(ParseResult parsed, Flags flags, JsonObject? judge)
    {
        var options = new JsonObject();
        void Give(string name, JsonNode? value)
        {
            if (value is not null) options[name] = value;
        }
        string? Full(Option<string?> flag) => parsed.GetValue(flag) switch
        {
            "-" => throw new UserError($"{flag.Name} -", "standard input cannot be read again, and the judgements that are kept go by the files' names and content", "give a file"),
            { } path => Path.GetFullPath(path),
            null => null,
        };
        var (a, b, annotations) = (Full(flags.A), Full(flags.B), Full(flags.Annotations));
        if (annotations is null && (a is null || b is null || judge is null)) throw new UserError("winrate", "needs --a, --b and --judge, or --annotations", "give two files of answers and who compares them");
        if (annotations is not null && (a ?? b) is not null) throw new UserError("--annotations", "holds both answers' judgements already", "leave out --a and --b");
        if (annotations is null && parsed.GetValue(flags.Only) is { } only) throw new UserError($"--only {only}", "picks a model of --annotations, and there are none", "add --annotations F, or leave --only out");
        if (parsed.GetValue(flags.Data) is { } data && !Directory.Exists(data)) throw new UserError($"--data {data}", "is no folder", "give the folder of AlpacaEval's data");
        Give("answers", a);
        Give("records", b);
        Give("annotations", annotations);
        Give("prompts", Full(flags.Prompts));
        Give("model", parsed.GetValue(flags.Only));
        Give("path", Full(flags.Data));
        Give("order", parsed.GetValue(flags.Order));
        Give("length_controlled", parsed.GetValue(flags.Length));
        Give("gamed", Full(flags.Gamed));
        if (parsed.GetValue(flags.Limit) is { } limit) options["limit"] = limit;
        Give("judge", judge);
        return options;
    }
}
