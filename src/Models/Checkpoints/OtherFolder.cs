// What stands where a model's folder was expected: an adapter, a training's folder, or a model of the hub that was not fetched.

using System.Text.RegularExpressions;

namespace PeftAlign.Models.Checkpoints;

/// <summary>Tells what is taken for a model's folder.</summary>
public static partial class OtherFolder
{
    /// <summary>What is there instead of a model's folder, and what to give; null where nothing is known about it.</summary>
    /// <param name="path">As the user wrote it; holds no config.json.</param>
    public static string? Instead(string path)
    {
        ArgumentNullException.ThrowIfNull(path);
        if (!Path.Exists(path)) return HubId().IsMatch(path) ? $"no such folder; a model of the hub is fetched by `peftalign models pull {path}`, which prints its folder" : null;
        if (Holds(path, "adapter_config.json")) return "is an adapter's folder, which holds no model; give its base's folder here, and this one as the adapter";
        var (model, adapter) = (Path.Combine(path, "model"), Path.Combine(path, "adapter"));
        if (Holds(model, "config.json")) return $"holds a model in its folder model; give {model}";
        return Holds(adapter, "adapter_config.json") ? $"holds an adapter in its folder adapter and no model; give the base's folder here, and {adapter} as the adapter" : null;
    }

    private static bool Holds(string folder, string file) => File.Exists(Path.Combine(folder, file));

    // OWNER/NAME, neither a path from the root nor one that names . or ..
    [GeneratedRegex(@"^[\w-][\w.-]*/[\w-][\w.-]*$")]
    private static partial Regex HubId();
}
