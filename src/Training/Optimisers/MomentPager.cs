// Moments that live in host memory come to the device piece by piece: while one piece is updated, the next is fetched and the previous
// one written back, in two sets of buffers, with one lane for each direction. Without lanes the same pieces are updated in place, so that
// both ways give the same bits.

using PeftAlign.Torch;

namespace PeftAlign.Training;

/// <summary>Brings pieces of moments to where they are updated.</summary>
internal sealed class MomentPager : IDisposable
{
    private readonly IReadOnlyList<Tensor[]> pieces;
    private readonly Tensor[][] buffers = [];
    private readonly IDisposable?[] returned = new IDisposable?[2];
    private readonly Lane? own, fetching, returning;

    /// <param name="pieces">Views of the moments at home: of each piece the same kinds of tensors, flat.</param>
    /// <param name="device">Where they are updated.</param>
    /// <param name="lanes">The updates', the fetching's and the returning's; null = the pieces are there already.</param>
    internal MomentPager(IReadOnlyList<Tensor[]> pieces, torch.Device device, (Lane Own, Lane Fetching, Lane Returning)? lanes)
    {
        this.pieces = pieces;
        foreach (var tensor in pieces.SelectMany(p => p)) tensor.DetachFromDisposeScope();
        if (lanes is not { } given || pieces.Count == 0) return;
        (own, fetching, returning) = given;
        buffers = [Buffers(), Buffers()];
        using var made = own.Mark();
        fetching.Wait(made); // the buffers' memory may still be read by what had it before

        Tensor[] Buffers() => [.. pieces[0].Select((first, slot) => torch.empty([pieces.Max(p => p[slot].numel())], first.dtype, device).DetachFromDisposeScope())];
    }

    /// <summary>Updates every piece in order.</summary>
    /// <param name="update">Number of the piece, and its tensors, to be changed in place; what else it makes is disposed before the next.</param>
    internal void Each(Action<int, Tensor[]> update)
    {
        if (buffers.Length == 0)
        {
            for (var k = 0; k < pieces.Count; k++)
            {
                using var scope = torch.NewDisposeScope(); // else all pieces' intermediate tensors together are a copy of the weights
                update(k, pieces[k]);
            }
            return;
        }
        var fetched = Fetch(0);
        for (var k = 0; k < pieces.Count; k++)
        {
            using var scope = torch.NewDisposeScope();
            var (piece, here) = (k, fetched);
            own!.Wait(here);
            here.Dispose();
            if (k + 1 < pieces.Count) fetched = Fetch(k + 1);
            own.Run(() => update(piece, At(piece)));
            using var updated = own.Mark();
            returning!.Wait(updated);
            returning.Run(() => Copy(piece, toDevice: false));
            Put(piece, returning.Mark());
        }
    }

    /// <summary>Waits until all moments are home.</summary>
    internal void Settle() => returning?.Settle();

    public void Dispose()
    {
        Settle();
        foreach (var tensor in buffers.Concat(pieces).SelectMany(p => p)) tensor.Dispose();
        foreach (var mark in returned) mark?.Dispose();
    }

    // A set of buffers is filled again when what was in it is home; so is a piece fetched again.
    private IDisposable Fetch(int k)
    {
        if (returned[k % 2] is { } emptied) fetching!.Wait(emptied);
        if (k == 0 && returned[(pieces.Count - 1) % 2] is { } before) fetching!.Wait(before);
        fetching!.Run(() => Copy(k, toDevice: true));
        return fetching.Mark();
    }

    private void Put(int k, IDisposable mark)
    {
        returned[k % 2]?.Dispose();
        returned[k % 2] = mark;
    }

    private Tensor[] At(int k) => [.. pieces[k].Select((home, slot) => buffers[k % 2][slot].narrow(0, 0, home.numel()))];

    private void Copy(int k, bool toDevice)
    {
        using var off = torch.no_grad();
        using var scope = torch.NewDisposeScope();
        foreach (var (home, here) in pieces[k].Zip(At(k)))
        {
            if (toDevice) here.copy_(home, non_blocking: true);
            else home.copy_(here, non_blocking: true);
        }
    }
}
