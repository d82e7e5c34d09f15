// What is trained at one time: one flat buffer with its optimiser, or two with learning rates of their own (controls, and the model
// under them), whose gradients are clipped together.

using PeftAlign.Torch;

namespace PeftAlign.Training;

/// <param name="Name">Tells its moments from another group's; empty where there is one group.</param>
/// <param name="Parameters">The tensors.</param>
/// <param name="LearningRate">Before the schedule.</param>
internal sealed record ParameterGroup(string Name, FlatParameters Parameters, double LearningRate);

internal sealed class ParameterGroups : IDisposable
{
    private readonly List<(ParameterGroup Group, FlatOptimizer Optimizer)> groups;

    internal ParameterGroups(IEnumerable<ParameterGroup> groups, TrainingOptions options, Paging? paging = null) =>
        this.groups = [.. groups.Select(group => (group, FlatOptimizer.Of(group.Parameters, options, paging)))];

    /// <summary>All tensors by name.</summary>
    internal IReadOnlyList<(string Name, Tensor Tensor)> Members => [.. groups.SelectMany(g => g.Group.Parameters.Members)];

    /// <summary>All moments by name.</summary>
    internal IReadOnlyList<(string Name, Tensor Tensor)> State =>
        [.. groups.SelectMany(g => g.Optimizer.State.Select(s => (g.Group.Name.Length == 0 ? s.Name : $"{g.Group.Name}.{s.Name}", s.Tensor)))];

    internal long Count => groups.Sum(g => g.Group.Parameters.Count);

    /// <summary>Updates done with these moments.</summary>
    internal long Steps
    {
        set
        {
            foreach (var (_, optimizer) in groups) optimizer.Steps = value;
        }
    }

    internal void ZeroGradients()
    {
        foreach (var (group, _) in groups) group.Parameters.Gradients.zero_();
    }

    internal void DivideGradients(double denominator)
    {
        foreach (var (group, _) in groups) group.Parameters.Gradients.div_(denominator);
    }

    /// <summary>Shortens the gradient to the limit where that is above 0.</summary>
    /// <returns>Its length before.</returns>
    internal double Clip(double limit)
    {
        var norms = groups.ConvertAll(g => g.Group.Parameters.GradientNorm());
        var norm = norms.Count == 1 ? norms[0] : Math.Sqrt(norms.Sum(n => n * n));
        var factor = limit / (norm + 1e-6);
        if (limit > 0 && factor < 1)
            foreach (var (group, _) in groups) group.Parameters.Gradients.mul_(factor);
        return norm;
    }

    /// <summary>One update.</summary>
    /// <param name="factor">Of the learning rates, from the schedule.</param>
    internal void Step(double factor)
    {
        foreach (var (group, optimizer) in groups) optimizer.Step(group.LearningRate * factor);
        Round();
    }

    /// <summary>See <see cref="FlatParameters.Round"/>.</summary>
    internal void Round()
    {
        foreach (var (group, _) in groups) group.Parameters.Round();
    }

    /// <summary>See <see cref="FlatParameters.Collect"/>.</summary>
    internal void Collect()
    {
        foreach (var (group, _) in groups) group.Parameters.Collect();
    }

    /// <summary>learning_rate of metrics.jsonl, the last group's, and of groups before it learning_rate/NAME.</summary>
    internal IEnumerable<KeyValuePair<string, double>> LearningRates(double factor) =>
        groups.AsEnumerable().Reverse().Select((g, k) => KeyValuePair.Create(k == 0 ? "learning_rate" : $"learning_rate/{g.Group.Name}", g.Group.LearningRate * factor));

    public void Dispose()
    {
        foreach (var (_, optimizer) in groups) optimizer.Dispose();
    }
}
