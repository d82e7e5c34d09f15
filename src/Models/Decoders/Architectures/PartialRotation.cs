// Types of whose heads a part turns where config.json does not say otherwise: rope_parameters or rope_scaling counts, then the key beside them,
// then the class's own share.

using System.Text.Json;
using PeftAlign.Abstractions;

namespace PeftAlign.Models.Decoders;

internal static class PartialRotation
{
    /// <summary>The rotary positions of config.json, with a share of their own where it names none.</summary>
    /// <param name="config">config.json.</param>
    /// <param name="standard">The class's share of each head's dimensions.</param>
    internal static RopeParameters RopeOr(this ArchitectureConfig config, double standard) =>
        IsSaid(config) ? config.Rope : config.Rope with { PartialRotaryFactor = standard };

    private static bool IsSaid(ArchitectureConfig config) =>
        ((string[])["rope_parameters", "rope_scaling"]).Any(key => config.Json.TryGetProperty(key, out var inner) && inner.ValueKind == JsonValueKind.Object && inner.TryGetProperty("partial_rotary_factor", out _))
        || config.Number("partial_rotary_factor") is not null;
}
