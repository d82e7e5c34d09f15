// How the rows of a forward pass attend: the one place where a pass over whole groups and a decoding step differ.

using PeftAlign.Models.Decoders;
using PeftAlign.Torch;

namespace PeftAlign.Models.Engine;

/// <summary>Attention of a pass, layer by layer.</summary>
internal interface IRowAttention
{
    /// <summary>Mixes the values that each row sees.</summary>
    /// <param name="layer">Number of the block.</param>
    /// <param name="q">(R, H, D) before rotation.</param>
    /// <param name="k">(R, G, D) before rotation.</param>
    /// <param name="v">(R, G, D)</param>
    /// <param name="form">Rotation, scale, cap, window and prefix.</param>
    /// <returns>(R, H, D)</returns>
    Tensor Attend(int layer, Tensor q, Tensor k, Tensor v, AttentionForm form);

    /// <summary>Whether it leaves out rows that a form does not ask for, and without gradients takes the queries of the others alone.</summary>
    /// <param name="x">What queries are made of.</param>
    /// <param name="form">As there.</param>
    bool LeavesOut(Tensor x, AttentionForm form) => false;
}

/// <summary>Attention that can bring the rest of the blocks along, where one native call does it all.</summary>
internal interface IAllBlocks
{
    /// <summary>What all blocks make of the embeddings x (R, d), each turning by its own rotary; null where they are to be composed.</summary>
    Tensor? Blocks(Tensor x, Rotary?[] rotary);
}

/// <summary>Rows see the rows of their own group.</summary>
internal sealed class BucketAttention(PackRuns runs, IReadOnlyList<Bucket> buckets) : IRowAttention
{
    public Tensor Attend(int layer, Tensor q, Tensor k, Tensor v, AttentionForm form) =>
        runs.SayAll && FusedTreeAttention.Takes(q, form) ? FusedTreeAttention.apply(q, k, v, runs.Of(form.Window), form)
        : DeviceTreeAttention.Takes(q, form) ? DeviceTreeAttention.Of(q, k, v, buckets, form)
        : TreeAttention.Of(q, k, v, buckets, form);

    public bool LeavesOut(Tensor x, AttentionForm form) => runs.SayAll && FusedTreeAttention.Takes(x, form);
}
