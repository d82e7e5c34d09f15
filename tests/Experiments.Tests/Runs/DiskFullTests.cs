// The disk fills in the middle of a run: the run ends with exit code 1 and says so, everything that is there is whole, and after room
// is made the same command ends with the bytes of a run that never met the limit.

using System.Buffers.Binary;
using System.Diagnostics;
using System.Text.Json.Nodes;

namespace PeftAlign.Experiments.Tests;

public sealed class DiskFullTests
{
    private static readonly string[] Compared = ["metrics.jsonl", "result.json", "results.json", "model.safetensors", "adapter_model.safetensors"];

    [Test]
    public void A_run_that_meets_a_full_disk_goes_on_when_there_is_room()
    {
        using var user = new Peftalign();
        var manifest = user.Write("short.yaml", Manifests.Short);
        Directory.CreateDirectory(user.Run);
        if (!Environment.IsPrivilegedProcess || Mount("-t", "tmpfs", "-o", "size=1m", "tmpfs", user.Run) != 0)
            Assert.Ignore("a file system of limited size cannot be mounted here");
        try
        {
            // So little that even the index cannot be kept; what was tried leaves nothing behind.
            File.WriteAllBytes(Path.Combine(user.Run, "filler"), new byte[1_000_000]);
            var fuller = Peftalign.Call("run", manifest, "--out", user.Run, "--threads", "1");
            Assert.That(fuller.Code, Is.EqualTo(1), fuller.All);
            Assert.That(fuller.Err, Does.Contain("failed: make-model/tiny: No space left").And.Contain("Make room on the disk").And.Contain("to continue: peftalign run ").And.Not.Contain("qlite"), fuller.All);
            File.Delete(Path.Combine(user.Run, "filler"));
            var full = Peftalign.Call("run", manifest, "--out", user.Run, "--threads", "1");
            Assert.That(full.Code, Is.EqualTo(1), full.All);
            Assert.That(full.Err, Does.Contain("No space left").And.Contain("Make room on the disk").And.Contain("failed: train/").And.Contain("what is done stays done; to continue: peftalign run "));
            Assert.That(full.Err, Does.Not.Contain("   at "), "no stack trace");
            Assert.That(Directory.GetFileSystemEntries(user.Run, "*.part*", SearchOption.AllDirectories), Is.Empty, "half a checkpoint takes room and serves nobody");
            foreach (var file in Directory.GetFiles(user.Run, "*.json", SearchOption.AllDirectories)) Assert.That(() => JsonNode.Parse(File.ReadAllText(file)), Throws.Nothing, file);
            Assert.That(Mount("-o", "remount,size=64m", user.Run), Is.Zero);
            user.Finish(manifest);
            Assert.That(Contents(user.Run), Is.EqualTo(Contents(WholeRuns.Of(Manifests.Short).Run)));
            Assert.That(Directory.GetFileSystemEntries(user.Run, "*.part*", SearchOption.AllDirectories), Is.Empty);
        }
        finally
        {
            using var process = Process.Start("umount", [user.Run]);
            process.WaitForExit();
        }
    }

    [Test]
    public void A_training_of_its_own_says_once_what_to_do()
    {
        using var user = new Peftalign();
        var rows = user.Write("rows.jsonl", """{"prompt_ids": [1, 5, 9], "completion_ids": [7, 3]}""" + "\n");
        Directory.CreateDirectory(user.Run);
        if (!Environment.IsPrivilegedProcess || Mount("-t", "tmpfs", "-o", "size=200k", "tmpfs", user.Run) != 0)
            Assert.Ignore("a file system of limited size cannot be mounted here");
        try
        {
            var model = Path.Combine(Peftalign.Repository, "tests", "fixtures", "trajectories", "base-model");
            var full = Peftalign.Call("train", "sft", "--model", model, "--data", rows, "--out", Path.Combine(user.Run, "out"), "--max-steps", "1", "--threads", "1");
            Assert.That(full.Code, Is.EqualTo(1), full.All);
            Assert.That(full.Err.Split("the same command again"), Has.Length.EqualTo(2), full.All);
            Assert.That(full.Err, Does.Contain("Make room on the disk"), full.All);
        }
        finally
        {
            Process.Start("umount", [user.Run]).WaitForExit();
        }
    }

    // The part that reads images, which stays as it is, is counted too.
    [Test]
    public void A_model_in_4_bits_that_does_not_fit_is_refused_beforehand()
    {
        using var user = new Peftalign();
        var model = WithImagePart(user, 40_000_000);
        Directory.CreateDirectory(user.Run);
        if (!Environment.IsPrivilegedProcess || Mount("-t", "tmpfs", "-o", "size=30m", "tmpfs", user.Run) != 0)
            Assert.Ignore("a file system of limited size cannot be mounted here");
        try
        {
            var full = Peftalign.Call("quantize", "--model", model, "--out", Path.Combine(user.Run, "out"), "--threads", "1");
            Assert.That(full.Code, Is.EqualTo(2), full.All);
            Assert.That(full.Err, Does.Match(@"the result takes 40\.0. MB and .*/out has 31\.\d\d MB free; make room there, or give --out a folder on another disk"), full.All);
            Assert.That(Directory.GetFileSystemEntries(user.Run), Is.Empty);
        }
        finally
        {
            Process.Start("umount", [user.Run]).WaitForExit();
        }
    }

    // A limit on the size of files plays a full disk: metrics.jsonl meets it after some fifty rows.
    [Test]
    public void A_full_disk_ends_the_run_with_its_reason_and_the_last_checkpoint_goes_on()
    {
        using var user = new Peftalign();
        TrainRows.Write(user);
        string[] options = ["--adapter", "lora", "--r", "1", "--targets", "q_proj", "--max-steps", "120", "--batch-size", "2", "--save-every", "10", "--keep-checkpoints", "2", "--threads", "1"];
        string[] train = ["train", "sft", "--model", Peftalign.Stories, "--data", TrainRows.Path(user), "--out", user.Run, .. options];
        using var limited = Process.Start(new ProcessStartInfo("bash", ["-c", "trap '' XFSZ; ulimit -f 12; exec \"$@\"", "-", Path.Combine(Peftalign.Repository, "peftalign"), .. train])
        { RedirectStandardError = true, RedirectStandardOutput = true, Environment = { ["DOTNET_EnableWriteXorExecute"] = "0" } })!; // the runtime's own mapping is a file too
        var err = limited.StandardError.ReadToEnd();
        limited.WaitForExit();
        Assert.That(limited.ExitCode, Is.EqualTo(1), err);
        Assert.That(err, Does.Contain("metrics.jsonl").And.Contain("Run the same command again"));
        var kept = Directory.GetDirectories(Path.Combine(user.Run, "checkpoints")).Select(d => int.Parse(Path.GetFileName(d)!)).ToList();
        Assert.That(kept, Has.Count.EqualTo(2).And.All.GreaterThan(0));

        var end = Peftalign.Call(train);
        Assert.That(end.Code, Is.Zero, end.All);
        Assert.That(File.ReadAllText(Path.Combine(user.Run, "log.txt")), Does.Contain($"resumed from step {kept.Max()}"));
        var whole = Peftalign.Call([.. train[..7], user.File("whole"), .. options]);
        Assert.That(whole.Code, Is.Zero, whole.All);
        Assert.That(TrainRows.Results(user.Run), Is.EqualTo(TrainRows.Results(user.File("whole"))));
    }

    // The fixture with one more tensor of its vision tower, in a second shard of zeros.
    private static string WithImagePart(Peftalign user, int bytes)
    {
        var fixture = Path.Combine(Peftalign.Repository, "tests", "fixtures", "families", "gemma3-images", "base-model");
        var model = Directory.CreateDirectory(user.File("images")).FullName;
        string[] shards = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];
        File.Copy(Path.Combine(fixture, "config.json"), Path.Combine(model, "config.json"));
        File.Copy(Path.Combine(fixture, "model.safetensors"), Path.Combine(model, shards[0]));
        var whole = File.ReadAllBytes(Path.Combine(model, shards[0]));
        var names = JsonNode.Parse(whole.AsSpan(8, (int)BinaryPrimitives.ReadInt64LittleEndian(whole)))!.AsObject().Select(tensor => tensor.Key).Where(name => name != "__metadata__");
        var header = System.Text.Encoding.UTF8.GetBytes($$$"""{"vision_tower.more":{"dtype":"F32","shape":[{{{bytes / 4}}}],"data_offsets":[0,{{{bytes}}}]}}""".PadRight(128));
        using (var second = File.Create(Path.Combine(model, shards[1])))
        {
            second.Write(BitConverter.GetBytes((long)header.Length));
            second.Write(header);
            second.SetLength(8 + header.Length + bytes);
        }
        var map = new JsonObject(names.Select(name => KeyValuePair.Create(name, (JsonNode?)shards[0])).Append(KeyValuePair.Create("vision_tower.more", (JsonNode?)shards[1])));
        File.WriteAllText(Path.Combine(model, "model.safetensors.index.json"), new JsonObject { ["metadata"] = new JsonObject(), ["weight_map"] = map }.ToJsonString());
        return model;
    }

    private static int Mount(params string[] args)
    {
        using var process = Process.Start(new ProcessStartInfo("mount", args) { RedirectStandardError = true })!;
        process.StandardError.ReadToEnd();
        process.WaitForExit();
        return process.ExitCode;
    }

    private static SortedDictionary<string, string> Contents(string run) =>
        new(Directory.GetFiles(Path.Combine(run, "jobs"), "*", SearchOption.AllDirectories).Where(file => Compared.Contains(Path.GetFileName(file)) && !file.Contains("/checkpoints/", StringComparison.Ordinal))
            .ToDictionary(file => Path.GetRelativePath(run, file), file => Convert.ToHexString(System.Security.Cryptography.SHA256.HashData(File.ReadAllBytes(file)))), StringComparer.Ordinal);
}
