// Rows made by code: a small world of creatures, what they eat and where they live. A right answer follows the world's
// facts, a wrong one names another creature's. The splits train and test ask about the same facts in different words.

using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Torch.Extras;

namespace PeftAlign.Data;

/// <summary>Options of synthetic.</summary>
public sealed class SyntheticOptions
{
    /// <summary>Number of rows.</summary>
    [OptionRange(1, 1_000_000)]
    public int Rows { get; set; } = 400;

    /// <summary>Seed of the choice of rows.</summary>
    public long Seed { get; set; } = 1;
}

internal sealed class SyntheticReader(SyntheticOptions options) : IDatasetReader
{
    private static readonly string[] Creatures = ["owl", "fox", "crab", "bee", "goat", "seal", "mole", "swan", "toad", "lynx", "hare", "newt"];
    private static readonly string[] Foods = ["mice", "berries", "algae", "nectar", "thistles", "herring", "worms", "pondweed", "flies", "voles", "clover", "snails"];
    private static readonly string[] Homes = ["barn", "den", "reef", "hive", "hill", "bay", "tunnel", "lake", "marsh", "forest", "meadow", "stream"];
    private static readonly string[] TrainFood = ["What does the {0} eat?", "Tell me the food of the {0}.", "The {0} is hungry. What now?"];
    private static readonly string[] TrainHome = ["Where does the {0} live?", "Tell me the home of the {0}.", "The {0} is tired. Where to?"];

    public IEnumerable<DataRecord> Read(string? split)
    {
        if (split is not (null or "train" or "test")) throw new UserErrorException($"Reader synthetic has the splits train and test, not '{split}'.");
        return Rows(split ?? "train");
    }

    private IEnumerable<DataRecord> Rows(string split)
    {
        var stream = new CounterStream((ulong)options.Seed, "synthetic", split);
        for (var row = 1; row <= options.Rows; row++) yield return new DataRecord(Row(stream, split), "synthetic", row);
    }

    // Two wordings are for training; the third is for testing.
    private static JsonObject Row(CounterStream stream, string split)
    {
        var about = (int)stream.NextInt64(Creatures.Length);
        var other = (about + 1 + (int)stream.NextInt64(Creatures.Length - 1)) % Creatures.Length;
        var food = stream.NextInt64(2) == 0;
        var wording = split == "train" ? stream.NextInt64(2) : 2;
        var question = string.Format((food ? TrainFood : TrainHome)[wording], Creatures[about]);
        string Answer(int creature) => food ? $" It eats {Foods[creature]}." : $" It lives in the {Homes[creature]}.";
        return new JsonObject
        {
            ["prompt"] = $"Q: {question}\nA:",
            ["completion"] = Answer(about),
            ["chosen"] = Answer(about),
            ["rejected"] = Answer(other),
        };
    }
}
