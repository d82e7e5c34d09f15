// Local models as judges, on tiny models of the tests' fixtures.

using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using PeftAlign.Abstractions;
using PeftAlign.Eval.Judges;

namespace PeftAlign.Judges.Tests;

public sealed class ModelJudgeTests
{
    private static readonly JudgeQuestion[] Questions =
        [new JudgeQuestion.Compare("Once", "a cat sat", "a dog ran away"), new JudgeQuestion.Rate("Once", "there was a girl"), new JudgeQuestion.Compare("Once", "a dog ran away", "a cat sat")];

    private sealed class Lent : IPluginContext
    {
        public ILogger Logger => NullLogger.Instance;

        public string Folder => "";

        public object? GetService(Type type) => null;
    }

    [SetUp]
    public void OneThread() => Torch.torch.set_num_threads(1);

    [Test]
    public void ClassifierComparesByItsScores()
    {
        var judge = new ClassifierJudge(new ClassifierOptions { Path = Checkout.Fixture("architectures", "llama-score") }, new Lent());
        var answers = judge.Answer(Questions);
        var (first, second) = (answers[0].Scores![0], answers[0].Scores![1]);
        Assert.That(answers[0].Preference, Is.EqualTo(first > second ? 1.0 : 0.0));
        Assert.That(answers[2].Preference, Is.EqualTo(1 - answers[0].Preference), "the order does not matter to it");
        var soft = new ClassifierJudge(new ClassifierOptions { Path = Checkout.Fixture("architectures", "llama-score"), Soft = true, HigherIsBetter = false }, new Lent());
        Assert.That(first, Is.Not.EqualTo(second));
        Assert.That(soft.Answer(Questions)[0].Preference, Is.EqualTo(1 / (1 + Math.Exp(first - second))).Within(1e-12), "the gap of these scores is small");
        Assert.That(() => judge.Answer([new JudgeQuestion.Ask("?")]), Throws.TypeOf<UserErrorException>());
        Assert.That(() => new ClassifierJudge(new ClassifierOptions { Path = Checkout.Fixture("architectures", "llama-score"), Label = 99 }, new Lent()), Throws.TypeOf<UserErrorException>().With.Message.Contains("label 99"));
    }

    [Test]
    public void CausalModelJudgesByLogProbs()
    {
        var judge = new CausalJudge(new CausalOptions { Path = Stories() }, new Lent());
        var together = judge.Answer(Questions);
        Assert.That(together[0].Preference, Is.InRange(0, 1));
        Assert.That(together[1].Scores!.Single(), Is.InRange(1, 9));
        var alone = Questions.Select(q => judge.Answer([q]).Single()).ToList();
        Assert.That(together[2].Preference!.Value, Is.EqualTo(alone[2].Preference!.Value).Within(1e-5));
        Assert.That(together[1].Scores!.Single(), Is.EqualTo(alone[1].Scores!.Single()).Within(1e-4));
    }

    // transformers 5.23 on the same model: exp(log p(A)) / (exp(log p(A)) + exp(log p(B))) after the text, each word behind a blank.
    [Test]
    public void CausalModelWeighsTheVerdictsAsTransformersDoes()
    {
        var judge = new CausalJudge(new CausalOptions { Path = Stories(), CompareTemplate = "{prompt}: {first} or {second}?" }, new Lent());
        Assert.That(judge.Answer([Questions[0], Questions[2]]).Select(a => a.Preference!.Value), Is.EqualTo(new[] { 0.8834003333014471, 0.9347537171811426 }).Within(1e-5));
    }

    [Test]
    public void CausalModelJudgesByText()
    {
        var judge = new CausalJudge(new CausalOptions { Path = Stories(), By = "text", MaxTokens = 8 }, new Lent());
        var answers = judge.Answer([.. Questions, new JudgeQuestion.Ask("Once upon a time")]);
        Assert.That(answers[3].Text, Is.Not.Empty);
        // A story teller gives no verdicts: each is a failure that shows what it said.
        Assert.That(answers.Take(3).Select(a => a.Failure is not null && a.Text is not null), Is.All.True);
    }

    private static string Stories() => Directory.Exists(Checkout.Fixture("stories260K", "hf")) ? Checkout.Fixture("stories260K", "hf") : Checkout.Fixture("stories260K");
}
