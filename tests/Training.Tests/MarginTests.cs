// The margin of a reward row as a number, and as the text that files of separated values have.

using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Methods.Reward;

namespace PeftAlign.Training.Tests;

public sealed class MarginTests
{
    [TestCase("0.5", 0.5)]
    [TestCase("\"0.5\"", 0.5)]
    [TestCase("\"-1e-3\"", -0.001)]
    [TestCase("\"2\"", 2)]
    [TestCase("null", 0)]
    public void A_margin_is_a_number_or_its_text(string margin, double read) =>
        Assert.That(RewardRows.Groups(Row(margin), Context)[0].Completions[0].Margin, Is.EqualTo(read));

    [TestCase("\"much\"")]
    [TestCase("\"\"")]
    [TestCase("\"1,5\"")]
    [TestCase("\"NaN\"")]
    [TestCase("true")]
    public void Another_margin_is_refused(string margin) =>
        Assert.That(() => RewardRows.Groups(Row(margin), Context), Throws.InstanceOf<UserErrorException>().With.Message.Contains("'margin' must be a number"));

    private static PrepareContext Context => new(null, 64, new MaskLedger());

    private static DataRecord Row(string margin) =>
        new(JsonNode.Parse($$"""{"prompt_ids": [1, 5], "chosen_ids": [6], "rejected_ids": [7], "margin": {{margin}}}""")!.AsObject(), "rows", 1);
}
