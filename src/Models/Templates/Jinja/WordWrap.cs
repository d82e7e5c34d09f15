// The filter wordwrap: each line of the text filled up to a width, as Python's textwrap does it without expanding tabs
// or replacing white space; breaks stand at white space, after hyphens inside words, and inside words that are too long.

using System.Text;

namespace PeftAlign.Models.Templates.Jinja;

internal static class WordWrap
{
    public static object Apply(Arguments a)
    {
        int width = a.Int(0, 79);
        if (width <= 0) throw Fault.Value($"invalid width {width} (must be > 0)");
        (bool breakLong, string separator, bool hyphens) = (
            a.Truth(1, otherwise: true), a.Text(2) ?? "\n", a.Truth(3, otherwise: true));
        return TextFilters.Keep(a.Self, text =>
        {
            var filled = new List<string>();
            foreach (string line in TextFilters.Lines(text)) filled.Add(
                new Filler(line, width, breakLong, hyphens).Fill(separator));
            Meter.Current.Characters((long)separator.Length * filled.Count);
            return string.Join(separator, filled);
        });
    }

    /// <summary>One line of the text, worked on by code points.</summary>
    private sealed class Filler(string line, int width, bool breakLong, bool hyphens)
    {
        private readonly int[] points = [.. PyText.CodePoints(line)];
        private readonly Queue<(int Start, int End)> chunks = new();

        public string Fill(string separator)
        {
            Split();
            var lines = new List<string>();
            (int Start, int End)? pending = null;               // what is left of a word that was cut
            while (pending is not null || chunks.Count > 0)
            {
                if (lines.Count > 0 && IsSpace((pending ?? chunks.Peek()).Start)) Next(ref pending);
                var taken = new List<(int Start, int End)>();
                int length = 0;
                while (Next(ref pending) is (int, int) chunk)
                {
                    int size = chunk.End - chunk.Start;
                    if (length + size <= width)
                    {
                        taken.Add(chunk);
                        length += size;
                        continue;
                    }

                    pending = size > width ? Cut(chunk, taken, length) : chunk;
                    break;
                }

                if (taken.Count > 0 && (taken[^1].Start == taken[^1].End || IsSpace(taken[^1].Start)))
                    taken.RemoveAt(taken.Count - 1);
                if (taken.Count > 0) lines.Add(Text(taken));
                Meter.Current.Step(4 + taken.Count + (separator.Length >> 3));
                Meter.Current.Characters(separator.Length);
            }

            return string.Join(separator, lines);
        }

        private (int Start, int End)? Next(ref (int, int)? pending)
        {
            (int, int)? next = pending ?? (chunks.Count > 0 ? chunks.Dequeue() : null);
            pending = null;
            return next;
        }

        private bool IsSpace(int at) => points[at] <= char.MaxValue && PyText.IsSpace((char)points[at]);

        /// <summary>Alternating white space and words; words are cut after inner hyphens.</summary>
        private void Split()
        {
            for (int start = 0; start < points.Length;)
            {
                bool space = IsSpace(start);
                int end = start + 1;
                while (end < points.Length && IsSpace(end) == space && !(hyphens && !space && BreaksAt(start, end))) end++;
                chunks.Enqueue((start, end));
                start = end;
            }

            Meter.Current.Step(chunks.Count);
        }

        /// <summary>A break after a hyphen that has two letters of a word before it and two, or a letter and a hyphen,
        /// behind.</summary>
        private bool BreaksAt(int start, int i) => points[i - 1] == '-' && i - start >= 3 && PyChars.IsAlpha(points[i - 2])
            && PyChars.IsAlpha(points[i - 3]) && i + 1 < points.Length && PyChars.IsAlpha(points[i])
            && (PyChars.IsAlpha(points[i + 1]) || points[i + 1] == '-');

        /// <summary>A word longer than a line: as much as there is room for, or the whole on a line of its own; returns what is
        /// left.</summary>
        private (int Start, int End)? Cut((int Start, int End) word, List<(int, int)> taken, int length)
        {
            if (!breakLong)
            {
                if (taken.Count > 0) return word;
                taken.Add(word);
                return null;
            }

            int room = width - length;
            if (hyphens && room > 0)
            {
                int hyphen = Array.LastIndexOf(points, '-', word.Start + room - 1, room) - word.Start;
                if (hyphen > 0 && points.AsSpan(word.Start, hyphen).ContainsAnyExcept('-')) room = hyphen + 1;
            }

            taken.Add((word.Start, word.Start + room));
            return (word.Start + room, word.End);
        }

        private string Text(List<(int Start, int End)> taken)
        {
            var text = new StringBuilder();
            foreach ((int start, int end) in taken)
                for (int i = start; i < end; i++) text.Append(PyText.One(points[i]));
            Meter.Current.Characters(text.Length);
            return text.ToString();
        }
    }
}
