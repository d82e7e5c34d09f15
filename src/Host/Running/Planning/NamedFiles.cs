// Files that task files name. A task in lm-evaluation-harness's YAML names its data (data_files) and the files that it includes, and its
// results depend on them as on itself, so they belong to the content of an option that names the YAML file or its folder. Other paths in
// YAML files do not: a model's folder may hold a trainer's settings with paths to logs, devices and other models.

using PeftAlign.Core;
using PeftAlign.Models.Checkpoints;

namespace PeftAlign.Host.Running;

internal static class NamedFiles
{
    // A task file is small; what is larger is data, and a longer text is no path.
    private const long LargestFile = 1 << 20;
    private const int LongestPath = 512;

    private static readonly string[] Naming = ["include", "data_files"];

    /// <summary>Files that a file or folder names and does not hold, in order: each text under the keys include and data_files of a YAML file
    /// that is the path of a file there is, from the YAML file's folder or that of the whole; through YAML files named so as well.</summary>
    /// <param name="whole">Full path of the file or folder.</param>
    /// <param name="held">Full paths of the files that it holds: itself, if it is a file.</param>
    internal static IReadOnlyCollection<string> Of(string whole, IReadOnlyList<string> held)
    {
        var open = new Stack<string>(held.Where(IsYaml));
        if (open.Count == 0) return [];
        var start = Directory.Exists(whole) ? whole : Path.GetDirectoryName(whole)!;
        var (known, named) = (held.ToHashSet(), new SortedSet<string>(StringComparer.Ordinal));
        while (open.TryPop(out var file))
            foreach (var path in Named(file).SelectMany(text => new[] { Path.GetDirectoryName(file)!, start }.Select(from => Path.GetFullPath(text, from))))
                if (!known.Contains(path) && IsReadable(path) && named.Add(path) && IsYaml(path)) open.Push(path);
        return named;
    }

    // _default_template_yaml is one too.
    private static bool IsYaml(string path) => path.EndsWith("yaml", StringComparison.Ordinal) || path.EndsWith("yml", StringComparison.Ordinal);

    // A device, or a file that may not be read, is not data; whoever opens it reports that.
    private static bool IsReadable(string path)
    {
        try
        {
            return File.Exists(path) && RegularFile.Length(path) >= 0;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return false;
        }
    }

    // What cannot be read names nothing; whoever reads the file itself reports that.
    private static IEnumerable<string> Named(string file)
    {
        try
        {
            return RegularFile.Length(file) > LargestFile || DocumentTrees.Read(RegularFile.Text(file)).Root is not { } root ? [] : Named(root);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return [];
        }
    }

    private static IEnumerable<string> Named(DocumentNode node) => node.Kind switch
    {
        "mapping" => node.Entries.SelectMany(entry => Naming.Contains(entry.Key) ? Texts(entry.Value) : Named(entry.Value)),
        "list" => node.Items.SelectMany(Named),
        _ => [],
    };

    private static IEnumerable<string> Texts(DocumentNode node) => node.Kind switch
    {
        "mapping" => node.Entries.SelectMany(entry => Texts(entry.Value)),
        "list" => node.Items.SelectMany(Texts),
        "text" when node.Text is { Length: > 0 and <= LongestPath } text && text.AsSpan().IndexOfAny('\0', '\n') < 0 => [text],
        _ => [],
    };
}
