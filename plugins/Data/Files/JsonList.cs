// The entries of a JSON list as texts, one after the other: a published list may be larger than a text can be, and its rows are wanted singly.

using System.Text;
using System.Text.Json;
using PeftAlign.Models.Rows;

namespace PeftAlign.Data.Files;

/// <summary>Cuts a list where its entries end; whether an entry is JSON is for its parser to say.</summary>
internal static class JsonList
{
    /// <summary>The entries, each with the line that it begins in.</summary>
    /// <param name="lines">The file's.</param>
    /// <exception cref="JsonException">They hold something else than one list, or it has no end.</exception>
    internal static IEnumerable<TextLine> Entries(IEnumerable<TextLine> lines)
    {
        var (entry, began, depth, any) = (new StringBuilder(), 0L, 0, false);
        var (inText, escaped, ended) = (false, false, false);
        foreach (var (number, line) in lines)
        {
            foreach (var c in line)
            {
                if (depth == 0)
                {
                    if (char.IsWhiteSpace(c)) continue;
                    if (ended) throw new JsonException($"'{c}' in line {number} follows the list's end");
                    if (c != '[') throw new JsonException("it is no list");
                    (depth, began) = (1, number);
                    continue;
                }
                if (inText) (inText, escaped) = (c != '"' || escaped, c == '\\' && !escaped);
                else if (c == '"') inText = true;
                else if (c is '[' or '{') depth++;
                else if (c is ']' or '}') depth--;
                var isEnd = !inText && ((depth == 1 && c == ',') || depth == 0);
                if (!isEnd)
                {
                    if (entry.Length == 0 && char.IsWhiteSpace(c)) continue;
                    if (entry.Length == 0) began = number;
                    entry.Append(c);
                    continue;
                }
                if (c is not (',' or ']')) throw new JsonException($"the list ends with '{c}' in line {number}");
                // Nothing but between the brackets of an empty list is an entry that is missing.
                if (entry.Length > 0 || any || c == ',') yield return new TextLine(entry.Length > 0 ? began : number, entry.ToString());
                (any, ended) = (true, depth == 0);
                entry.Clear();
            }
            if (entry.Length > 0) entry.Append('\n');
        }
        if (!ended) throw new JsonException(depth == 0 ? "it is no list" : "the list has no end");
    }
}
