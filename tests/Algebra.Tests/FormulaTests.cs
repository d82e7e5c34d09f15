// Divergences and losses per pair against values worked out by hand in float64 for one pair: r_w = 1, r_l = -0.5, beta = 0.1,
// label smoothing 0.1; the plugins' tests hold them against another tool's tables.

using PeftAlign.Torch;

namespace PeftAlign.Algebra.Tests;

public sealed class FormulaTests
{
    private DisposeScope? scope;

    [SetUp]
    public void Open() => scope = torch.NewDisposeScope();

    [TearDown]
    public void Close() => scope?.Dispose();

    private static Tensor T(params double[] values) => torch.tensor<double>(values);

    private static double Value(Tensor tensor) => tensor.item<double>();

    private static IEnumerable<TestCaseData> Cases()
    {
        TestCaseData Case(string name, Func<Tensor> loss, double value) => new TestCaseData(loss, value).SetArgDisplayNames(name);
        yield return Case("sigmoid", () => PreferenceLosses.Logistic(T(0.15)), 0.620957048);
        yield return Case("cdpo", () => PreferenceLosses.Smoothed(T(0.15), 0.1), 0.635957048);
        yield return Case("robust", () => PreferenceLosses.Robust(T(0.15), 0.1), 0.602207048);
        yield return Case("hinge", () => PreferenceLosses.Hinge(T(0.15)), 0.85);
        yield return Case("hinge beyond the margin", () => PreferenceLosses.Hinge(T(1.5)), 0);
        yield return Case("ipo", () => PreferenceLosses.SquaredToMargin(T(1 / 5.0 + 0.5 / 8), 0.1), 22.443906250);
        yield return Case("exo_pair", () => PreferenceLosses.Exo(T(0.15), 0.1), 0.431388457);
        yield return Case("bco_pair", () => PreferenceLosses.Bco(T(0.1), T(-0.05), T(0)), 1.312856308);
        yield return Case("sppo_hard", () => PreferenceLosses.Sppo(T(1), T(-0.5), 0.1), 36.25);
        yield return Case("apo_zero", () => PreferenceLosses.ApoZero(T(0.1), T(-0.05)), 0.962523416);
        yield return Case("apo_down", () => PreferenceLosses.ApoDown(T(0.1), T(-0.05)), 0.987549342);
        yield return Case("discopop", () => PreferenceLosses.DiscoPop(T(0.15), 0.05), 0.849337579);
        yield return Case("forward_kl", () => PreferenceLosses.Logistic((Divergences.ForwardKl(T(1)) - Divergences.ForwardKl(T(-0.5))) * 0.1), 0.631154384);
        yield return Case("js_divergence", () => PreferenceLosses.Logistic((Divergences.JsDivergence(T(1)) - Divergences.JsDivergence(T(-0.5))) * 0.1), 0.660652163);
        yield return Case("alpha 0.5", () => PreferenceLosses.Logistic((Divergences.AlphaDivergence(T(1), 0.5) - Divergences.AlphaDivergence(T(-0.5), 0.5)) * 0.1), 0.627690947);
        yield return Case("log(1 - exp(-1))", () => PreferenceLosses.Log1mExp(T(-1)), -0.458675145);
        yield return Case("log-odds of one half", () => PreferenceLosses.LogOdds(T(Math.Log(0.5))), 0);
        yield return Case("log-odds of 0.9", () => PreferenceLosses.LogOdds(T(Math.Log(0.9))), Math.Log(9));
        yield return Case("log-odds of a rounded 1", () => PreferenceLosses.LogOdds(T(0)), Math.Log(1e9) - 1e-9);
        yield return Case("AlphaPO's reward", () => PreferenceLosses.AlphaReward(T(Math.Log(0.25)), 0.5), (1 - 2) / 0.5);
        yield return Case("AlphaPO's reward of alpha 0", () => PreferenceLosses.AlphaReward(T(-1.25), 0), -1.25);
        yield return Case("kto desirable", () => PreferenceLosses.Kto(T(0.1 * (1 - 0.4))), 0.485004498);
        yield return Case("kto undesirable", () => PreferenceLosses.Kto(T(0.1 * (0.4 + 0.5))), 0.477515175);
        yield return Case("orpo log-odds", () => PreferenceLosses.LogOdds(T(-10 / 5.0)) - PreferenceLosses.LogOdds(T(-12 / 8.0)), -0.607069001);
    }

    [TestCaseSource(nameof(Cases))]
    public void Has_its_value(Func<Tensor> loss, double value) => Assert.That(Value(loss()), Is.EqualTo(value).Within(1e-9));

    [Test]
    public void Divergences_are_zero_at_the_reference_and_rise_with_slope_one()
    {
        foreach (var name in Divergences.Names)
        {
            var r = torch.zeros([1], torch.float64).requires_grad_();
            var score = Divergences.Score(name, r, 0.5);
            score.sum().backward();
            Assert.That(Value(score), Is.Zero.Within(1e-15), name);
            Assert.That(Value(r.grad!), Is.EqualTo(name == "js_divergence" ? 0.5 : 1).Within(1e-15), name);
        }
        Assert.That(Value(Divergences.AlphaDivergence(T(0.7), 1 + 1e-7)), Is.EqualTo(0.7), "alpha of 1 is the log-ratio");
        Assert.That(Value(Divergences.AlphaDivergence(T(0.7), 1e-9)), Is.EqualTo(Value(Divergences.ForwardKl(T(0.7)))).Within(1e-8));
        Assert.That(Value(Divergences.AlphaDivergence(T(1e4), 2)), Is.EqualTo(Math.Exp(80) - 1).Within(1e20), "the exponent is clamped");
        Assert.That(() => Divergences.Score("kl", T(1), 0.5), Throws.ArgumentException.With.Message.Contains("js_divergence"));
    }

    [Test]
    public void Extremes_stay_finite_with_finite_gradients()
    {
        foreach (var loss in (Func<Tensor, Tensor>[])[PreferenceLosses.Logistic, z => PreferenceLosses.DiscoPop(z, 0.05), z => PreferenceLosses.Exo(z, 0.1), x => PreferenceLosses.Log1mExp((x + 700.0).abs() * -1.0 - 1e-12)])
        {
            var z = T(-700, -30, 0, 30, 700).requires_grad_();
            var values = loss(z);
            values.sum().backward();
            Assert.That(values.isfinite().all().item<bool>() && z.grad!.isfinite().all().item<bool>(), $"{string.Join(' ', values.detach().data<double>().ToArray())}; {string.Join(' ', z.grad!.data<double>().ToArray())}");
        }
    }

    [Test]
    public void Sorted_differences_compare_whole_samples() =>
        Assert.That(PreferenceLosses.SortedDifferences(T(3, 1, 2), T(0, 5, -1)).data<double>().ToArray(), Is.EqualTo((double[])[2, 2, -2]));
}
