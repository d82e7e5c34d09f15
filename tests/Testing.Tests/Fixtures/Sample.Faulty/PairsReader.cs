// Lines of prompt, tab, completion.

using System.IO.Compression;
using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Models.Rows;

namespace Sample.Faulty;

/// <summary>Ways for a reader to be wrong.</summary>
public enum ReaderFault
{
    None,
    LosesTheLastRow,
    ReadsOnce,
    SharesRecords,
    NumbersNothing,
    KnowsNoGz,
    TakesACutGz,
    HidesTheRow,
    ReadsEagerly,
    ThrowsForAMissingPath,
    IgnoresSplits,
}

internal sealed class PairsReader(string? path, ReaderFault fault) : IDatasetReader
{
    private readonly Dictionary<long, DataRecord> shared = [];
    private bool read;

    public IEnumerable<DataRecord> Read(string? split)
    {
        if (split is not null && fault != ReaderFault.IgnoresSplits) throw new UserErrorException($"There is no split '{split}'; pairs have none.");
        if (path is null || !File.Exists(path))
            throw fault == ReaderFault.ThrowsForAMissingPath ? new FileNotFoundException(path) : new UserErrorException($"{path}: there is no such file.");
        var records = fault == ReaderFault.LosesTheLastRow ? Lines(path).Where(record => record.Row != 3) : Lines(path);
        return fault == ReaderFault.ReadsEagerly ? records.ToArray().Select(record => record with { Fields = (JsonObject)record.Fields.DeepClone() }) : records;
    }

    private IEnumerable<DataRecord> Lines(string path)
    {
        if (read && fault == ReaderFault.ReadsOnce) yield break;
        read = true;
        foreach (var (row, line) in Text(path))
        {
            var parts = line.Split('\t');
            if (parts.Length != 2)
                throw new UserErrorException($"{path}{(fault == ReaderFault.HidesTheRow ? "" : $", row {row}")}: a line is prompt, tab, completion.");
            var record = new DataRecord(new() { ["prompt"] = parts[0], ["completion"] = parts[1] }, path, fault == ReaderFault.NumbersNothing ? 0 : row);
            if (fault != ReaderFault.SharesRecords)
                yield return record;
            else
                yield return shared.TryGetValue(row, out var old) ? old : shared[row] = record;
        }
    }

    private IEnumerable<TextLine> Text(string path) => fault switch
    {
        ReaderFault.KnowsNoGz => Told(File.OpenRead(path)),
        ReaderFault.TakesACutGz when path.EndsWith(".gz", StringComparison.Ordinal) => Told(new GZipStream(File.OpenRead(path), CompressionMode.Decompress)),
        _ => TextLines.Read(path),
    };

    private static IEnumerable<TextLine> Told(Stream stream)
    {
        using var reader = new StreamReader(stream);
        for (var row = 1; reader.ReadLine() is { } line; row++) yield return new TextLine(row, line);
    }
}
