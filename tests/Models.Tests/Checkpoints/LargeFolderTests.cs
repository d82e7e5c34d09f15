// Folders that are larger than any memory: what computes in the files' type is mapped, what would need a copy is refused before one is made,
// and offsets beyond 2^32 bytes lead to the right numbers. The files are sparse: of terabytes a few pages lie on the disk.

using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Models.Checkpoints;
using PeftAlign.Models.Decoders;
using PeftAlign.Models.Engine;
using PeftAlign.Models.Tests.Engine;
using PeftAlign.Torch;

namespace PeftAlign.Models.Tests.Checkpoints;

internal sealed class LargeFolderTests : ScopedTest
{
    private const int Hidden = 8192;

    [Test]
    public void Copies_that_no_memory_holds_are_refused_and_mapped_files_are_not()
    {
        const int Tokens = 16_000_000, Width = 131_072; // 4.2 TB for each of the two tables
        var folder = Sparse(Tokens, Width);
        var refusal = Assert.Throws<UserErrorException>(() => ModelFolder.Load(folder))!.Message;
        Assert.That(refusal, Does.StartWith($"{folder}: as float32 its weights take 16777.").And.Contain("GB of memory, and this machine has").And.Contain("compute in bfloat16").And.Contain("quantize"));
        var model = ModelFolder.Load(folder, dtype: torch.bfloat16);
        Assert.That(model.Head.shape, Is.EqualTo(new long[] { Tokens, Width }));
        Release(model);
    }

    // 300,000 rows of 8,192 numbers: the last lie beyond 2^31 numbers and 2^32 bytes, in the table and in the file.
    [Test]
    public void A_token_beyond_two_to_the_31_numbers_has_its_own_row()
    {
        var folder = Sparse(vocabulary: 300_000, Hidden, ("model.embed_tokens.weight", 299_999), ("model.norm.weight", 0));
        var model = ModelFolder.Load(folder, dtype: torch.bfloat16);
        using var off = torch.no_grad();
        float Answer(int token)
        {
            using var pack = Pack.Of([new CompletionGroup([token], [Completion.Of([1])])], 64, Place.Of(model)).Single();
            return model.Forward(pack, ForwardMode.Plain).to(torch.float32).sum().item<float>();
        }
        // A row of ones goes through layers of zeros and through the last norm, whose weights are ones.
        Assert.That((Answer(299_999), Answer(299_998)), Is.EqualTo((Hidden, 0f)));
        Assert.That(model.Weights["model.embed_tokens.weight"].narrow(0, 299_999, 1).to(torch.float32).sum().item<float>(), Is.EqualTo(Hidden));
        Release(model);
    }

    // One tensor that has the arithmetic's type already keeps the file mapped; the pages of what was copied are not held beside the copies.
    [Test]
    public void Pages_of_what_was_converted_are_let_go()
    {
        var (made, folder) = (Shared.Scratch("made"), Shared.Scratch());
        ModelFolder.Initialise(made, "llama", new JsonObject { ["vocab_size"] = 512, ["hidden_size"] = 512, ["intermediate_size"] = 1024, ["num_hidden_layers"] = 2, ["num_attention_heads"] = 8 }, seed: 1);
        using (var stored = CheckpointFolder.Open(made))
            CheckpointFolder.Write(folder, stored.Names.ToDictionary(name => name, name => name == "model.norm.weight" ? stored.Tensor(name).to(torch.bfloat16) : stored.Tensor(name)));
        File.Copy(Path.Combine(made, "config.json"), Path.Combine(folder, "config.json"));
        var model = ModelFolder.Load(folder, dtype: torch.bfloat16);
        Assert.That(MappedPages.Resident(folder), Is.LessThan(new FileInfo(Path.Combine(folder, "model.safetensors")).Length / 10));
        using var same = CheckpointFolder.Open(folder);
        foreach (var (name, weight) in model.Weights) Assert.That(weight.equal(same.Tensor(name).to(torch.bfloat16)), name);
        Release(model);
    }

    // Tensors of a loaded model outlive the test's scope, and other tests count those that are alive.
    private static void Release(DecoderModel model)
    {
        foreach (var weight in model.Weights.Values) weight.Dispose();
    }

    // A LLaMA of one layer whose weights are zeros that take no room, but for rows of ones.
    private static string Sparse(long vocabulary, int hidden, params (string Weight, long Row)[] ones)
    {
        var folder = Shared.Scratch();
        var config = new JsonObject
        {
            ["architectures"] = new JsonArray("LlamaForCausalLM"),
            ["model_type"] = "llama",
            ["vocab_size"] = vocabulary,
            ["hidden_size"] = hidden,
            ["intermediate_size"] = 8,
            ["num_hidden_layers"] = 1,
            ["num_attention_heads"] = 2,
            ["num_key_value_heads"] = 1,
            ["head_dim"] = 2,
            ["rms_norm_eps"] = 1e-6,
            ["max_position_embeddings"] = 64,
            ["torch_dtype"] = "bfloat16",
            ["tie_word_embeddings"] = false,
        };
        File.WriteAllText(Path.Combine(folder, "config.json"), config.ToJsonString());
        var spec = ModelArchitectures.BuiltIn.Describe(ModelConfig.Of(JsonSerializer.SerializeToElement(config)));
        var (header, end) = (new JsonObject(), 0L);
        foreach (var weight in spec.Weights())
        {
            var begin = end;
            end += weight.Shape.Aggregate(2L, (a, b) => a * b);
            header[weight.Name] = new JsonObject { ["dtype"] = "BF16", ["shape"] = new JsonArray([.. weight.Shape.Select(n => (JsonNode)n)]), ["data_offsets"] = new JsonArray(begin, end) };
        }
        var written = header.ToJsonString();
        var text = Encoding.UTF8.GetBytes(written.PadRight((written.Length + 7) / 8 * 8)); // or the numbers would not be aligned
        var length = new byte[8];
        BinaryPrimitives.WriteInt64LittleEndian(length, text.Length);
        using var file = File.Create(Path.Combine(folder, "model.safetensors"));
        file.Write(length);
        file.Write(text);
        file.SetLength(8 + text.Length + end);
        foreach (var (weight, row) in ones)
        {
            file.Position = 8 + text.Length + (long)header[weight]!["data_offsets"]![0]! + (row * hidden * 2);
            file.Write(MemoryMarshal.AsBytes(Enumerable.Repeat((ushort)0x3F80, hidden).ToArray().AsSpan())); // 1 in bfloat16
        }
        return folder;
    }
}
