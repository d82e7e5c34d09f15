// Where a model's positions end for good: those that it has learned. Rotary ones go on past max_position_embeddings.

using PeftAlign.Abstractions;
using PeftAlign.Models.Checkpoints;
using PeftAlign.Models.Decoders;

namespace PeftAlign.Host.Inspection;

internal static class LearnedPositions
{
    /// <summary>How many a model has learned; null where it has others, and where no config.json of a built-in architecture tells.</summary>
    /// <param name="folder">A model's folder, or a name that leads to none.</param>
    internal static int? Of(string folder)
    {
        if (folder.Length == 0 || !File.Exists(Path.Combine(folder, "config.json"))) return null;
        try
        {
            var model = ModelArchitectures.BuiltIn.Describe(ModelConfig.Open(folder));
            return model.Names.Positions is null ? null : (int)model.MaxPositions;
        }
        catch (UserErrorException)
        {
            return null; // who loads the model is told
        }
    }
}
