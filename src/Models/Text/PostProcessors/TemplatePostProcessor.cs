// TemplateProcessing: a list of special tokens and texts, each with a type id; a step behind it gets them one by one.
namespace PeftAlign.Models.Text.PostProcessors;

/// <summary>One place of a template: text 0 or 1, or special tokens (Text is then -1).</summary>
internal sealed record TemplatePart(int Text, int TypeId, IReadOnlyList<(int Id, string Token)> Special)
{
    /// <summary>A text of the input.</summary>
    public static TemplatePart OfText(int text, int typeId) => new(text, typeId, []);

    /// <summary>One special token.</summary>
    public static TemplatePart OfToken(string token, int id, int typeId) => new(-1, typeId, [(id, token)]);
}

/// <summary>Puts texts and special tokens together as a template says.</summary>
internal sealed class TemplatePostProcessor(IReadOnlyList<TemplatePart> single, IReadOnlyList<TemplatePart> pair) : PostProcessor
{
    public override int AddedTokens(bool isPair) => (isPair ? pair : single).Sum(part => part.Special.Count);

    public override bool IsWrapper(out int[] before, out int[] after)
    {
        var at = single.ToList().FindIndex(part => part.Text == 0);
        (before, after) = ([], []);
        if (at < 0 || single.Count(part => part.Text >= 0) != 1) return false;
        before = [.. single.Take(at).SelectMany(part => part.Special.Select(special => special.Id))];
        after = [.. single.Skip(at + 1).SelectMany(part => part.Special.Select(special => special.Id))];
        return true;
    }

    public override List<EncodedRow> Process(List<EncodedRow> rows, bool addSpecialTokens)
    {
        // What tokenizers does not do either.
        if (rows.Count > 2)
            throw new TokenizerException($"post_processor: a TemplateProcessing stands behind a step that makes {rows.Count} parts of the input, and takes 1 or 2; leave one of the two out");
        var result = new List<EncodedRow>();
        foreach (var part in rows.Count == 2 ? pair : single)
        {
            if (part.Text >= 0) result.Add(rows[part.Text].WithType(part.TypeId));
            else if (addSpecialTokens)
            {
                var row = new EncodedRow();
                foreach (var (id, token) in part.Special) row.Add(id, token, (0, 0), null, part.TypeId, 1);
                result.Add(row);
            }
        }
        return result;
    }
}
