// Judgements that were made before, as AlpacaEval keeps them: JSON rows with both outputs, or a compact CSV with their lengths, of one
// model or many. Each model is a task of its own.

using System.Globalization;
using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Eval.Files;

namespace PeftAlign.Eval.Comparisons;

internal sealed class AnnotatedPairs(WinrateOptions options) : IBenchmark
{
    private static readonly string[] Texts = ["instruction", "generator_1", "generator_2", "model", "annotator"];

    private readonly LengthControl length = new(options.LengthControlled, options.Path, options.Gamed);
    private readonly Dictionary<string, string> how = [];
    private List<(string Model, int Rows)> models = [];
    private string annotator = "", baseline = "";

    private bool IsOne => models.Count == 1;

    public BenchmarkInfo Info => new("winrate", 2)
    {
        Settings = Settings(IsOne ? models[0].Model : null),
        Tasks = IsOne ? [] : [.. models.Select(m => new TaskInfo(m.Model, "1") { Settings = Settings(m.Model) })],
    };

    public IEnumerable<EvalItem> Items()
    {
        var file = options.Annotations!;
        var csv = AnswerRows.Name(file) + ".csv" is var name && Path.GetFileName(file).StartsWith(name, StringComparison.Ordinal);
        var all = RowFile.Read(file, csv);
        foreach (var (row, k) in all.Select((row, k) => (row, k)))
            foreach (var key in Texts) Text(row, key, $"{file}, row {k + 1}");
        var rows = all.Where(row => options.Model is null || Model(row, file) == options.Model).ToList();
        if (rows.Count == 0) throw new UserErrorException($"{file} has no annotation of model '{options.Model}'; leave model out for all.");
        models = [.. rows.GroupBy(r => Model(r, file)).Select(g => (g.Key, g.Count()))];
        (annotator, baseline) = (Text(rows[0], "annotator", file) ?? (csv ? AnswerRows.Name(file) : "not named"), Text(rows[0], "generator_1", file) ?? "not named");
        var groups = rows.GroupBy(r => Model(r, file)).Select(g => (options.Limit > 0 ? g.Take(options.Limit) : g).Select((row, k) => Item(row, g.Key, k, file)).ToList()).ToList();
        foreach (var group in groups)
            if (group.TrueForAll(i => !Pair.IsPreference((double?)i.Document["preference"] ?? double.NaN))) throw new UserErrorException($"{file}: none of the {group.Count} annotations of {(string?)group[0].Document["generator_2"]} has a preference; give rows with one, from 1 (the baseline is better) to 2.");
        return groups.SelectMany(g => g);
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

    private static string Model(JsonObject row, string file) => Text(row, "model", file) ?? Text(row, "generator_2", file) ?? AnswerRows.Name(file).Split('.')[0];

    private static string? Text(JsonObject row, string key, string place) => row[key] switch
    {
        null => null,
        JsonValue value when value.TryGetValue<string>(out var text) => text,
        var other => throw new UserErrorException($"{place}: {key} is {other.ToJsonString()}, no text; mend or remove the row."),
    };

    private JsonObject Settings(string? model)
    {
        var settings = PairTable.Settings(annotator, baseline, "as annotated");
        if (model is not null) settings["model"] = model;
        if (how.GetValueOrDefault(IsOne ? "" : model ?? "") is { } said) settings["length_controlled"] = said;
        return settings;
    }

    private EvalItem Item(JsonObject row, string model, int number, string file)
    {
        var place = $"{file}, row {number + 1} of {model}";
        double Number(string key)
        {
            var text = row[key] is JsonValue value ? value.ToString() : row[key]?.ToJsonString() ?? "";
            return text.Length == 0 ? double.NaN : double.TryParse(text, CultureInfo.InvariantCulture, out var read) ? read : throw new UserErrorException($"{place}: {key} is '{text}', no number; mend or remove the row.");
        }
        int? Place(string key) => Number(key) switch
        {
            double.NaN => null,
            var at when at == Math.Floor(at) && at is >= 0 and <= int.MaxValue => (int)at,
            _ => throw new UserErrorException($"{place}: {key} is '{row[key]}', no whole number from 0 to {int.MaxValue}; mend or remove the row."),
        };
        double Length(string side) => row[$"output_{side}"] is JsonValue text ? Pair.Length(text.ToString()) : Number($"len_output_{side}");
        var (instruction, first, second, preference) = (Text(row, "instruction", place), Length("1"), Length("2"), Number("preference"));
        if (double.IsNaN(first + second)) throw new UserErrorException($"{place} has neither output_1 and output_2 nor len_output_1 and len_output_2; give one of them.");
        var document = new JsonObject { ["instruction"] = instruction, ["generator_1"] = Text(row, "generator_1", place), ["generator_2"] = model, ["len_output_1"] = first, ["len_output_2"] = second };
        if (!double.IsNaN(preference)) document["preference"] = preference;
        if (length.Difficulty(instruction, Place("instruction_index")) is var difficulty and not double.NaN) document["instruction_difficulty"] = difficulty;
        return new EvalItem($"{number}", document) { Task = IsOne ? "" : model };
    }
}
