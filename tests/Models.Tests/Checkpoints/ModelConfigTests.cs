// config.json in its old and new spellings, defaults of the model types, and errors that name file, key, value and limit.

using System.Text.Json;
using PeftAlign.Abstractions;
using PeftAlign.Models.Checkpoints;
using PeftAlign.Models.Decoders;
using PeftAlign.Torch;

namespace PeftAlign.Models.Tests.Checkpoints;

internal sealed class ModelConfigTests
{
    private static ModelConfig Of(string json) => ModelConfig.Of(JsonDocument.Parse(json).RootElement);

    private static ModelConfig Llama(string more) =>
        Of($$"""{"model_type":"llama","hidden_size":48,"num_hidden_layers":2,"num_attention_heads":4,"vocab_size":128{{(more.Length > 0 ? "," + more : "")}} }""");

    [Test]
    public void LlamaIsReadInBothSpellings()
    {
        var current = ModelConfig.Open(Shared.Golden("models", "llama"));
        var old = ModelConfig.Open(Shared.Golden("models", "llama", "variants", "old-style"));
        foreach (var config in (ModelConfig[])[current, old])
        {
            Assert.That((config.ModelType, config.Architectures.Single(), config.HiddenSize, config.LayerCount), Is.EqualTo(("llama", "LlamaForCausalLM", 48, 2)));
            Assert.That((config.HeadCount, config.KeyValueHeadCount, config.HeadDim, config.IntermediateSize, config.VocabularySize), Is.EqualTo((4, 4, 12, 80, 128)));
            Assert.That((config.MaxPositions, config.NormEpsilon, config.Activation, config.DType), Is.EqualTo((256, 1e-6, "silu", torch.ScalarType.Float32)));
            Assert.That((config.TieWordEmbeddings, config.SlidingWindow, config.BosTokenId, config.EosTokenIds.Single()), Is.EqualTo((false, (int?)null, 1, 2)));
            Assert.That(config.Rope, Is.EqualTo(new RopeParameters("default", 10000)));
        }
        var linear = ModelConfig.Open(Shared.Golden("models", "llama", "variants", "linear")).Rope;
        Assert.That(ModelConfig.Open(Shared.Golden("models", "llama", "variants", "old-style-linear")).Rope, Is.EqualTo(linear));
        Assert.That((linear.Type, linear.Factor), Is.EqualTo(("linear", 2.5)));
    }

    [Test]
    public void EveryFamilyIsReadByItsOwnNames()
    {
        var gpt2 = ModelConfig.Open(Shared.Golden("models", "gpt2"));
        Assert.That((gpt2.HiddenSize, gpt2.LayerCount, gpt2.HeadCount, gpt2.HeadDim, gpt2.MaxPositions, gpt2.NormEpsilon), Is.EqualTo((48, 2, 4, 12, 128, 1e-5)));
        Assert.That((gpt2.TieWordEmbeddings, gpt2.IntermediateSize, gpt2.Activation), Is.EqualTo((true, (int?)null, "gelu_new")));
        var neo = ModelConfig.Open(Shared.Golden("models", "gpt-neo"));
        Assert.That((neo.LayerCount, neo.HeadCount, neo.Int("window_size")), Is.EqualTo((4, 4, 6)));
        Assert.That(neo.Texts("attention_layers"), Is.EqualTo((string[])["global", "local", "global", "local"]));
        var mistral = ModelConfig.Open(Shared.Golden("models", "mistral-full"));
        Assert.That((mistral.SlidingWindow, mistral.HeadDim * mistral.HeadCount == mistral.HiddenSize), Is.EqualTo(((int?)null, false)));
        Assert.That(ModelConfig.Open(Shared.Golden("models", "mistral-window")).SlidingWindow, Is.EqualTo(7));
        var gemma = ModelConfig.Open(Shared.Golden("models", "gemma2"));
        Assert.That((gemma.Activation, gemma.SlidingWindow, gemma.LayerTypes![1], gemma.Number("attn_logit_softcapping")), Is.EqualTo(("gelu_pytorch_tanh", 8, "full_attention", 3.0)));
        var llama3 = ModelConfig.Open(Shared.Golden("models", "llama3-gqa-tied"));
        Assert.That(llama3.Rope, Is.EqualTo(new RopeParameters("llama3", 500000) { Factor = 8, LowFreqFactor = 1, HighFreqFactor = 4, OriginalMaxPositions = 64 }));
        var longrope = ModelConfig.Open(Shared.Golden("models", "phi3", "variants", "longrope")).Rope;
        Assert.That((longrope.Type, longrope.OriginalMaxPositions, longrope.LongFactor!.Count, longrope.ShortFactor![1]), Is.EqualTo(("longrope", 16, 6, 1.05)));
        var yarn = ModelConfig.Open(Shared.Golden("models", "llama", "variants", "yarn-custom")).Rope;
        Assert.That((yarn.Factor, yarn.BetaFast, yarn.BetaSlow, yarn.AttentionFactor, yarn.Theta), Is.EqualTo((4.0, 8.0, 2.0, 1.3, 100.0)));
    }

    [TestCase("\"rope_theta\": 5e5, \"rope_scaling\": {\"type\": \"dynamic\", \"factor\": 2}", "dynamic", 500000.0)]
    [TestCase("\"rope_scaling\": {\"type\": \"su\", \"short_factor\": [1], \"long_factor\": [2]}", "longrope", 10000.0)]
    [TestCase("\"rope_parameters\": {\"rope_type\": \"default\", \"rope_theta\": 7}", "default", 7.0)]
    [TestCase("\"rope_parameters\": {\"full_attention\": {\"rope_theta\": 9}, \"sliding_attention\": {\"rope_type\": \"linear\", \"factor\": 2, \"rope_theta\": 8}}", "default", 9.0)]
    [TestCase("\"rope_scaling\": null", "default", 10000.0)]
    public void RopeIsReadInEverySpelling(string json, string type, double theta)
    {
        var config = Llama(json);
        Assert.That((config.Rope.Type, config.Rope.Theta), Is.EqualTo((type, theta)));
        if (json.Contains("sliding_attention")) Assert.That(config.RopeOf("sliding_attention"), Is.EqualTo(new RopeParameters("linear", 8) { Factor = 2 }));
    }

    // What transformers 5.23 makes of it: the type, base and factor of layers that see all, and the base of those with a window.
    [TestCase("gemma3_text", "", "default", 1e6, null, 1e4)]
    [TestCase("gemma3_text", ",\"rope_theta\":77,\"rope_scaling\":null,\"rope_local_base_freq\":50", "default", 77, null, 50)]
    [TestCase("gemma3_text", ",\"rope_theta\":1000,\"rope_local_base_freq\":50,\"rope_scaling\":{\"rope_type\":\"linear\",\"factor\":4}", "linear", 1000, 4, 50)]
    [TestCase("gemma3_text", ",\"rope_theta\":3,\"rope_local_base_freq\":5,\"rope_parameters\":{\"full_attention\":{\"rope_theta\":9},\"sliding_attention\":{\"rope_theta\":7}},\"rope_scaling\":{\"rope_type\":\"linear\",\"factor\":4}", "linear", 9, 4, 7)]
    [TestCase("gemma3_text", ",\"rope_theta\":3,\"rope_parameters\":{\"full_attention\":{\"rope_type\":\"default\"}}", "default", 3, null, 1e4)]
    [TestCase("olmo3", "", "default", 5e5, null, 5e5)]
    [TestCase("olmo3", ",\"rope_theta\":1000,\"rope_scaling\":{\"rope_type\":\"yarn\",\"factor\":4}", "yarn", 1000, 4, 5e5)]
    [TestCase("smollm3", "", "default", 2e6, null, 2e6)]
    public void KindsOfLayersHaveTheirOwnRope(string type, string json, string scaling, double theta, double? factor, double local)
    {
        var config = Of($$"""{"model_type":"{{type}}"{{json}}}""");
        Assert.That((config.Rope.Type, config.Rope.Theta, config.Rope.Factor), Is.EqualTo((scaling, theta, factor)));
        Assert.That(config.RopeOf("full_attention"), Is.EqualTo(config.Rope));
        Assert.That((config.RopeOf("sliding_attention").Type, config.RopeOf("sliding_attention").Theta), Is.EqualTo(("default", local)));
    }

    // transformers passes over the first two without a word, and computes without the scaling.
    [TestCase("gemma3_text", "\"rope_scaling\":{\"type\":\"linear\",\"factor\":4}", "rope_scaling.rope_type")]
    [TestCase("olmo3", "\"rope_parameters\":{\"rope_type\":\"linear\",\"factor\":4}", "rope_parameters")]
    [TestCase("gemma3_text", "\"sliding_window\":null", "sliding_window")]
    [TestCase("gemma3_text", "\"attn_logit_softcapping\":50", "attn_logit_softcapping")]
    [TestCase("gemma3_text", "\"use_bidirectional_attention\":true", "use_bidirectional_attention")]
    [TestCase("smollm3", "\"no_rope_layers\":[1]", "no_rope_layers")]
    [TestCase("smollm3", "\"no_rope_layers\":[1,2]", "no_rope_layers")]
    [TestCase("smollm3", "\"no_rope_layer_interval\":0", "no_rope_layer_interval")]
    [TestCase("smollm3", "\"layer_types\":[\"full_attention\",\"sliding_attention\"]", "sliding_window")]
    [TestCase("granite", "\"logits_scaling\":0", "logits_scaling")]
    public void WhatAFamilyCannotBeIsRefusedByName(string type, string json, string key)
    {
        var config = Of($$"""{"model_type":"{{type}}","hidden_size":16,"intermediate_size":8,"num_attention_heads":2,"num_key_value_heads":2,"num_hidden_layers":2,"vocab_size":9,"head_dim":8,{{json}}}""");
        Assert.That(Assert.Throws<UserErrorException>(() => ModelArchitectures.BuiltIn.Describe(config))!.Message, Does.StartWith($"config.json: {key} is "));
    }

    [Test]
    public void ListedLayersOfSmolLm3HaveTheirWindowThoughItIsNotSwitchedOn()
    {
        var config = Of("""{"model_type":"smollm3","hidden_size":16,"intermediate_size":8,"num_attention_heads":2,"num_key_value_heads":2,"num_hidden_layers":2,"vocab_size":9,"layer_types":["sliding_attention","full_attention"],"sliding_window":5,"no_rope_layers":[0,1,1]}""");
        var spec = ModelArchitectures.BuiltIn.Describe(config);
        Assert.That((spec.Windows[0], spec.Windows[1], spec.Ropes[0], spec.Ropes[1]), Is.EqualTo((5L, (long?)null, (RopeParameters?)null, spec.Rope)));
    }

    [TestCase("\"rope_scaling\": {\"type\": \"linear\"}", "rope_scaling.factor", "missing")]
    [TestCase("\"rope_scaling\": {\"type\": \"linear\", \"factor\": 0}", "rope_scaling.factor", "positive")]
    [TestCase("\"rope_parameters\": {\"rope_type\": \"llama3\", \"factor\": 8, \"low_freq_factor\": 4, \"high_freq_factor\": 4, \"original_max_position_embeddings\": 8}", "high_freq_factor", "more than")]
    [TestCase("\"rope_parameters\": {\"rope_type\": \"longrope\", \"short_factor\": [1, 2], \"long_factor\": [1]}", "long_factor", "as long as")]
    [TestCase("\"rope_parameters\": 3", "rope_parameters", "an object")]
    [TestCase("\"num_key_value_heads\": 0", "num_key_value_heads", "from 1")]
    [TestCase("\"tie_word_embeddings\": \"yes\"", "tie_word_embeddings", "true or false")]
    [TestCase("\"rms_norm_eps\": -1", "rms_norm_eps", "positive")]
    [TestCase("\"rms_norm_eps\": 1e999", "rms_norm_eps", "finite")]
    [TestCase("\"torch_dtype\": \"float8\"", "torch_dtype", "bfloat16")]
    [TestCase("\"layer_types\": [\"full_attention\"]", "layer_types", "2 layers")]
    [TestCase("\"eos_token_id\": [1, \"x\"]", "eos_token_id", "token id")]
    [TestCase("\"temperature\": -1", "temperature", "from 0")]
    [TestCase("\"sliding_window\": 0", "sliding_window", "from 1")]
    public void AWrongValueNamesKeyAndLimit(string json, string key, string limit) =>
        Assert.That(Assert.Throws<UserErrorException>(() => _ = Llama(json).Rope)!.Message, Does.StartWith("config.json: ").And.Contain(key).And.Contain(limit));

    // An architecture of its own may turn positions in its own way: what is wrong is that nobody knows it. One that turns none has none to be wrong.
    [Test]
    public void AnUnknownModelTypeIsToldBeforeItsRope()
    {
        const string odd = "\"rope_scaling\": {\"type\": \"deepseek_yarn\", \"factor\": 40}";
        var unknown = Assert.Throws<UserErrorException>(() => ModelArchitectures.BuiltIn.Describe(Of($$"""{"model_type":"deepseek_v9",{{odd}}}""")))!;
        Assert.That(unknown.Message, Does.StartWith("config.json: model_type 'deepseek_v9' is not known"));
        Assert.That(() => Llama(odd).Rope, Throws.InstanceOf<UserErrorException>().With.Message.Contains("rope_scaling.type"));
    }

    [TestCase("mistral", "", 4096)]
    [TestCase("mistral", ",\"sliding_window\":null", null)]
    [TestCase("llama", "", null)]
    [TestCase("qwen2", ",\"sliding_window\":9,\"use_sliding_window\":false", null)]
    [TestCase("qwen2", ",\"sliding_window\":9,\"use_sliding_window\":true", 9)]
    [TestCase("qwen3", ",\"sliding_window\":9", null)]
    [TestCase("mistral", ",\"sliding_window\":2,\"use_sliding_window\":false", 2)]
    [TestCase("phi3", ",\"sliding_window\":2,\"use_sliding_window\":false", 2)]
    [TestCase("gemma2", ",\"sliding_window\":2,\"use_sliding_window\":false", 2)]
    public void TheWindowFollowsTheModelType(string type, string more, int? window) =>
        Assert.That(Of($$"""{"model_type":"{{type}}"{{more}} }""").SlidingWindow, Is.EqualTo(window));

    [TestCase("llama", false)]
    [TestCase("mistral", false)]
    [TestCase("gpt2", true)]
    [TestCase("falcon", true)]
    [TestCase("phi", false)]
    [TestCase("gptj", false)]
    [TestCase("gemma2", true)]
    public void TyingFollowsTheModelTypeWhereAbsent(string type, bool tied) => Assert.That(Of($$"""{"model_type":"{{type}}"}""").TieWordEmbeddings, Is.EqualTo(tied));

    // transformers 5.23: padding_idx of the embedding in a model of a configuration without the key, null and -1.
    [TestCase("llama", "", null)]
    [TestCase("gemma", "", 0L)]
    [TestCase("gemma2", "", 0L)]
    [TestCase("gemma3_text", "", 0L)]
    [TestCase("gemma3_text", ",\"pad_token_id\":null", null)]
    [TestCase("gemma3_text", ",\"pad_token_id\":5", 5L)]
    [TestCase("olmo2", "", 1L)]
    [TestCase("olmo3", "", 1L)]
    [TestCase("olmo3", ",\"pad_token_id\":-1", 39L)]
    [TestCase("opt", "", 1L)]
    [TestCase("granite", "", null)]
    [TestCase("cohere", "", 0L)]
    [TestCase("gpt_neox", "", null)]
    [TestCase("phi", "", null)]
    [TestCase("phi", ",\"pad_token_id\":5", 5L)]
    [TestCase("smollm3", "", null)] // 128004, which this vocabulary lacks
    [TestCase("smollm3", ",\"vocab_size\":128256", 128004L)]
    [TestCase("phi3", ",\"vocab_size\":32064", 32000L)]
    public void PaddingFollowsTheModelTypeWhereAbsent(string type, string more, long? row) =>
        Assert.That(Of($$"""{"model_type":"{{type}}"{{(more.Contains("vocab_size", StringComparison.Ordinal) ? "" : ",\"vocab_size\":40")}}{{more}} }""").PaddingRow, Is.EqualTo(row));

    [TestCase("gemma2", "query_pre_attn_scalar", "0")]
    [TestCase("gemma2", "attn_logit_softcapping", "0")]
    [TestCase("gemma2", "final_logit_softcapping", "-30")]
    [TestCase("gemma3_text", "query_pre_attn_scalar", "-256")]
    [TestCase("gemma3_text", "final_logit_softcapping", "0")]
    public void WhatScoresAndLogitsAreDividedByIsPositive(string type, string key, string value)
    {
        DecoderSpec Described(string given) => ModelArchitectures.BuiltIn.Describe(Of($$"""{"model_type":"{{type}}","vocab_size":9,"hidden_size":8,"intermediate_size":8,"num_hidden_layers":1,"num_attention_heads":1,"num_key_value_heads":1,"{{key}}":{{given}} }"""));
        Assert.That(() => Described("30"), Throws.Nothing);
        Assert.That(() => Described(value), Throws.InstanceOf<UserErrorException>().With.Message.Contains($"{key} is {value}; it must be a positive number"));
    }

    [Test]
    public void GenerationConfigCountsBeforeConfig()
    {
        var folder = Shared.Scratch();
        File.WriteAllText(Path.Combine(folder, "config.json"), """{"model_type":"llama","eos_token_id":2,"pad_token_id":-1,"bos_token_id":1,"temperature":0.3}""");
        Assert.That(ModelConfig.Open(folder).EosTokenIds, Is.EqualTo((int[])[2]));
        Assert.That(ModelConfig.Open(folder).Generation.Temperature, Is.EqualTo(0.3));
        File.WriteAllText(Path.Combine(folder, "generation_config.json"), """{"eos_token_id":[5,6],"temperature":0.7,"top_k":20,"top_p":0.8,"do_sample":true,"repetition_penalty":1.1}""");
        var config = ModelConfig.Open(folder);
        Assert.That(config.EosTokenIds, Is.EqualTo((int[])[5, 6]));
        Assert.That((config.BosTokenId, config.PadTokenId), Is.EqualTo((1, (int?)null)));
        var g = config.Generation;
        Assert.That((g.Temperature, g.TopK, g.TopP, g.DoSample, g.RepetitionPenalty, g.MinP), Is.EqualTo((0.7, 20, 0.8, true, 1.1, (double?)null)));
        // transformers 5.23: end tokens of the file alone, and of another file where that has some.
        File.WriteAllText(Path.Combine(folder, "generation_config.json"), """{"temperature":0.7}""");
        Assert.That(ModelConfig.Open(folder).EosTokenIds, Is.Empty);
        var other = Path.Combine(folder, "other.json");
        File.WriteAllText(other, """{"temperature":0.7}""");
        Assert.That(config.GenerationFrom(other).EosTokenIds, Is.EqualTo((int[])[5, 6]));
        File.WriteAllText(other, """{"eos_token_id":9}""");
        Assert.That(config.GenerationFrom(other).EosTokenIds, Is.EqualTo((int[])[9]));
        File.WriteAllText(Path.Combine(folder, "generation_config.json"), """{"top_p":1.5}""");
        Assert.That(Assert.Throws<UserErrorException>(() => ModelConfig.Open(folder))!.Message, Does.Contain("generation_config.json").And.Contain("top_p").And.Contain("1.5"));
    }

    [Test]
    public void AnArchitectureAsksForWhatItNeeds()
    {
        var config = Of("""{"model_type":"llama","auto_map":{}}""");
        Assert.That(Assert.Throws<UserErrorException>(() => _ = config.HiddenSize)!.Message, Does.Contain("hidden_size").And.Contain("missing").And.Contain("llama"));
        Assert.That(config.UnknownArchitecture(["mistral", "gpt2"]).Message, Does.Contain("'llama'").And.Contain("gpt2, mistral").And.Contain("never run"));
    }
}
