// What peftalign train does not begin, and what it says instead: words, folders and models.

namespace PeftAlign.Experiments.Tests;

[FixtureLifeCycle(LifeCycle.InstancePerTestCase)]
public sealed class TrainRefusalTests : OnTrainRows
{
    [Test]
    public void Every_fault_is_said_at_once_and_nothing_is_written()
    {
        var told = Peftalign.Call("train", "sft", "--model", Model, "--data", User.File("none.jsonl"), "--out", User.Run, "--adapter", "lora", "--rnk", "4", "--alpha", "x", "--learning-rate=-1", "--lr-scheduler", "cosin", "--max-steps", "0", "--quantisation", "nf4", "--devise=cpu", "stray");
        Assert.That(told.Code, Is.EqualTo(2), told.All);
        foreach (var part in (string[])["--rnk: no such option; did you mean --rank?", "--quantisation: no such option; did you mean --quantization?", "--devise: no such option; did you mean --device?", "--data", "no such file", "--alpha: expected a number", "--learning-rate: -1 is out of range", "did you mean 'cosine'", "--max-steps: 0", "stray: one argument too many"])
            Assert.That(told.Err, Does.Contain(part));
        Assert.That(Directory.Exists(User.Run), Is.False);
        Assert.That(Peftalign.Call("train", "stf", "--model", Model, "--data", "x", "--out", User.Run).Err, Does.Contain("Did you mean 'sft'"));
    }

    // A near name would lead away from what was meant.
    [TestCase("sft", "--rank=8", "--rank: an option of the adapter lora, and none is trained; add --adapter lora, or leave it out")]
    [TestCase("sft", "--lora_alpha=8", "--lora_alpha: an option of the adapter")]
    [TestCase("sft", "--beta=0.1", "--beta: an option of the methods ")]
    [TestCase("sft", "--lerning-rate=0.1", "--lerning-rate: no such option; did you mean --learning-rate?")]
    public void An_option_of_another_part_is_told_as_such(string method, string option, string said)
    {
        var told = Peftalign.Call("train", method, "--model", Model, "--data", TrainRows.Path(User), "--out", User.Run, option);
        told.Told(2, said);
        Assert.That(told.Err, Does.Not.Contain("--data?"));
    }

    [Test]
    public void The_method_comes_first()
    {
        Peftalign.Call(["train", .. Lora[2..4], "sft", .. Lora[4..]]).Told(2, "write peftalign train sft --model");
        Peftalign.Call("train", "--learning-rate", "1e-4", "--model", Model, "--data", TrainRows.Path(User), "--out", User.Run).Told(2, "peftalign train METHOD");
    }

    [Test]
    public void A_folder_of_other_things_and_data_without_rows_are_refused()
    {
        Directory.CreateDirectory(User.Run);
        File.WriteAllText(Path.Combine(User.Run, "thesis.txt"), "work of years");
        var other = Peftalign.Call(Lora);
        other.Told(2, "holds other things");
        File.Delete(Path.Combine(User.Run, "thesis.txt"));
        var args = Lora;
        File.WriteAllText(TrainRows.Path(User), "\n");
        var empty = Peftalign.Call(args);
        empty.Told(2, $"{TrainRows.Path(User)}: holds no rows; give data with at least one.");
    }

    // What stands at --model instead of a model, by what it is.
    [Test]
    public void Another_folder_than_a_models_is_told_with_what_to_give()
    {
        Directory.CreateDirectory(User.File("old/adapter"));
        File.WriteAllText(User.File("old/adapter/adapter_config.json"), "{}");
        foreach (var (given, said) in (ReadOnlySpan<(string, string)>)[
            ("acme/no-such-model", "--model acme/no-such-model: no such folder; a model of the hub is fetched by `peftalign models pull acme/no-such-model`"),
            (User.File("old"), $"--model {User.File("old")}: holds an adapter in its folder adapter and no model; give the base's folder here, and {User.File("old/adapter")} as the adapter"),
            (User.File("old/adapter"), $"--model {User.File("old/adapter")}: is an adapter's folder")])
        {
            Peftalign.Call("train", "sft", "--model", given, "--data", TrainRows.Path(User), "--out", User.Run).Told(2, said);
            Peftalign.Call("score", "--model", given, "--in", TrainRows.Path(User)).Told(2, said["--model ".Length..]);
        }
        Peftalign.Call("score", "--model", Model, "--adapter", User.File("old"), "--in", TrainRows.Path(User)).Told(2, $"--adapter {User.File("old")}: holds an adapter in its folder adapter; give {User.File("old/adapter")}");
        Peftalign.Call("adapter", "info", User.File("old")).Told(2, $"holds an adapter in its folder adapter; give {User.File("old/adapter")}");
        Peftalign.Call([.. Lora, "--targets", "q_proj", "v_proj"]).Told(2, "v_proj: one argument too many; values follow their flag, as in --learning-rate 1e-4, and lists are written a,b");
        Directory.CreateDirectory(User.File("old/model"));
        File.WriteAllText(User.File("old/model/config.json"), "{}");
        Peftalign.Call("train", "sft", "--model", User.File("old"), "--data", TrainRows.Path(User), "--out", User.Run).Told(2, $"--model {User.File("old")}: holds a model in its folder model; give {User.File("old/model")}");
    }

    [Test]
    public void A_folder_that_cannot_be_made_is_named()
    {
        var told = Peftalign.Call([.. Lora[..6], "--out", Path.Combine(TrainRows.Path(User), "x"), .. Lora[8..]]);
        told.Told(2, $"peftalign: --out {Path.Combine(TrainRows.Path(User), "x")}: cannot be made (");
    }
}
