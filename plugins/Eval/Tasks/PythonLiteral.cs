// Lists, texts and numbers as Python writes them: what a template that prints a list of choices gives.

using System.Globalization;
using System.Text;
using System.Text.Json.Nodes;

namespace PeftAlign.Eval.Tasks;

internal ref struct PythonLiteral
{
    private readonly ReadOnlySpan<char> text;
    private int at;

    private PythonLiteral(ReadOnlySpan<char> text) => this.text = text;

    /// <summary>The value of a literal; false where the text is none.</summary>
    internal static bool TryParse(string text, out JsonNode? value)
    {
        var reader = new PythonLiteral(text);
        try
        {
            value = reader.Value();
            reader.Blanks();
            return reader.at == text.Length;
        }
        catch (FormatException)
        {
            value = null;
            return false;
        }
    }

    private char Current => at < text.Length ? text[at] : '\0';

    private void Blanks()
    {
        while (char.IsWhiteSpace(Current)) at++;
    }

    private JsonNode? Value()
    {
        Blanks();
        return Current switch
        {
            '[' => List(']'),
            '(' => List(')'),
            '\'' or '"' => Text(),
            _ => Word(),
        };
    }

    private JsonArray List(char close)
    {
        var items = new JsonArray();
        at++;
        for (Blanks(); Current != close; Blanks())
        {
            items.Add(Value());
            Blanks();
            if (Current == ',') at++;
            else if (Current != close) throw new FormatException();
        }
        at++;
        return items;
    }

    private string Text()
    {
        var quote = text[at++];
        var result = new StringBuilder();
        while (Current != quote)
        {
            if (at >= text.Length || Current == '\n') throw new FormatException();
            if (text[at++] is var c && c != '\\') result.Append(c);
            else result.Append(Escape());
        }
        at++;
        return result.ToString();
    }

    private string Escape()
    {
        var c = Current;
        at++;
        return c switch
        {
            'n' => "\n",
            't' => "\t",
            'r' => "\r",
            '\\' or '\'' or '"' => c.ToString(),
            'x' => Code(2),
            'u' => Code(4),
            'U' => Code(8),
            _ => "\\" + c,
        };
    }

    private string Code(int digits)
    {
        if (at + digits > text.Length || !int.TryParse(text.Slice(at, digits), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out var code) || !Rune.IsValid(code)) throw new FormatException();
        at += digits;
        return new Rune(code).ToString();
    }

    private JsonNode? Word()
    {
        var start = at;
        while (char.IsAsciiLetterOrDigit(Current) || Current is '.' or '-' or '+' or '_') at++;
        var word = text[start..at].ToString();
        return word switch
        {
            "True" => true,
            "False" => false,
            "None" => null,
            _ when long.TryParse(word, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var whole) => whole,
            _ when double.TryParse(word, NumberStyles.Float, CultureInfo.InvariantCulture, out var number) && double.IsFinite(number) => number, // JSON has no others
            _ => throw new FormatException(),
        };
    }
}
