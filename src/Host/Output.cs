// Where a command writes: results to stdout (with --json exactly one JSON document), remarks to stderr.

using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace PeftAlign.Host;

internal sealed class Output(TextWriter results, TextWriter remarks, bool json = false, bool quiet = false, bool verbose = false)
{
    private static readonly JsonSerializerOptions Indented = new() { WriteIndented = true, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>True under --json.</summary>
    public bool Json => json;

    /// <summary>True under -v.</summary>
    public bool Verbose => verbose;

    /// <summary>True where stdout is a terminal that may be coloured: NO_COLOR (no-color.org) is unset or empty, TERM is not dumb.</summary>
    public bool Colour { get; init; }

    /// <summary>Writes a command's result: the document under --json, else the lines.</summary>
    public void Result(Func<JsonNode> document, Func<IEnumerable<string>> lines)
    {
        if (json)
        {
            results.WriteLine(document().ToJsonString(Indented));
            return;
        }
        foreach (var line in lines()) results.WriteLine(line);
    }

    /// <summary>What happens meanwhile; silent under --quiet.</summary>
    public void Remark(string text)
    {
        if (!quiet) remarks.WriteLine(text);
    }

    /// <summary>Details, under -v only.</summary>
    public void Detail(string text)
    {
        if (verbose) remarks.WriteLine(text);
    }

    /// <summary>Whether colours are wanted on the process's stdout.</summary>
    public static bool TerminalHasColour() =>
        !Console.IsOutputRedirected
        && string.IsNullOrEmpty(Environment.GetEnvironmentVariable("NO_COLOR"))
        && Environment.GetEnvironmentVariable("TERM") != "dumb";
}
