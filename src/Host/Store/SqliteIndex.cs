// index.sqlite: two tables that are compared with the directories whenever they are opened, so a killed run, a file that was
// deleted and jobs that were copied in are no special cases. A damaged file, or one of another version, is made anew; where nothing
// can be written the index lives in memory.

using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using Microsoft.Data.Sqlite;
using PeftAlign.Host.Running;

namespace PeftAlign.Host.Store;

internal sealed class SqliteIndex : IRunIndex
{
    /// <summary>Raised when the tables change; an index of another version is made anew.</summary>
    private const int Version = 1;
    private const int Corrupt = 11; // result codes of SQLite
    private const int NotADatabase = 26;

    private readonly RunFolder run;
    private readonly SqliteConnection connection;

    private SqliteIndex(RunFolder run, string source)
    {
        this.run = run;
        connection = new SqliteConnection(new SqliteConnectionStringBuilder { DataSource = source, Pooling = false, DefaultTimeout = 30 }.ToString());
        try
        {
            connection.Open();
            Prepare();
            Refresh();
        }
        catch
        {
            connection.Dispose();
            throw;
        }
    }

    static SqliteIndex() => SQLitePCL.Batteries_V2.Init();

    /// <summary>Opens the run's index and brings it up to date.</summary>
    internal static IRunIndex Open(RunFolder run)
    {
        try
        {
            return new SqliteIndex(run, run.Index);
        }
        catch (SqliteException e) when (e.SqliteErrorCode is Corrupt or NotADatabase)
        {
            return Anew(run);
        }
        catch (SqliteException)
        {
            return new SqliteIndex(run, ":memory:"); // read-only, a full disk, another's lock: the directories say it all
        }
    }

    private static SqliteIndex Anew(RunFolder run)
    {
        try
        {
            foreach (var file in (string[])[run.Index, run.Index + "-journal"]) File.Delete(file);
            return new SqliteIndex(run, run.Index);
        }
        catch (Exception e) when (e is SqliteException or IOException or UnauthorizedAccessException)
        {
            return new SqliteIndex(run, ":memory:");
        }
    }

    public void Refresh()
    {
        var known = Read("SELECT id, stamp FROM jobs").ToDictionary(row => row.GetString(0), row => row.GetString(1));
        var jobs = Path.Combine(run.Path, "jobs");
        var folders = Directory.Exists(jobs) ? Directory.GetDirectories(jobs).Select(path => new JobFolder(path)).Select(job => (Job: job, Stamp: JobReading.Stamp(job))).Where(job => job.Stamp.Length > 0).ToList() : [];
        var there = folders.Select(folder => folder.Job.Id).ToHashSet();
        var changed = folders.Where(folder => known.GetValueOrDefault(folder.Job.Id) != folder.Stamp).Select(folder => JobReading.Read(folder.Job, folder.Stamp)).OfType<IndexedJob>().ToList();
        var gone = known.Keys.Where(id => !there.Contains(id)).ToList();
        if (changed.Count == 0 && gone.Count == 0) return;
        using var transaction = connection.BeginTransaction();
        foreach (var id in gone.Concat(changed.Select(job => job.Id))) Do("DELETE FROM metrics WHERE job = $1; DELETE FROM jobs WHERE id = $1", id);
        foreach (var job in changed) Put(job);
        transaction.Commit();
    }

    public IReadOnlyDictionary<string, IndexedJob> Jobs()
    {
        var metrics = Read("SELECT job, name, value FROM metrics").Select(row => (Job: row.GetString(0), Name: row.GetString(1), Value: row.IsDBNull(2) ? double.NaN : row.GetDouble(2)))
            .GroupBy(metric => metric.Job).ToDictionary(job => job.Key, job => job.ToDictionary(metric => metric.Name, metric => metric.Value));
        return Read("SELECT id, kind, label, state, stamp, started, seconds, peak_memory, error, axes FROM jobs")
            .Select(row => new IndexedJob(row.GetString(0), row.GetString(1), row.GetString(2), Enum.Parse<JobState>(row.GetString(3), ignoreCase: true))
            {
                Stamp = row.GetString(4),
                Started = row.GetString(5),
                Seconds = row.IsDBNull(6) ? null : row.GetDouble(6),
                PeakMemory = row.IsDBNull(7) ? null : row.GetInt64(7),
                Error = row.GetString(8),
                Axes = JsonSerializer.Deserialize<Dictionary<string, string>>(row.GetString(9))!,
                Metrics = metrics.GetValueOrDefault(row.GetString(0)) ?? [],
            }).ToDictionary(job => job.Id);
    }

    public void Dispose() => connection.Dispose();

    private void Prepare()
    {
        var version = Read("PRAGMA user_version").Select(row => row.GetInt32(0)).Single();
        if (version == Version && Read("PRAGMA quick_check(1)").Select(row => row.GetString(0)).Single() == "ok") return;
        if (version != 0) throw new SqliteException($"an index of version {version}, or a damaged one", NotADatabase);
        using var transaction = connection.BeginTransaction();
        Do("""
            CREATE TABLE jobs (id TEXT PRIMARY KEY, kind TEXT NOT NULL, label TEXT NOT NULL, state TEXT NOT NULL, stamp TEXT NOT NULL,
                started TEXT NOT NULL, seconds REAL, peak_memory INTEGER, error TEXT NOT NULL, axes TEXT NOT NULL) WITHOUT ROWID;
            CREATE TABLE metrics (job TEXT NOT NULL, name TEXT NOT NULL, value REAL, PRIMARY KEY (job, name)) WITHOUT ROWID;
            """);
        Do(string.Create(CultureInfo.InvariantCulture, $"PRAGMA user_version = {Version}"));
        transaction.Commit();
    }

    private void Put(IndexedJob job)
    {
        var axes = new JsonObject(job.Axes.Select(axis => KeyValuePair.Create(axis.Key, (JsonNode?)axis.Value))).ToJsonString();
        Do("INSERT INTO jobs VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)", job.Id, job.Kind, job.Label, job.State.ToString().ToLowerInvariant(), job.Stamp, job.Started, job.Seconds, job.PeakMemory, job.Error, axes);
        foreach (var (name, value) in job.Metrics) Do("INSERT INTO metrics VALUES ($1, $2, $3)", job.Id, name, double.IsNaN(value) ? null : value);
    }

    private void Do(string statement, params object?[] values)
    {
        using var command = Command(statement, values);
        command.ExecuteNonQuery();
    }

    private IEnumerable<SqliteDataReader> Read(string query)
    {
        using var command = Command(query, []);
        using var reader = command.ExecuteReader();
        while (reader.Read()) yield return reader;
    }

    private SqliteCommand Command(string text, object?[] values)
    {
        var command = connection.CreateCommand();
        command.CommandText = text;
        for (var k = 0; k < values.Length; k++) command.Parameters.AddWithValue($"${k + 1}", values[k] ?? DBNull.Value);
        return command;
    }
}
