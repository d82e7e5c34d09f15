// Jinja's lexer: text, {{ }}, {% %} and {# #} with whitespace control; as chat templates have it (trim_blocks and lstrip_blocks
// on, one trailing line feed dropped) or plain. Rules after the Jinja 3.1 documentation and the goldens.
using System.Globalization;
using System.Numerics;
using System.Text;

namespace PeftAlign.Models.Templates.Jinja;

internal enum TokenKind { Data, PrintBegin, PrintEnd, BlockBegin, BlockEnd, Name, String, Integer, Float, Operator, End }

/// <summary>One token. Text is a name, an operator, a string's value or template text; Value a number.</summary>
internal readonly record struct Token(TokenKind Kind, string Text, int Line, object? Value = null)
{
    public bool Is(string op) => Kind == TokenKind.Operator && Text == op;

    public bool IsName(string name) => Kind == TokenKind.Name && Text == name;

    /// <summary>How error messages call the token.</summary>
    public string Description => Kind switch
    {
        TokenKind.PrintBegin => "begin of print statement",
        TokenKind.PrintEnd => "end of print statement",
        TokenKind.BlockBegin => "begin of statement block",
        TokenKind.BlockEnd => "end of statement block",
        TokenKind.Data => "template data / text",
        TokenKind.End => "end of template",
        _ => Text.Length > 60 ? string.Concat(Text.AsSpan(0, 60), "...") : Text,
    };
}

internal sealed class Lexer
{
    private static readonly string[] Operators =
    [
        "//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[", "]", "(", ")", "{", "}", ">", "<", "=", ".", ":",
        "|", ",", ";",
    ];

    private readonly string text;
    private readonly List<Token> tokens = [];
    private readonly Stack<char> brackets = new();
    private int at;
    private int line = 1;
    private bool lineStarting = true;

    private readonly bool trims;

    private Lexer(string source, bool trims)
    {
        string normal = source.Replace("\r\n", "\n").Replace('\r', '\n');
        text = trims && normal.EndsWith('\n') ? normal[..^1] : normal;
        this.trims = trims;
    }

    /// <summary>Splits a template into tokens, the last of kind End.</summary>
    /// <param name="source">The template.</param>
    /// <param name="trims">trim_blocks, lstrip_blocks, and one trailing line feed dropped.</param>
    /// <param name="reachedLine">The line reached.</param>
    /// <exception cref="Fault">Syntax.</exception>
    public static List<Token> Split(string source, bool trims, out int reachedLine)
    {
        var lexer = new Lexer(source, trims);
        reachedLine = 1;
        try
        {
            while (lexer.at < lexer.text.Length) lexer.NextPiece();
        }
        finally
        {
            reachedLine = lexer.line;
        }

        lexer.Add(TokenKind.End, "");
        return lexer.tokens;
    }

    private void Add(TokenKind kind, string value, object? number = null) => tokens.Add(new Token(kind, value, line, number));

    private bool Looking(string what, int position) => string.CompareOrdinal(text, position, what, 0, what.Length) == 0;

    /// <summary>Template text up to the next opening tag, then the tag with all that is inside it.</summary>
    private void NextPiece()
    {
        int open = at;
        while (open < text.Length && !IsOpening(open)) open++;
        if (open >= text.Length)
        {
            Data(text[at..]);
            Move(text.Length);
            return;
        }

        char kind = text[open + 1];
        int after = open + 2;
        char sign = after < text.Length && text[after] is '-' or '+' ? text[after++] : '\0';
        Data(Control(text[at..open], sign, kind));
        Move(open);
        if (kind == '#') Comment(after);
        else if (kind == '{') Inside(after, TokenKind.PrintBegin, "}}");
        else if (RawBegin(after) is int body) Raw(body);
        else Inside(after, TokenKind.BlockBegin, "%}");
    }

    private bool IsOpening(int i) => text[i] == '{' && i + 1 < text.Length && text[i + 1] is '{' or '%' or '#';

    private void Data(string data)
    {
        if (data.Length > 0) Add(TokenKind.Data, data);
    }

    /// <summary>Whitespace before a tag: "-" takes all of it, lstrip_blocks what stands between line start and tag.</summary>
    private string Control(string before, char sign, char kind)
    {
        if (sign == '-') return PyText.TrimEnd(before);
        if (sign == '+' || kind == '{' || !trims) return before;
        int start = before.LastIndexOf('\n') + 1;
        bool atLineStart = start > 0 || lineStarting;
        return atLineStart && start < before.Length && PyText.IsSpace(before.AsSpan(start)) ? before[..start] : before;
    }

    private void Move(int to)
    {
        line += text.AsSpan(at, to - at).Count('\n');
        if (to > at) lineStarting = text[to - 1] == '\n';
        at = to;
    }

    private int SkipSpace(int i)
    {
        while (i < text.Length && PyText.IsSpace(text[i])) i++;
        return i;
    }

    /// <summary>If a closing tag stands at i: the position after it and after the whitespace that it takes; else -1.</summary>
    private int Closing(int i, string close, bool trimLine)
    {
        if (i < text.Length && text[i] == '-' && Looking(close, i + 1)) return SkipSpace(i + 1 + close.Length);
        if (trimLine && i < text.Length && text[i] == '+' && Looking(close, i + 1)) return i + 1 + close.Length;
        if (!Looking(close, i)) return -1;
        int end = i + close.Length;
        return trims && trimLine && end < text.Length && text[end] == '\n' ? end + 1 : end;
    }

    private void Comment(int body)
    {
        for (int i = body; i < text.Length; i++)
        {
            if (text[i] is not ('-' or '+' or '#')) continue;
            int end = Closing(i, "#}", trimLine: true);
            if (end < 0) continue;
            Move(end);
            return;
        }

        if (body < text.Length) throw Fault.Syntax("Missing end of comment tag");
        Move(text.Length);                      // a tag that ends the template opens nothing
    }

    private int? RawBegin(int after)
    {
        int i = SkipSpace(after);
        if (!Looking("raw", i)) return null;
        i = SkipSpace(i + 3);
        if (Looking("-%}", i)) return SkipSpace(i + 3);
        return Looking("%}", i) ? i + 2 : null;
    }

    private void Raw(int body)
    {
        for (int i = body; (i = text.IndexOf("{%", i, StringComparison.Ordinal)) >= 0; i++)
        {
            int name = i + 2;
            char sign = name < text.Length && text[name] is '-' or '+' ? text[name++] : '\0';
            name = SkipSpace(name);
            if (!Looking("endraw", name)) continue;
            int end = Closing(SkipSpace(name + 6), "%}", trimLine: true);
            if (end < 0) continue;
            Move(body);
            Data(Control(text[body..i], sign, '%'));
            Move(end);
            return;
        }

        if (body < text.Length) throw Fault.Syntax("Missing end of raw directive");
        Move(text.Length);
    }

    private void Inside(int body, TokenKind begin, string close)
    {
        Add(begin, "");
        Move(body);
        brackets.Clear();
        while (true)
        {
            if (brackets.Count == 0)
            {
                int end = Closing(at, close, trimLine: close == "%}");
                if (end >= 0)
                {
                    Add(begin + 1, "");
                    Move(end);
                    return;
                }
            }

            if (at >= text.Length) return;
            if (PyText.IsSpace(text[at])) Move(SkipSpace(at));
            else NextToken();
        }
    }

    private void NextToken()
    {
        char c = text[at];
        if (char.IsAsciiDigit(c)) Number();
        else if (c is '\'' or '"' && StringEnd() is int end) StringLiteral(end);
        else if (PyText.IsNameStart(text, at)) Name();
        else Operator();
    }

    private void Name()
    {
        int end = at;
        while (end < text.Length && PyText.IsNamePart(text, end)) end += char.IsSurrogatePair(text, end) ? 2 : 1;
        Add(TokenKind.Name, string.Intern(text[at..end]));
        Move(end);
    }

    private void Operator()
    {
        string? op = Operators.FirstOrDefault(o => Looking(o, at))
            ?? throw Fault.Syntax($"unexpected char {PyRepr.Text(PyText.One(PyText.CodePointAt(text, at)))} at {at}");
        if (op is "(" or "[" or "{")
        {
            if (brackets.Count >= Parser.MaxNesting) throw Parser.TooDeep();
            brackets.Push(op == "(" ? ')' : op == "[" ? ']' : '}');
        }
        else if (op is ")" or "]" or "}")
        {
            if (!brackets.TryPop(out char expected)) throw Fault.Syntax($"unexpected '{op}'");
            if (expected != op[0]) throw Fault.Syntax($"unexpected '{op}', expected '{expected}'");
        }

        Add(TokenKind.Operator, op);
        Move(at + op.Length);
    }

    /// <summary>The position after the closing quote; null where it is missing.</summary>
    private int? StringEnd()
    {
        for (int i = at + 1; i < text.Length; i++)
        {
            if (text[i] == '\\') i++;
            else if (text[i] == text[at]) return i + 1;
        }

        return null;
    }

    private void StringLiteral(int end)
    {
        Add(TokenKind.String, Unescape(text.AsSpan(at + 1, end - at - 2)));
        Move(end);
    }

    private static string Unescape(ReadOnlySpan<char> raw)
    {
        if (!raw.Contains('\\')) return raw.ToString();
        var value = new StringBuilder(raw.Length);
        for (int i = 0; i < raw.Length; i++)
        {
            if (raw[i] != '\\')
            {
                value.Append(raw[i]);
                continue;
            }

            char c = raw[++i];
            int known = "\n\\'\"abfnrtv".IndexOf(c);
            if (known >= 0) value.Append(new[] { "", "\\", "'", "\"", "\a", "\b", "\f", "\n", "\r", "\t", "\v" }[known]);
            else if (c is 'x' or 'u' or 'U') i += Hex(raw[(i + 1)..], c == 'x' ? 2 : c == 'u' ? 4 : 8, value);
            else if (c is >= '0' and <= '7') i += Octal(raw[i..], value) - 1;
            else if (c == 'N') throw Fault.Syntax("(unicode error) character names as in \\N{NAME} are not known; write \\uXXXX");
            else value.Append('\\').Append(c);
        }

        return value.ToString();
    }

    private static int Hex(ReadOnlySpan<char> digits, int count, StringBuilder value)
    {
        if (digits.Length < count
            || !int.TryParse(digits[..count], NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out int code)
            || code is < 0 or > 0x10FFFF)
            throw Fault.Syntax($"(unicode error) an escape in a string needs {count} hexadecimal digits of a code point");
        if (code > 0xFFFF) value.Append(char.ConvertFromUtf32(code));
        else value.Append((char)code);
        return count;
    }

    private static int Octal(ReadOnlySpan<char> digits, StringBuilder value)
    {
        int length = 0, code = 0;
        while (length < 3 && length < digits.Length && digits[length] is >= '0' and <= '7')
            code = (code * 8) + digits[length++] - '0';
        value.Append((char)code);
        return length;
    }

    private void Number()
    {
        int end = Digits(at);
        bool afterDot = at > 0 && text[at - 1] == '.';
        int whole = end;
        if (!afterDot)
        {
            if (end + 1 < text.Length && text[end] == '.' && char.IsAsciiDigit(text[end + 1])) end = Digits(end + 1);
            int e = end;
            if (e < text.Length && text[e] is 'e' or 'E')
            {
                if (++e < text.Length && text[e] is '+' or '-') e++;
                if (e < text.Length && char.IsAsciiDigit(text[e])) end = Digits(e);
            }
        }

        if (end > whole)
        {
            string digits = text[at..end].Replace("_", "");
            Add(TokenKind.Float, digits, double.Parse(digits, NumberStyles.Float, CultureInfo.InvariantCulture));
            Move(end);
        }
        else
        {
            Integer(end);
        }
    }

    private int Digits(int i)
    {
        while (i < text.Length
            && (char.IsAsciiDigit(text[i]) || (text[i] == '_' && i + 1 < text.Length && char.IsAsciiDigit(text[i + 1]))))
        {
            i++;
        }

        return i;
    }

    private void Integer(int end)
    {
        if (text[at] == '0')
        {
            int radix = at + 1 < text.Length
                ? char.ToLowerInvariant(text[at + 1]) switch { 'b' => 2, 'o' => 8, 'x' => 16, _ => 0 } : 0;
            if (radix > 0 && RadixInteger(radix)) return;
            int zeros = at;                     // "00" is one token, "01" two: a whole number does not start with zero
            while (zeros < end && text[zeros] is '0' or '_') zeros++;
            end = zeros;
        }

        string digits = text[at..end].Replace("_", "");
        if (digits.Length > PyNumber.MaxDigits)
            throw Fault.Syntax($"a number of {digits.Length} digits; the limit is {PyNumber.MaxDigits}");
        Add(TokenKind.Integer, digits, PyNumber.Normal(BigInteger.Parse(digits, CultureInfo.InvariantCulture)));
        Move(end);
    }

    private bool RadixInteger(int radix)
    {
        int i = at + 2;
        BigInteger value = 0;
        while (i < text.Length)
        {
            int start = text[i] == '_' ? i + 1 : i;
            if (start >= text.Length || !char.IsAsciiHexDigit(text[start])) break;
            int digit = Convert.ToInt32(text[start].ToString(), 16);
            if (digit >= radix) break;
            value = PyNumber.Bounded(value * radix + digit);
            i = start + 1;
        }

        if (i == at + 2) return false;
        Add(TokenKind.Integer, text[at..i], PyNumber.Normal(value));
        Move(i);
        return true;
    }
}
