// Relative positions of DeBERTa's disentangled attention: small distances have a bucket each, larger ones share buckets of
// logarithmic width. Source: He et al. 2021 (DeBERTa), and the file format of Hugging Face's DeBERTa V2 and V3.

using PeftAlign.Models.Checkpoints;
using PeftAlign.Torch;

namespace PeftAlign.Models.Classifiers;

/// <param name="Span">Half the rows of the relative embeddings.</param>
/// <param name="Buckets">position_buckets; 0 = a distance is its own bucket.</param>
/// <param name="MaxDistance">Distances beyond share the last bucket.</param>
internal sealed record RelativeSpec(long Span, long Buckets, long MaxDistance)
{
    /// <summary>Whether queries meet the keys of positions.</summary>
    public required bool ContentToPosition { get; init; }

    /// <summary>Whether keys meet the queries of positions.</summary>
    public required bool PositionToContent { get; init; }

    /// <summary>Whether positions have projections of their own, rather than the content's.</summary>
    public required bool OwnProjections { get; init; }

    /// <summary>Whether the relative embeddings are normalised.</summary>
    public required bool Norm { get; init; }

    internal static RelativeSpec Of(ModelConfig config)
    {
        var kinds = Kinds(config);
        if (kinds.FirstOrDefault(kind => kind is not ("c2p" or "p2c")) is not null) throw config.Wrong("pos_att_type", "a list of c2p and p2c");
        long distance = config.Int("max_relative_positions") is > 0 and var given ? given : config.MaxPositions!.Value;
        var buckets = Math.Max(0, config.Int("position_buckets") ?? -1);
        if (buckets is 1) throw config.Wrong("position_buckets", "at least 2, or -1 for none");
        return new RelativeSpec(buckets > 0 ? buckets : distance, buckets, distance)
        {
            ContentToPosition = kinds.Contains("c2p"),
            PositionToContent = kinds.Contains("p2c"),
            OwnProjections = config.Bool("share_att_key") != true,
            Norm = (config.Text("norm_rel_ebd") ?? "none").Split('|').Any(part => part.Trim() == "layer_norm"),
        };
    }

    /// <summary>pos_att_type: a list, or one text with bars.</summary>
    internal static IReadOnlyList<string> Kinds(ModelConfig config) => config.Json.TryGetProperty("pos_att_type", out var json) && json.ValueKind == System.Text.Json.JsonValueKind.String
        ? [.. json.GetString()!.ToLowerInvariant().Split('|').Select(kind => kind.Trim())] : config.Texts("pos_att_type") ?? [];

    /// <summary>(T, T) int64: bucket of (row - column), negative where the column is the later one.</summary>
    /// <param name="length">T.</param>
    /// <param name="device">Where.</param>
    internal Tensor Distances(long length, torch.Device device)
    {
        var places = torch.arange(length, torch.int64, device);
        var distance = places.unsqueeze(1) - places.unsqueeze(0);
        return Buckets > 0 ? Bucket(distance) : distance;
    }

    /// <summary>The embedding's row of a distance.</summary>
    internal Tensor RowOf(Tensor distance) => (distance + Span).clamp(0, 2 * Span - 1);

    // In float32, as the reference: a ceiling decides, so the last bit may.
    private Tensor Bucket(Tensor distance)
    {
        var middle = Buckets / 2;
        var size = torch.where(distance.lt(middle).logical_and(distance.gt(-middle)), torch.full_like(distance, middle - 1), distance.abs());
        var scale = torch.tensor((float)((MaxDistance - 1) / (double)middle), device: distance.device).log();
        var far = (size.to(torch.float32) / middle).log() / scale * (middle - 1);
        var logarithmic = (far.ceil() + middle) * distance.sign().to(torch.float32);
        return torch.where(size.le(middle), distance.to(torch.float32), logarithmic).to(torch.int64);
    }
}
