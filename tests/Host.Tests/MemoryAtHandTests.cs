// What is said of memory before it runs out: predictions beyond what the machine has are warnings, what is certain is refused.

using System.Text.Json;
using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Host.Jobs;
using PeftAlign.Host.Running.Estimates;
using PeftAlign.Models.Checkpoints;
using PeftAlign.Models.Decoders;
using PeftAlign.Training;

namespace PeftAlign.Host.Tests;

public class MemoryAtHandTests
{
    private static string Said(long bytes, int atOnce)
    {
        using var remarks = new StringWriter();
        MemoryAtHand.WarnIfShort([(bytes, atOnce)], atOnce, new Output(TextWriter.Null, remarks));
        return remarks.ToString();
    }

    [Test]
    public void A_prediction_beyond_the_machine_is_a_warning()
    {
        Assert.That(Said(1_000_000, 1), Is.Empty);
        Assert.That(Said(long.MaxValue / 2, 1), Does.StartWith("warning: about").And.Contain("are predicted and this machine has").And.Contain("gradient_checkpointing"));
        Assert.That(Said(1L << 30, 1 << 20), Does.Contain("1048576 jobs at once may take about").And.Contain("lower --jobs"));
    }

    // A plan has few large jobs, and what is finished takes nothing.
    [Test]
    public void Only_jobs_that_are_to_be_done_count_together()
    {
        string Plan(params (long Bytes, int Jobs)[] kinds)
        {
            using var remarks = new StringWriter();
            MemoryAtHand.WarnIfShort(kinds, 4, new Output(TextWriter.Null, remarks));
            return remarks.ToString();
        }
        var large = MachineMemory.Limit / 4 * 3;
        Assert.That(Plan((1, 9), (large, 1)), Does.Not.Contain("jobs at once"));
        Assert.That(Plan((1, 1), (large, 2)), Does.Contain("3 jobs at once may take about"));
        Assert.That(Plan((long.MaxValue / 8, 0), (1, 1)), Is.Empty);
    }

    [Test]
    public void A_folder_of_links_is_as_large_as_what_they_lead_to()
    {
        var folder = Directory.CreateTempSubdirectory("peftalign-links-").FullName;
        try
        {
            var (own, links) = (Directory.CreateDirectory(Path.Combine(folder, "own")).FullName, Directory.CreateDirectory(Path.Combine(folder, "links")).FullName);
            using (var sparse = File.Create(Path.Combine(own, "weights"))) sparse.SetLength(MachineMemory.Total);
            File.CreateSymbolicLink(Path.Combine(links, "nowhere"), Path.Combine(folder, "gone"));
            Assert.That(MemoryAtHand.MightBeShort(links), Is.False);
            File.CreateSymbolicLink(Path.Combine(links, "weights"), Path.Combine(own, "weights"));
            Assert.That((MemoryAtHand.MightBeShort(own), MemoryAtHand.MightBeShort(links)), Is.EqualTo((true, true)));
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private static DecoderSpec Llama(long layers) => ModelArchitectures.BuiltIn.Describe(ModelConfig.Of(JsonSerializer.SerializeToElement(new JsonObject
    {
        ["model_type"] = "llama",
        ["vocab_size"] = 32000,
        ["hidden_size"] = 8192,
        ["intermediate_size"] = 28672,
        ["num_hidden_layers"] = layers,
        ["num_attention_heads"] = 64,
        ["rms_norm_eps"] = 1e-5,
        ["max_position_embeddings"] = 4096,
    })));

    // 1.1e12 weights: 16 bytes of each with AdamW in float32, 20 in bfloat16 (masters and copies), 8 with SGD.
    [TestCase("adamw", "float32", "17.")]
    [TestCase("adamw", "bfloat16", "21.")]
    [TestCase("sgd", "float32", "8.5")]
    public void All_weights_beyond_the_machine_are_refused(string optimizer, string type, string terabytes)
    {
        var options = TrainingOptions.Of(new JsonObject { ["optimizer"] = optimizer }, 0, Enum.Parse<Torch.torch.ScalarType>(type, ignoreCase: true));
        var refusal = Assert.Throws<UserErrorException>(() => WeightsInTraining.ThrowIfTooMany(Llama(1100), options))!.Message;
        Assert.That(refusal, Does.StartWith("Training all 10").And.Contain($"weights takes at least {terabytes.Replace(".", "", StringComparison.Ordinal)}").And.Contain($"what {optimizer} keeps, and this machine has").And.Contain("train an adapter"));
        Assert.That(() => WeightsInTraining.ThrowIfTooMany(Llama(1) with { Vocabulary = 100, Hidden = 64 }, options), Throws.Nothing);
    }
}
