// Options that all comparisons of two answers have.

using PeftAlign.Abstractions;

namespace PeftAlign.Eval.Comparisons;

/// <summary>How answers are written, judged and counted.</summary>
public abstract class PairOptions
{
    /// <summary>Compares the answers.</summary>
    public JudgeReference? Judge { get; set; }

    /// <summary>both: each pair is judged twice, with either answer in the first place, and the mean counts; else once, with the
    /// baseline or the model first.</summary>
    [OptionChoices("both", "baseline_first", "model_first")]
    public string Order { get; set; } = "both";

    /// <summary>The length-controlled win rate: auto, as good as the files allow; v1, the leaderboard's with its gamed baselines; noreg,
    /// without them; minimal, lengths alone; published, from published weights; none.</summary>
    [OptionChoices("auto", "v1", "noreg", "minimal", "published", "none")]
    public string LengthControlled { get; set; } = "auto";

    /// <summary>The gamed baselines' rows (CSV), which form v1 needs.</summary>
    [OptionNames("path")]
    public string? Gamed { get; set; }

    /// <summary>How answers are drawn.</summary>
    [OptionGroup]
    public SamplingOptions Sampling { get; } = new() { MaxNewTokens = 512 };

    /// <summary>Most prompts; 0 = all.</summary>
    [OptionRange(0)]
    public int Limit { get; set; }

    /// <summary>Prompts go through the model's chat template, as the user's message.</summary>
    public bool Chat { get; set; }
}
