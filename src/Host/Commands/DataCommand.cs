// peftalign data: training rows before training. audit reads them as a training would and says what it would meet.

using System.CommandLine;
using System.Text.Json;
using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Host.Auditing;
using PeftAlign.Host.CommandLine;
using PeftAlign.Host.Inspection;
using PeftAlign.Models.Checkpoints;
using PeftAlign.Models.Rows;
using PeftAlign.Models.Templates;
using PeftAlign.Models.Text;

namespace PeftAlign.Host.Commands;

internal static class DataCommand
{
    private const string Summary = "look at training rows before training";
    private const int SayEvery = 100_000;

    private const string Description = """
        what a training would meet in its rows

        Reads rows as training does (chosen and rejected with or without prompt; prompt, completion and label; prompt and
        completion; messages; text; or token ids) and counts duplicate rows, pairs that contradict each other,
        whether the chosen answer is the longer one, prompts whose last tokens change once an answer follows, and what
        becomes of every token (kept, cut, refused, trained). A row that training would refuse is refused here as well.
        --against names a benchmark's rows, and finds those that share 13 words in a row with a training row.
        """;

    public static CommandEntry Entry { get; } = new("data", Summary, Build);

    private static Command Build(CommandFrame frame) => new("data", Summary) { Audit(frame) };

    private static Command Audit(CommandFrame frame)
    {
        var file = new Argument<string>("F.jsonl") { Description = "Rows, plain or .gz; - for standard input." };
        var model = new Option<string>("--model") { HelpName = "DIR_OR_FILE", Required = true, Description = "The model folder whose tokenizer and chat template are used, or a tokenizer file." };
        var template = new Option<string?>("--chat-template") { HelpName = "NAME_OR_FILE", Description = "Another template than the model's." };
        var length = new Option<int>("--max-length") { HelpName = "N", DefaultValueFactory = _ => 1024, Description = "Most tokens of a sequence." };
        var prompt = new Option<int?>("--max-prompt-length") { HelpName = "N", Description = "Most tokens of a prompt." };
        var truncation = new Option<string>("--truncation") { HelpName = "SIDE", DefaultValueFactory = _ => "keep_start", Description = "keep_start or keep_end." };
        var examples = new Option<int>("--examples") { HelpName = "N", DefaultValueFactory = _ => 3, Description = "How many rows are named for each finding." };
        var against = new Option<string[]>("--against") { HelpName = "FILE", Description = "A benchmark's rows, which training should not have seen: .jsonl, .json, .csv or .tsv, plain or .gz; may be given several times." };
        var ngram = new Option<int?>("--ngram") { HelpName = "N", Description = "Words in a row by which --against finds a benchmark's row (default: 13)." };
        var command = new Command("audit", Description) { file, model, template, length, prompt, truncation, examples, against, ngram };
        frame.OnRun(command, Uses.Threads, (parsed, session, cancel) => Task.FromResult(Run(new AuditRequest(parsed.GetValue(file)!, parsed.GetValue(model)!)
        {
            ChatTemplate = parsed.GetValue(template),
            MaxLength = AtLeast(1, parsed.GetValue(length), "--max-length"),
            MaxPromptLength = parsed.GetValue(prompt) is { } most ? AtLeast(1, most, "--max-prompt-length") : null,
            KeepEnd = Side(parsed.GetValue(truncation)!),
            Examples = AtLeast(0, parsed.GetValue(examples), "--examples"),
            Against = parsed.GetValue(against) ?? [],
            Ngram = Words(parsed.GetValue(ngram), parsed.GetValue(against) is { Length: > 0 }),
        }, session, cancel)));
        return command;
    }

    private static int Run(AuditRequest request, Session session, CancellationToken cancel)
    {
        var template = Directory.Exists(request.Model) ? ChatTemplateLoader.Load(request.Model, request.ChatTemplate)
            : request.ChatTemplate is null ? null : throw new UserError("--chat-template", "goes with a model folder", "give the folder as --model");
        if (LearnedPositions.Of(request.Model) is { } positions && positions < request.MaxLength)
        {
            session.Output.Warn($"--max-length {request.MaxLength} is more than the {positions} positions that the model has learned; rows are cut there, as a training cuts them");
            request = request with { MaxLength = positions };
        }
        var audit = new DataAudit(new PrepareContext(TokenizerLoader.Load(request.Model), request.MaxLength, new MaskLedger())
        {
            ChatTemplate = template,
            MaxPromptLength = request.MaxPromptLength,
            KeepEnd = request.KeepEnd,
        }, request.Examples, Vocabulary(Path.Combine(request.Model, "config.json")))
        {
            Against = request.Against.Count > 0 ? new BenchmarkOverlap(request.Against, request.Ngram, request.Examples, cancel) : null,
        };
        var (isInput, file) = request.File == "-" ? (true, "standard input") : (false, request.File);
        var lines = (isInput ? TextLines.Read(file, Console.OpenStandardInput()) : TextLines.Read(file)).TakeWhile(_ => !cancel.IsCancellationRequested);
        audit.Add(lines, line => Parsed(line.Text, file, line.Number), Path.GetFileName(file), session.Threads, () =>
        {
            if (audit.Rows % SayEvery == 0) session.Output.Remark($"{audit.Rows} rows");
        });
        cancel.ThrowIfCancellationRequested();
        if (audit.Rows == 0) throw new UserError(file, "holds no rows", "give a file with one JSON object per line");
        var report = new AuditReport(request, audit);
        session.Output.Result(report.Document, report.Lines);
        return ExitCode.Done;
    }

    // Only the tokenizer is needed here: where the configuration gives no size, or is one that training would refuse, there is no limit.
    private static int? Vocabulary(string config)
    {
        try
        {
            if (!File.Exists(config) || JsonNode.Parse(RegularFile.Text(config)) is not JsonObject known) return null;
            return (known["vocab_size"] ?? (known["text_config"] as JsonObject)?["vocab_size"]) is JsonValue value && value.TryGetValue<int>(out var size) ? size : null;
        }
        catch (Exception e) when (e is JsonException or IOException or UnauthorizedAccessException or ArgumentException)
        {
            return null;
        }
    }

    private static JsonObject Parsed(string text, string path, long line)
    {
        try
        {
            return RowJson.Parse(text) as JsonObject ?? throw new UserErrorException($"{path}, line {line}: not a JSON object; {RowJson.Remedy(text, path)}.");
        }
        catch (JsonException e)
        {
            throw new UserErrorException($"{path}, line {line}: not valid JSON ({RowJson.Cause(e)}); {RowJson.Remedy(text, path)}.", e);
        }
    }

    private static int Words(int? asked, bool areCompared) => asked is not { } words ? AuditRequest.DefaultNgram
        : areCompared ? AtLeast(1, words, "--ngram") : throw new UserError($"--ngram {words}", "goes with --against", "name the benchmark's rows, or leave it out");

    private static bool Side(string truncation) => truncation switch
    {
        "keep_start" => false,
        "keep_end" => true,
        _ => throw new UserError($"--truncation {truncation}", "is neither keep_start nor keep_end", "give one of them"),
    };

    private static int AtLeast(int least, int value, string option) => value >= least ? value : throw new UserError($"{option} {value}", $"is less than {least}", $"give {least} or more");
}
