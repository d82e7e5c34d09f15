// Summaries from the XML file that the compiler writes beside an assembly (member ids: C# language specification, annex D).

using System.Reflection;
using System.Text.RegularExpressions;
using System.Xml.Linq;

namespace PeftAlign.Plugins;

internal sealed partial class XmlDocs
{
    private readonly Dictionary<string, string> summaries = [];

    public static XmlDocs None { get; } = new();

    /// <summary>The docs in the given file; empty where it is not there.</summary>
    public static XmlDocs Read(string file)
    {
        var docs = new XmlDocs();
        if (!File.Exists(file)) return docs;
        foreach (var member in XDocument.Load(file).Descendants("member"))
            if (member.Attribute("name")?.Value is { } name && member.Element("summary") is { } summary)
                docs.summaries[name] = Text(summary);
        return docs;
    }

    public static XmlDocs Beside(Assembly assembly) => assembly.Location is { Length: > 0 } file ? Read(Path.ChangeExtension(file, ".xml")) : None;

    public string Summary(PropertyInfo property) => Summary($"P:{Name(property.DeclaringType!)}.{property.Name}");

    public string Summary(Type type) => Summary($"T:{Name(type)}");

    private string Summary(string id) => summaries.GetValueOrDefault(id, "");

    private static string Name(Type type) => (type.FullName ?? type.Name).Replace('+', '.');

    // <see cref="P:N.T.Beta"/> reads as Beta; white space as one blank.
    private static string Text(XElement summary)
    {
        var parts = summary.DescendantNodes().Select(node => node switch
        {
            XText text => text.Value,
            XElement { HasElements: false, IsEmpty: true } element => Last(element.Attributes().FirstOrDefault()?.Value ?? ""),
            _ => "",
        });
        return Blanks().Replace(string.Concat(parts), " ").Trim();
    }

    private static string Last(string reference) => reference[(reference.LastIndexOfAny(['.', ':']) + 1)..];

    [GeneratedRegex(@"\s+")]
    private static partial Regex Blanks();
}
