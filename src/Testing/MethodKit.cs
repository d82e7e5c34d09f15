// Methods: a pure function of log-probs, so what can be checked without a model is checked here, with made-up log-probs:
// repeatable preparation, the gradient against finite differences, indifference to the order of records, the known value where
// policy and reference agree, rows without a trained token.
// conformance/method.NAME.json: { "options": {...}, "rows": [ROW, ...], "untrained": ROW, "max_length": N, "loss_at_reference": X };
// rows are tokenised ones (prompt_ids ...), the last field only for methods that need a reference. "stops_gradients": true says that the
// loss takes numbers out of the graph on purpose: its gradient must reach what is trained, and is not compared with finite differences.

using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Plugins;
using PeftAlign.Torch;

namespace PeftAlign.Testing;

internal static class MethodKit
{
    public static IEnumerable<ConformanceCheck> Checks(Subject subject, ProvidedContract provided)
    {
        (string Rule, Action<Trial> Check)[] rules =
        [
            ("prepares the same groups again", PreparesTheSameAgain),
            ("counts what it trains", CountsWhatItTrains),
            ("gives the gradient of its loss", GivesTheGradientOfItsLoss),
            ("does not care for the order of records", DoesNotCareForOrder),
            ("keeps no state but what it declares", KeepsNoOtherState),
            ("has the known value at the reference", HasTheKnownValueAtTheReference),
            ("refuses rows without a trained token", RefusesRowsWithoutATrainedToken),
        ];
        return rules.Select(rule => new ConformanceCheck($"method {provided.Name}: {rule.Rule}", () =>
        {
            using var scope = torch.NewDisposeScope();
            rule.Check(new Trial(subject, provided, subject.Sample(provided)));
        }));
    }

    private sealed record Trial(Subject Subject, ProvidedContract Provided, Sample Sample)
    {
        public IAlignmentMethod Method { get; init; } = Subject.Create<IAlignmentMethod>(Provided, Sample.Options);

        public IReadOnlyList<DataRecord> Rows { get; } = Sample.Json["rows"] is JsonArray { Count: > 1 } rows
            ? [.. rows.Select((row, k) => new DataRecord((JsonObject)row!.DeepClone(), "sample", k + 1))]
            : throw new ConformanceException("The sample needs at least two \"rows\".");

        public IReadOnlyList<CompletionGroup> Prepare(IReadOnlyList<DataRecord> rows, MaskLedger? ledger = null) =>
            Method.Prepare(rows, new PrepareContext(null, Sample.Number("max_length") ?? 128, ledger ?? new MaskLedger()));

        private Dictionary<string, Tensor>? start;

        /// <summary>The loss of a batch as the first one that the method sees, or with the state that it has by now.</summary>
        public MethodLoss Call(ScoredBatch batch, bool goesOn = false)
        {
            start ??= State(Method).ToDictionary(s => s.Key, s => s.Value.detach().clone());
            if (!goesOn) Put(State(Method), start);
            return Method.Loss(batch);
        }

        /// <summary>The loss, numerator / denominator, on a batch of made-up log-probs.</summary>
        public double Loss(ScoredBatch batch, bool goesOn = false)
        {
            var loss = Call(batch, goesOn);
            Expect.That(loss.Denominator > 0 && double.IsFinite(loss.Denominator), $"The denominator is {loss.Denominator}; it must be positive.");
            Expect.That(loss.Metrics.All(metric => double.IsFinite(metric.Value)), $"A metric is not finite: {string.Join(", ", loss.Metrics.Where(metric => !double.IsFinite(metric.Value)).Select(metric => metric.Key))}.");
            return loss.Numerator.item<double>() / loss.Denominator;
        }
    }

    private static void PreparesTheSameAgain(Trial trial)
    {
        var (first, second) = (trial.Prepare(trial.Rows), trial.Prepare(trial.Rows));
        Expect.That(first.Count > 0, "No groups came out of the sample's rows.");
        Expect.That(first.Select(Text).SequenceEqual(second.Select(Text)), "The same records gave other groups the second time.");
    }

    private static void CountsWhatItTrains(Trial trial)
    {
        var ledger = new MaskLedger();
        var groups = trial.Prepare(trial.Rows, ledger);
        foreach (var completion in groups.SelectMany(group => group.Completions))
            Expect.That(completion.Tokens.Length > 0 && completion.Tokens.Length == completion.Weights.Length, $"A completion has {completion.Tokens.Length} tokens and {completion.Weights.Length} weights; it needs one weight per token, at least one.");
        Expect.That(groups.All(group => group.Prompt.Length > 0), "A group has no prompt; the first token of a sequence without one goes there.");
        Expect.That(ledger.Rows == trial.Rows.Count, $"The ledger counts {ledger.Rows} rows, but {trial.Rows.Count} were given.");
        var trained = groups.SelectMany(group => group.Completions).Where(completion => completion.Gradient).Sum(completion => completion.Weights.Count(weight => weight != 0));
        Expect.That(ledger.TokensTrained == trained, $"The ledger counts {ledger.TokensTrained} trained tokens, but the groups have {trained}.");
    }

    private static void GivesTheGradientOfItsLoss(Trial trial)
    {
        var groups = trial.Prepare(trial.Rows);
        var values = LogProbs(groups, 0);
        using var leaf = torch.tensor<float>(values, requires_grad: true);
        trial.Call(Batch(trial, groups, leaf)).Numerator.backward();
        using var gradient = leaf.grad ?? throw new ConformanceException("The numerator has no gradient with respect to the log-probs.");
        var slopes = gradient.data<float>().ToArray();
        if (trial.Sample.Flag("stops_gradients"))
        {
            ReachesWhatIsTrained(groups, slopes);
            return;
        }
        // What is only measured may be in the loss (KTO's z0), but no gradient flows through it.
        var trained = groups.SelectMany(group => group.Completions).SelectMany(completion => completion.Tokens.Select(_ => completion.Gradient)).ToArray();
        for (var k = 0; k < values.Length; k++)
        {
            if (!trained[k]) continue;
            var slope = (Numerator(trial, groups, values, k, Step) - Numerator(trial, groups, values, k, -Step)) / (2 * Step);
            Expect.That(Math.Abs(slope - slopes[k]) <= 5e-3 * Math.Max(1, Math.Abs(slope)), $"The gradient of the numerator at log-prob {k} is {slopes[k]}, but the numerator changes by {slope} per unit (finite differences).");
        }
    }

    // A loss that takes numbers out of the graph (a running mean of the batch, weights) has other slopes than its gradient.
    private static void ReachesWhatIsTrained(IReadOnlyList<CompletionGroup> groups, float[] slopes)
    {
        Expect.That(slopes.All(float.IsFinite), "The gradient of the numerator is not finite.");
        var first = 0;
        foreach (var (completion, k) in groups.SelectMany(group => group.Completions).Select((completion, k) => (completion, k)))
        {
            var own = slopes[first..(first += completion.Tokens.Length)];
            Expect.That(!completion.Gradient || own.Any(slope => slope != 0), $"No gradient of the numerator reaches completion {k + 1}, which is trained.");
        }
    }

    // float32: small enough for a third-order error below 1e-4, large enough for rounding below 1e-3.
    private const float Step = 1e-2f;

    private static double Numerator(Trial trial, IReadOnlyList<CompletionGroup> groups, float[] values, int at, float change)
    {
        var moved = (float[])values.Clone();
        moved[at] += change;
        return trial.Call(Batch(trial, groups, torch.tensor<float>(moved))).Numerator.item<double>();
    }

    private static void DoesNotCareForOrder(Trial trial)
    {
        double Loss(IEnumerable<DataRecord> rows)
        {
            var groups = trial.Prepare([.. rows]);
            return trial.Loss(Batch(trial, groups, torch.tensor<float>(LogProbs(groups, 0))));
        }
        ExpectEqual(Loss(trial.Rows), Loss(trial.Rows.Reverse()), "The same records in another order gave another loss");
    }

    // Another instance with the same declared state, or the same one with its state put back, must give the same loss: what a
    // checkpoint does not hold would be lost on resume.
    private static void KeepsNoOtherState(Trial trial)
    {
        var groups = trial.Prepare(trial.Rows);
        var fresh = trial with { Method = trial.Subject.Create<IAlignmentMethod>(trial.Provided, trial.Sample.Options) };
        var (own, other) = (State(trial.Method), State(fresh.Method));
        Expect.That(own.Keys.Order().SequenceEqual(other.Keys.Order()), $"State has the tensors {string.Join(", ", own.Keys.Order())}, in another instance {string.Join(", ", other.Keys.Order())}; they must be the same for the method's whole life.");
        double Loss(Trial of, int seed) => of.Loss(Batch(of, groups, torch.tensor<float>(LogProbs(groups, seed))), goesOn: true);
        Loss(trial, 1);
        var kept = own.ToDictionary(s => s.Key, s => s.Value.detach().clone());
        var first = Loss(trial, 0);
        Loss(trial, 1);
        Put(own, kept);
        ExpectEqual(first, Loss(trial, 0), "The same batch with the same State gave another loss after another batch had been seen");
        Put(other, kept);
        ExpectEqual(first, Loss(fresh, 0), "Another instance with the same State gave another loss");
    }

    private static void Put(IReadOnlyDictionary<string, Tensor> state, Dictionary<string, Tensor> values)
    {
        foreach (var (name, tensor) in state) tensor.detach().copy_(values[name]);
    }

    private static IReadOnlyDictionary<string, Tensor> State(IAlignmentMethod method) => (method as IKeepsState)?.State ?? new Dictionary<string, Tensor>();

    private static void HasTheKnownValueAtTheReference(Trial trial)
    {
        if (!trial.Method.Needs.Reference) return;
        var known = trial.Sample.Json["loss_at_reference"]?.GetValue<double>()
            ?? throw new ConformanceException("The method needs a reference; the sample must say its loss where policy and reference agree (\"loss_at_reference\": for DPO log 2 = 0.6931471805599453, with all its digits).");
        var groups = trial.Prepare(trial.Rows);
        var values = LogProbs(groups, 0);
        ExpectEqual(known, trial.Loss(Batch(trial, groups, torch.tensor<float>(values)) with { ReferenceLogProbs = torch.tensor<float>(values) }), "Where policy and reference agree, the loss is not the known one");
    }

    private static void RefusesRowsWithoutATrainedToken(Trial trial)
    {
        var row = trial.Sample.Json["untrained"] as JsonObject ?? throw new ConformanceException("The sample needs an \"untrained\" row, of which no token would be trained.");
        var ledger = new MaskLedger();
        var groups = trial.Prepare([new DataRecord((JsonObject)row.DeepClone(), "sample", 1)], ledger);
        Expect.That(groups.Count == 0 && ledger.RowsWithoutTrainedToken == 1, $"A row of which no token is trained gives no group and is counted; it gave {groups.Count} group(s), and the ledger counts {ledger.RowsWithoutTrainedToken}.");
    }

    private static ScoredBatch Batch(Trial trial, IReadOnlyList<CompletionGroup> groups, Tensor logProbs)
    {
        var weights = groups.SelectMany(group => group.Completions).SelectMany(completion => completion.Weights).ToArray();
        return new ScoredBatch(groups, logProbs, torch.tensor<float>(weights))
        {
            ReferenceLogProbs = trial.Method.Needs.Reference ? torch.tensor<float>(LogProbs(groups, 2)) : null,
            Statistics = trial.Method.Needs.Statistics.ToDictionary(name => name, name => torch.tensor<float>([.. LogProbs(groups, 3).Select(Math.Abs)])),
        };
    }

    // Made of the tokens alone, so that a record keeps its log-probs wherever it stands in a batch.
    private static float[] LogProbs(IReadOnlyList<CompletionGroup> groups, int seed) =>
        [.. from @group in groups
            from completion in @group.Completions
            from position in Enumerable.Range(0, completion.Tokens.Length)
            select LogProb(@group.Prompt, completion.Tokens, position, seed)];

    private static float LogProb(int[] prompt, int[] tokens, int position, int seed)
    {
        var hash = prompt.Concat(tokens[..(position + 1)]).Aggregate(17 + seed, (sum, token) => unchecked((sum * 31) + token));
        return -0.05f - (((hash % 211) + 211) % 211 / 70f);
    }

    private static void ExpectEqual(double expected, double found, string message) =>
        Expect.That(Math.Abs(expected - found) <= 1e-5 * Math.Max(1, Math.Abs(expected)), $"{message}: {expected:R} and {found:R}.");

    private static string Text(CompletionGroup group) =>
        $"{group.Control}|{string.Join(' ', group.Prompt)}|{string.Join('|', group.Completions.Select(completion => $"{string.Join(' ', completion.Tokens)}:{string.Join(' ', completion.Weights)}:{completion.Gradient}{completion.Label}{completion.Margin}"))}";
}
