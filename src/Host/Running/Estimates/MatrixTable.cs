// The matrix of a plan's trainings: a row for each model and data set, a column for each chain of methods over its adapters, in a
// cell how many policies (seeds, variants of grids). With many columns a row for each combination instead.

using System.Text.Json.Nodes;
using PeftAlign.Core;

namespace PeftAlign.Host.Running.Estimates;

internal sealed class MatrixTable
{
    private const int ColumnsAtMost = 6;
    private const int RowsAtMost = 60;

    private sealed record Cell(string Model, string Dataset, string Method, string Adapter);

    private readonly List<(Cell Cell, int Policies)> cells;

    internal MatrixTable(Plan plan)
    {
        string Axis(IReadOnlyDictionary<string, string> place, string name, string none) => place.TryGetValue(name, out var value) && value is not ("" or "none") ? value : none;
        cells = [.. plan.Jobs.Where(job => job.Kind == "train").SelectMany(job => job.Places)
            .GroupBy(place => new Cell(Axis(place, "model", "?"), Axis(place, "dataset", "?"), Axis(place, "method", "?"), Axis(place, "adapter", "all weights")))
            .Select(group => (group.Key, group.Count()))];
    }

    internal JsonArray Document() => new([.. cells.Select(cell => (JsonNode)new JsonObject { ["model"] = cell.Cell.Model, ["dataset"] = cell.Cell.Dataset, ["method"] = cell.Cell.Method, ["adapter"] = cell.Cell.Adapter, ["policies"] = cell.Policies })]);

    internal IEnumerable<string> Lines()
    {
        if (cells.Count == 0) return [];
        int Count(Func<Cell, string> part) => cells.Select(cell => part(cell.Cell)).Distinct().Count();
        var head = $"training: {Count(c => c.Model)} models x {Count(c => c.Dataset)} data x {Count(c => c.Method)} methods x {Count(c => c.Adapter)} adapters: {cells.Count} combinations, {cells.Sum(cell => cell.Policies)} policies";
        var columns = cells.Select(cell => Column(cell.Cell)).Distinct().ToList();
        var lines = (columns.Count <= ColumnsAtMost ? Wide(columns) : Long()).ToList();
        string[] more = lines.Count - 1 > RowsAtMost ? [$"  and {lines.Count - 1 - RowsAtMost} rows more (--json has all)"] : [];
        return [head, .. lines.Take(RowsAtMost + 1).Select(line => "  " + line), .. more];
    }

    private static string Column(Cell cell) => $"{cell.Method}[{cell.Adapter}]";

    private IEnumerable<string> Wide(List<string> columns)
    {
        var table = new TextTable(["model", "data", .. columns.Select(column => ">" + column)]);
        foreach (var row in cells.GroupBy(cell => (cell.Cell.Model, cell.Cell.Dataset)))
            table.Add([row.Key.Model, row.Key.Dataset, .. columns.Select(column => row.Where(cell => Column(cell.Cell) == column).Sum(cell => cell.Policies) is > 0 and var count ? $"{count}" : "-")]);
        return table.Lines();
    }

    private IEnumerable<string> Long()
    {
        var table = new TextTable("model", "data", "methods", "adapters", ">policies");
        foreach (var (cell, policies) in cells) table.Add(cell.Model, cell.Dataset, cell.Method, cell.Adapter, $"{policies}");
        return table.Lines();
    }
}
