// Rows to train on, a training on them, and what a training left.

namespace PeftAlign.Experiments.Tests;

internal static class TrainRows
{
    internal const int Count = 60;

    /// <summary>Twelve steps of a small LoRA on them; what a test adds counts instead.</summary>
    internal static string[] Lora(Peftalign user) =>
        ["train", "sft", "--model", Peftalign.Stories, "--data", Path(user), "--out", user.Run, "--adapter", "lora", "--r", "4", "--lora_alpha", "8", "--max-steps", "12", "--per_device_train_batch_size", "4", "--learning_rate", "1e-3", "--save_steps", "5", "--threads", "1"];

    internal static string Path(Peftalign user) => user.File("rows.jsonl");

    internal static string Write(Peftalign user)
    {
        string[] who = ["cat", "dog", "owl", "fox", "bee"];
        string[] what = ["ran home.", "sat down and slept.", "laughed.", "found a big red ball in the garden."];
        user.Write("rows.jsonl", string.Concat(Enumerable.Range(0, Count).Select(k => $$"""{"prompt": "Once upon a time, number {{k}}, the {{who[k % 5]}} ", "completion": "{{what[k % 4]}}"}""" + "\n")));
        return Path(user);
    }

    internal static int Rows(string folder)
    {
        try
        {
            using var reader = new StreamReader(new FileStream(System.IO.Path.Combine(folder, "metrics.jsonl"), FileMode.Open, FileAccess.Read, FileShare.ReadWrite));
            return reader.ReadToEnd().Count(c => c == '\n');
        }
        catch (IOException)
        {
            return 0; // not there yet
        }
    }

    /// <summary>Every file that the options decide, checkpoints included, as text of its bytes.</summary>
    internal static SortedDictionary<string, string> Results(string folder)
    {
        string[] others = ["command.lock", "hashes.json", "job.json", "lock", "log.txt", "request.json", "run.json", "timing.json"];
        return new(Directory.GetFiles(folder, "*", SearchOption.AllDirectories).Select(f => System.IO.Path.GetRelativePath(folder, f)).Where(f => !others.Contains(f) && System.IO.Path.GetFileName(f) != "timing.json")
            .ToDictionary(f => f, f => Convert.ToHexString(System.Security.Cryptography.SHA256.HashData(File.ReadAllBytes(System.IO.Path.Combine(folder, f))))));
    }
}
