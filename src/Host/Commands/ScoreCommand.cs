// peftalign score: log-probs of given completions under a model with its adapter.

using System.CommandLine;
using System.Text.Json;
using PeftAlign.Abstractions;
using PeftAlign.Host.CommandLine;
using PeftAlign.Host.Inference;
using PeftAlign.Host.Rows;
using PeftAlign.Models.Engine;

namespace PeftAlign.Host.Commands;

internal static class ScoreCommand
{
    // Rows that are computed together: enough to fill packs, few enough for results to flow.
    private const int RowsAtOnce = 128, TokensAtOnce = 16384;

    private const string Summary = "log-probs of completions under a model";

    private const string Description = """
        Scores completions: how probable a model finds each of their tokens.

        Rows are JSON objects, one per line; each gives one line, in the same order:
          {prompt, completion}           texts; the completion's ids are those of prompt + completion that follow the prompt's
          {prompt_ids, completion_ids}   token ids, used as they are
          {messages}                     the last message as the chat template writes it, given everything before it
          {text}                         with --rolling: every token given a begin token; a text longer than the model's
                                         positions is cut into windows, each token scored once
          -> {logprob, tokens, is_greedy}
        logprob is the sum over the completion's tokens, natural logarithm; is_greedy says whether each of them is the most
        likely one (true for none). --per-token adds logprobs, ids and greedy, one entry for each token. --top K adds top: at
        each token the K most likely ones as [{id, token, logprob}, ...]. Neighbouring rows with one prompt share its
        computation. --json changes nothing: results are JSON lines anyway.
        """;

    public static CommandEntry Entry { get; } = new("score", Summary, Build);

    private static Command Build(CommandFrame frame)
    {
        var input = new Option<string>("--in") { HelpName = "F.jsonl", Required = true, Description = "Rows, plain or .gz; - is standard input." };
        var rolling = new Option<bool>("--rolling") { Description = "Rows are {text}; every token is scored." };
        var perToken = new Option<bool>("--per-token") { Description = "Give the log-prob of each token." };
        var top = new Option<int>("--top") { HelpName = "K", Description = "Give the K most likely tokens at each position (at most 1000)." };
        var template = new Option<string?>("--chat-template") { HelpName = "NAME_OR_FILE", Description = "Another template than the adapter's or the model's for {messages}: one of the folder's or the product's names, or a .jinja file." };
        var options = new ModelOptions();
        var command = new Command("score", Description);
        options.AddTo(command);
        foreach (var option in (Option[])[input, rolling, perToken, top, template]) command.Add(option);
        frame.OnRun(command, Uses.Device | Uses.Dtype | Uses.Threads, async (parsed, session, cancel) =>
        {
            var count = parsed.GetValue(top);
            if (count is < 0 or > 1000) throw new UserError($"--top {count}", "is a whole number from 0 to 1000", "leave it out for none");
            using var rows = RowReader.Open(parsed.GetValue(input)!);
            var model = InferenceModel.Load(options.Read(parsed), session);
            var reader = new ScoreRows(model, new PromptEncoder(model, parsed.GetValue(template), session.Output.Remark), parsed.GetValue(rolling));
            using var writer = session.Output.Rows();
            using var ticker = new Ticker(session.Output, "rows scored");
            var scoring = new RowScoring(model, writer, count, parsed.GetValue(perToken), ticker);
            var waiting = new List<ScoreRow>();
            await foreach (var row in rows.ReadAsync(cancel))
            {
                waiting.Add(reader.Read(row));
                if (waiting.Count < RowsAtOnce && waiting.Sum(r => r.Tokens) < TokensAtOnce) continue;
                scoring.Answer(waiting);
                waiting.Clear();
            }
            scoring.Answer(waiting);
            return ExitCode.Done;
        });
        return command;
    }

    /// <summary>Scores rows together and writes a line for each.</summary>
    private sealed class RowScoring(InferenceModel model, RowWriter writer, int top, bool perToken, Ticker ticker)
    {
        private readonly Scorer scorer = new(new LogProbEngine(model.Decoder), model.Mode);

        internal void Answer(IReadOnlyList<ScoreRow> rows)
        {
            var parts = rows.SelectMany(r => r.Parts).ToList();
            var scores = new Queue<CompletionScore>(scorer.Score(Groups(parts), top));
            foreach (var row in rows)
            {
                var own = row.Parts.Select(part => (part.Completion, Score: scores.Dequeue())).ToList();
                if (own.Exists(p => !double.IsFinite(p.Score.LogProb))) throw new UserErrorException($"{row.Place}: the model gives no finite log-prob; its weights are damaged, copy or train them again.");
                writer.Write(json => Write(json, own));
            }
            ticker.Add(rows.Count);
        }

        // Neighbours with one prompt share a group, so that it is computed once.
        private static List<CompletionGroup> Groups(IReadOnlyList<(int[] Prompt, int[] Completion)> parts)
        {
            var groups = new List<CompletionGroup>();
            foreach (var (prompt, completion) in parts)
            {
                if (groups is [.., var last] && last.Prompt.AsSpan().SequenceEqual(prompt))
                    groups[^1] = last with { Completions = [.. last.Completions, Completion.Of(completion)] };
                else
                    groups.Add(new CompletionGroup(prompt, [Completion.Of(completion)]));
            }
            return groups;
        }

        private void Write(Utf8JsonWriter json, List<(int[] Ids, CompletionScore Score)> parts)
        {
            json.WriteNumber("logprob", parts.Sum(p => p.Score.LogProb));
            json.WriteNumber("tokens", parts.Sum(p => p.Ids.Length));
            json.WriteBoolean("is_greedy", parts.TrueForAll(p => p.Score.IsGreedy));
            if (perToken)
            {
                json.WriteNumbers("ids", parts.SelectMany(p => p.Ids));
                json.WriteStartArray("logprobs");
                foreach (var value in parts.SelectMany(p => p.Score.LogProbs)) json.WriteNumberValue(value);
                json.WriteEndArray();
                json.WriteStartArray("greedy");
                foreach (var hit in parts.SelectMany(p => p.Score.Greedy)) json.WriteBooleanValue(hit);
                json.WriteEndArray();
            }
            if (top > 0) WriteTop(json, parts.SelectMany(p => p.Score.Top));
        }

        private void WriteTop(Utf8JsonWriter json, IEnumerable<IReadOnlyList<TokenLogProb>> top)
        {
            var names = model.Tokenizer as ITokenizerDetails;
            json.WriteStartArray("top");
            foreach (var tokens in top)
            {
                json.WriteStartArray();
                foreach (var (id, logProb) in tokens)
                {
                    json.WriteStartObject();
                    json.WriteNumber("id", id);
                    if (names?.IdToToken(id) is { } token) json.WriteString("token", token);
                    json.WriteNumber("logprob", logProb);
                    json.WriteEndObject();
                }
                json.WriteEndArray();
            }
            json.WriteEndArray();
        }
    }
}
