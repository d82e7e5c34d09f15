// Judges: an answer for each question, the same whatever stands beside it, with sane numbers or a reason why there are none.
// conformance/judge.NAME.json: { "options": {...}, "questions": [{ "prompt", "response" } | { "prompt", "first", "second" } | { "ask" }] }.

using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Plugins;

namespace PeftAlign.Testing;

internal static class JudgeKit
{
    public static IEnumerable<ConformanceCheck> Checks(Subject subject, ProvidedContract provided)
    {
        (string Rule, Action<Bench> Check)[] rules =
        [
            ("says who it is and what it can do", SaysWhoItIs),
            ("answers every question", AnswersEveryQuestion),
            ("answers the same whatever stands beside", AnswersApart),
            ("answers no questions", AnswersNone),
            ("refuses what it cannot do", RefusesWhatItCannotDo),
        ];
        return rules.Select(rule => new ConformanceCheck($"judge {provided.Name}: {rule.Rule}", () => rule.Check(new Bench(subject, provided, subject.Sample(provided)))));
    }

    private sealed record Bench(Subject Subject, ProvidedContract Provided, Sample Sample)
    {
        public IJudge Judge() => Subject.Create<IJudge>(Provided, Sample.Options);

        public IReadOnlyList<JudgeQuestion> Questions => Sample.Json["questions"] is JsonArray { Count: > 1 } list
            ? [.. list.Select(q => Question(q!.AsObject()))]
            : throw new ConformanceException("The sample has no \"questions\", or a single one; give two or more.");

        private static JudgeQuestion Question(JsonObject q) =>
            q["ask"] is { } ask ? new JudgeQuestion.Ask((string)ask!)
            : q["first"] is { } first ? new JudgeQuestion.Compare((string)q["prompt"]!, (string)first!, (string)q["second"]!)
            : new JudgeQuestion.Rate((string?)q["prompt"], (string)q["response"]!);
    }

    private static JudgeSkills Skill(JudgeQuestion question) => question switch
    {
        JudgeQuestion.Rate => JudgeSkills.Rate,
        JudgeQuestion.Compare => JudgeSkills.Compare,
        _ => JudgeSkills.Ask,
    };

    private static void SaysWhoItIs(Bench bench)
    {
        var info = bench.Judge().Info;
        Expect.That(info.Annotator.Length > 0, "Info.Annotator is empty; tables name the judge by it.");
        Expect.That(info.Skills != JudgeSkills.None, "Info.Skills is None: nothing could be asked.");
        var missing = bench.Questions.Select(Skill).FirstOrDefault(skill => !info.Skills.HasFlag(skill), JudgeSkills.None);
        Expect.That(missing == JudgeSkills.None, $"The sample asks it to {missing}, which Info.Skills does not name.");
    }

    private static void AnswersEveryQuestion(Bench bench)
    {
        var questions = bench.Questions;
        var answers = bench.Judge().Answer(questions);
        Expect.That(answers.Count == questions.Count, $"{questions.Count} questions got {answers.Count} answers.");
        foreach (var (question, answer) in questions.Zip(answers))
        {
            if (answer.Failure is { } reason)
            {
                Expect.That(reason.Length > 0, "A failure must say why.");
                continue;
            }
            if (question is JudgeQuestion.Rate) Expect.That(answer.Scores is { Count: > 0 } scores && scores.All(double.IsFinite), $"A rating needs finite scores or a failure; got {answer}.");
            if (question is JudgeQuestion.Compare) Expect.That(answer.Preference is >= 0 and <= 1, $"A comparison needs a preference from 0 to 1 or a failure; got {answer}.");
            if (question is JudgeQuestion.Ask) Expect.That(answer.Text is not null, $"A question in words needs a text or a failure; got {answer}.");
        }
    }

    private static void AnswersApart(Bench bench)
    {
        var questions = bench.Questions;
        var together = bench.Judge().Answer(questions).Select(Text).ToList();
        var backwards = bench.Judge().Answer([.. questions.Reverse()]).Select(Text).Reverse().ToList();
        var k = Enumerable.Range(0, together.Count).FirstOrDefault(i => together[i] != backwards[i], -1);
        Expect.That(k < 0, $"In another order question {k + 1} got '{(k < 0 ? "" : backwards[k])}' instead of '{(k < 0 ? "" : together[k])}'; an answer must not depend on the questions beside it.");
    }

    private static void AnswersNone(Bench bench) => Expect.That(bench.Judge().Answer([]).Count == 0, "No questions got answers.");

    private static void RefusesWhatItCannotDo(Bench bench)
    {
        var judge = bench.Judge();
        JudgeQuestion[] all = [new JudgeQuestion.Rate("p", "r"), new JudgeQuestion.Compare("p", "a", "b"), new JudgeQuestion.Ask("q")];
        foreach (var question in all.Where(question => !judge.Info.Skills.HasFlag(Skill(question))))
            Expect.UserError(() => judge.Answer([question]), $"it is asked to {Skill(question)}");
    }

    // To five digits: sums in another order may differ in the last ones.
    private static string Text(JudgeAnswer answer) =>
        FormattableString.Invariant($"{string.Join(",", (answer.Scores ?? []).Select(s => s.ToString("G5", System.Globalization.CultureInfo.InvariantCulture)))} {answer.Preference:G5} {answer.Text} {answer.Failure}");
}
