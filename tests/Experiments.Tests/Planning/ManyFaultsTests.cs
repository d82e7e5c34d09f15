// Twenty mistakes in one manifest, from the command line: all are said at once, each with its line, and nothing is touched: no folder
// is made, no data are read, libtorch is not even there.

using System.Diagnostics;
using System.Text.RegularExpressions;

namespace PeftAlign.Experiments.Tests;

public sealed class ManyFaultsTests
{
    // A line with a mistake says in a comment what is answered.
    private const string Manifest = """
        peftalign: 1
        sedes: [1]                                                                   # did you mean 'seeds'
        models:
          tiny: { init: llama, set: { hidden_size: 0 }, tokenizer: bytes }           # out of range
          other: { init: lama, tokenizer: bytes }                                    # did you mean 'llama'
          third: { path: 7 }                                                         # text
        datasets:
          world: { reader: synthetic, rows: many, split: train }                     # an integer
          exam: { reader: sinthetic, rows: 20 }                                      # did you mean 'synthetic'
          mix: { mixture: [world, wurld] }                                           # did you mean 'world'
        adapters:
          small: { type: lora, rank: -4 }                                            # out of range
          large: { type: lora, rnak: 4 }                                             # did you mean 'rank'
          odd: { type: lorra }                                                       # did you mean 'lora'
        methods:
          tune: { type: sft, adapter: smal, max_steps: 10 }                          # did you mean 'small'
          both: { type: sft, max_steps: 10, epochs: 2 }                              # the same thing in two ways
          rate: { type: sft, learning_rate: fast }                                   # number
          schedule: { type: sft, lr_scheduler: cosinus }                             # did you mean 'cosine'
          pairs: { type: dpo, beta: -1 }                                             # out of range
          wrong: { type: dpoo }                                                      # did you mean 'dpo'
        train:
          - { models: tinny, datasets: world, methods: tune }                        # did you mean 'tiny'
          - { models: tiny, datasets: wrld, methods: tune }                          # did you mean 'world'
          - { models: tiny, datasets: world, methods: tume }                         # did you mean 'tune'
        evaluate:
          - { of: trained, with: { type: preferense, dataset: exam } }               # did you mean 'preference'
          - { of: traind, with: { type: preference, dataset: exam } }                # did you mean 'trained'
        """;

    [Test]
    public void All_are_said_with_their_lines_before_anything_is_touched()
    {
        using var user = new Peftalign();
        var manifest = user.Write("faults.yaml", Manifest);
        Assert.That(Peftalign.Call("--version").Code, Is.Zero); // set up by now
        var start = new ProcessStartInfo(Path.Combine(Peftalign.Repository, ".build", "current", "PeftAlign.Host"), ["run", manifest, "--out", user.Run]) { RedirectStandardOutput = true, RedirectStandardError = true };
        start.Environment["PEFTALIGN_NATIVE"] = "/nonexistent";
        using var process = Process.Start(start)!;
        var said = process.StandardError.ReadToEndAsync();
        Assert.That(process.StandardOutput.ReadToEnd(), Is.Empty);
        process.WaitForExit();
        Assert.That(process.ExitCode, Is.EqualTo(2), said.Result);
        var lines = Manifest.Split('\n');
        var expected = Enumerable.Range(1, lines.Length).Where(k => lines[k - 1].Contains('#')).Select(k => (Line: k, Says: lines[k - 1].Split("# ")[1].Trim())).ToList();
        Assert.That(expected, Has.Count.GreaterThanOrEqualTo(20));
        foreach (var (line, says) in expected)
            Assert.That(said.Result.Split('\n').Any(text => Regex.IsMatch(text, $@"faults\.yaml:{line}:\d+: ") && text.Contains(says, StringComparison.Ordinal)), $"line {line}: {says}\n{said.Result}");
        Assert.That(said.Result, Does.Contain($"{expected.Count} fault(s); nothing was started."));
        Assert.That(Directory.Exists(user.Run), Is.False);
    }
}
