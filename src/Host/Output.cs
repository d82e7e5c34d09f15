// Where a command writes: results to stdout (with --json exactly one JSON document), remarks to stderr.

using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using PeftAlign.Host.Rows;

namespace PeftAlign.Host;

/// <summary>Foreground colours by their SGR numbers.</summary>
internal enum Colour
{
    Red = 31,
    Green = 32,
    Yellow = 33,
}

internal sealed class Output(TextWriter results, TextWriter remarks, bool json = false, bool quiet = false, bool verbose = false)
{
    private static readonly JsonSerializerOptions Indented = new() { WriteIndented = true, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>True under --json.</summary>
    public bool Json => json;

    /// <summary>True under -v.</summary>
    public bool Verbose => verbose;

    /// <summary>Whether <see cref="Paint"/> colours.</summary>
    public bool Coloured { get; init; }

    /// <summary>Writes a command's result: the document under --json, else the lines.</summary>
    public void Result(Func<JsonNode> document, Func<IEnumerable<string>> lines)
    {
        if (json)
        {
            results.WriteLine(Text(document()));
            return;
        }
        foreach (var line in lines()) results.WriteLine(line);
    }

    /// <summary>A document as --json writes it.</summary>
    public static string Text(JsonNode document) => document.ToJsonString(Indented);

    /// <summary>A piece of a text that is written as it comes.</summary>
    public void Piece(string text)
    {
        ResultReader.ThrowIfGone();
        results.Write(text);
        results.Flush();
    }

    /// <summary>For a command whose result is rows, JSON lines with and without --json.</summary>
    public RowWriter Rows() => new(results);

    /// <summary>What happens meanwhile; silent under --quiet.</summary>
    public void Remark(string text)
    {
        if (!quiet) remarks.WriteLine(text);
    }

    /// <summary>What failed, why, and how to go on: said under --quiet too, since the exit code tells none of it.</summary>
    public void Failure(string text) => remarks.WriteLine(text);

    /// <summary>A remark about what is probably not meant.</summary>
    public void Warn(string text) => Remark($"warning: {text}");

    /// <summary>Whether stderr is a terminal on which progress may be drawn over and over.</summary>
    public bool IsLive { get; } = !quiet && !Console.IsErrorRedirected && Environment.GetEnvironmentVariable("TERM") is not (null or "" or "dumb");

    /// <summary>Columns of the terminal.</summary>
    public static int TerminalWidth
    {
        get
        {
            try
            {
                return Console.WindowWidth is > 0 and var width ? width : 80;
            }
            catch (IOException)
            {
                return 80;
            }
        }
    }

    /// <summary>Control sequences among the remarks; silent under --quiet.</summary>
    public void Write(string text)
    {
        if (!quiet) remarks.Write(text);
    }

    /// <summary>Details, under -v only.</summary>
    public void Detail(string text)
    {
        if (verbose) remarks.WriteLine(text);
    }

    /// <summary>The text in a colour (ECMA-48, SGR) where stdout may be coloured; else as it is.</summary>
    public string Paint(string text, Colour colour) => Coloured ? $"\u001b[{(int)colour}m{text}\u001b[0m" : text;

    /// <summary>True where the process's stdout is a terminal, NO_COLOR (no-color.org) is unset or empty, and TERM is not dumb.</summary>
    public static bool TerminalHasColour() =>
        !Console.IsOutputRedirected
        && string.IsNullOrEmpty(Environment.GetEnvironmentVariable("NO_COLOR"))
        && Environment.GetEnvironmentVariable("TERM") != "dumb";
}
