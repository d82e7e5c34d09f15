// Hashes of large files that another run has read: taken only for a file that is as it was, from whole lines, and not where they are switched off.

using System.Security.Cryptography;
using PeftAlign.Abstractions;
using PeftAlign.Host.Running;

namespace PeftAlign.Host.Tests.Running;

[NonParallelizable] // environment variables are the process's
public sealed class SharedHashesTests
{
    private static readonly string Planted = new('f', 64);
    private readonly Dictionary<string, string?> before = [];
    private string folder = "", weights = "";

    private string Cache => Path.Combine(folder, "cache", "peftalign", "hashes");

    [SetUp]
    public void Make()
    {
        folder = Directory.CreateTempSubdirectory("peftalign-shared-").FullName;
        weights = Path.Combine(folder, "model.safetensors");
        File.WriteAllBytes(weights, new byte[SharedHashes.LeastBytes]);
        foreach (var name in (string[])["XDG_CACHE_HOME", SharedHashes.Switch]) before[name] = Environment.GetEnvironmentVariable(name);
        Environment.SetEnvironmentVariable("XDG_CACHE_HOME", Path.Combine(folder, "cache"));
        Environment.SetEnvironmentVariable(SharedHashes.Switch, null);
    }

    [TearDown]
    public void Remove()
    {
        foreach (var (name, value) in before) Environment.SetEnvironmentVariable(name, value);
        Directory.Delete(folder, recursive: true);
    }

    // Times have settled an hour from now.
    private sealed class Later(Action? asked = null) : TimeProvider
    {
        public override DateTimeOffset GetUtcNow()
        {
            asked?.Invoke();
            return DateTimeOffset.UtcNow.AddHours(1);
        }
    }

    // Between two lines of a test any time may pass.
    private sealed class Still(DateTimeOffset moment) : TimeProvider
    {
        public override DateTimeOffset GetUtcNow() => moment;
    }

    // A run of its own, in another folder each time.
    private string? Hash(string path, TimeProvider? clock = null)
    {
        var run = Directory.CreateTempSubdirectory("peftalign-run-").FullName;
        try
        {
            var hashes = new ContentHashes(Path.Combine(run, "hashes.json"), folder) { Cancellation = default, Clock = clock ?? new Later() };
            var hash = hashes.Of(path);
            hashes.Save();
            return hash;
        }
        finally
        {
            Directory.Delete(run, recursive: true);
        }
    }

    private static string Read(string file) => Convert.ToHexStringLower(SHA256.HashData(File.ReadAllBytes(file)));

    // What is remembered of the weights is made wrong, so that whoever takes it shows.
    private void Plant() => File.WriteAllText(Cache, Planted + File.ReadAllText(Cache)[64..]);

    [Test]
    public void Another_run_takes_what_was_read()
    {
        var small = Path.Combine(folder, "config.json");
        File.WriteAllText(small, "{}");
        Assert.That(Hash(weights), Is.EqualTo(Read(weights)));
        Hash(small);
        Assert.That(File.ReadAllLines(Cache), Has.Length.EqualTo(1), "small files are read again");
        Plant();
        Assert.That(Hash(weights), Is.EqualTo(Planted));
        File.SetLastWriteTimeUtc(weights, File.GetLastWriteTimeUtc(weights)); // the kernel's own time moves
        Assert.That(Hash(weights), Is.EqualTo(Read(weights)));
        Assert.That(File.ReadAllLines(Cache), Has.Length.EqualTo(1), "of a path the newest state is kept");
    }

    [Test]
    public void A_file_that_replaces_another_is_read()
    {
        Hash(weights);
        Plant();
        var (other, written) = (weights + ".new", File.GetLastWriteTimeUtc(weights));
        File.WriteAllBytes(other, [.. new byte[SharedHashes.LeastBytes - 1], 1]);
        File.Move(other, weights, overwrite: true);
        File.SetLastWriteTimeUtc(weights, written);
        Assert.That(Hash(weights), Is.EqualTo(Read(weights)));
    }

    [Test]
    public void What_was_changed_a_moment_ago_is_not_remembered()
    {
        Hash(weights, new Still(File.GetLastWriteTimeUtc(weights)));
        Assert.That(File.Exists(Cache), Is.False);
    }

    // A large file takes longer to read than its time needs to settle: what counts is whether it had before.
    [Test]
    public void Whether_a_time_has_settled_is_asked_before_the_reading() =>
        Assert.That(() => Hash(weights, new Later(() => File.Delete(weights))), Throws.TypeOf<UserError>().With.Message.Contains("cannot be read"));

    [Test]
    public void It_can_be_switched_off()
    {
        Hash(weights);
        Plant();
        Environment.SetEnvironmentVariable(SharedHashes.Switch, "0");
        Assert.That(Hash(weights), Is.EqualTo(Read(weights)));
        Assert.That(File.ReadAllText(Cache), Does.StartWith(Planted));
        Environment.SetEnvironmentVariable(SharedHashes.Switch, "no");
        Assert.That(() => Hash(weights), Throws.InstanceOf<UserErrorException>().With.Message.Contains("PEFTALIGN_HASH_CACHE=no").And.Message.Contains("neither 0"));
        Assert.That(() => Hash(Path.Combine(folder, "absent")), Throws.InstanceOf<UserErrorException>(), "though there is nothing to read");
    }

    [TestCase(1)]
    [TestCase(40)]
    [TestCase(70)]
    public void A_torn_line_counts_as_none(int kept)
    {
        Hash(weights);
        Plant();
        File.WriteAllText(Cache, $"nothing\n\n{new string('g', 64)} 1|2|3|4 {weights}\n{File.ReadAllText(Cache)[..kept]}");
        Assert.That(Hash(weights), Is.EqualTo(Read(weights)));
        Plant();
        File.WriteAllText(Cache, File.ReadAllText(Cache).TrimEnd('\n'));
        Assert.That(Hash(weights), Is.EqualTo(Read(weights)), "a path may be cut off where its last line has no end");
    }

    [Test]
    public void It_is_bounded_and_the_oldest_go()
    {
        var shared = new SharedHashes(Cache);
        for (var k = 0; k < SharedHashes.MostLines + 5; k++) shared.Add($"/models/{k}", new FileStamp(1, 2, SharedHashes.LeastBytes, 3, 4), Planted);
        shared.Save();
        var lines = File.ReadAllLines(Cache);
        Assert.That(lines, Has.Length.EqualTo(SharedHashes.MostLines));
        Assert.That((lines[0].Split(' ')[^1], lines[^1].Split(' ')[^1]), Is.EqualTo(("/models/5", $"/models/{SharedHashes.MostLines + 4}")));
        Assert.That(new SharedHashes(Cache).Find("/models/7", new FileStamp(9, 2, SharedHashes.LeastBytes, 3, 4)), Is.EqualTo(Planted), "a device has another number after a restart");
        Assert.That(new SharedHashes(Cache).Find("/models/7", new FileStamp(1, 2, SharedHashes.LeastBytes, 3, 5)), Is.Null);
    }

    // An image of a file system shows the time of writing, in whole seconds, as that of change, and inodes in the order of names.
    [Test]
    public void A_time_of_whole_seconds_is_not_trusted()
    {
        var shared = new SharedHashes(Cache);
        shared.Add("/image/model", new FileStamp(1, 2, SharedHashes.LeastBytes, 3_000_000_000, 3_000_000_000), Planted);
        shared.Save();
        Assert.That(File.Exists(Cache), Is.False);
        shared.Add("/disk/model", new FileStamp(1, 2, SharedHashes.LeastBytes, 3_000_000_000, 3_000_000_001), Planted);
        shared.Save();
        Assert.That(File.ReadAllLines(Cache), Is.EqualTo(new[] { $"{Planted} {SharedHashes.LeastBytes}|3000000000|3000000001|2 /disk/model" }));
    }

    [Test]
    public void Only_the_user_may_read_it_and_nothing_of_killed_runs_stays_beside_it()
    {
        Directory.CreateDirectory(Path.GetDirectoryName(Cache)!);
        File.WriteAllText(Cache + ".99999999-1.part", "of a run that was killed");
        Hash(weights);
        if (!OperatingSystem.IsWindows()) Assert.That(File.GetUnixFileMode(Cache), Is.EqualTo(UnixFileMode.UserRead | UnixFileMode.UserWrite));
        Assert.That(Directory.GetFiles(Path.GetDirectoryName(Cache)!), Is.EqualTo(new[] { Cache }));
    }

    [Test]
    public void Where_it_cannot_be_written_nothing_is_lost()
    {
        File.WriteAllText(Path.Combine(folder, "cache"), "a file where the folder should be");
        Assert.That(Hash(weights), Is.EqualTo(Read(weights)));
    }
}
