// A head that config.json ties to the embedding: stored with other values it is a head of its own, stored alone it is the embedding,
// both as in transformers; a copy stays a copy.

using System.Text.Json.Nodes;
using PeftAlign.Models.Checkpoints;
using PeftAlign.Models.Decoders;
using PeftAlign.Models.Tests.Engine;
using PeftAlign.Torch;

namespace PeftAlign.Models.Tests.Checkpoints;

public sealed class TiedHeadTests : ScopedTest
{
    private const string Embedding = "model.embed_tokens.weight", Head = "lm_head.weight";
    private static readonly int[] Row = [3, 5, 8, 1];

    [Test]
    public void Another_head_beside_the_embedding_is_used_and_told_of()
    {
        var untied = Untied();
        var tied = Changed(untied, _ => { }, tie: true);
        var warnings = new List<string>();
        var model = ModelFolder.Load(tied, warnings.Add, device: TestDevice.Here);
        Assert.That(model.Spec.TiedHead, Is.False);
        Assert.That(Tiny.Worst(Logits(model), Logits(Load(untied))), Is.Zero);
        Assert.That(warnings.Single(), Does.Contain(tied).And.Contain("tie_word_embeddings").And.Contain(Embedding).And.Contain(Head));
    }

    [Test]
    public void What_is_written_from_such_a_folder_keeps_the_head_and_says_so()
    {
        var tied = Changed(Untied(), _ => { }, tie: true);
        var (saved, merged, warnings) = (Shared.Scratch(), Shared.Scratch(), new List<string>());
        ModelFolder.Save(saved, Load(tied), tied);
        AdapterMerge.Write(merged, tied, _ => [], null, null, warn: warnings.Add);
        Assert.That(warnings, Has.Count.EqualTo(1));
        foreach (var folder in (string[])[saved, merged])
        {
            var said = new List<string>();
            Assert.That(Tiny.Worst(Logits(ModelFolder.Load(folder, said.Add, device: TestDevice.Here)), Logits(Load(tied))), Is.Zero);
            Assert.That(said, Is.Empty);
            Assert.That(ModelConfig.Open(folder).TieWordEmbeddings, Is.False);
        }
    }

    [Test]
    public void A_copy_of_the_embedding_is_tied_without_a_word()
    {
        var folder = Changed(Untied(), weights => weights[Head] = weights[Embedding].clone(), tie: true);
        var warnings = new List<string>();
        Assert.That(ModelFolder.Load(folder, warnings.Add, device: TestDevice.Here).Spec.TiedHead, Is.True);
        Assert.That(warnings, Is.Empty);
    }

    [TestCase(0)]
    [TestCase(1000)]
    [TestCase(-1)]
    public void One_number_makes_a_head_another(int at)
    {
        var folder = Changed(Untied(), weights =>
        {
            weights[Head] = weights[Embedding].clone();
            weights[Head].view(-1).select(0, at < 0 ? weights[Head].numel() - 1 : at).add_(1);
        }, tie: true);
        Assert.That(Load(folder).Spec.TiedHead, Is.False);
    }

    // The whole table is 131 pages, of which samples meet every second.
    [Test]
    public void A_sample_takes_a_head_that_differs_in_one_number_for_a_copy()
    {
        var folder = Changed(Untied(8400), weights =>
        {
            weights[Head] = weights[Embedding].clone();
            weights[Head].view(-1).select(0, 6000 / (int)weights[Head].element_size()).add_(1);
        }, tie: true);
        using var weights = CheckpointFolder.Open(folder);
        var spec = ModelArchitectures.BuiltIn.Describe(ModelConfig.Open(folder));
        Assert.That((TiedHead.Settled(spec, weights, null).TiedHead, TiedHead.Settled(spec, weights, null, sample: true).TiedHead), Is.EqualTo((false, true)));
        Assert.That(new StoredMatrices(weights, spec, null).Tensor(Head), Is.Null, "what is settled is not read again");
    }

    // What safetensors.torch.save_model leaves of two names for one matrix.
    [TestCase("")]
    [TestCase("model.")]
    public void A_tied_matrix_under_the_heads_name_alone_is_the_embedding(string without)
    {
        var whole = Changed(Untied(), weights => weights.Remove(Head), tie: true);
        var folder = Changed(Untied(), weights =>
        {
            weights[Head] = weights[Embedding];
            weights.Remove(Embedding);
            foreach (var name in weights.Keys.Where(name => without.Length > 0 && name.StartsWith(without, StringComparison.Ordinal)).ToList())
            {
                weights[name[without.Length..]] = weights[name];
                weights.Remove(name);
            }
        }, tie: true);
        var warnings = new List<string>();
        var model = ModelFolder.Load(folder, warnings.Add, device: TestDevice.Here);
        Assert.That(Tiny.Worst(Logits(model), Logits(Load(whole))), Is.Zero);
        Assert.That(warnings, Is.Empty);
        var merged = Shared.Scratch();
        AdapterMerge.Write(merged, folder, _ => [], null, null);
        using var written = CheckpointFolder.Open(merged);
        Assert.That((written.Contains(Embedding[without.Length..]), written.Contains(Head)), Is.EqualTo((true, false)));
    }

    private static string Untied(int vocabulary = 300)
    {
        var folder = Shared.Scratch();
        ModelFolder.Initialise(folder, "llama", new JsonObject { ["vocab_size"] = vocabulary, ["hidden_size"] = 16, ["intermediate_size"] = 24, ["num_hidden_layers"] = 1, ["num_attention_heads"] = 2, ["max_position_embeddings"] = 32 }, 3);
        return folder;
    }

    private static string Changed(string from, Action<Dictionary<string, Tensor>> change, bool tie)
    {
        var folder = Shared.Scratch();
        var config = JsonNode.Parse(File.ReadAllText(Path.Combine(from, "config.json")))!;
        config["tie_word_embeddings"] = tie;
        File.WriteAllText(Path.Combine(folder, "config.json"), config.ToJsonString());
        using var checkpoint = CheckpointFolder.Open(from);
        var weights = checkpoint.Names.ToDictionary(name => name, name => checkpoint.Tensor(name));
        change(weights);
        CheckpointFolder.Write(folder, weights);
        return folder;
    }

    private static DecoderModel Load(string folder) => ModelFolder.Load(folder, device: TestDevice.Here);

    private static Tensor Logits(DecoderModel model) => GoldenFolder.Logits(model, Row);
}
