// The templates of `plugins new`: files embedded in the host, in which {{Word}} and, in paths, NAME and CONTRACT are filled in.

using System.Reflection;
using System.Text;
using System.Text.RegularExpressions;
using PeftAlign.Abstractions;
using PeftAlign.Host.CommandLine;
using PeftAlign.Torch;

namespace PeftAlign.Host.Commands.Plugins;

internal sealed partial record Template(string Kind, string Language, string Name)
{
    private const string Suffix = ".template";
    private static readonly Assembly Host = typeof(Template).Assembly;
    private static readonly string[] Files = [.. Host.GetManifestResourceNames().Where(name => name.StartsWith("Templates/", StringComparison.Ordinal))];

    /// <summary>Kinds that have a template.</summary>
    public static IReadOnlyList<string> Kinds { get; } = [.. Files.Select(name => name.Split('/')[1]).Distinct().Where(name => name is not ("common" or "cs" or "fs")).Order(StringComparer.Ordinal)];

    // Kinds that documents name, without a template in this version.
    private static readonly string[] Planned = ["launcher"];

    private static readonly Lazy<HashSet<string>> Types = new(() => [.. new[] { typeof(IPlugin), typeof(Tensor) }.SelectMany(type => type.Assembly.GetExportedTypes()).Select(type => type.Name.Split('`')[0])]);

    /// <summary>The plugin's id.</summary>
    public string Id => Name.ToLowerInvariant();

    // Acme.TabRows provides tab_rows.
    private string Contract => Words().Replace(Name.Split('.')[^1], "$1_$2").ToLowerInvariant();

    /// <summary>The template for what was asked.</summary>
    /// <exception cref="UserError">A kind, language or name that cannot be.</exception>
    public static Template Of(string kind, string language, string name)
    {
        if (Planned.Contains(kind)) throw new UserError($"plugins new {kind}", "has no template yet", $"take one of {string.Join(", ", Kinds)}; what a plugin may provide says docs/plugins.md");
        if (!Kinds.Contains(kind)) throw new UserError($"plugins new {kind}", $"kinds with a template are {string.Join(", ", Kinds)}", Near.DidYouMean(kind, Kinds) ?? "take one of them");
        if (language is not ("cs" or "fs")) throw new UserError($"--lang {language}", "is cs (C#) or fs (F#)", "give one of them");
        if (!ProjectName().IsMatch(name)) throw new UserError(name, "a name is made of letters and digits, parts joined by dots, each part beginning with a capital", "for instance Acme.Rows");
        if (name.EndsWith(".Tests", StringComparison.Ordinal)) throw new UserError(name, "ends in .Tests, which is the name of the tests beside a plugin", "leave that part out");
        if (name.Split('.').FirstOrDefault(IsType) is { } taken) throw new UserError(name, $"'{taken}' is a type that plugins use, which a namespace of that name would hide from C#", $"take another word, for instance {name.Replace(taken, "My" + taken)}");
        return new Template(kind, language, name);
    }

    /// <summary>Writes all files into a folder that is not there or empty.</summary>
    public void Write(string folder, Feed feed)
    {
        var values = new Dictionary<string, string>
        {
            ["Name"] = Name,
            ["Id"] = Id,
            ["Word"] = Name.Split('.')[^1],
            ["Kind"] = Kind,
            ["Contract"] = Contract,
            ["Language"] = Language,
            ["Feed"] = System.Security.SecurityElement.Escape(feed.Folder),
            ["Packages"] = feed.Lines(),
        };
        string[] parts = ["Templates/common/", $"Templates/{Language}/", $"Templates/{Kind}/{Language}/", $"Templates/{Kind}/data/"];
        foreach (var part in parts)
            foreach (var file in Files.Where(file => file.StartsWith(part, StringComparison.Ordinal)))
            {
                var path = Path.Combine(folder, file[part.Length..^Suffix.Length].Replace("NAME", Name).Replace("CONTRACT", Contract));
                Directory.CreateDirectory(Path.GetDirectoryName(path)!);
                File.WriteAllText(path, Placeholder().Replace(Read(file), match => values[match.Groups[1].Value]), new UTF8Encoding(false));
            }
    }

    private static bool IsType(string word) => Types.Value.Contains(word) || Type.GetType("System." + word) is not null || Type.GetType($"System.Collections.Generic.{word}`1") is not null;

    private static string Read(string file)
    {
        using var reader = new StreamReader(Host.GetManifestResourceStream(file)!);
        return reader.ReadToEnd();
    }

    [GeneratedRegex(@"\{\{(\w+)\}\}")]
    private static partial Regex Placeholder();

    [GeneratedRegex(@"^[A-Z][A-Za-z0-9]*(\.[A-Z][A-Za-z0-9]*)*$")]
    private static partial Regex ProjectName();

    [GeneratedRegex("([a-z0-9])([A-Z])")]
    private static partial Regex Words();
}
