// Parses regular expressions in Oniguruma's Ruby syntax, which tokenizer.json files use: classes with nesting and &&, properties,
// groups, look-around, greedy, lazy and possessive repetition, inline options. Left out: back references, which have no place
// in a splitter, and letters that are several in another case (ß and SS).
using PeftAlign.Models.Text.Unicode;

namespace PeftAlign.Models.Text.Patterns;

/// <summary>Text to <see cref="RegexNode"/>; throws <see cref="FormatException"/> with the position and the reason.</summary>
internal sealed class RegexParser
{
    private const int MaxDepth = 100;

    // \R: a line break, CR LF as one.
    private static readonly RegexNode LineBreak = new RegexNode.Atomic(new RegexNode.Choice([
        new RegexNode.Sequence([Set(CharacterSet.Of('\r')), Set(CharacterSet.Of('\n'))]),
        Set(new CharacterSet(point => point is (>= '\n' and <= '\r') or 0x85 or 0x2028 or 0x2029))]));

    private readonly string _source;
    private readonly RegexClassParser _classes;
    private int _position;
    private int _depth;
    private bool _ignoreCase, _dotAll, _extended;

    private RegexParser(string source)
    {
        _source = source;
        _classes = new RegexClassParser(source);
    }

    /// <summary>Parses a whole pattern.</summary>
    public static RegexNode Parse(string source)
    {
        var parser = new RegexParser(source);
        var node = parser.ParseChoice();
        return parser._position == source.Length ? node : throw parser.Error("unmatched close parenthesis");
    }

    private RegexNode ParseChoice()
    {
        if (++_depth > MaxDepth) throw Error($"groups are nested more than {MaxDepth} deep");
        var (ignoreCase, dotAll, extended) = (_ignoreCase, _dotAll, _extended);
        var options = new List<RegexNode> { ParseSequence() };
        while (Take('|')) options.Add(ParseSequence());
        (_ignoreCase, _dotAll, _extended) = (ignoreCase, dotAll, extended);
        _depth--;
        return options.Count == 1 ? options[0] : new RegexNode.Choice(options);
    }

    private RegexNode ParseSequence()
    {
        var items = new List<RegexNode>();
        while (_position < _source.Length && _source[_position] is not ('|' or ')'))
        {
            if (_extended && SkipBlank()) continue;
            if (ParseItem() is { } item) items.Add(ParseRepeats(item));
        }
        return items.Count == 1 ? items[0] : new RegexNode.Sequence(items);
    }

    private bool SkipBlank()
    {
        if (char.IsWhiteSpace(_source[_position])) _position++;
        else if (_source[_position] == '#')
            while (_position < _source.Length && _source[_position] != '\n') _position++;
        else return false;
        return true;
    }

    private RegexNode? ParseItem()
    {
        var c = _source[_position];
        switch (c)
        {
            case '(': return ParseGroup();
            case '[': return Set(_classes.ParseBracket(ref _position, _ignoreCase));
            case '\\': return ParseEscape();
            case '^': _position++; return new RegexNode.At(Anchor.LineStart);
            case '$': _position++; return new RegexNode.At(Anchor.LineEnd);
            case '.':
                _position++;
                var all = _dotAll;
                return Set(new CharacterSet(point => all || point != '\n'));
            case '*' or '+' or '?': throw Error($"nothing to repeat before '{c}'");
            default: return Literal(CodePoints.Next(_source, ref _position));
        }
    }

    private RegexNode ParseEscape()
    {
        if (_position + 1 >= _source.Length) throw Error("the pattern ends with a backslash");
        var c = _source[_position + 1];
        Anchor? anchor = c switch
        {
            'A' => Anchor.TextStart,
            'z' => Anchor.TextEnd,
            'Z' => Anchor.TextEndOrLastLine,
            'b' => Anchor.WordEdge,
            'B' => Anchor.NotWordEdge,
            _ => null,
        };
        if (anchor is { } at)
        {
            _position += 2;
            return new RegexNode.At(at);
        }
        if (c == 'R')
        {
            _position += 2;
            return LineBreak;
        }
        if (c is (>= '1' and <= '9') or 'k' or 'g' or 'G' or 'K' or 'X')
            throw Error($"\\{c} is not supported");
        return _classes.ParseEscape(ref _position, inBracket: false) switch
        {
            (CharacterSet set, _) => Set(set),
            (_, var point) => Literal(point),
        };
    }

    private RegexNode ParseGroup()
    {
        _position++;
        if (!Take('?')) return Close(ParseChoice());
        if (Take(':')) return Close(ParseChoice());
        if (Take('=')) return Close(new RegexNode.Look(ParseChoice(), Behind: false, Negative: false));
        if (Take('!')) return Close(new RegexNode.Look(ParseChoice(), Behind: false, Negative: true));
        if (Take('>')) return Close(new RegexNode.Atomic(ParseChoice()));
        if (Take('#'))
        {
            while (_position < _source.Length && _source[_position] != ')') _position++;
            return Close(new RegexNode.Sequence([]));
        }
        if (Take('<'))
        {
            if (Take('=')) return Close(new RegexNode.Look(ParseChoice(), Behind: true, Negative: false));
            if (Take('!')) return Close(new RegexNode.Look(ParseChoice(), Behind: true, Negative: true));
            var end = _source.IndexOf('>', _position);
            if (end < 0) throw Error("a group name without '>'");
            _position = end + 1;
            return Close(ParseChoice());
        }
        return ParseOptions();
    }

    // (?i), (?i:...) and (?i-m:...); m and s let a dot match a line end, x ignores blanks.
    private RegexNode ParseOptions()
    {
        var (ignoreCase, dotAll, extended) = (_ignoreCase, _dotAll, _extended);
        for (var on = true; ; _position++)
        {
            if (_position >= _source.Length) throw Error("a group is not closed");
            switch (_source[_position])
            {
                case '-': on = false; continue;
                case 'i': _ignoreCase = on; continue;
                case 'm' or 's': _dotAll = on; continue;
                case 'x': _extended = on; continue;
                case 'u': continue;
                case ':':
                    _position++;
                    var body = ParseChoice();
                    (_ignoreCase, _dotAll, _extended) = (ignoreCase, dotAll, extended);
                    return Close(body);
                case ')':
                    // To the end of the group around it, alternatives included.
                    _position++;
                    return ParseChoice();
                default: throw Error($"unknown group option '{_source[_position]}'");
            }
        }
    }

    private RegexNode Close(RegexNode node) => Take(')') ? node : throw Error("a group is not closed");

    private RegexNode ParseRepeats(RegexNode item)
    {
        while (_position < _source.Length)
        {
            int min, max;
            var interval = false;
            switch (_source[_position])
            {
                case '*': (min, max) = (0, int.MaxValue); _position++; break;
                case '+': (min, max) = (1, int.MaxValue); _position++; break;
                case '?': (min, max) = (0, 1); _position++; break;
                case '{' when TryInterval(out min, out max): interval = true; break;
                default: return item;
            }
            var greed = Greed.Greedy;
            if (interval && min == max && Take('?')) item = new RegexNode.Repeat(item, min, max, Greed.Greedy) is var exact
                ? new RegexNode.Repeat(exact, 0, 1, Greed.Greedy) : item;
            else
            {
                if (Take('?')) greed = Greed.Lazy;
                else if (!interval && Take('+')) greed = Greed.Possessive;
                item = new RegexNode.Repeat(item, min, max, greed);
            }
        }
        return item;
    }

    private bool TryInterval(out int min, out int max)
    {
        var i = _position + 1;
        (min, max) = (0, int.MaxValue);
        var hasMin = Number(ref i, ref min);
        var comma = i < _source.Length && _source[i] == ',';
        if (comma) i++;
        var hasMax = comma && Number(ref i, ref max);
        if (i >= _source.Length || _source[i] != '}' || (!hasMin && !hasMax)) return false;
        if (!comma) max = min;
        if (min > max) throw Error($"the interval {{{min},{max}}} is empty");
        _position = i + 1;
        return true;
    }

    private bool Number(ref int i, ref int value)
    {
        var start = i;
        while (i < _source.Length && char.IsAsciiDigit(_source[i])) i++;
        if (i == start) return false;
        if (i - start > 6) throw Error("a repetition count has more than six digits");
        value = int.Parse(_source.AsSpan(start, i - start), System.Globalization.CultureInfo.InvariantCulture);
        return true;
    }

    private RegexNode Literal(int point) =>
        Set(_ignoreCase ? CharacterSet.Of(point).IgnoringCase() : CharacterSet.Of(point));

    private static RegexNode Set(CharacterSet set) => new RegexNode.Set(set);

    private bool Take(char c)
    {
        if (_position >= _source.Length || _source[_position] != c) return false;
        _position++;
        return true;
    }

    private FormatException Error(string reason) => new($"{reason} (at character {_position + 1})");
}
