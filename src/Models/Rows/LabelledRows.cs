// Rows that hold token ids with labels (-100 where a token is not trained, else the token's own id) or with masks.

using System.Text.Json;
using System.Text.Json.Nodes;
using PeftAlign.Abstractions;

namespace PeftAlign.Models.Rows;

internal static class LabelledRows
{
    /// <summary>Ids, and whether each is trained.</summary>
    /// <exception cref="UserErrorException">The lists differ in length, or a label is neither -100 nor its token.</exception>
    internal static (int[] Ids, bool[] Trained) Read(DataRecord record, string idField, string labelField)
    {
        var (ids, labels) = (record.Ids(idField), record.Ids(labelField));
        if (ids.Length != labels.Length)
            throw new UserErrorException($"{record.Place}: {idField} has {ids.Length} entries and {labelField} {labels.Length}; they must be equally long.");
        for (var k = 0; k < ids.Length; k++)
            if (labels[k] != -100 && labels[k] != ids[k])
                throw new UserErrorException($"{record.Place}: {labelField}[{k}] is {labels[k]}; it must be -100 or {idField}[{k}] = {ids[k]}.");
        return (ids, Array.ConvertAll(labels, l => l != -100));
    }

    /// <summary>Ids, and whether each is trained: where all masks say so.</summary>
    /// <exception cref="UserErrorException">A mask is of another length, or holds something else than 0 and 1.</exception>
    internal static (int[] Ids, bool[] Trained) Masked(DataRecord record, string idField, IEnumerable<string> maskFields)
    {
        var ids = record.Ids(idField);
        var trained = new bool[ids.Length];
        trained.AsSpan().Fill(true);
        foreach (var field in maskFields)
        {
            var mask = Mask(record, field);
            if (mask.Length != ids.Length)
                throw new UserErrorException($"{record.Place}: {idField} has {ids.Length} entries and {field} {mask.Length}; they must be equally long.");
            for (var k = 0; k < ids.Length; k++) trained[k] &= mask[k];
        }
        return (ids, trained);
    }

    private static bool[] Mask(DataRecord record, string field)
    {
        if (record.Fields[field] is not JsonArray array) throw Wrong();
        return [.. JsonSerializer.SerializeToElement(array).EnumerateArray().Select(Bit)]; // as DataRecord.Ids, without nodes that the row would keep

        bool Bit(JsonElement entry) => entry.ValueKind switch
        {
            JsonValueKind.True => true,
            JsonValueKind.False => false,
            JsonValueKind.Number when entry.TryGetInt32(out var number) && number is 0 or 1 => number == 1,
            _ => throw Wrong(),
        };

        UserErrorException Wrong() => record.Wrong(field, "a list of 0 and 1");
    }

    /// <summary>An answer: everything from the first trained token on, all of it trained.</summary>
    /// <exception cref="UserErrorException">As for Read, or a token behind the first trained one is not trained.</exception>
    internal static AnswerTokens Answer(DataRecord record, string idField, string labelField)
    {
        var (ids, trained) = Read(record, idField, labelField);
        var first = Array.IndexOf(trained, true) is >= 0 and var at ? at : ids.Length;
        if (Array.IndexOf(trained, false, first) is >= 0 and var gap)
            throw new UserErrorException($"{record.Place}: {labelField}[{gap}] is -100 behind trained tokens; the labels of an answer are one piece at the end.");
        return new AnswerTokens(ids[..first], ids[first..]);
    }
}
