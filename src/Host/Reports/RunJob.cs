// A job of a run's plan at one of its places in the experiment. What two rows ask alike is one job with several places.

using System.Text.Json.Nodes;
using System.Text.RegularExpressions;

namespace PeftAlign.Host.Reports;

/// <summary>Axes: Model, dataset, method ... as the plan knows them. Seconds: How long it took; null where that was not noted. Outcome:
/// result.json's; null while it is not finished.</summary>
internal sealed partial record RunJob(string Id, string Kind, string Label, IReadOnlyDictionary<string, string> Axes, IReadOnlyList<string> DependsOn, JsonObject? Outcome, double? Seconds, long? PeakBytes)
{
    /// <summary>Where several jobs would have one name (a benchmark of one name asked over two data sets), which of them it is, from 1.</summary>
    internal int Twin { get; init; } = 1;

    /// <summary>Label and axes of each place of the job; older plans know the first alone.</summary>
    internal IReadOnlyList<(string Label, IReadOnlyDictionary<string, string> Axes)> Places { get; init; } = [];

    /// <summary>The job once for each of its places.</summary>
    internal IEnumerable<RunJob> Placed => Places.Count == 0 ? [this] : Places.Select(place => this with { Label = place.Label, Axes = place.Axes });

    internal string Axis(string name) => Axes.GetValueOrDefault(name, "");

    /// <summary>The benchmark with its variant, as columns are headed; empty for what is no evaluation.</summary>
    internal string Benchmark => string.Join(" ", new[] { Axis("benchmark"), Axis("benchmark_variant") }.Where(part => part.Length > 0));

    /// <summary>The benchmark without the seed of its generation.</summary>
    internal string Setting => string.Join(" ", new[] { Axis("benchmark"), string.Join(",", Variant) }.Where(part => part.Length > 0));

    /// <summary>The values of a benchmark's grids, "temperature=0.7", without the seed of its generation.</summary>
    internal IReadOnlyList<string> Variant => Drawings.WithoutSeed(Axis("benchmark_variant"));

    /// <summary>The configuration: the label without the kind, the benchmark, the control, the point and the seed. The axes say what stands
    /// at its ends; a part of a name in its middle may look like any of them. A merge of checkpoints has their point before its seed.</summary>
    internal string Name
    {
        get
        {
            var name = Mark().Replace(Label, "");
            var variant = Axis("benchmark_variant") is { Length: > 0 } own ? $"[{own}]" : "";
            var head = Kind + "/" + (Axis("benchmark") is { Length: > 0 } benchmark ? $"{benchmark}{variant}/" : "");
            if (name.StartsWith(head, StringComparison.Ordinal)) name = name[head.Length..];
            foreach (var (mark, axis) in ((string, string)[])[("/", "control"), ("@", "checkpoint"), ("/s", "seed")])
                if (Axis(axis) is { Length: > 0 } value && name.EndsWith(mark + value, StringComparison.Ordinal)) name = name[..^(mark.Length + value.Length)];
            return Axis("policy") == "merged" && Axis("checkpoint") is { Length: > 0 } point && (name.EndsWith("/" + point, StringComparison.Ordinal) || name.EndsWith(";" + point, StringComparison.Ordinal))
                ? name[..^(1 + point.Length)] : name;
        }
    }

    /// <summary>How people name the policy: its configuration with the point and the control.</summary>
    internal string Policy => Called(Axis("checkpoint"));

    /// <summary>The policy without the point at which it was taken.</summary>
    internal string Configuration => Called("");

    /// <summary>Equal for twins.</summary>
    internal (string, string, string, string) Stem => (Kind, Benchmark, Called(Axis("checkpoint"), 1), Axis("seed"));

    private string Called(string point) => Called(point, Twin);

    private string Called(string point, int twin) =>
        Name + (point.Length > 0 ? "@" + point : "") + (Axis("control") is { Length: > 0 } control ? "/" + control : "") + (twin > 1 ? $" ({twin})" : "");

    // Plans tell jobs of one label apart by the start of their ids.
    [GeneratedRegex(@"#[0-9a-f]{6}\z")]
    private static partial Regex Mark();
}
