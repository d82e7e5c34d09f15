// Files that YAML files name: a task file names its data and the files that it includes, and what is computed depends on them as on
// itself. So they count as content of an option that names the YAML file.

using PeftAlign.Core;
using PeftAlign.Models.Checkpoints;

namespace PeftAlign.Host.Running;

internal static class NamedFiles
{
    // A task file is small; what is larger is data, and a longer text is no path.
    private const long LargestFile = 1 << 20;
    private const int LongestPath = 512;

    /// <summary>Files that a file or folder names and does not hold, in order: each text of a YAML file that is the path of a file there
    /// is, from the YAML file's folder or that of the whole; through YAML files named so as well.</summary>
    /// <param name="whole">Full path of the file or folder.</param>
    /// <param name="held">Full paths of the files that it holds: itself, if it is a file.</param>
    internal static IReadOnlyCollection<string> Of(string whole, IReadOnlyList<string> held)
    {
        var open = new Stack<string>(held.Where(IsYaml));
        if (open.Count == 0) return [];
        var start = Directory.Exists(whole) ? whole : Path.GetDirectoryName(whole)!;
        var (known, named) = (held.ToHashSet(), new SortedSet<string>(StringComparer.Ordinal));
        while (open.TryPop(out var file))
            foreach (var path in Texts(file).SelectMany(text => new[] { Path.GetDirectoryName(file)!, start }.Select(from => Path.GetFullPath(text, from))))
                if (!known.Contains(path) && File.Exists(path) && named.Add(path) && IsYaml(path)) open.Push(path);
        return named;
    }

    // _default_template_yaml is one too.
    private static bool IsYaml(string path) => path.EndsWith("yaml", StringComparison.Ordinal) || path.EndsWith("yml", StringComparison.Ordinal);

    // What cannot be read names nothing: who reads the file itself says so.
    private static IEnumerable<string> Texts(string file)
    {
        try
        {
            return RegularFile.Length(file) > LargestFile || DocumentTrees.Read(RegularFile.Text(file)).Root is not { } root ? [] : Texts(root);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return [];
        }
    }

    private static IEnumerable<string> Texts(DocumentNode node) => node.Kind switch
    {
        "mapping" => node.Entries.SelectMany(entry => Texts(entry.Value)),
        "list" => node.Items.SelectMany(Texts),
        "text" when node.Text is { Length: > 0 and <= LongestPath } text && text.AsSpan().IndexOfAny('\0', '\n') < 0 => [text],
        _ => [],
    };
}
