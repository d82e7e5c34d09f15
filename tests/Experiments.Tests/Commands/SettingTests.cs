// Variables that ask for what this processor does not have, as users meet them: exit code 2 and one message from whatever opens libtorch,
// before anything is written.

using System.Diagnostics;

namespace PeftAlign.Experiments.Tests;

[Parallelizable(ParallelScope.All)]
public sealed class SettingTests
{
    private static string Model => Peftalign.Stories;

    private static string[] Command(string name, Peftalign user) => name switch
    {
        "train" => ["train", "sft", "--model", Model, "--data", TrainRows.Path(user), "--out", user.Run, "--adapter", "lora"],
        "run" => ["run", Path.Combine(Peftalign.Repository, "experiments", "quickstart.yaml"), "--out", user.Run],
        "quantize" => ["quantize", "--model", Model, "--out", user.Run],
        "score" => ["score", "--model", Model, "--in", TrainRows.Path(user)],
        "tokenize" => ["tokenize", "--model", Model, "--in", TrainRows.Path(user)],
        "data audit" => ["data", "audit", TrainRows.Path(user), "--model", Model],
        _ => ["plugins", "test", "methods.dpo"],
    };

    [TestCase("train", "PEFTALIGN_PRODUCTS", "avx9", "libtorch")]
    [TestCase("run", "PEFTALIGN_INSTRUCTIONS", "AVX2", "baseline")]
    [TestCase("quantize", "PEFTALIGN_INSTRUCTIONS", "libtorch", "baseline")]
    [TestCase("score", "PEFTALIGN_THREADS", "four", "a whole number from 1 to 4096")]
    [TestCase("tokenize", "PEFTALIGN_THREADS", "-1", "a whole number from 1 to 4096")]
    [TestCase("data audit", "PEFTALIGN_THREADS", "1.5", "a whole number from 1 to 4096")]
    [TestCase("plugins test", "PEFTALIGN_PRODUCTS", "baseline", "libtorch")]
    public void A_wrong_one_is_the_users_mistake(string command, string variable, string value, string possible)
    {
        using var user = new Peftalign();
        TrainRows.Write(user);
        var start = new ProcessStartInfo(Path.Combine(Peftalign.Repository, "peftalign"), Command(command, user)) { RedirectStandardOutput = true, RedirectStandardError = true };
        start.Environment[variable] = value;
        using var process = Process.Start(start)!;
        var said = process.StandardError.ReadToEndAsync();
        var printed = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        Assert.That((process.ExitCode, printed), Is.EqualTo((2, "")), said.Result);
        Assert.That(said.Result, Does.Match($"^peftalign: {variable} is '{value}'; it may be [^\n]*\\b{possible}\\b[^\n]*, or unset\n$"));
        Assert.That(Path.Exists(user.Run), Is.False);
    }
}
