// The index of a run: what queries ask of its jobs, without opening a file for each. The directories are the truth; an index is
// made from them and can be thrown away.

namespace PeftAlign.Host.Store;

/// <summary>How far a job is, by the files of its folder.</summary>
internal enum JobState
{
    /// <summary>job.json is there and no outcome.</summary>
    Begun,

    /// <summary>failure.json tells of its last try.</summary>
    Failed,

    /// <summary>result.json is there.</summary>
    Finished,
}

/// <summary>A job as the index knows it.</summary>
/// <param name="Id">Its folder's name.</param>
/// <param name="Kind">make-model, train, merge, evaluate ...</param>
/// <param name="Label">How people name it.</param>
/// <param name="State">How far it is.</param>
internal sealed record IndexedJob(string Id, string Kind, string Label, JobState State)
{
    /// <summary>Changes whenever the files change that this was read from.</summary>
    public string Stamp { get; init; } = "";

    /// <summary>Start of the try that finished it, UTC, as timing.json writes it; empty where unknown.</summary>
    public string Started { get; init; } = "";

    /// <summary>Seconds of that try; null where unknown.</summary>
    public double? Seconds { get; init; }

    /// <summary>Most memory of its process in bytes; null where unknown.</summary>
    public long? PeakMemory { get; init; }

    /// <summary>Of its last try, if that failed.</summary>
    public string Error { get; init; } = "";

    /// <summary>model, dataset, method, seed, benchmark ...</summary>
    public IReadOnlyDictionary<string, string> Axes { get; init; } = new Dictionary<string, string>();

    /// <summary>Numbers of the result: of an evaluation its metrics, of a training the last row of metrics.jsonl.</summary>
    public IReadOnlyDictionary<string, double> Metrics { get; init; } = new Dictionary<string, double>();
}

/// <summary>Queries over one run.</summary>
internal interface IRunIndex : IDisposable
{
    /// <summary>Compares with the directories and takes over what differs; cheap where nothing does.</summary>
    void Refresh();

    /// <summary>Every job that was ever begun and is still there, by id.</summary>
    IReadOnlyDictionary<string, IndexedJob> Jobs();
}
