// The base model that the last job of this process loaded, kept for the next job over the same folder.

using PeftAlign.Models.Decoders;

namespace PeftAlign.Host.Jobs;

/// <summary>One loaded model at most. Only for jobs that read it; a process that trains runs that one job alone.</summary>
internal sealed class KeptModel
{
    private (string Folder, DecoderModel Model)? kept;

    /// <summary>The model of the folder, loaded if it is not the one at hand.</summary>
    internal DecoderModel Of(string folder, Func<DecoderModel> load)
    {
        if (kept is { } at && at.Folder == folder) return at.Model;
        kept = null; // not disposed: a job may still hold it, as the policy beside a judge
        var model = load();
        kept = (folder, model);
        return model;
    }
}
