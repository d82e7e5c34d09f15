// What a folder's hash counts: names and contents; links as what they lead to, each folder once.

using PeftAlign.Abstractions;
using PeftAlign.Host.Running;

namespace PeftAlign.Host.Tests.Running;

public sealed class ContentHashesTests
{
    private string folder = "";

    [SetUp]
    public void Make() => folder = Directory.CreateTempSubdirectory("peftalign-hashes-").FullName;

    [TearDown]
    public void Remove() => Directory.Delete(folder, recursive: true);

    private string? Hash(string path, CancellationToken cancel = default) => new ContentHashes(Path.Combine(folder, "hashes.json"), folder) { Cancellation = cancel }.Of(path);

    private void Write(string path, string text)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(Path.Combine(folder, path))!);
        File.WriteAllText(Path.Combine(folder, path), text);
    }

    private void Link(string path, string target) => Directory.CreateSymbolicLink(Path.Combine(folder, path), target);

    [Test]
    public void A_folder_is_its_names_and_contents()
    {
        foreach (var name in (string[])["one", "two"]) Write($"{name}/b/rows.jsonl", "1");
        Write("one/a.txt", "2");
        Assert.That(Hash("two"), Is.Not.EqualTo(Hash("one")));
        Write("two/a.txt", "2");
        Assert.That(Hash("two"), Is.EqualTo(Hash("one")));
        // The hash that finished jobs have: names and hashes, a line each.
        var lines = "a.txt d4735e3a265e16eee03f59718b9b5d03019c07d8b6c51f90da3a666eec13ab35\nb/rows.jsonl 6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b\n";
        Assert.That(Hash("one"), Is.EqualTo(Convert.ToHexStringLower(System.Security.Cryptography.SHA256.HashData(System.Text.Encoding.UTF8.GetBytes(lines)))));
        Directory.Delete(Path.Combine(folder, "two", "b"), recursive: true);
        Link("two/b", "../one/b");
        Assert.That(Hash("two"), Is.EqualTo(Hash("one")), "a link is what it leads to");
        Assert.That(Hash("three"), Is.Null);
    }

    [Test, CancelAfter(60_000)]
    public void Links_upwards_end()
    {
        Write("data/a/rows.jsonl", "1");
        Write("data/b/rows.jsonl", "2");
        foreach (var way in (string[])["data/a/up", "data/b/up"]) Link(way, "..");
        Link("data/c", "b");
        var before = Hash("data");
        Assert.That(before, Is.EqualTo(Hash("data")));
        Directory.Delete(Path.Combine(folder, "data", "c"));
        Link("data/c", "a");
        Assert.That(Hash("data"), Is.Not.EqualTo(before), "another folder stands there");
    }

    [Test]
    public void What_cannot_be_listed_is_the_users_to_mend()
    {
        Write("data/a/rows.jsonl", "1");
        Directory.CreateSymbolicLink(Path.Combine(folder, "data", "gone"), "nowhere");
        Assert.That(() => Hash("data"), Throws.InstanceOf<UserErrorException>().With.Message.Contains("gone: cannot be read"));
        var shut = Directory.CreateDirectory(Path.Combine(folder, "shut")).FullName;
        if (!OperatingSystem.IsWindows()) File.SetUnixFileMode(shut, UnixFileMode.None);
        // Root may read that one; of the first process not all is shown even to root where it runs in a container.
        try
        {
            if (((string[])[shut, "/proc/1/map_files"]).FirstOrDefault(IsShut) is not { } closed) Assert.Ignore("this user may list every folder");
            else Assert.That(() => Hash(closed), Throws.InstanceOf<UserErrorException>().With.Message.StartsWith($"{closed}: cannot be read"));
        }
        finally
        {
            if (!OperatingSystem.IsWindows()) File.SetUnixFileMode(shut, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute); // else its user, if not root, cannot remove it
        }

        static bool IsShut(string path)
        {
            try
            {
                return Directory.GetDirectories(path).Length < 0;
            }
            catch (UnauthorizedAccessException)
            {
                return true;
            }
        }
    }

    [Test]
    public void An_interrupt_ends_it()
    {
        Write("data/rows.jsonl", "1");
        Assert.That(() => Hash("data", new CancellationToken(canceled: true)), Throws.InstanceOf<OperationCanceledException>());
    }

    // A time before which everything was written an hour ago, or at which it was written this very moment.
    private sealed class Clock(TimeSpan ahead) : TimeProvider
    {
        private readonly DateTimeOffset now = DateTimeOffset.UtcNow + ahead;

        public override DateTimeOffset GetUtcNow() => now;
    }

    // As tar unpacks over a file: the same length, time and inode. Long enough after the first hash that it is remembered.
    [Test]
    public void Other_bytes_under_the_old_length_time_and_inode_are_seen()
    {
        Write("rows.jsonl", "1");
        var path = Path.Combine(folder, "rows.jsonl");
        var hashes = new ContentHashes(Path.Combine(folder, "hashes.json"), folder) { Cancellation = default, Clock = new Clock(TimeSpan.FromHours(1)) };
        var (before, time, inode) = (hashes.Of("rows.jsonl"), File.GetLastWriteTimeUtc(path), FileStamp.Of(path)!.Value.Inode);
        hashes.Save();
        Assert.That(File.ReadAllText(Path.Combine(folder, "hashes.json")), Does.Contain(before), "remembered");
        using (var file = new FileStream(path, FileMode.Open, FileAccess.Write)) file.WriteByte((byte)'2');
        File.SetLastWriteTimeUtc(path, time);
        Assert.That(FileStamp.Of(path)!.Value, Has.Property(nameof(FileStamp.Inode)).EqualTo(inode).And.Property(nameof(FileStamp.Length)).EqualTo(1));
        Assert.That(File.GetLastWriteTimeUtc(path), Is.EqualTo(time));
        Assert.That(Hash("rows.jsonl"), Is.Not.EqualTo(before));
    }

    [Test]
    public void What_was_changed_a_moment_ago_is_not_remembered()
    {
        var clock = new Clock(TimeSpan.Zero); // which stands still: between two lines of this test any time may pass
        Write("rows.jsonl", "1");
        var hashes = new ContentHashes(Path.Combine(folder, "hashes.json"), folder) { Cancellation = default, Clock = clock };
        var hash = hashes.Of("rows.jsonl");
        hashes.Save();
        Assert.That(hash, Is.EqualTo("6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b"));
        Assert.That(File.Exists(Path.Combine(folder, "hashes.json")), Is.False, "a change within the same tick would not show");
    }

    [Test]
    public void What_is_unchanged_is_told_of_work_that_is_to_end_too()
    {
        using var stop = new CancellationTokenSource();
        Write("data/rows.jsonl", "1");
        var hashes = new ContentHashes(Path.Combine(folder, "hashes.json"), folder) { Cancellation = stop.Token };
        _ = hashes.Of("data");
        stop.Cancel();
        Assert.That(hashes.ThrowIfChanged, Throws.Nothing);
    }

    [TestCase("rows.jsonl", "rows.jsonl")]
    [TestCase("data", "data/a/rows.jsonl")]
    [TestCase("tasks/mine.yaml", "base/rows.jsonl", Description = "through the task file that names it")]
    public void What_was_seen_is_compared_again(string asked, string harmed)
    {
        foreach (var name in (string[])["rows.jsonl", "data/a/rows.jsonl", "base/rows.jsonl"]) Write(name, "1");
        Write("tasks/mine.yaml", "data_files: ../base/rows.jsonl\n");
        var hashes = new ContentHashes(Path.Combine(folder, "hashes.json"), folder) { Cancellation = default };
        _ = hashes.Of(asked);
        Assert.That(hashes.ThrowIfChanged, Throws.Nothing);
        File.SetLastWriteTimeUtc(Path.Combine(folder, harmed), DateTime.UtcNow.AddDays(-1));
        Assert.That(hashes.ThrowIfChanged, Throws.Nothing, "it was touched and holds the same");
        Write(harmed, "2");
        Assert.That(hashes.ThrowIfChanged, Throws.InstanceOf<UserErrorException>().With.Message.Contains($"{asked}: changed since the plan was made").And.Message.EndsWith("run again"));
        File.Delete(Path.Combine(folder, harmed));
        Assert.That(hashes.ThrowIfChanged, Throws.InstanceOf<UserErrorException>());
        Write(harmed, "1");
        Assert.That(hashes.ThrowIfChanged, Throws.Nothing, "it is back");
    }

    [Test]
    public void A_cache_that_is_a_folder_or_damaged_stops_nothing()
    {
        Write("rows.jsonl", "1");
        var expected = Hash("rows.jsonl");
        Directory.CreateDirectory(Path.Combine(folder, "hashes.json", "held"));
        var hashes = new ContentHashes(Path.Combine(folder, "hashes.json"), folder) { Cancellation = default, Clock = new Clock(TimeSpan.FromHours(1)) }; // so that there is something to remember
        Assert.That(hashes.Of("rows.jsonl"), Is.EqualTo(expected));
        Assert.That(hashes.Save, Throws.Nothing);
        Directory.Delete(Path.Combine(folder, "hashes.json"), recursive: true);
        foreach (var text in (string[])["", "null", "[]", "{\"a\": 1}"])
        {
            Write("hashes.json", text);
            Assert.That(Hash("rows.jsonl"), Is.EqualTo(expected), text);
        }
        Directory.CreateSymbolicLink(Path.Combine(folder, "loop"), "loop");
        Assert.That(new ContentHashes(Path.Combine(folder, "loop"), folder) { Cancellation = default }.Of("rows.jsonl"), Is.EqualTo(expected));
    }
}
