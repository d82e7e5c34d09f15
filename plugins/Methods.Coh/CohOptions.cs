// Options of coh.

using PeftAlign.Abstractions;

namespace PeftAlign.Methods.Coh;

/// <summary>Options of coh.</summary>
[ContractTraits("controls")]
public sealed class CohOptions
{
    private static readonly string[] Kinds = ["p", "n", "pn", "np"];

    /// <summary>The rows that a pair becomes: p the good answer, n the bad one, pn the good one and then the bad one, np the reverse.</summary>
    [OptionChoices("p", "n", "pn", "np")]
    public IReadOnlyList<string> RowKinds { get; set; } = Kinds;

    /// <summary>The text before a good answer; it follows the prompt and a line's end, and a blank follows it.</summary>
    public string GoodMarker { get; set; } = "A helpful answer:";

    /// <summary>The text before a bad answer, in the same place.</summary>
    public string BadMarker { get; set; } = "An unhelpful answer:";

    /// <summary>The good marker of rows that hold token ids, as ids.</summary>
    public IReadOnlyList<int> GoodMarkerIds { get; set; } = [];

    /// <summary>The bad marker of rows that hold token ids, as ids.</summary>
    public IReadOnlyList<int> BadMarkerIds { get; set; } = [];

    /// <summary>Texts with {pos}, {neg} or both, instead of row_kinds and markers: "a bad summary is {neg}, a better one is {pos}". Each follows the prompt and a line's end. A ranking question ends with {1st} or {2nd}: "of {pos} and {neg}, which is better? The answer is {1st}".</summary>
    public IReadOnlyList<string> Templates { get; set; } = [];

    /// <summary>all: each pair becomes a row for each of row_kinds, or of templates; one: a row by one of them.</summary>
    [OptionChoices("all", "one")]
    public string TemplateChoice { get; set; } = "all";

    /// <summary>In training, the largest share of a row's tokens that are hidden from those after them; each row of each update draws its own share up to this.</summary>
    [OptionRange(0, 0.9)]
    public double HiddenPast { get; set; } = 0.15;

    /// <summary>A second data set, of texts that are modelled as they are: one text goes with each pair.</summary>
    public DatasetReference? Corpus { get; set; }

    /// <summary>Weight of the corpus' loss beside the chains' own; 1.5 where it is left out.</summary>
    [OptionRange(0, ExclusiveMinimum = true)]
    public double? CorpusWeight { get; set; }

    /// <exception cref="UserErrorException">Options that say nothing, or contradict each other.</exception>
    internal static void Check(CohOptions options)
    {
        if (options.Corpus is null && options.CorpusWeight is not null) throw new UserErrorException($"coh: corpus_weight {options.CorpusWeight} weighs the corpus, and there is none; name one (corpus), or leave corpus_weight out.");
        if (options.Corpus is not null) options.CorpusWeight ??= 1.5;
        if (options.RowKinds.Count == 0) throw new UserErrorException("coh: row_kinds is empty; name some of p, n, pn, np.");
        if (options.RowKinds.Distinct().Count() < options.RowKinds.Count) throw new UserErrorException($"coh: row_kinds names a kind twice ({string.Join(", ", options.RowKinds)}); name each once.");
        if (string.IsNullOrWhiteSpace(options.GoodMarker) || options.GoodMarker == options.BadMarker)
            throw new UserErrorException($"coh: good_marker '{options.GoodMarker}' and bad_marker '{options.BadMarker}' must be two texts, neither of them empty: nothing else tells good answers from bad ones.");
        if (options.GoodMarkerIds.Count > 0 && options.GoodMarkerIds.SequenceEqual(options.BadMarkerIds))
            throw new UserErrorException("coh: good_marker_ids and bad_marker_ids are the same; give two lists.");
        var standard = new CohOptions();
        if (options.Templates.Count > 0 && (!options.RowKinds.SequenceEqual(Kinds) || options.GoodMarker != standard.GoodMarker || options.BadMarker != standard.BadMarker || options.GoodMarkerIds.Count + options.BadMarkerIds.Count > 0))
            throw new UserErrorException("coh: templates stand in the place of row_kinds and markers; give one or the other.");
    }
}
