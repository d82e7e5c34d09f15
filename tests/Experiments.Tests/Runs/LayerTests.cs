// A training that was begun in a layer of a container's image goes on in the container: overlayfs renames no folder of a lower layer.

using System.Diagnostics;
using System.Globalization;

namespace PeftAlign.Experiments.Tests;

public sealed class LayerTests
{
    private static string[] Training(Peftalign user, string target) =>
        ["train", "sft", "--model", Peftalign.Stories, "--data", user.File("rows.jsonl"), "--out", target, "--max-steps", "120", "--save-every", "2", "--keep-checkpoints", "2", "--batch-size", "1", "--threads", "1"];

    [Test]
    public void Checkpoints_of_an_image_are_gone_on_from_and_deleted()
    {
        if (!Environment.IsPrivilegedProcess) Assert.Ignore("an overlay cannot be mounted here");
        using var user = new Peftalign();
        user.Write("rows.jsonl", string.Concat(Enumerable.Range(0, 40).Select(k => $$"""{"text": "Once upon a time there were {{k}} cats."}""" + "\n")));
        var (image, container, layers) = (user.File("image"), user.File("container"), user.File("layers"));
        _ = Frozen.InTime(() => Stop(user, image));
        foreach (var folder in (string[])[container, layers]) Directory.CreateDirectory(folder);
        if (Call("mount", "-t", "tmpfs", "tmpfs", layers) != 0) Assert.Ignore("a file system cannot be mounted here");
        try
        {
            foreach (var folder in (string[])["upper", "work"]) Directory.CreateDirectory(Path.Combine(layers, folder));
            Assert.That(Call("cp", "-r", image, Path.Combine(layers, "lower")), Is.Zero);
            if (Call("mount", "-t", "overlay", "overlay", "-o", $"lowerdir={layers}/lower,upperdir={layers}/upper,workdir={layers}/work", container) != 0) Assert.Ignore("an overlay cannot be mounted here");
            var inside = Peftalign.Call(Training(user, container));
            Assert.That(inside.Code, Is.Zero, inside.All);
            Assert.That(Directory.GetDirectories(Path.Combine(container, "checkpoints")), Has.Length.EqualTo(2), "the image's are gone");
            var outside = Peftalign.Call(Training(user, image));
            Assert.That(outside.Code, Is.Zero, outside.All);
            foreach (var file in (string[])["metrics.jsonl", "model/model.safetensors"]) Assert.That(File.ReadAllBytes(Path.Combine(container, file)), Is.EqualTo(File.ReadAllBytes(Path.Combine(image, file))), file);
        }
        finally
        {
            _ = Call("umount", container);
            _ = Call("umount", layers);
        }
    }

    // Leaves two checkpoints or more of a training that is not finished; null where it was.
    private static string? Stop(Peftalign user, string target)
    {
        using var process = Peftalign.Start(Training(user, target));
        var (err, text) = (process.StandardError.ReadToEndAsync(), process.StandardOutput.ReadToEndAsync());
        var checkpoints = Path.Combine(target, "checkpoints");
        bool IsUnderWay() => !File.Exists(Path.Combine(target, "result.json")) && Directory.Exists(checkpoints)
            && Directory.GetDirectories(checkpoints).Count(path => int.TryParse(Path.GetFileName(path), NumberStyles.None, CultureInfo.InvariantCulture, out _)) > 1;
        Frozen.At(process, IsUnderWay, () => Processes.Signal(process.Id, "INT"));
        process.WaitForExit();
        if (process.ExitCode != 0 || !File.Exists(Path.Combine(target, "result.json")))
        {
            Assert.That(process.ExitCode, Is.EqualTo(130), err.Result + text.Result);
            return target;
        }
        Directory.Delete(target, recursive: true);
        return null;
    }

    private static int Call(params string[] args)
    {
        using var process = Process.Start(new ProcessStartInfo(args[0], args[1..]) { RedirectStandardError = true })!;
        process.StandardError.ReadToEnd();
        process.WaitForExit();
        return process.ExitCode;
    }
}
