// Chain of Hindsight: which tokens of a chain are trained, in rows of texts and of tokens; the mean over rows; what is refused.

using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Methods.Coh;
using PeftAlign.Models.Text;
using PeftAlign.Torch;

namespace PeftAlign.Training.Tests;

public sealed class CohTests : TrainingTest
{
    private static IAlignmentMethod Coh(CohOptions options) => Fixtures.Method<CohPlugin, CohOptions>("coh", options);

    private static DataRecord Row(string json) => new(JsonNode.Parse(json)!.AsObject(), "rows", 1);

    [TestCase("p", "Why?\nA helpful answer: ", "So.</s>")]
    [TestCase("n", "Why?\nAn unhelpful answer: ", "No.</s>")]
    [TestCase("pn", "Why?\nA helpful answer: ", "So.</s>", "\nAn unhelpful answer: ", "No.</s>")]
    [TestCase("np", "Why?\nAn unhelpful answer: ", "No.</s>", "\nA helpful answer: ", "So.</s>")]
    public void Answers_and_their_ends_are_trained_and_nothing_else(string kind, params string[] parts)
    {
        var tokenizer = TokenizerLoader.Load(Fixtures.Path("trl-data", "tokenizer"));
        var ledger = new MaskLedger();
        var group = Coh(new CohOptions { RowKinds = [kind] }).Prepare([Row("""{"prompt": "Why?", "chosen": "So.", "rejected": " No."}""")], new PrepareContext(tokenizer, 1024, ledger)).Single();
        var completion = group.Completions.Single();
        Assert.That(tokenizer.Decode([.. group.Prompt, .. completion.Tokens]), Is.EqualTo(string.Concat(parts)));
        Assert.That(tokenizer.Decode(group.Prompt), Is.EqualTo(parts[0]));
        // Runs of trained and of hidden tokens, one after the other, are the parts.
        var runs = new List<string>();
        for (int from = 0, to; from < completion.Tokens.Length; from = to)
        {
            for (to = from; to < completion.Tokens.Length && completion.Weights[to] == completion.Weights[from];) to++;
            Assert.That(completion.Weights[from], Is.EqualTo(runs.Count % 2 == 0 ? 1f : 0f));
            runs.Add(tokenizer.Decode(completion.Tokens[from..to]));
        }
        Assert.That(runs, Is.EqualTo(parts[1..]));
        Assert.That((ledger.Rows, ledger.TokensTrained, ledger.AnswersWithTrainedEnd), Is.EqualTo((1, (long)completion.Weights.Sum(), 1)));
    }

    // A chain of ten trained tokens weighs as much as one of two.
    [Test]
    public void The_loss_is_the_mean_over_rows_of_their_means()
    {
        var method = Coh(new CohOptions { RowKinds = ["pn", "n"], GoodMarkerIds = [7], BadMarkerIds = [8, 9] });
        var groups = method.Prepare([Row("""{"prompt_ids": [1], "chosen_ids": [3, 4, 5], "rejected_ids": [6, 2]}""")], new PrepareContext(null, 64, new MaskLedger()));
        Assert.That(groups.Select(g => (string.Join(' ', g.Prompt), string.Join(' ', g.Completions[0].Tokens), string.Join(' ', g.Completions[0].Weights))),
            Is.EqualTo(new[] { ("1 7", "3 4 5 8 9 6 2", "1 1 1 0 0 1 1"), ("1 8 9", "6 2", "1 1") }));
        var values = torch.tensor(new[] { -1f, -2f, -3f, 0f, 0f, -4f, -5f, -7f, -9f });
        var loss = method.Loss(new ScoredBatch(groups, values, torch.tensor(groups.SelectMany(g => g.Completions[0].Weights).ToArray())) { Statistics = new Dictionary<string, Tensor> { ["entropy"] = values, ["argmax_hit"] = values } });
        Assert.That(loss.Numerator.item<double>() / loss.Denominator, Is.EqualTo(((1 + 2 + 3 + 4 + 5) / 5.0 + 8) / 2).Within(1e-12));
    }

    [Test]
    public void Rows_and_markers_that_say_nothing_are_refused()
    {
        var context = new PrepareContext(TokenizerLoader.Load(Fixtures.Path("trl-data", "tokenizer")), 64, new MaskLedger());
        Assert.That(() => Coh(new CohOptions { GoodMarker = "An unhelpful answer:" }), Throws.InstanceOf<UserErrorException>().With.Message.Contains("two texts"));
        Assert.That(() => Coh(new CohOptions { RowKinds = ["p", "p"] }), Throws.InstanceOf<UserErrorException>().With.Message.Contains("twice"));
        Assert.That(() => Coh(new CohOptions()).Prepare([Row("""{"prompt_ids": [1], "chosen_ids": [3], "rejected_ids": [6]}""")], context), Throws.InstanceOf<UserErrorException>().With.Message.Contains("good_marker_ids"));
        Assert.That(() => Coh(new CohOptions()).Prepare([Row("""{"prompt": "a", "chosen": [{"role": "assistant", "content": "b"}], "rejected": "c"}""")], context), Throws.InstanceOf<UserErrorException>().With.Message.Contains("'chosen' holds messages"));
        // Cut before any answer begins.
        var ledger = new MaskLedger();
        Assert.That(Coh(new CohOptions()).Prepare([Row("""{"prompt": "Why?", "chosen": "So.", "rejected": "No."}""")], context with { MaxLength = 4, Ledger = ledger }), Is.Empty);
        Assert.That((ledger.Rows, ledger.RowsWithoutTrainedToken), Is.EqualTo((1, 1)));
    }
}
