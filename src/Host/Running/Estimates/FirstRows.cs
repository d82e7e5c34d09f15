// The first rows of a training's data, as the training would get them: what is said of all rows before a run follows from these.

using PeftAlign.Abstractions;
using PeftAlign.Models;
using PeftAlign.Models.Text;
using PeftAlign.Training;

namespace PeftAlign.Host.Running.Estimates;

/// <param name="Count">Rows that were looked at.</param>
/// <param name="Lengths">Tokens of each row that the method makes of them, 0 where it trains none. There may be more than rows (KTO makes two answers of a pair), or fewer.</param>
/// <param name="Ledger">What became of them.</param>
internal sealed record FirstRows(int Count, IReadOnlyList<long> Lengths, MaskLedger Ledger)
{
    /// <summary>Bytes that a training holds of them.</summary>
    internal long Bytes { get; private init; }

    /// <summary>The rows, arranged by the method first if that is asked for.</summary>
    /// <exception cref="UserErrorException">A row that the method cannot read.</exception>
    internal static FirstRows Of(IAlignmentMethod method, IReadOnlyList<DataRecord> rows, TrainingOptions options, ITokenizer? tokenizer, IChatTemplate? template, bool arranged = true)
    {
        var context = options.Context(tokenizer, template, new MaskLedger());
        // Packed rows are as long as max_length; lengths before packing say how many there are.
        var trained = arranged && options.Packing is null ? method.Arranged(rows, context) : rows;
        List<long> lengths = [.. trained.Select(row => method.Prepared([row], context).Sum(group => group.Prompt.Length + group.Completions.Sum(c => (long)c.Tokens.Length)))];
        return new FirstRows(rows.Count, lengths, context.Ledger) { Bytes = rows.Sum(Costs.Row) };
    }

    /// <summary>What makes a method's rows tokens: a folder's tokenizer, with the tokens that the method, if there is one, adds; null where there is none.</summary>
    /// <exception cref="UserErrorException">It cannot be read, or gets no tokens.</exception>
    internal static ITokenizer? Tokenizer(IAlignmentMethod? method, string folder) =>
        method is IAddsTokens { NewTokens: var tokens } ? NewTokens.Of(folder, tokens, vocabulary: 0).Tokenizer(folder)
        : ModelFolder.HasTokenizer(folder) ? TokenizerLoader.Load(folder)
        : null;

    /// <summary>Rows that are trained of so many, if these are like all others.</summary>
    internal long Trained(long rows) => rows * Lengths.Count(length => length > 0) / Count;

    /// <summary>Bytes that a training holds of so many rows, likewise.</summary>
    internal long Held(long rows) => (long)((double)rows * Bytes / Count);
}
