// A source of a mixture as the trainer sees it.

namespace PeftAlign.Training;

/// <summary>A source of training rows: so many of them, one after the other.</summary>
/// <param name="Name">As messages and ledger.json name it.</param>
/// <param name="Rows">How many of the run's rows are its.</param>
/// <param name="Proportion">Its share of every batch; null where all rows are shuffled together, so that a source counts by its size.</param>
public sealed record MixtureShare(string Name, int Rows, double? Proportion);
