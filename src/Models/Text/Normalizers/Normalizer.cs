// The base of the normalizers of tokenizer.json: each changes a text before it is split into words.
namespace PeftAlign.Models.Text.Normalizers;

/// <summary>One step of normalisation.</summary>
internal abstract class Normalizer
{
    /// <summary>Normalises a text. Returns the same object (changed in place or not at all), or another one from the pool after
    /// giving the first one back.</summary>
    public abstract AlignedText Apply(AlignedText text, TextPool pool);

    /// <summary>The normalised form of a string, where offsets do not matter.</summary>
    public string Apply(string text)
    {
        var pool = new TextPool();
        var buffer = pool.Rent(tracks: false, origin: 0);
        buffer.AppendOriginal(text, 0);
        return Apply(buffer, pool).Chars.ToString();
    }

    /// <summary>Ends a step that wrote <paramref name="target"/> from <paramref name="source"/>.</summary>
    protected static AlignedText Done(AlignedText source, AlignedText target, TextPool pool)
    {
        pool.Return(source);
        return target;
    }
}

/// <summary>Several steps, one after the other.</summary>
internal class SequenceNormalizer(IReadOnlyList<Normalizer> steps) : Normalizer
{
    /// <summary>The steps, in order.</summary>
    public IReadOnlyList<Normalizer> Steps => steps;

    public override AlignedText Apply(AlignedText text, TextPool pool)
    {
        foreach (var step in steps) text = step.Apply(text, pool);
        return text;
    }
}
