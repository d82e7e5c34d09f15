// peftalign plugins relink: a plugin solution adopts this product's packages, after the product moved or was updated.

using System.CommandLine;
using System.Text.Json.Nodes;
using System.Xml.Linq;
using PeftAlign.Host.CommandLine;

namespace PeftAlign.Host.Commands.Plugins;

internal static class RelinkCommand
{
    public static Command Build(CommandFrame frame)
    {
        var folder = new Argument<string>("DIR") { Description = "The plugin's solution folder.", DefaultValueFactory = _ => "." };
        var command = new Command("relink", "let a plugin's solution use the packages of this PeftAlign") { folder };
        frame.OnRun(command, Uses.Nothing, (parsed, session, _) =>
        {
            var root = Path.GetFullPath(parsed.GetRequiredValue(folder));
            var feed = Feed.BesideHost();
            Edit(Path.Combine(root, "Directory.Build.props"), document => SetFeed(document, feed, root));
            Edit(Path.Combine(root, "Directory.Packages.props"), document => SetVersions(document, feed));
            session.Output.Result(() => new JsonObject { ["folder"] = root, ["feed"] = feed.Folder }, () => [$"{root} uses {feed.Folder}"]);
            return Task.FromResult(ExitCode.Done);
        });
        return command;
    }

    private static void Edit(string file, Action<XDocument> change)
    {
        if (!File.Exists(file)) throw new UserError(file, "is not there, so this is no folder that 'peftalign plugins new' made", "give the folder of the .slnx file");
        var document = XDocument.Load(file, LoadOptions.PreserveWhitespace);
        change(document);
        AtomicFile.Write(file, document.ToString(SaveOptions.DisableFormatting).TrimEnd() + "\n");
    }

    private static void SetFeed(XDocument document, Feed feed, string root)
    {
        var place = document.Descendants("PeftAlignFeedDefault").FirstOrDefault()
            ?? throw new UserError(root, "its Directory.Build.props has no PeftAlignFeedDefault", "make a new project with 'peftalign plugins new' and move your files there");
        place.Value = feed.Folder;
    }

    // Versions of packages of the plugin's own stay; what the feed has anew is added.
    private static void SetVersions(XDocument document, Feed feed)
    {
        var items = document.Descendants("PackageVersion").ToList();
        foreach (var (id, version) in feed.Packages)
            if (items.FirstOrDefault(item => string.Equals((string?)item.Attribute("Include"), id, StringComparison.OrdinalIgnoreCase)) is { } item)
                item.SetAttributeValue("Version", $"[{version}]");
            else
                items[^1].AddAfterSelf(new XText("\n    "), new XElement("PackageVersion", new XAttribute("Include", id), new XAttribute("Version", $"[{version}]")));
    }
}
