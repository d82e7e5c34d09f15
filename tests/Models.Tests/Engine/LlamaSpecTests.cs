// What the decoder's spec takes from config.json.

using System.Text.Json;
using System.Text.Json.Nodes;
using PeftAlign.Models.Checkpoints;
using PeftAlign.Models.Decoders;

namespace PeftAlign.Models.Tests.Engine;

public sealed class LlamaSpecTests
{
    // The embedding's padding row: config.json's own pad_token_id; -1 is the last row, as an index from the end.
    [TestCase("0", 0L)]
    [TestCase("7", 7L)]
    [TestCase("-1", 31L)]
    [TestCase("32", null)]
    [TestCase("null", null)]
    [TestCase(null, null)]
    public void The_padding_row(string? pad, long? expected)
    {
        var json = JsonNode.Parse("""{"model_type":"llama","vocab_size":32,"hidden_size":8,"intermediate_size":16,"num_hidden_layers":1,"num_attention_heads":2}""")!.AsObject();
        if (pad is not null) json["pad_token_id"] = JsonNode.Parse(pad);
        Assert.That(ModelArchitectures.BuiltIn.Describe(ModelConfig.Of(JsonSerializer.SerializeToElement(json))).PadToken, Is.EqualTo(expected));
    }
}
