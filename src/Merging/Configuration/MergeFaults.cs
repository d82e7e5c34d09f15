// Collects the mistakes of a configuration, so that all are reported at once, each with its line; and the warnings.

using System.Diagnostics.CodeAnalysis;
using PeftAlign.Abstractions;
using PeftAlign.Core;
using PeftAlign.Plugins;

namespace PeftAlign.Merging;

/// <param name="file">The configuration's path as the user gave it.</param>
internal sealed class MergeFaults(string file)
{
    private readonly List<(Spot At, string Message)> faults = [];
    private readonly List<string> warnings = [];

    public string File => file;

    public IReadOnlyList<string> Warnings => warnings;

    public static Spot Of(DocumentNode node) => new(node.Line, node.Column);

    public static string Shown(DocumentNode node) => node.Kind is "mapping" or "list" ? $"a {node.Kind}" : node.Kind == "nothing" ? "empty" : $"'{node.Text}'";

    public void Add(Spot at, string message) => faults.Add((at, message));

    public void Warn(string message)
    {
        if (!warnings.Contains(message)) warnings.Add(message);
    }

    public void Warn(Spot at, string message) => Warn(Line(at, message));

    /// <summary>The error for one mistake, which ends the reading.</summary>
    public UserErrorException Error(Spot at, string message) => new(Line(at, message));

    /// <exception cref="UserErrorException">There are mistakes; each is a line.</exception>
    public void ThrowIfAny()
    {
        if (faults.Count > 0) throw Errors();
    }

    /// <summary>The error for all mistakes so far.</summary>
    public UserErrorException Errors()
    {
        var lines = faults.OrderBy(fault => fault.At.Line).ThenBy(fault => fault.At.Column).Select(fault => Line(fault.At, fault.Message)).Distinct();
        return new UserErrorException(string.Join(Environment.NewLine, lines));
    }

    public bool IsMapping([NotNullWhen(true)] DocumentNode? node, string what) => Is(node, "mapping", what);

    public bool IsList([NotNullWhen(true)] DocumentNode? node, string what) => Is(node, "list", what);

    public void OnlyKeys(DocumentNode node, string what, params string[] known)
    {
        foreach (var entry in node.Entries.Where(entry => !known.Contains(entry.Key)))
            Add(new Spot(entry.Line, entry.Column), $"{what} has no key '{entry.Key}'.{Suggestions.Hint(entry.Key, known)}");
    }

    private bool Is([NotNullWhen(true)] DocumentNode? node, string kind, string what)
    {
        if (node?.Kind == kind) return true;
        Add(node is null ? default : Of(node), $"{what} must be a {kind}, but is {(node is null ? "missing" : Shown(node))}.");
        return false;
    }

    private string Line(Spot at, string message) => at.Line > 0 ? $"{file}:{at.Line}:{at.Column}: {message}" : $"{file}: {message}";
}
