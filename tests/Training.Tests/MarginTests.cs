// The margin of a reward row as a number, and as the text that files of separated values have; the loss that it is part of, and which
// tokens are scored.

using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Methods.Reward;
using PeftAlign.Models.Classifiers;
using PeftAlign.Torch;

namespace PeftAlign.Training.Tests;

public sealed class MarginTests : TrainingTest
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

    // -log sigmoid(R_w - R_l - margin), and of the centred loss the mean of (R_w + R_l)^2; a tie is no success.
    [Test]
    public void A_loss_is_its_formula()
    {
        var groups = Enumerable.Range(0, 2).SelectMany(k => RewardRows.Groups(Row(k == 0 ? "0.5" : "null"), Context)).ToList();
        var scores = torch.tensor((float[])[0, 1.5f, 0, -0.25f, 0, 2, 0, 2]); // of each answer's tokens the last is the score
        var method = Fixtures.Method<RewardPlugin, RewardOptions>("reward", new RewardOptions { CenterRewardsCoefficient = 0.01 });
        var loss = method.Loss(new ScoredBatch(groups, scores, torch.tensor(groups.SelectMany(g => g.Completions).SelectMany(c => c.Weights).ToArray())));
        var pairs = (Math.Log(1 + Math.Exp(-(1.5 + 0.25 - 0.5))) + Math.Log(2)) / 2;
        Assert.That(loss.Numerator.item<double>(), Is.EqualTo(pairs + (0.01 * ((1.25 * 1.25) + 16) / 2)).Within(1e-9));
        Assert.That((loss.Metrics["accuracy"], loss.Metrics["margin"]), Is.EqualTo((0.5, 0.875)));
    }

    [TestCase(3, 1)]
    [TestCase(2, 0)]
    public void A_row_may_be_as_long_as_max_length(int maxLength, int groups) =>
        Assert.That(RewardRows.Groups(Row("null"), Context with { MaxLength = maxLength }), Has.Count.EqualTo(groups));

    // The token that asks for the score stands behind the last one that counts.
    [Test]
    public void A_row_as_long_as_max_length_is_trained()
    {
        var run = Fixtures.SmallRun(Folder, new TrainingOptions { MaxLength = 3 }, adapter: false) with
        {
            Model = RewardFolder.Load(Fixtures.Path("trajectories", "base-model"), 3, device: TestDevice.Here),
            Method = Fixtures.Method<RewardPlugin, RewardOptions>("reward", new RewardOptions()),
        };
        Assert.That(TrainingRows.Trainable(run, [Row("null")], TrainingRows.Context(run, new MaskLedger())), Has.Count.EqualTo(1));
    }

    // transformers looks for the score at the last token that is not padding, also where an answer ends with such tokens itself.
    [Test]
    public void Padding_at_an_answers_end_is_not_where_its_score_stands()
    {
        var row = new DataRecord(JsonNode.Parse("""{"prompt_ids": [1, 5], "chosen_ids": [6, 9, 9], "rejected_ids": [7, 9, 8]}""")!.AsObject(), "rows", 1);
        var group = RewardRows.Groups(row, Context with { PadToken = 9 }).Single();
        Assert.That(group.Completions.Select(c => c.Tokens[..^1]), Is.EqualTo((int[][])[[6], [7, 9, 8]]));
    }

    private static PrepareContext Context => new(null, 64, new MaskLedger());

    private static DataRecord Row(string margin) =>
        new(JsonNode.Parse($$"""{"prompt_ids": [1, 5], "chosen_ids": [6], "rejected_ids": [7], "margin": {{margin}}}""")!.AsObject(), "rows", 1);
}
