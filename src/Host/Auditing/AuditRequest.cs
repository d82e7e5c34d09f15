// What `data audit` was asked.

namespace PeftAlign.Host.Auditing;

/// <param name="File">JSON lines, plain or .gz.</param>
/// <param name="Model">A model folder.</param>
internal sealed record AuditRequest(string File, string Model)
{
    public string? ChatTemplate { get; init; }

    public int MaxLength { get; init; } = 1024;

    public int? MaxPromptLength { get; init; }

    public bool KeepEnd { get; init; }

    internal const int DefaultNgram = 13; // of GPT-3 and of lm-evaluation-harness

    /// <summary>Files of benchmarks that the rows are compared with.</summary>
    public IReadOnlyList<string> Against { get; init; } = [];

    /// <summary>Words in a row by which a benchmark's row is found.</summary>
    public int Ngram { get; init; } = DefaultNgram;

    /// <summary>Places that are named for each finding.</summary>
    public int Examples { get; init; } = 3;
}
