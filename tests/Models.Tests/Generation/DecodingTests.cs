// Decoding with the cache against the reference: greedy, end tokens, beams, stop strings, batches of unequal prompts.

using PeftAlign.Abstractions;

namespace PeftAlign.Models.Tests.Generation;

internal sealed class DecodingTests
{
    private static IGenerator Generator => Stories.Cached();

    [Test]
    public void Greedy_ids_are_the_reference_ones() => Greedy("rows", 200, []);

    [Test]
    public void Greedy_ends_with_one_of_several_end_tokens() => Greedy("eos_1_rows", 200, [1, 2]);

    [Test]
    public void Beams_are_the_reference_ones()
    {
        TestDevice.RequireProcessor("a negative length penalty multiplies rounding by the length, and the tolerance is the processor's kernels'");
        foreach (var row in Stories.Json("beam.json").GetProperty("rows").EnumerateArray())
        {
            var settings = row.GetProperty("settings");
            var made = Generator.Generate([Stories.Prompt(row)], Stories.Options(settings))[0];
            var what = $"{row.GetProperty("prompt")} {settings}";
            var scores = row.GetProperty("scores").EnumerateArray().Select(s => s.GetDouble()).ToList();
            Assert.That(made, Has.Count.EqualTo(scores.Count), what);
            // A negative length penalty multiplies the sum, and so its float32 error, by the length.
            for (var k = 0; k < scores.Count; k++) Assert.That(made[k].Score, Is.EqualTo(scores[k]).Within(Math.Max(2e-5, 2e-6 * Math.Abs(scores[k]))), what);
            if (!row.GetProperty("same_in_float64").GetBoolean()) continue;
            Assert.That(made.Select(m => m.Ids), Is.EqualTo(row.GetProperty("sequences").EnumerateArray().Select(s => s.Ids())), what);
        }
    }

    [Test]
    public void Beams_of_several_prompts_are_those_of_each_alone()
    {
        var rows = Stories.Json("beam.json").GetProperty("rows").EnumerateArray().Where(r => r.GetProperty("settings").TryGetProperty("early_stopping", out _)).ToList();
        var options = Stories.Options(rows[0].GetProperty("settings"));
        var prompts = rows.Select(r => r.GetProperty("prompt").GetString()).Distinct().Select((p, k) => Stories.Prompt(rows.First(r => r.GetProperty("prompt").GetString() == p), k)).ToList();
        Assert.That(prompts, Has.Count.GreaterThan(2));
        var together = Generator.Generate(prompts, options);
        for (var k = 0; k < prompts.Count; k++)
            Assert.That(together[k].Select(m => m.Ids), Is.EqualTo(Generator.Generate([prompts[k]], options)[0].Select(m => m.Ids)));
    }

    [Test]
    public void Stop_strings_end_where_the_reference_ends()
    {
        var rows = Stories.Json("stop_strings.json").GetProperty("rows").EnumerateArray().ToList();
        foreach (var row in rows)
        {
            var options = new GenerationOptions { MaxNewTokens = 80, StopStrings = [.. row.GetProperty("stop_strings").EnumerateArray().Select(s => s.GetString()!)] };
            var made = Generator.Generate([Stories.Prompt(row)], options)[0][0];
            Assert.That(made.Ids, Is.EqualTo(row.Ids("ids")), row.ToString());
            Assert.That(made.Finish, Is.EqualTo(row.GetProperty("stopped_early").GetBoolean() ? FinishReason.Stop : FinishReason.Length), row.ToString());
            Assert.That(Stories.Tokenizer.Decode(made.Ids, skipSpecialTokens: true), Is.EqualTo(row.GetProperty("text_of_new").GetString()));
        }
    }

    [Test]
    public void Rows_of_unequal_lengths_have_no_padding_effects()
    {
        var golden = Stories.Json("left_padding.json");
        var masks = golden.GetProperty("attention_mask");
        var prompts = golden.GetProperty("input_ids").EnumerateArray().Select((ids, k) => new GenerationPrompt([.. ids.Ids().Where((_, t) => masks[k][t].GetInt32() == 1)], k)).ToList();
        var made = Generator.Generate(prompts, new GenerationOptions { MaxNewTokens = 40 });
        Assert.That(made.Select(m => m[0].Ids), Is.EqualTo(golden.GetProperty("new_ids").EnumerateArray().Select(i => i.Ids())));
        var ended = Generator.Generate(prompts, new GenerationOptions { MaxNewTokens = 15, EosTokenIds = [426] });
        Assert.That(ended.Select(m => m[0].Ids), Is.EqualTo(golden.GetProperty("new_ids_eos_426_pad_0").EnumerateArray().Select(i => i.Ids().TakeWhile(id => id != 0).ToArray())));
    }

    [Test]
    public void A_sample_does_not_depend_on_its_batch_and_differs_by_sample()
    {
        var prompts = Stories.Json("greedy.json").GetProperty("rows").EnumerateArray().Take(5).Select((r, k) => Stories.Prompt(r, 100 + k)).ToList();
        var options = new GenerationOptions { MaxNewTokens = 12, Temperature = 2, TopK = 200, NumReturnSequences = 3, Seed = 9 };
        var together = Stories.Cached(64).Generate(prompts, options);
        var apart = Stories.Cached(1).Generate(prompts, options);
        Assert.That(together.SelectMany(r => r).Select(m => m.Ids), Is.EqualTo(apart.SelectMany(r => r).Select(m => m.Ids)));
        Assert.That(Generator.Generate([prompts[3]], options)[0].Select(m => m.Ids), Is.EqualTo(together[3].Select(m => m.Ids)));
        Assert.That(together.SelectMany(r => r).Select(m => string.Join(' ', m.Ids)).Distinct().Count(), Is.EqualTo(15));
        Assert.That(Generator.Generate([prompts[3]], options with { Seed = 10 })[0][0].Ids, Is.Not.EqualTo(together[3][0].Ids));
    }

    [Test]
    public void Tokens_are_told_as_they_come()
    {
        var row = Stories.Json("greedy.json").GetProperty("rows")[1];
        var told = new List<GeneratedToken>();
        Generator.Generate([Stories.Prompt(row)], new GenerationOptions { MaxNewTokens = 5 }, told.Add);
        Assert.That(told, Is.EqualTo(row.Ids("ids").Take(5).Select(id => new GeneratedToken(0, 0, id))));
    }

    private static void Greedy(string list, int most, int[] ends)
    {
        var rows = Stories.Json("greedy.json").GetProperty(list).EnumerateArray().ToList();
        var made = Generator.Generate([.. rows.Select(r => Stories.Prompt(r))], new GenerationOptions { MaxNewTokens = most, EosTokenIds = ends });
        for (var k = 0; k < rows.Count; k++)
        {
            var expected = rows[k].Ids("ids").Take(most).ToArray();
            // Where the two best logits are closer than rounding, the reference itself is not certain.
            if (rows[k].TryGetProperty("same_in_float64", out var certain) && !certain.GetBoolean()) continue;
            Assert.That(made[k][0].Ids, Is.EqualTo(expected), rows[k].GetProperty("prompt").GetString());
            Assert.That(made[k][0].Finish, Is.EqualTo(ends.Contains(expected[^1]) ? FinishReason.Eos : FinishReason.Length));
        }
    }

}
