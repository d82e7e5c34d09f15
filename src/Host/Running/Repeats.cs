// Steps that a training makes a second time, because a point was asked for after the training had passed it: it continues from the last
// checkpoint before the point.

using System.Globalization;
using System.Text.Json.Nodes;
using PeftAlign.Core;

namespace PeftAlign.Host.Running;

/// <param name="Point">The first point that was passed and is not there.</param>
/// <param name="From">Step of the checkpoint before it; 0 = the start.</param>
/// <param name="Done">Steps that were made.</param>
internal sealed record Repeats(string Point, int From, int Done)
{
    /// <summary>Null where nothing is repeated for a point.</summary>
    internal static Repeats? Of(RunFolder run, PlanJob job)
    {
        var folder = run.Job(job.Id);
        if (job.Kind != "train" || File.Exists(folder.Forgotten) || !File.Exists(folder.File("metrics.jsonl"))) return null;
        var missing = job.Keep.Where(point => !Directory.Exists(folder.Point(point).Path)).ToList();
        if (missing.Count == 0) return null;
        var epochs = Epochs(folder);
        var (name, step) = missing.Select(point => (Name: point, Step: StepOf(point, epochs))).MinBy(point => point.Step);
        if (step > epochs.Count) return null; // it is still to come
        var checkpoints = Checkpoints(folder).ToList();
        var from = checkpoints.Where(checkpoint => checkpoint <= step).DefaultIfEmpty(0).Max();
        var without = folder.IsFinished ? epochs.Count : checkpoints.DefaultIfEmpty(0).Max();
        return from < without ? new Repeats(name, from, epochs.Count) : null;
    }

    /// <summary>For people.</summary>
    internal string Text => $"the point {Point} was not kept when the training passed it, so that {(From == 0 ? "it starts from the beginning" : $"it goes on from step {From}")}; {Done - From} of the {Done} steps that were made are made again, to the same numbers";

    // After each step, as the run counted; a last row that was cut is no step.
    private static List<double> Epochs(JobFolder folder)
    {
        var epochs = new List<double>();
        foreach (var line in File.ReadLines(folder.File("metrics.jsonl")))
        {
            try
            {
                epochs.Add((double)JsonNode.Parse(line)!["epoch"]!);
            }
            catch (Exception e) when (e is System.Text.Json.JsonException or InvalidOperationException or NullReferenceException)
            {
                break;
            }
        }
        return epochs;
    }

    private static int StepOf(string point, List<double> epochs)
    {
        var (unit, number) = (point.Split(':')[0], double.Parse(point.Split(':')[1], CultureInfo.InvariantCulture));
        if (unit == "step") return (int)number;
        return epochs.FindIndex(epoch => epoch >= number - 1e-9) is >= 0 and var found ? found + 1 : int.MaxValue;
    }

    private static IEnumerable<int> Checkpoints(JobFolder folder) =>
        !Directory.Exists(folder.File("checkpoints")) ? [] : Directory.GetDirectories(folder.File("checkpoints"))
            .Select(path => int.TryParse(Path.GetFileName(path), NumberStyles.None, CultureInfo.InvariantCulture, out var step) ? step : 0).Where(step => step > 0);
}
