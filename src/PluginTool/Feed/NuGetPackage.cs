// Writes a NuGet package: a zip with a nuspec (format: nuspec schema 2013/05). Equal contents give equal bytes.

using System.IO.Compression;
using System.Xml.Linq;

namespace PeftAlign.PluginTool.Feed;

/// <summary>A package to write: files by their path inside it, and what it depends on.</summary>
internal sealed record NuGetPackage(string Id, string Description)
{
    private const string Schema = "http://schemas.microsoft.com/packaging/2013/05/nuspec.xsd";
    private static readonly DateTimeOffset Epoch = new(1980, 1, 1, 0, 0, 0, TimeSpan.Zero);

    /// <summary>Source file by path inside the package.</summary>
    public SortedDictionary<string, string> Files { get; } = new(StringComparer.Ordinal);

    /// <summary>Package ids, each with its version, or an empty text for the version of this package.</summary>
    public SortedDictionary<string, string> Dependencies { get; } = new(StringComparer.Ordinal);

    /// <summary>Writes ID.VERSION.nupkg into a folder.</summary>
    public void Write(string folder, string version)
    {
        using var zip = new ZipArchive(File.Create(Path.Combine(folder, $"{Id}.{version}.nupkg")), ZipArchiveMode.Create);
        using (var nuspec = Entry(zip, $"{Id}.nuspec").Open()) Nuspec(version).Save(nuspec);
        using (var types = Entry(zip, "[Content_Types].xml").Open()) ContentTypes().Save(types);
        foreach (var (path, file) in Files)
        {
            using var source = File.OpenRead(file);
            using var target = Entry(zip, path).Open();
            source.CopyTo(target);
        }
    }

    private static ZipArchiveEntry Entry(ZipArchive zip, string path)
    {
        var entry = zip.CreateEntry(path, CompressionLevel.Fastest);
        entry.LastWriteTime = Epoch;
        return entry;
    }

    private XDocument Nuspec(string version)
    {
        XNamespace ns = Schema;
        return new XDocument(new XElement(ns + "package", new XElement(ns + "metadata",
            new XElement(ns + "id", Id),
            new XElement(ns + "version", version),
            new XElement(ns + "authors", "PeftAlign"),
            new XElement(ns + "license", new XAttribute("type", "expression"), "Apache-2.0"),
            new XElement(ns + "description", Description),
            new XElement(ns + "dependencies", new XElement(ns + "group", new XAttribute("targetFramework", "net10.0"),
                Dependencies.Select(pair => new XElement(ns + "dependency", new XAttribute("id", pair.Key), new XAttribute("version", $"[{(pair.Value == "" ? version : pair.Value)}]"))))))));
    }

    private XDocument ContentTypes()
    {
        XNamespace ns = "http://schemas.openxmlformats.org/package/2006/content-types";
        var extensions = Files.Keys.Select(path => Path.GetExtension(path).TrimStart('.')).Append("nuspec").Where(extension => extension != "").Distinct().Order(StringComparer.Ordinal);
        return new XDocument(new XElement(ns + "Types", extensions.Select(extension =>
            new XElement(ns + "Default", new XAttribute("Extension", extension), new XAttribute("ContentType", "application/octet-stream")))));
    }
}
