// The setting of a parameter: a value; a gradient over the layers of a slice; or a list of those with filters on tensor names, of
// which the first that matches counts (mergekit 0.1.5). Values are checked when they are read, each at its own place.

using System.Text.Json.Nodes;
using PeftAlign.Plugins;

namespace PeftAlign.Merging;

/// <summary>A parameter's setting.</summary>
internal abstract record Setting(Spot At)
{
    /// <summary>The value for a tensor, or null where no filter matches.</summary>
    /// <param name="tensor">The tensor's name in the model that the value is for.</param>
    /// <param name="t">Place within the slice, 0 to 1.</param>
    public abstract JsonNode? ValueFor(string tensor, double t);
}

/// <summary>One value for all.</summary>
internal sealed record Plain(JsonNode Value, Spot At) : Setting(At)
{
    public override JsonNode? ValueFor(string tensor, double t) => Value.DeepClone();
}

/// <summary>Values at equal distances over the layers, with straight lines between numbers.</summary>
internal sealed record Gradient(IReadOnlyList<JsonNode> Values, OptionType Type, Spot At) : Setting(At)
{
    public override JsonNode? ValueFor(string tensor, double t)
    {
        var place = t * (Values.Count - 1);
        var first = (int)place;
        if (Type.Kind is not (OptionKind.Double or OptionKind.Int or OptionKind.Long)) return Values[first].DeepClone();
        var second = Math.Min(first + 1, Values.Count - 1);
        var value = (1 - (place - first)) * Number(Values[first]) + (place - first) * Number(Values[second]);
        return Type.Kind == OptionKind.Double ? value : (long)value;
    }

    private static double Number(JsonNode node) => Numbers.Double(node)!.Value;
}

/// <summary>Settings with filters.</summary>
internal sealed record Filtered(IReadOnlyList<Filtered.Case> Cases, Spot At) : Setting(At)
{
    /// <param name="Filter">Part of a tensor's name; null, empty or * for all.</param>
    /// <param name="Value">The setting; null for a list without values, which is none.</param>
    /// <param name="At">Where it stands.</param>
    internal sealed record Case(string? Filter, Setting? Value, Spot At)
    {
        /// <summary>A tensor whose name matched; one that is no norm where there is any.</summary>
        public string? Matched { get; set; }
    }

    public override JsonNode? ValueFor(string tensor, double t)
    {
        foreach (var one in Cases)
            if (one.Filter is null or "*" || tensor.Contains(one.Filter, StringComparison.Ordinal))
            {
                if (one.Matched is null || one.Matched.Contains("norm", StringComparison.Ordinal)) one.Matched = tensor;
                return one.Value?.ValueFor(tensor, t);
            }
        return null;
    }
}
