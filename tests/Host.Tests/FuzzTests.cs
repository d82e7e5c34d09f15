// Damaged files through the real commands, from fixed seeds: each call ends with 0 or with 2 and one message without a stack trace,
// soon, and after a refusal nothing of its output is there. ./test --slow does a thousand of each; PEFTALIGN_FUZZ=N does N,
// PEFTALIGN_FUZZ_SEED=N others.

using System.Diagnostics;
using System.IO.Compression;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json.Nodes;
using PeftAlign.Host.CommandLine;

namespace PeftAlign.Host.Tests;

public sealed class FuzzTests
{
    private static readonly string Fixtures = Path.Combine(Checkout.Root, "tests", "fixtures");

    private static readonly string[] Names =
        ["adapter_config", "adapter_weights", "adapter_of_score", "trained_with", "nf4_config", "nf4_weights", "rows", "rows_gz", "merge_yaml", "task_yaml", "task_rows", "trl_yaml", "plugin_json", "plugin_files", "plugin_assembly", "plugin_archive"];

    // What is damaged, how, and the call that reads it; `out`, where it is named, must not be there after a refusal.
    private sealed record Target(string File, Func<byte[], Random, byte[]> How, string[] Call, Action<string>? Mend = null);

    private string folder = "";

    [SetUp]
    public void Make() => folder = Directory.CreateTempSubdirectory("peftalign-fuzz-").FullName;

    [TearDown]
    public void Drop() => Directory.Delete(folder, recursive: true);

    [TestCaseSource(nameof(Names))]
    public void Damage_is_read_or_refused(string name)
    {
        var target = Of(name);
        var good = File.ReadAllBytes(target.File);
        Assert.That(Call(target, out var first), Is.Zero, "the undamaged file: " + first);
        var random = Damage.Random(20261121);
        var (accepted, refused) = (0, 0);
        for (var round = 0; round < Damage.Rounds(25); round++)
        {
            Remove(Path.Combine(folder, "out"));
            File.Delete(target.File); // an assembly may be mapped: another file takes its place
            File.WriteAllBytes(target.File, target.How(good, random));
            target.Mend?.Invoke(target.File);
            var clock = Stopwatch.StartNew();
            var code = Call(target, out var said);
            var context = $"{name}, round {round}: {said}";
            Assert.That(clock.Elapsed, Is.LessThan(TimeSpan.FromSeconds(10)), context);
            Assert.That(code, Is.AnyOf(0, 2), context);
            if (code == 0) accepted++;
            else refused++;
            if (code == 0) continue;
            Assert.That(said, Does.StartWith("peftalign: ").And.Not.Contain("   at ").And.Not.Contain("-v shows"), context);
            Assert.That(Left(), Is.Empty, context);
            Assert.That(Directory.GetFileSystemEntries(folder).Select(Path.GetFileName), Has.None.Contains(".tmp").And.None.StartsWith("."), context);
        }
        TestContext.Out.WriteLine($"{accepted} read, {refused} refused");
        Assert.That(refused, Is.GreaterThan(0), "the damage reaches what is checked");
    }

    // What is under `out`; an evaluation's answers stay, item by item, for the next call, and so do its cache of files' hashes and its lock.
    private string[] Left() => File.Exists(At("out")) ? [At("out")] : !Directory.Exists(At("out")) ? [] : [.. Directory.GetFiles(At("out"), "*", SearchOption.AllDirectories).Where(file => Path.GetFileName(file) is not ("records.jsonl" or "hashes.json" or "lock"))];

    private static int Call(Target target, out string said)
    {
        using var results = new StringWriter();
        using var remarks = new StringWriter();
        var code = new Dispatcher(Catalogue.Commands, results, remarks).RunAsync(target.Call).GetAwaiter().GetResult();
        // Remarks of a reader that goes on come before the message that ends it.
        var lines = remarks.ToString().Split('\n');
        said = code == 0 ? "" : string.Join('\n', lines.SkipWhile(line => !line.StartsWith("peftalign: ", StringComparison.Ordinal)));
        return code;
    }

    private Target Of(string name) => name switch
    {
        "adapter_config" => new(Copy("adapter", "badfiles/good/adapter", "adapter_config.json"), Damage.Text, ["adapter", "info", At("adapter")]),
        "adapter_weights" => new(Copy("adapter", "badfiles/good/adapter", "adapter_model.safetensors"), Damage.Bytes, [.. Score(Good("model")), "--adapter", At("adapter"), "--plugins", Plugins("Peft.Lora")]),
        "adapter_of_score" => new(Copy("adapter", "badfiles/good/adapter", "adapter_config.json"), Damage.Text, [.. Score(Good("model")), "--adapter", At("adapter"), "--plugins", Plugins("Peft.Lora")]),
        "trained_with" => new(TrainedWithFile(), Damage.Text, [.. Score(Path.Combine(Fixtures, "stories260K")), "--adapter", At("trained"), "--plugins", Plugins("Peft.Lora")]),
        "nf4_config" => new(Copy("nf4", "nf4/llama-nf4-double", "config.json"), Damage.Text, [.. Score(At("nf4")), "--plugins", Plugins("Peft.QLora")]),
        "nf4_weights" => new(Copy("nf4", "nf4/llama-nf4-double", "model.safetensors"), HeaderOrBytes, [.. Score(At("nf4")), "--plugins", Plugins("Peft.QLora")]),
        "rows" => new(Write("rows.jsonl", Rows), Damage.Text, ["score", "--model", Good("model"), "--in", At("rows.jsonl"), "--threads", "1"]),
        "rows_gz" => new(Gzip("rows.jsonl.gz", Rows), Damage.Bytes, ["score", "--model", Good("model"), "--in", At("rows.jsonl.gz"), "--threads", "1"]),
        "merge_yaml" => new(MergeYaml(), Damage.Text, ["merge", At("merge.yaml"), "--out", At("out"), "--threads", "1", "--plugins", Plugins("Merge.Linear")]),
        "task_yaml" => new(Task(out _), Damage.Text, Eval()),
        "task_rows" => new(TaskRows(), Damage.Text, Eval()),
        "trl_yaml" => new(Write("trl.yaml", "model_name_or_path: models/base\ndataset_name: rows.jsonl\nlearning_rate: 1.0e-5\nper_device_train_batch_size: 2\nnum_train_epochs: 1\nuse_peft: true\nlora_r: 8\nlora_target_modules: [q_proj, v_proj]\nbeta: 0.1\nmax_length: 64\nlogging_steps: 5\n"), Damage.Text, ["import", "trl", At("trl.yaml"), "--method", "dpo", "--out", At("out"), "--plugins", Plugins("Peft.Lora", "Methods.Dpo", "Data")]),
        "plugin_json" => new(Installed("plugin.json"), Damage.Text, ["plugins", "info", "peft.ia3", "--plugins", At("plugins")]),
        "plugin_files" => new(Installed("PeftAlign.Peft.IA3.dll"), Damage.Bytes, ["plugins", "verify", "--plugins", At("plugins")]),
        "plugin_assembly" => new(Installed("PeftAlign.Peft.Lora.dll", "Peft.Lora"), (good, random) => good[..random.Next(good.Length)], [.. Score(Good("model")), "--adapter", Good("adapter"), "--plugins", At("plugins")], Rehash),
        "plugin_archive" => new(Packed(), Damage.Bytes, ["plugins", "add", At("rows.peftplugin"), "--plugins", At("out")]),
        _ => throw new ArgumentException(name),
    };

    private const string Rows = """{"prompt_ids": [1, 5], "completion_ids": [3, 2]}""" + "\n" + """{"prompt_ids": [1], "completion_ids": [4]}""" + "\n" + """{"prompt_ids": [2, 2], "completion_ids": [7, 7, 7]}""" + "\n";

    private string TrainedWithFile()
    {
        SmallAdapter.Write(At("trained"));
        PeftAlign.Models.Adapters.TrainedWith.Write(At("trained"), PeftAlign.Models.Text.TokenizerLoader.Load(Path.Combine(Fixtures, "stories260K")), 512, template: null);
        return Path.Combine(At("trained"), "trained_with.json");
    }

    // Of a safetensors file most bytes are numbers, of which none is wrong: half the damage goes to the header.
    private static byte[] HeaderOrBytes(byte[] good, Random random)
    {
        var header = 8 + (int)BitConverter.ToInt64(good);
        return random.Next(2) == 0 ? Damage.Bytes(good, random) : [.. Damage.Bytes(good[..header], random), .. good[header..]];
    }

    private string[] Score(string model) => ["score", "--model", model, "--in", Write("in.jsonl", Rows), "--threads", "1"];

    private string[] Eval() => ["eval", "--model", Path.Combine(Fixtures, "stories260K"), "--task", At("tasks"), "--out", At("out"), "--threads", "1", "--plugins", Plugins("Eval")];

    private string MergeYaml()
    {
        CopyFolder(Good("model"), At("two"));
        string Source(string model, string weight) => $"  - model: {model}\n    layer_range: [0, 1]\n    parameters:\n      weight: {weight}\n";
        return Write("merge.yaml", "merge_method: linear\nslices:\n- sources:\n" + Source(Good("model"), "0.5") + Source(At("two"), "\n      - filter: self_attn\n        value: 0.25\n      - value: 0.5") + "parameters:\n  normalize: true\ndtype: float32\n");
    }

    private string Task(out string rows)
    {
        Directory.CreateDirectory(At("tasks"));
        rows = Write("tasks/rows.jsonl", string.Concat(Enumerable.Range(0, 4).Select(k => $$"""{"question": "Is {{k}} even?", "choices": ["no", "yes"], "answer": {{1 - k % 2}}}""" + "\n")));
        return Write("tasks/even.yaml", $"task: even\ndataset_path: json\ndataset_kwargs:\n  data_files:\n    test: {rows}\ntest_split: test\noutput_type: multiple_choice\ndoc_to_text: \"Q: {{{{question}}}} A:\"\ndoc_to_choice: choices\ndoc_to_target: answer\nmetric_list:\n  - metric: acc\n    aggregation: mean\n    higher_is_better: true\nmetadata:\n  version: 1.0\n");
    }

    private string TaskRows()
    {
        Task(out var rows);
        return rows;
    }

    private string Installed(string file, string plugin = "Peft.IA3")
    {
        var place = Path.Combine("plugins", plugin.ToLowerInvariant());
        CopyFolder(Built(plugin), At(place));
        return At(Path.Combine(place, file));
    }

    // The damaged file as if it had been built so: what is in it is found by the loader.
    private static void Rehash(string file)
    {
        var manifest = Path.Combine(Path.GetDirectoryName(file)!, "plugin.json");
        var json = JsonNode.Parse(File.ReadAllText(manifest))!;
        json["files"]!.AsArray().Single(entry => (string?)entry!["path"] == Path.GetFileName(file))!["sha256"] = Convert.ToHexStringLower(SHA256.HashData(File.ReadAllBytes(file)));
        File.WriteAllText(manifest, json.ToJsonString());
    }

    private string Packed()
    {
        ZipFile.CreateFromDirectory(Built("Peft.IA3"), At("rows.peftplugin"));
        return At("rows.peftplugin");
    }

    private static string Built(string plugin)
    {
        var tests = Path.GetDirectoryName(typeof(FuzzTests).Assembly.Location)!;
        return Path.GetFullPath(Path.Combine(tests, "..", "..", plugin, Path.GetFileName(tests)));
    }

    private string Plugins(params string[] names)
    {
        var place = Directory.CreateDirectory(At("some")).FullName;
        foreach (var name in names) Directory.CreateSymbolicLink(Path.Combine(place, name.ToLowerInvariant()), Built(name));
        return place;
    }

    private string At(string name) => Path.Combine(folder, name);

    private static string Good(string name) => Path.Combine(Fixtures, "badfiles", "good", name);

    private string Copy(string name, string fixture, string file)
    {
        CopyFolder(Path.Combine(Fixtures, fixture), At(name));
        return Path.Combine(At(name), file);
    }

    private static void CopyFolder(string from, string to)
    {
        foreach (var file in Directory.GetFiles(from, "*", SearchOption.AllDirectories))
        {
            var copy = Path.Combine(to, Path.GetRelativePath(from, file));
            Directory.CreateDirectory(Path.GetDirectoryName(copy)!);
            File.Copy(file, copy);
        }
    }

    private string Write(string name, string text)
    {
        File.WriteAllText(At(name), text, new UTF8Encoding(false));
        return At(name);
    }

    private string Gzip(string name, string text)
    {
        using (var zip = new GZipStream(File.Create(At(name)), CompressionLevel.Optimal)) zip.Write(Encoding.UTF8.GetBytes(text));
        return At(name);
    }

    private static void Remove(string path)
    {
        if (Directory.Exists(path)) Directory.Delete(path, recursive: true);
        else File.Delete(path);
    }
}
