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
        if (((string[])[shut, "/proc/1/map_files"]).FirstOrDefault(IsShut) is not { } closed) Assert.Ignore("this user may list every folder");
        else Assert.That(() => Hash(closed), Throws.InstanceOf<UserErrorException>().With.Message.StartsWith($"{closed}: cannot be read"));

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
}
