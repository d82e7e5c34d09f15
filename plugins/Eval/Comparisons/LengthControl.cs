// What the length-controlled win rate needs beside the judgements, from a folder of AlpacaEval's data: the instructions in their order,
// their difficulties, the gamed baselines' rows, published weights; and which form of it can be computed.

using PeftAlign.Abstractions;
using PeftAlign.Core.Metrics;
using PeftAlign.Core.Statistics;
using PeftAlign.Eval.Files;

namespace PeftAlign.Eval.Comparisons;

/// <summary>Of a form: the metric's name, its number, and how it was made, in words.</summary>
internal sealed record LengthControlledRate(string Metric, double Value, double? StandardError, string How);

internal sealed class LengthControl
{
    private const int WeightsOfOne = 3; // length, difficulty, model

    private readonly string form;
    private readonly Dictionary<string, int> places = [];
    private readonly Dictionary<int, double> difficulties = [];
    private readonly GamedRow[] gamed = [];
    private readonly Dictionary<string, double[]> weights = [];

    /// <param name="form">auto, published, v1, noreg, minimal or none.</param>
    /// <param name="folder">AlpacaEval's data; null for none.</param>
    /// <param name="gamedFile">The gamed baselines' rows; null = those of the folder, if any.</param>
    /// <exception cref="UserErrorException">The form needs what is not there.</exception>
    internal LengthControl(string form, string? folder, string? gamedFile)
    {
        this.form = form;
        if (form == "none") return;
        string? Find(string pattern) => folder is not null && Directory.Exists(folder) ? Directory.EnumerateFiles(folder, pattern).Order(StringComparer.Ordinal).FirstOrDefault() : null;
        if (Instructions.File(folder) is { } asked)
            foreach (var (row, k) in RowFile.Read(asked, csv: false).Select((row, k) => (row, k))) places.TryAdd(AnswerRows.Prompt(row) ?? "", k);
        if (Find("instruction_difficulty*.csv*") is { } file)
            foreach (var (line, row) in NumberTable.Columns(file, "instruction_index", "instruction_difficulty")) difficulties[Place(row[0], file, line)] = row[1];
        if ((gamedFile ?? Find("df_gamed.csv*")) is { } rows)
            gamed = [.. NumberTable.Columns(rows, "preference", "std_delta_len", "instruction_difficulty").Select(r => new GamedRow(Share(r.Row[0], rows, r.Line), r.Row[1], r.Row[2]))];
        if (form == "published" && Find("lc_weights*.csv") is { } published)
            foreach (var (name, row) in NumberTable.Named(published, WeightsOfOne)) weights[name] = row;
        if (form == "published" && (weights.Count == 0 || difficulties.Count == 0)) throw new UserErrorException("length_controlled: published needs a folder with lc_weights*.csv and instruction_difficulty*.csv; give it as path.");
        if (form is "v1" or "noreg" && difficulties.Count == 0) throw new UserErrorException($"length_controlled: {form} needs the instructions' difficulties (instruction_difficulty*.csv in the folder of AlpacaEval's data); give that folder as path, or take minimal.");
        if (form == "v1" && gamed.Length == 0) throw new UserErrorException("length_controlled: v1 needs the gamed baselines' rows; give their file as gamed, or take noreg.");
    }

    /// <summary>An instruction's difficulty; NaN where it is not known.</summary>
    /// <param name="instruction">Its text; null where only its number is known.</param>
    /// <param name="index">Its number where the row says it.</param>
    internal double Difficulty(string? instruction, int? index) =>
        (index ?? (instruction is not null && places.TryGetValue(instruction, out var place) ? place : null)) is { } k && difficulties.TryGetValue(k, out var difficulty) ? difficulty : double.NaN;

    /// <summary>The rate; null where none is wanted. Where none can be computed the metric is empty and How says why.</summary>
    /// <param name="model">Whose answers they are: the key of published weights.</param>
    /// <param name="rows">Judged rows; difficulties NaN where they are not known.</param>
    internal LengthControlledRate? Rate(string model, LengthRow[] rows)
    {
        if (form == "none") return null;
        var known = rows.All(r => !double.IsNaN(r.Difficulty));
        var wanted = form != "auto" ? form : !known ? "minimal" : gamed.Length > 0 ? "v1" : "noreg";
        if (wanted != "minimal" && !known) return new LengthControlledRate("", 0, null, "some instructions have no difficulty; take minimal");
        try
        {
            if (wanted == "published") return weights.TryGetValue(model, out var of) ? Published(of, rows) : new LengthControlledRate("", 0, null, $"there are no published weights of {model}");
            LengthRow[] fitted = [.. rows.Select(r => new LengthRow(r.Preference, r.BaselineLength, r.ModelLength, wanted == "minimal" ? 0 : r.Difficulty))];
            var fit = LengthControlled.Fit(fitted, gamed, wanted switch
            {
                "minimal" => LengthControlledForm.Minimal,
                "noreg" => LengthControlledForm.Unregularised,
                _ => LengthControlledForm.Version1,
            });
            return new LengthControlledRate(wanted == "v1" ? "length_controlled_winrate" : $"length_controlled_winrate_{wanted}", fit.WinRate, Error(fit.StandardError), How(wanted));
        }
        catch (StatisticsException e)
        {
            return new LengthControlledRate("", 0, null, e.Message);
        }
    }

    private static LengthControlledRate Published(double[] weights, LengthRow[] rows)
    {
        var predicted = LengthControlled.Predict(weights, [.. rows.Select(r => r.Difficulty)]);
        return new LengthControlledRate("length_controlled_winrate", 100 * predicted.Average(), Error(100 * Descriptive.StandardError(predicted)), "published weights");
    }

    private static string How(string form) => form switch
    {
        "v1" => "fitted with difficulties and the gamed baselines, as the leaderboard's",
        "noreg" => "fitted with difficulties, without the gamed baselines: no leaderboard's number",
        _ => "fitted on lengths alone: comparable with no published number",
    };

    private static double? Error(double value) => double.IsNaN(value) ? null : value;

    private static int Place(double index, string file, long line) => index == Math.Floor(index) && index is >= 0 and <= int.MaxValue
        ? (int)index
        : throw new UserErrorException(FormattableString.Invariant($"{file}, line {line}: instruction_index is '{index}', no whole number from 0 to {int.MaxValue}; fetch the file again."));

    // The fit weighs a row by its preference; outside of 0 and 1 the weights would be negative.
    private static double Share(double preference, string file, long line) => preference is >= 0 and <= 1
        ? preference
        : throw new UserErrorException(FormattableString.Invariant($"{file}, line {line}: preference is '{preference}', which lies outside of 0 to 1; give the gamed baselines' rows with 0 for the baseline and 1 for the gamed answer."));
}

/// <summary>AlpacaEval's instructions: a file, or the file of its usual name in a folder.</summary>
internal static class Instructions
{
    private static readonly string[] Names = ["alpaca_eval.json", "instructions_805.json", "instructions.json", "alpaca_eval.json.gz", "instructions_805.json.gz"];

    /// <summary>The file; null where there is none.</summary>
    internal static string? File(string? path) =>
        path is null ? null : System.IO.File.Exists(path) ? path : Names.Select(n => Path.Combine(path, n)).FirstOrDefault(System.IO.File.Exists);
}
