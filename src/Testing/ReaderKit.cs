// Readers: records in order, read lazily and as often as wanted; gz like plain and whole; a broken row named by file and row.
// conformance/reader.NAME.json: { "options": {...}, "split": TEXT, "good": FILE, "rows": N, "broken": FILE, "broken_row": N }, files
// beside it, which are given to the option that names a path; without "good" the reader makes its records itself and only counting
// and repeating are checked.

using System.IO.Compression;
using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Plugins;

namespace PeftAlign.Testing;

internal static class ReaderKit
{
    public static IEnumerable<ConformanceCheck> Checks(Subject subject, ProvidedContract provided)
    {
        (string Rule, Action<Reading> Check)[] always =
            [("reads the sample", ReadsTheSample), ("reads the same again", ReadsTheSameAgain), ("refuses a split that it has not", RefusesAnUnknownSplit)];
        (string Rule, Action<Reading> Check)[] ofFiles =
        [
            ("numbers rows and names their file", NumbersRows),
            ("reads gz as it reads plain", ReadsGz),
            ("refuses a gz that is cut off", RefusesACutGz),
            ("names the broken row", NamesTheBrokenRow),
            ("reads lazily", ReadsLazily),
            ("says that a path is missing", SaysThatAPathIsMissing),
        ];
        var makesItsRecords = HasSample(subject, provided) && subject.Sample(provided).File("good") is null;
        return (makesItsRecords ? always : always.Concat(ofFiles))
            .Select(rule => new ConformanceCheck($"reader {provided.Name}: {rule.Rule}", () => rule.Check(new Reading(subject, provided, subject.Sample(provided)))));
    }

    private static bool HasSample(Subject subject, ProvidedContract provided)
    {
        try
        {
            return subject.Sample(provided) is not null;
        }
        catch (ConformanceException)
        {
            return false;
        }
    }

    private sealed record Reading(Subject Subject, ProvidedContract Provided, Sample Sample)
    {
        public string? Good => Sample.File("good");

        public string Broken => Sample.File("broken") ?? throw new ConformanceException("The sample has no \"broken\" file; add one with a row that cannot be read, and its number as \"broken_row\".");

        /// <summary>The records of a file; null for a reader that makes its records.</summary>
        public IEnumerable<DataRecord> Read(string? path) => Read(path, Sample.Text("split"));

        public IEnumerable<DataRecord> Read(string? path, string? split)
        {
            var options = Sample.Options;
            if (path is not null) options[PathOption] = path;
            return Subject.Create<IDatasetReader>(Provided, options).Read(split);
        }

        public IReadOnlyList<string> Rows(string? path) => [.. Read(path).Select(record => record.Fields.ToJsonString())];

        private string PathOption => Provided.Options.Options.FirstOrDefault(option => option.Names == "path")?.Name
            ?? throw new ConformanceException("No option of the reader names a file; mark the property with [OptionNames(\"path\")], so that its content becomes part of a job's identity.");
    }

    private static void ReadsTheSample(Reading reading)
    {
        var rows = reading.Rows(reading.Good);
        var wanted = reading.Sample.Number("rows") ?? throw new ConformanceException("The sample does not say how many \"rows\" it has.");
        Expect.That(rows.Count == wanted, $"The sample has {wanted} rows, but {rows.Count} were read.");
        Expect.That(rows.All(row => row != "{}"), "A record without any field was read.");
    }

    private static void ReadsTheSameAgain(Reading reading)
    {
        var records = reading.Read(reading.Good);
        var first = records.Select(record => record.Fields.ToJsonString()).ToArray();
        var second = records.Select(record => record.Fields.ToJsonString()).ToArray();
        Expect.That(first.SequenceEqual(second), $"What Read returns may be enumerated more than once; the second time gave {second.Length} records, the first {first.Length}, or others.");
        // A trainer changes records that it was given; the next epoch must not see it.
        foreach (var record in records) record.Fields["changed"] = JsonValue.Create(true);
        Expect.That(records.All(record => !record.Has("changed")), "Records are the caller's own; a change of one was seen by the next enumeration.");
    }

    private static void RefusesAnUnknownSplit(Reading reading)
    {
        var error = Expect.UserError(() => _ = reading.Read(reading.Good, "no-such-split").Count(), "the manifest asks for a split that is not there");
        Expect.That(error.Message.Contains("no-such-split", StringComparison.Ordinal), $"The message names the split; it is: {error.Message}");
    }

    private static void NumbersRows(Reading reading)
    {
        var records = reading.Read(reading.Good).ToArray();
        var disordered = records.Zip(records.Skip(1)).Any(pair => pair.Second.Row <= pair.First.Row);
        Expect.That(records.All(record => record.Row >= 1) && !disordered, $"Rows are numbered from 1 and rise; found {string.Join(", ", records.Select(record => record.Row))}.");
        var name = Path.GetFileName(reading.Good!);
        Expect.That(records.All(record => record.Source.Contains(name, StringComparison.Ordinal)), $"Source names the file ({name}) for messages; found '{records[0].Source}'.");
    }

    private static void ReadsGz(Reading reading)
    {
        using var folder = new TemporaryFolder();
        IReadOnlyList<string> rows;
        try
        {
            rows = reading.Rows(Packed(reading, folder));
        }
        catch (Exception e)
        {
            throw new ConformanceException($"A .gz file is read like the plain one; thrown was {e.GetType().Name}: {e.Message}", e);
        }
        Expect.That(rows.SequenceEqual(reading.Rows(reading.Good)), "The same file as .gz gave other records.");
    }

    // A download that broke off: in the data, and in the checksum behind them, where every row came out already.
    private static void RefusesACutGz(Reading reading)
    {
        using var folder = new TemporaryFolder();
        var packed = Packed(reading, folder);
        var length = new FileInfo(packed).Length;
        foreach (var kept in (long[])[length - 4, length / 2])
        {
            using (var file = new FileStream(packed, FileMode.Open)) file.SetLength(kept);
            Expect.UserError(() => _ = reading.Rows(packed), $"a .gz file of {length} bytes is cut off after {kept} (PeftAlign.Models.Rows.TextLines sees it, GZipStream does not)");
        }
    }

    private static string Packed(Reading reading, TemporaryFolder folder)
    {
        var packed = Path.Combine(folder.Path, Path.GetFileName(reading.Good!) + ".gz");
        using var gz = new GZipStream(File.Create(packed), CompressionLevel.Fastest);
        using var plain = File.OpenRead(reading.Good!);
        plain.CopyTo(gz);
        return packed;
    }

    private static void NamesTheBrokenRow(Reading reading)
    {
        var row = BrokenRow(reading);
        var error = Expect.UserError(() => _ = reading.Rows(reading.Broken), "a row is broken");
        var name = Path.GetFileName(reading.Broken);
        var numbers = System.Text.RegularExpressions.Regex.Matches(error.Message.Replace(reading.Broken, "").Replace(name, ""), "[0-9]+").Select(match => match.Value);
        Expect.That(error.Message.Contains(name, StringComparison.Ordinal) && numbers.Contains($"{row}"), $"The message names file and row ({name}, {row}); it is: {error.Message}");
    }

    private static void ReadsLazily(Reading reading)
    {
        var row = BrokenRow(reading);
        Expect.That(row > 1, "The broken row must not be the first: what stands before it shows whether reading is lazy.");
        try
        {
            using var records = reading.Read(reading.Broken).GetEnumerator();
            Expect.That(records.MoveNext(), "Nothing was read before the broken row.");
        }
        catch (UserErrorException e)
        {
            throw new ConformanceException("Records are read lazily: the rows before a broken one must come first; the whole file was read at once.", e);
        }
    }

    private static void SaysThatAPathIsMissing(Reading reading)
    {
        var path = Path.Combine(reading.Sample.Folder, "no-such-file");
        var error = Expect.UserError(() => _ = reading.Rows(path), "the path is not there");
        Expect.That(error.Message.Contains("no-such-file", StringComparison.Ordinal), $"The message names the path; it is: {error.Message}");
    }

    private static int BrokenRow(Reading reading) =>
        reading.Sample.Number("broken_row") ?? throw new ConformanceException("The sample does not say which row is broken (\"broken_row\").");
}
