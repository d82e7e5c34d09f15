// What an adapter puts before the text of a sequence: virtual tokens, which are rows like others, and keys and values, which are not.
// How many there are may differ by a group's control; the text's positions follow them.

using PeftAlign.Abstractions;
using PeftAlign.Models.Adapters;
using PeftAlign.Models.Decoders;
using PeftAlign.Torch;

namespace PeftAlign.Models.Engine;

/// <summary>Before the text of one group: prefix keys and values, then virtual tokens.</summary>
/// <param name="FirstPrefix">The first of its keys among those of all groups, see <see cref="Fronts.KeysAndValues"/>.</param>
/// <param name="Prefix">Keys and values.</param>
/// <param name="FirstToken">The first of its virtual tokens among those of all groups, see <see cref="Fronts.Embeddings"/>.</param>
/// <param name="Tokens">Virtual tokens.</param>
internal readonly record struct Front(int FirstPrefix, int Prefix, int FirstToken, int Tokens)
{
    /// <summary>Positions before the text's first.</summary>
    internal int Length => Prefix + Tokens;
}

/// <summary>The fronts of a forward mode.</summary>
internal sealed class Fronts
{
    private readonly Dictionary<string, Front>? byControl;
    private readonly Front common;

    private Fronts(string embedding, ForwardMode mode)
    {
        var (prefixes, tokens) = (0, 0);
        Front Next(string? control)
        {
            var own = Parts(embedding, mode, control);
            var front = new Front(prefixes, own.OfType<PrefixKV>().Sum(p => (int)p.Values.size(0)), tokens, own.OfType<VirtualTokens>().Sum(t => (int)t.Values.size(0)));
            (prefixes, tokens) = (prefixes + front.Prefix, tokens + front.Tokens);
            return front;
        }
        common = Next(null);
        foreach (var control in Controls(mode)) (byControl ??= [])[control] = Next(control);
    }

    internal static Fronts Of(DecoderSpec spec, ForwardMode mode) => new(spec.Names.Embedding, mode);

    /// <summary>Of the groups that name this control, or none.</summary>
    internal Front this[string? control] => control is not null && byControl is not null && byControl.TryGetValue(control, out var own) ? own : common;

    /// <summary>Whether packs of these groups are the same under other fronts.</summary>
    internal bool SameFor(IReadOnlyList<CompletionGroup> groups, Fronts other) => groups.Select(g => g.Control).Distinct().All(control => this[control] == other[control]);

    /// <summary>(tokens of all, d) the virtual tokens; null where there are none.</summary>
    internal static Tensor? Embeddings(DecoderSpec spec, ForwardMode mode)
    {
        var all = All<VirtualTokens>(spec, mode);
        return all.Count == 0 ? null : torch.cat([.. all.Select(tokens => tokens.Values)]);
    }

    /// <summary>Of each block (prefixes of all, G, D) keys and values; null where there are none.</summary>
    internal static (Tensor Keys, Tensor Values)[]? KeysAndValues(DecoderSpec spec, ForwardMode mode)
    {
        var all = All<PrefixKV>(spec, mode);
        if (all.Count == 0) return null;
        var parts = torch.cat([.. all.Select(Prefixes.Flat)]).view(-1, 2 * spec.Layers, spec.KeyValueHeads, spec.HeadWidth).unbind(1);
        return [.. parts.Chunk(2).Select(pair => (pair[0], pair[1]))];
    }

    // In the order that the constructor counts in: the common ones, then of each control the common ones and its own.
    private static List<T> All<T>(DecoderSpec spec, ForwardMode mode) where T : Delta =>
        [.. Controls(mode).Prepend<string?>(null).SelectMany(control => Parts(spec.Names.Embedding, mode, control)).OfType<T>()];

    private static IEnumerable<string> Controls(ForwardMode mode) => mode.Controls.Keys.Order(StringComparer.Ordinal);

    private static List<Delta> Parts(string embedding, ForwardMode mode, string? control)
    {
        IEnumerable<Delta> Of(IReadOnlyDictionary<string, Delta> deltas) => deltas.TryGetValue(embedding, out var delta) ? Deltas.Parts(delta) : [];
        return [.. Of(mode.Deltas), .. control is null ? [] : Of(mode.Controls[control])];
    }
}
