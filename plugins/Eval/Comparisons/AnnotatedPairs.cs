// Judgements that were made before, as AlpacaEval keeps them: JSON rows with both outputs, or a compact CSV with their lengths, of one
// model or many. Each model is a task of its own.

using System.Globalization;
using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Eval.Files;

namespace PeftAlign.Eval.Comparisons;

internal sealed class AnnotatedPairs(WinrateOptions options) : IBenchmark
{
    private readonly LengthControl length = new(options.LengthControlled, options.Path, options.Gamed);
    private readonly Dictionary<string, string> how = [];
    private List<(string Model, int Rows)> models = [];
    private string annotator = "", baseline = "";

    private bool IsOne => models.Count == 1;

    public BenchmarkInfo Info => new("winrate", 1)
    {
        Settings = Settings(IsOne ? models[0].Model : null),
        Tasks = IsOne ? [] : [.. models.Select(m => new TaskInfo(m.Model, "1") { Settings = Settings(m.Model) })],
    };

    public IEnumerable<EvalItem> Items()
    {
        var file = options.Annotations!;
        var csv = AnswerRows.Name(file) + ".csv" is var name && Path.GetFileName(file).StartsWith(name, StringComparison.Ordinal);
        var rows = RowFile.Read(file, csv).Where(row => options.Model is null || Model(row, file) == options.Model).ToList();
        if (rows.Count == 0) throw new UserErrorException($"{file} has no annotation of model '{options.Model}'; leave model out for all.");
        models = [.. rows.GroupBy(r => Model(r, file)).Select(g => (g.Key, g.Count()))];
        (annotator, baseline) = ((string?)rows[0]["annotator"] ?? (csv ? AnswerRows.Name(file) : "not named"), (string?)rows[0]["generator_1"] ?? "not named");
        var items = rows.GroupBy(r => Model(r, file)).SelectMany(g => (options.Limit > 0 ? g.Take(options.Limit) : g).Select((row, k) => Item(row, g.Key, k, file)));
        return items.ToList();
    }

    public IReadOnlyList<EvalRequest> Requests(EvalItem item) => [];

    public IReadOnlyList<ItemScore> Score(EvalItem item, IReadOnlyList<EvalResponse> responses)
    {
        var document = item.Document;
        var preference = document["preference"] is { } p ? (double)p : double.NaN;
        return [Pair.Score(item, preference, (double)document["len_output_1"]!, (double)document["len_output_2"]!, "the annotation has no preference")];
    }

    public IReadOnlyList<MetricResult> Aggregate(IReadOnlyList<ItemScore> items) =>
        [.. items.GroupBy(i => i.Task).SelectMany(g => PairTable.Of([.. g], IsOne ? models[0].Model : g.Key, length, note => how[g.Key] = note))];

    private static string Model(JsonObject row, string file) => (string?)row["model"] ?? (string?)row["generator_2"] ?? AnswerRows.Name(file).Split('.')[0];

    private JsonObject Settings(string? model)
    {
        var settings = PairTable.Settings(annotator, baseline, "as annotated");
        if (model is not null) settings["model"] = model;
        if (how.GetValueOrDefault(IsOne ? "" : model ?? "") is { } said) settings["length_controlled"] = said;
        return settings;
    }

    private EvalItem Item(JsonObject row, string model, int number, string file)
    {
        double Number(string key)
        {
            var text = row[key] is JsonValue value ? value.ToString() : "";
            return text.Length == 0 ? double.NaN : double.TryParse(text, CultureInfo.InvariantCulture, out var read) ? read : throw new UserErrorException($"{file}, row {number + 1} of {model}: {key} is '{text}', no number; mend or remove the row.");
        }
        double Length(string side) => row[$"output_{side}"] is JsonValue text ? Pair.Length(text.ToString()) : Number($"len_output_{side}");
        var (instruction, first, second, preference) = ((string?)row["instruction"], Length("1"), Length("2"), Number("preference"));
        if (double.IsNaN(first + second)) throw new UserErrorException($"{file}, row {number + 1} of {model} has neither output_1 and output_2 nor len_output_1 and len_output_2; give one of them.");
        var document = new JsonObject { ["instruction"] = instruction, ["generator_1"] = (string?)row["generator_1"], ["generator_2"] = model, ["len_output_1"] = first, ["len_output_2"] = second };
        if (!double.IsNaN(preference)) document["preference"] = preference;
        if (length.Difficulty(instruction, row["instruction_index"] is JsonValue index ? (int)(long)index : null) is var difficulty and not double.NaN) document["instruction_difficulty"] = difficulty;
        return new EvalItem($"{number}", document) { Task = IsOne ? "" : model };
    }
}
