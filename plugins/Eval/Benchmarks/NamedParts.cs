// Which parts of a benchmark run: those that its options name, each known and named once; without names all.

using PeftAlign.Abstractions;

namespace PeftAlign.Eval.Benchmarks;

internal static class NamedParts
{
    /// <summary>The parts that run.</summary>
    /// <param name="option">The option that names them.</param>
    /// <param name="named">What it says; null or empty for all.</param>
    /// <param name="all">All that there are.</param>
    /// <param name="part">What one is called.</param>
    /// <param name="whole">What they are parts of.</param>
    /// <exception cref="UserErrorException">One is unknown, or named twice: its items would count twice.</exception>
    internal static IReadOnlyList<string> Of(string option, IReadOnlyList<string>? named, IReadOnlyCollection<string> all, string part, string whole)
    {
        if (named is not { Count: > 0 }) return [.. all];
        if (named.FirstOrDefault(name => !all.Contains(name)) is { } unknown) throw new UserErrorException($"'{unknown}' is no {part} of {whole}; {part}s are {string.Join(", ", all)}.");
        if (named.GroupBy(name => name).FirstOrDefault(same => same.Count() > 1) is { } twice) throw new UserErrorException($"{option}: '{twice.Key}' stands there {twice.Count()} times; name each {part} once.");
        return named;
    }
}
