// What a job that makes a data set asks of models and judges: counted by reading the data set with stand-ins in their places. Answers are
// texts without meaning that differ, so that as many rows come out as may, and count as long as they may be; of the first of them
// the tokens are counted.

using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Host.Evaluation;

namespace PeftAlign.Host.Running.Estimates;

/// <param name="Rows">That come out at most.</param>
/// <param name="Models">Who is asked, each with what.</param>
/// <param name="Judges">Who judges, each with what it reads.</param>
internal sealed record MadeData(long Rows, IReadOnlyList<(JsonObject Definition, Questions Asked)> Models, IReadOnlyList<Judged> Judges);

/// <summary>Stands for all models and judges that a reader asks.</summary>
/// <param name="textOf">A model's tokenizer, and what makes tokens of its requests.</param>
/// <param name="lookAt">Most requests to a model, and questions to a judge, whose texts are looked at.</param>
internal sealed class DataCount(Func<JsonObject, (ITokenizer? Tokenizer, RequestEncoder Encoder)> textOf, int lookAt) : IModels, IJudges
{
    private readonly Dictionary<string, Writer> writers = [];
    private readonly Dictionary<string, Rater> raters = [];

    /// <summary>Counts, while it goes through the records of a reader that was made with this object as its models and judges.</summary>
    internal MadeData Of(IEnumerable<DataRecord> records)
    {
        var rows = records.LongCount();
        return new MadeData(rows, [.. writers.Values.Where(w => w.Count > 0).Select(w => (w.Definition, w.Asked()))], [.. raters.Values.Where(r => r.Count > 0).Select(r => r.Asked())]);
    }

    ILanguageModel IModels.Open(ModelReference model)
    {
        var key = model.Definition.ToJsonString();
        if (!writers.TryGetValue(key, out var writer)) writers.Add(key, writer = new Writer(model.Definition, textOf(model.Definition), lookAt));
        return writer;
    }

    IJudge IJudges.Open(JudgeReference judge)
    {
        var key = judge.Definition.ToJsonString();
        if (!raters.TryGetValue(key, out var rater)) raters.Add(key, rater = new Rater(judge.Definition, this));
        return rater;
    }

    // The judge's own tokenizer may differ; a prediction need not know by how much.
    private long Tokens(string text) => writers.Values.FirstOrDefault()?.Tokenizer?.CountTokens(text) ?? text.Length / 4;

    // Of an answer, which is longer than what stands for it.
    private int LongestAnswer => writers.Values.Select(w => w.LongestAnswer).DefaultIfEmpty(0).Max();

    private sealed class Writer(JsonObject definition, (ITokenizer? Tokenizer, RequestEncoder Encoder) text, int lookAt) : ILanguageModel
    {
        private readonly QuestionCount looked = new(text.Tokenizer, text.Encoder);
        private long answers;

        internal JsonObject Definition => definition;

        internal ITokenizer? Tokenizer => text.Tokenizer;

        internal long Count { get; private set; }

        internal int LongestAnswer { get; private set; }

        internal Questions Asked() => looked.Of(Count);

        public IReadOnlyList<EvalResponse> Answer(IReadOnlyList<EvalRequest> requests)
        {
            foreach (var request in requests)
            {
                if (++Count <= lookAt) looked.Add([request]);
                if (request is EvalRequest.Generate ask) LongestAnswer = Math.Max(LongestAnswer, ask.MaxNewTokens);
            }
            return [.. requests.Select(request => new EvalResponse(0, 1, false) { Texts = request is EvalRequest.Generate ask ? [.. Enumerable.Range(0, ask.Samples).Select(_ => $"x{++answers}")] : [] })];
        }
    }

    private sealed class Rater(JsonObject definition, DataCount count) : IJudge
    {
        private const int Labels = 64; // more than judges have
        private long tokens, looked;

        internal long Count { get; private set; }

        public JudgeInfo Info { get; } = new("judge", JudgeSkills.Rate | JudgeSkills.Compare | JudgeSkills.Ask);

        internal Judged Asked() => new(definition, Count, (tokens / (double)looked) + count.LongestAnswer);

        public IReadOnlyList<JudgeAnswer> Answer(IReadOnlyList<JudgeQuestion> questions, CancellationToken cancel = default)
        {
            foreach (var question in questions.Take((int)Math.Max(0, count.Looking - looked)))
            {
                tokens += QuestionCount.Tokens(question, count.Tokens);
                looked++;
            }
            return [.. questions.Select(_ => new JudgeAnswer { Scores = [.. Enumerable.Repeat((double)++Count, Labels)], Preference = 1, Text = "x" })];
        }
    }

    private int Looking => lookAt;
}
