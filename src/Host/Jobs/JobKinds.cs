// What each kind of job does. Where plans have it already, a new kind needs a file in this folder, a line here and nothing else.

using System.Text.Json.Nodes;

namespace PeftAlign.Host.Jobs;

/// <param name="Run">Does the job; its outcome stands in result.json.</param>
/// <param name="Shares">True if it only reads the loaded model: such jobs over one base run one after the other in one process.</param>
/// <param name="ReadsFirst">True if it reads all rows before the work begins, and checks at that point whether they are still the plan's.</param>
internal sealed record JobKind(Func<JobContext, JsonObject> Run, bool Shares = false, bool ReadsFirst = false)
{
    private static readonly Dictionary<string, JobKind> Known = new()
    {
        ["make-model"] = new(MakeModelJob.Run),
        ["make-dataset"] = new(MakeDatasetJob.Run),
        ["reference"] = new(ReferenceJob.Run),
        ["train"] = new(TrainJob.Run, ReadsFirst: true),
        ["select"] = new(SelectJob.Run),
        ["merge"] = new(MergeJob.Run),
        ["evaluate"] = new(EvaluateJob.Run, Shares: true),
    };

    /// <summary>The kind of that name; null where it is not built.</summary>
    internal static JobKind? Find(string name) => Known.GetValueOrDefault(name);
}
