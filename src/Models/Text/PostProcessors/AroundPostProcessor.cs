// BertProcessing and RobertaProcessing: special tokens around each text, which stays one row for what comes behind.
namespace PeftAlign.Models.Text.PostProcessors;

/// <summary>[CLS] A [SEP] and [CLS] A [SEP] B [SEP], the last of type 1; or, as RoBERTa has it, &lt;s&gt; A &lt;/s&gt; and
/// &lt;s&gt; A &lt;/s&gt; &lt;/s&gt; B &lt;/s&gt;, all of type 0.</summary>
internal sealed class AroundPostProcessor((string Token, int Id) cls, (string Token, int Id) sep, bool isRoberta) : PostProcessor
{
    public override int AddedTokens(bool isPair) => !isPair ? 2 : isRoberta ? 4 : 3;

    public override bool IsWrapper(out int[] before, out int[] after)
    {
        (before, after) = ([cls.Id], [sep.Id]);
        return true;
    }

    public override List<EncodedRow> Process(List<EncodedRow> rows, bool addSpecialTokens)
    {
        if (isRoberta) rows = [.. rows.Select(row => row.WithType(0))];
        if (!addSpecialTokens) return rows;
        return [.. rows.Select((row, index) => row.Between(index == 0 ? cls : isRoberta ? sep : null, sep, isRoberta || index == 0 ? 0 : 1))];
    }
}
