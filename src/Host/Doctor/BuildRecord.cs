// build.json: what native/build wrote beside a native part. The one place that reads it.

using System.Text.Json;
using System.Text.Json.Nodes;
using PeftAlign.Torch.Extras;

namespace PeftAlign.Host.Doctor;

/// <param name="Version">Of the libtorch that it was built against; null, as each of these, where that was not written.</param>
/// <param name="Origin">debian, pytorch or libtorch.</param>
/// <param name="Lib">Folder of that libtorch's libraries.</param>
/// <param name="Sources">Hash of the native sources.</param>
/// <param name="Cuda">Whether that libtorch computes on GPUs.</param>
internal sealed record BuildRecord(string? Version, string? Origin, string? Lib, string? Sources, bool Cuda)
{
    /// <summary>Of the native part that runs here; null where none is built. No libtorch is opened.</summary>
    internal static BuildRecord? Here => (LibTorch.NativeFile ?? LibTorch.FileToOpen) is { } library ? Of(Path.GetDirectoryName(library)!) : null;

    /// <summary>Of the part in a folder; null where nothing was written, or nothing that can be read.</summary>
    internal static BuildRecord? Of(string folder)
    {
        try
        {
            if (JsonNode.Parse(File.ReadAllText(Path.Combine(folder, "build.json"))) is not JsonObject json) return null;
            string? Text(string name) => json[name] is JsonValue value && value.TryGetValue<string>(out var text) ? text : null;
            return new BuildRecord(Text("version"), Text("origin"), Text("lib"), Text("sources"), json["cuda"] is JsonValue cuda && cuda.TryGetValue<bool>(out var has) && has);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or JsonException or ArgumentException)
        {
            return null;
        }
    }
}
