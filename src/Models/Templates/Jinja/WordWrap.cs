// The filter wordwrap: each line of the text filled up to a width, as Python's textwrap does it without expanding tabs
// or replacing white space; breaks stand at white space, after hyphens inside words, and inside words that are too long.

namespace PeftAlign.Models.Templates.Jinja;

internal static class WordWrap
{
    public static object Apply(Arguments a)
    {
        int width = a.Int(0, 79);
        if (width <= 0) throw Fault.Value($"invalid width {width} (must be > 0)");
        (bool breakLong, string separator, bool hyphens) = (a.Truth(1, otherwise: true), a.Text(2) ?? "\n", a.Truth(3, otherwise: true));
        return TextFilters.Keep(a.Self, text => string.Join(
            separator, TextFilters.Lines(text).Select(line => string.Join(separator, Fill(Chunks(line, hyphens), width, breakLong, hyphens)))));
    }

    /// <summary>Alternating white space and words; words are cut after inner hyphens.</summary>
    private static Queue<string> Chunks(string line, bool hyphens)
    {
        var chunks = new Queue<string>();
        for (int start = 0; start < line.Length;)
        {
            bool space = PyText.IsSpace(line[start]);
            int end = start + 1;
            while (end < line.Length && PyText.IsSpace(line[end]) == space && !(hyphens && !space && BreaksAt(line, start, end))) end++;
            chunks.Enqueue(line[start..end]);
            start = end;
        }

        return chunks;
    }

    /// <summary>A break after a hyphen that has two letters of a word before it and one behind.</summary>
    private static bool BreaksAt(string line, int start, int i) =>
        line[i - 1] == '-' && i - start >= 3 && char.IsLetter(line[i - 2]) && char.IsLetter(line[i - 3])
        && i + 1 < line.Length && char.IsLetter(line[i]) && (char.IsLetter(line[i + 1]) || line[i + 1] == '-');

    private static List<string> Fill(Queue<string> chunks, int width, bool breakLong, bool hyphens)
    {
        var lines = new List<string>();
        string? cut = null;
        while (cut is not null || chunks.Count > 0)
        {
            var line = new List<string>();
            int length = 0;
            if (lines.Count > 0 && cut is null && PyText.IsSpace(chunks.Peek())) chunks.Dequeue();
            while ((cut ?? chunks.FirstOrDefault()) is string chunk && length + PyText.Length(chunk) <= width)
            {
                line.Add(chunk);
                length += PyText.Length(chunk);
                if (cut is null) chunks.Dequeue();
                cut = null;
            }

            if ((cut ?? chunks.FirstOrDefault()) is string rest && PyText.Length(rest) > width)
            {
                if (cut is null) chunks.Dequeue();
                cut = null;
                if (breakLong)
                {
                    int room = PyText.Position(rest, Math.Max(1, width - length));
                    int hyphen = hyphens ? rest.AsSpan(0, room).LastIndexOf('-') : -1;
                    if (hyphen > 0 && rest.AsSpan(0, hyphen).ContainsAnyExcept('-')) room = hyphen + 1;
                    line.Add(rest[..room]);
                    cut = rest[room..];
                }
                else if (line.Count == 0) line.Add(rest);
                else cut = rest;
            }

            if (line.Count > 0 && PyText.IsSpace(line[^1])) line.RemoveAt(line.Count - 1);
            if (line.Count > 0) lines.Add(string.Concat(line));
            Meter.Current.Step(1 + line.Count);
        }

        return lines;
    }
}
