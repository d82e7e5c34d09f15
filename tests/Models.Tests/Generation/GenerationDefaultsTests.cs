// What generation_config.json makes of generate: sampling only where it says so, transformers' names, refusals by key.

using PeftAlign.Abstractions;
using PeftAlign.Models.Checkpoints;
using PeftAlign.Models.Generation;
using PeftAlign.Models.Tests.Checkpoints;

namespace PeftAlign.Models.Tests.Generation;

internal sealed class GenerationDefaultsTests
{
    [Test]
    public void Without_do_sample_sampling_parameters_rest()
    {
        var options = Read("""{"temperature": 0.6, "top_p": 0.9, "eos_token_id": [1, 2], "repetition_penalty": 1.1}""");
        Assert.That((options.Temperature, options.TopP, options.TopK, options.RepetitionPenalty), Is.EqualTo((0.0, 1.0, 0, 1.1)));
        Assert.That(options.EosTokenIds, Is.EqualTo(new[] { 1, 2 }));
        Assert.That((options.MaxNewTokens, options.MaxLength), Is.EqualTo((GenerationDefaults.MaxNewTokens, (int?)null)));
    }

    [Test]
    public void With_do_sample_they_hold_and_top_k_is_transformers_own()
    {
        var options = Read("""{"do_sample": true, "temperature": 0.6, "top_p": 0.9, "max_length": 300}""");
        Assert.That((options.Temperature, options.TopP, options.TopK), Is.EqualTo((0.6, 0.9, 50)));
        Assert.That((options.MaxNewTokens, options.MaxLength), Is.EqualTo((int.MaxValue, (int?)300)));
        Assert.That(Read("""{"do_sample": true, "top_k": 7}""").TopK, Is.EqualTo(7));
    }

    // max_new_tokens goes before max_length, which says nothing then.
    [Test]
    public void What_a_file_leaves_out_is_transformers_own()
    {
        var options = Read("""{"max_new_tokens": 5, "max_length": 300}""");
        Assert.That((options.MaxNewTokens, options.MaxLength, options.LengthPenalty, options.NumBeams), Is.EqualTo((5, (int?)null, 1.0, 1)));
    }

    // transformers' generate(do_sample=True, temperature=1) takes the file's other parameters.
    [Test]
    public void With_a_temperature_from_elsewhere_the_files_other_parameters_hold()
    {
        const string file = """{"temperature": 0.9, "top_p": 0.3, "top_k": 3, "min_p": 0.1, "typical_p": 0.8, "epsilon_cutoff": 0.01, "eta_cutoff": 0.02}""";
        var options = Read(file, 1);
        Assert.That((options.Temperature, options.TopP, options.TopK, options.MinP, options.TypicalP, options.EpsilonCutoff, options.EtaCutoff), Is.EqualTo((1.0, 0.3, 3, 0.1, 0.8, 0.01, 0.02)));
        Assert.That(Read("""{"top_p": 0.3}""", 1).TopK, Is.Zero); // 50 is for files that sample
        Assert.That(Read("""{"do_sample": true}""", 0.5).TopK, Is.EqualTo(50));
        foreach (var greedy in (GenerationOptions[])[Read(file, 0), Read("""{"do_sample": true, "top_p": 0.3}""", 0)])
            Assert.That((greedy.Temperature, greedy.TopP, greedy.TopK, greedy.EtaCutoff), Is.EqualTo((0.0, 1.0, 0, 0.0)));
    }

    [Test]
    public void Lists_and_words_are_read()
    {
        var options = Read("""{"bad_words_ids": [[4], [5, 6]], "sequence_bias": [[[7], 2.5]], "suppress_tokens": [8], "stop_strings": "x", "early_stopping": "never", "num_beams": 3}""");
        Assert.That(options.BadWordsIds, Is.EqualTo(new[] { new[] { 4 }, [5, 6] }));
        Assert.That((options.SequenceBias[0].Ids, options.SequenceBias[0].Bias), Is.EqualTo((new[] { 7 }, 2.5)));
        Assert.That((options.SuppressTokens[0], options.StopStrings[0], options.EarlyStopping, options.NumBeams), Is.EqualTo((8, "x", EarlyStopping.Never, 3)));
    }

    // transformers makes a dictionary of the list.
    [Test]
    public void Of_a_sequence_that_comes_again_the_last_bias_counts()
    {
        var options = Read("""{"sequence_bias": [[[7, 8], 2.5], [[7], 1.0], [[7, 8], -4.0]]}""");
        Assert.That(options.SequenceBias.Select(b => (string.Join(',', b.Ids), b.Bias)), Is.EquivalentTo(new[] { ("7,8", -4.0), ("7", 1.0) }));
    }

    [TestCase("""{"guidance_scale": 1.5}""", "guidance_scale")]
    [TestCase("""{"token_healing": true}""", "token_healing")]
    [TestCase("""{"forced_eos_token_id": 2}""", "forced_eos_token_id")]
    [TestCase("""{"bad_words_ids": [4]}""", "bad_words_ids")]
    [TestCase("""{"early_stopping": "soon"}""", "early_stopping")]
    public void What_is_not_built_or_wrong_is_refused_by_its_key(string json, string key) =>
        Assert.That(() => Read(json), Throws.InstanceOf<UserErrorException>().With.Message.Contains(key));

    [TestCase("""{"renormalize_logits": true, "token_healing": false}""", true)]
    [TestCase("""{"renormalize_logits": false}""", false)]
    [TestCase("{}", false)]
    public void Scores_are_made_log_probs_again_where_the_file_says_so(string json, bool expected) =>
        Assert.That(Read(json).RenormalizeLogits, Is.EqualTo(expected));

    private static GenerationOptions Read(string json, double? temperature = null)
    {
        var folder = Shared.Scratch();
        File.Copy(Path.Combine(Stories.Folder, "config.json"), Path.Combine(folder, "config.json"));
        File.WriteAllText(Path.Combine(folder, "generation_config.json"), json);
        return GenerationDefaults.Of(ModelConfig.Open(folder).Generation, temperature);
    }
}
