// models pull against a local hub: what is fetched and where it lies, resuming, hashes, refusals.

using System.Collections.Concurrent;
using PeftAlign.Host.Hub;

namespace PeftAlign.Host.Tests.Hub;

public class PullTests
{
    private static readonly byte[] Weights = Enumerable.Range(0, 3_000_000).Select(k => (byte)(k * 7 % 251)).ToArray();
    private LocalHub hub = null!;
    private string home = "";
    private List<string> remarks = [];

    [SetUp]
    public void Start()
    {
        (hub, remarks) = (new LocalHub(), []);
        home = Directory.CreateTempSubdirectory("peftalign-hub-").FullName;
        hub.Files["config.json"] = "{}"u8.ToArray();
        hub.Files["tokenizer.json"] = new byte[2000];
        hub.Files["model.safetensors"] = Weights;
        hub.Files["pytorch_model.bin"] = [1];
        hub.Files["consolidated.safetensors"] = [2];
        hub.Files["onnx/model.json"] = [3];
        hub.Files["additional_chat_templates/tool_use.jinja"] = "{{ 1 }}"u8.ToArray();
    }

    [TearDown]
    public void Stop()
    {
        hub.Dispose();
        Directory.Delete(home, recursive: true);
    }

    private HubSettings Settings(params (string, string)[] more)
    {
        var variables = new Dictionary<string, string> { ["HF_HOME"] = home, ["HF_ENDPOINT"] = hub.Endpoint + "/" };
        foreach (var (name, value) in more) variables[name] = value;
        return HubSettings.Of(variables.GetValueOrDefault) with { FirstWait = TimeSpan.FromMilliseconds(5), Patience = TimeSpan.FromSeconds(5) };
    }

    private PulledModel Pull(HubSettings? settings = null, string id = "acme/tiny", string revision = "main", string[]? include = null, string[]? exclude = null) =>
        new HubPull(settings ?? Settings(), text => { lock (remarks) remarks.Add(text); })
            .RunAsync(HubName.Parse(id), HubName.Revision(revision), new HubSelection(include ?? [], exclude ?? []), default).GetAwaiter().GetResult();

    private void Happens(string path, params Mishap[] mishaps) => hub.Mishaps[path] = new ConcurrentQueue<Mishap>(mishaps);

    private string Incomplete => Path.Combine(home, "hub", "models--acme--tiny", "blobs", LocalHub.ETag(Weights) + ".incomplete");

    [Test]
    public void AModelLiesAsOtherToolsExpectIt()
    {
        var pulled = Pull();
        var repository = Path.Combine(home, "hub", "models--acme--tiny");
        Assert.That(pulled.Folder, Is.EqualTo(Path.Combine(repository, "snapshots", LocalHub.Commit)));
        Assert.That(pulled.Files, Is.EquivalentTo((string[])["config.json", "tokenizer.json", "model.safetensors", "additional_chat_templates/tool_use.jinja"]));
        foreach (var file in pulled.Files) Assert.That(File.ReadAllBytes(Path.Combine(pulled.Folder, file)), Is.EqualTo(hub.Files[file]), file);
        Assert.That(new FileInfo(Path.Combine(pulled.Folder, "model.safetensors")).LinkTarget, Is.EqualTo($"../../blobs/{LocalHub.ETag(Weights)}"));
        Assert.That(new FileInfo(Path.Combine(pulled.Folder, "additional_chat_templates/tool_use.jinja")).LinkTarget, Does.StartWith("../../../blobs/"));
        Assert.That(File.ReadAllText(Path.Combine(repository, "refs", "main")), Is.EqualTo(LocalHub.Commit));
    }

    // huggingface_hub 1.x, constants.py: expanduser, then expandvars; HF_HUB_OFFLINE where it is set, else TRANSFORMERS_OFFLINE.
    [TestCase("HF_HOME", "~/hf", "/users/a/hf/hub")]
    [TestCase("HF_HOME", "$SCRATCH/hf", "/fast/hf/hub")]
    [TestCase("HF_HUB_CACHE", "~/${SCRATCH}x/$NONE", "/users/a/fastx/$NONE")]
    [TestCase("HF_HUB_CACHE", "/a~/b", "/a~/b")]
    public void WhatNoShellHasExpandedIsExpandedAsOtherToolsDo(string name, string value, string cache)
    {
        var settings = Settings(("HOME", "/users/a"), ("SCRATCH", "/fast"), (name, value), ("HF_HUB_OFFLINE", "0"), ("TRANSFORMERS_OFFLINE", "1"));
        Assert.That((settings.Cache, settings.Offline), Is.EqualTo((cache, false)));
        Directory.CreateDirectory(Path.Combine(home, "hf"));
        File.WriteAllText(Path.Combine(home, "hf", "token"), "hf_kept\n");
        Assert.That(Settings(("HOME", home), ("HF_HOME", "~/hf")).Token, Is.EqualTo("hf_kept"));
    }

    [Test]
    public void WhatIsThereIsNotFetchedAgain()
    {
        var first = Pull();
        Assert.That(first.FetchedBytes, Is.EqualTo(first.Files.Sum(file => hub.Files[file].Length)));
        hub.Requests.Clear();
        Assert.That(Pull().FetchedBytes, Is.Zero);
        Assert.That(hub.Requests.Select(r => r.Path.Split('?')[0]), Is.EqualTo((string[])["/api/models/acme/tiny/revision/main"]));
        Assert.That(Pull(Settings(("HF_HUB_OFFLINE", "1"))).Files, Has.Count.EqualTo(4));
        Assert.That(hub.Requests, Has.Count.EqualTo(1), "offline asks nobody");
    }

    [Test]
    public void ABrokenConnectionIsTakenUpWhereItEnded()
    {
        Happens("model.safetensors", new Mishap(BreakAfter: 1_000_000), new Mishap(BreakAfter: 500_000));
        var pulled = Pull();
        Assert.That(File.ReadAllBytes(Path.Combine(pulled.Folder, "model.safetensors")), Is.EqualTo(Weights));
        var ranges = hub.Requests.Where(r => r.AtStore && r.Path.EndsWith("model.safetensors", StringComparison.Ordinal)).Select(r => r.Headers.GetValueOrDefault("Range")).ToList();
        Assert.That(ranges, Is.EqualTo((string?[])[null, "bytes=1000000-", "bytes=1500000-"]));
        Assert.That(remarks, Has.Some.Contains("broke off at 1000000 bytes"));
    }

    [Test]
    public void AStoppedPullGoesOn()
    {
        Directory.CreateDirectory(Path.GetDirectoryName(Incomplete)!);
        File.WriteAllBytes(Incomplete, Weights[..2_000_000]);
        Happens("model.safetensors", new Mishap(IgnoreRange: true));
        Assert.That(Pull(include: ["model.safetensors"]).Files, Has.Count.EqualTo(1), "a server that knows no ranges starts anew");
        Assert.That(File.ReadAllBytes(Path.Combine(home, "hub", "models--acme--tiny", "blobs", LocalHub.ETag(Weights))), Is.EqualTo(Weights));
        Assert.That(File.Exists(Incomplete), Is.False);
    }

    // Of 3,000,000 bytes 2,000,000 are there: a disk with room for the rest is large enough.
    [Test]
    public void WhatIsThereNeedsNoRoom()
    {
        PulledModel Within(long free) => new HubPull(Settings(), remarks.Add) { Free = _ => free }.RunAsync(HubName.Parse("acme/tiny"), "main", new HubSelection(["model.safetensors", "config.json"], []), default).GetAwaiter().GetResult();
        Assert.That(() => Within(3_000_001), Throws.InstanceOf<UserError>().With.Message.Contains("has room for"));
        Directory.CreateDirectory(Path.GetDirectoryName(Incomplete)!);
        File.WriteAllBytes(Incomplete, Weights[..2_000_000]);
        Assert.That(() => Within(1_000_001), Throws.InstanceOf<UserError>().With.Message.Contains("has room for"), "a byte of config.json too few");
        Assert.That(Within(1_000_002).FetchedBytes, Is.EqualTo(3_000_002));
        Directory.Delete(Path.Combine(home, "hub", "models--acme--tiny", "snapshots"), recursive: true);
        Assert.That(Within(0).Files, Has.Count.EqualTo(2), "the blobs are there, and only links are made");
    }

    [Test]
    public void AFileSystemThatKeepsNoCountIsNoFullOne()
    {
        var pull = new HubPull(Settings(), remarks.Add) { Free = _ => null }.RunAsync(HubName.Parse("acme/tiny"), "main", new HubSelection(["config.json"], []), default);
        Assert.That(pull.GetAwaiter().GetResult().Files, Has.Count.EqualTo(1));
    }

    [Test]
    public void AnAnswerThatNeverMovesOnEnds()
    {
        Happens("model.safetensors", [.. Enumerable.Repeat(new Mishap(BreakAfter: 0), 20)]);
        var error = Assert.Throws<IOException>(() => Pull());
        Assert.That(error!.Message, Does.Contain("0 of 3000000 bytes").And.Contain("pull again"));
        Assert.That(Directory.Exists(Path.Combine(home, "hub", "models--acme--tiny", "refs")), Is.False, "an unfinished pull is no branch");
    }

    // Content-Length below the truth cuts the file; above it, the answer ends early; too many bytes are not written.
    [TestCase(1000, 0)]
    [TestCase(9_000_000, 0)]
    public void ALengthThatLiesIsNotBelieved(long announced, int append)
    {
        Happens("model.safetensors", new Mishap(Announce: announced, Append: append));
        Assert.That(File.ReadAllBytes(Path.Combine(Pull().Folder, "model.safetensors")), Is.EqualTo(Weights));
    }

    [Test]
    public void MoreThanWasAnnouncedIsRefused()
    {
        Happens("model.safetensors", new Mishap(Append: 10));
        Assert.That(Assert.Throws<InvalidDataException>(() => Pull())!.Message, Does.Contain("announced 3000000 bytes and sends more"));
    }

    [Test]
    public void ChangedBytesAreFetchedOnceMore()
    {
        Happens("model.safetensors", new Mishap(Flip: true));
        Assert.That(File.ReadAllBytes(Path.Combine(Pull().Folder, "model.safetensors")), Is.EqualTo(Weights));
        Assert.That(remarks, Has.Some.Contains("SHA-256"));
        Happens("config.json", new Mishap(Flip: true), new Mishap(Flip: true));
        Directory.Delete(Path.Combine(home, "hub"), recursive: true);
        Assert.That(Assert.Throws<InvalidDataException>(() => Pull())!.Message, Does.Contain("config.json").And.Contain("git hash").And.Contain("twice"));
        Assert.That(Directory.EnumerateFiles(Path.Combine(home, "hub"), "*" + LocalHub.ETag(hub.Files["config.json"]) + "*", SearchOption.AllDirectories).Where(f => !f.EndsWith(".lock", StringComparison.Ordinal)), Is.Empty);
    }

    [Test]
    public void ATokenGoesToTheEndpointAlone()
    {
        hub.Token = "hf_secret";
        var denied = Assert.Throws<UserError>(() => Pull());
        Assert.That(denied!.Message, Does.Contain("private").And.Contain("no token was sent").And.Contain("HF_TOKEN"));
        Assert.That(Assert.Throws<UserError>(() => Pull(Settings(("HF_TOKEN", "wrong"))))!.Message, Does.Contain("does not open it"));
        File.WriteAllText(Path.Combine(home, "token"), "hf_secret\n");
        Pull();
        Assert.That(hub.Requests.Where(r => r.AtStore), Is.Not.Empty);
        Assert.That(hub.Requests.Where(r => r.AtStore).Select(r => r.Headers.ContainsKey("Authorization")), Is.All.False);
    }

    [Test]
    public void TooManyRequestsAreWaitedFor()
    {
        hub.Refusals.Enqueue("429 Too Many Requests\r\nRetry-After: 0");
        hub.Refusals.Enqueue("503 Service Unavailable");
        Assert.That(Pull().Files, Has.Count.EqualTo(4));
        Assert.That(remarks, Has.Some.Contains("429").And.Some.Contains("503"));
        for (var k = 0; k < 5; k++) hub.Refusals.Enqueue("429 Too Many Requests\r\nRetry-After: 0");
        Assert.That(Assert.Throws<IOException>(() => Pull())!.Message, Does.Contain("429, asked 5 times").And.Contain("HF_TOKEN"));
        hub.Refusals.Enqueue("429 Too Many Requests\r\nRetry-After: 99999");
        Assert.That(Assert.Throws<IOException>(() => Pull())!.Message, Does.Contain("asked 1 times"));
    }

    [TestCase("403 Forbidden\r\nX-Error-Code: GatedRepo\r\nX-Error-Message: Access is restricted.", "accept its conditions at")]
    [TestCase("403 Forbidden", "may read it")]
    [TestCase("404 Not Found\r\nX-Error-Code: RepoNotFound", "check the name")]
    public void ARefusalSaysWhatToDo(string refusal, string says)
    {
        hub.Refusals.Enqueue(refusal);
        Assert.That(Assert.Throws<UserError>(() => Pull())!.Message, Does.Contain(says).And.Contain("acme/tiny"));
    }

    [Test]
    public void NamesAndRevisionsAreChecked()
    {
        Assert.That(Assert.Throws<UserError>(() => Pull(revision: "gone"))!.Message, Does.Contain("no such branch, tag or commit"));
        foreach (var name in (string[])["a/b/c", "../x", "a//b", "", "a b", "a/b.git", "a--b/c"]) Assert.Throws<UserError>(() => HubName.Parse(name), name);
        foreach (var revision in (string[])["", "../..", "a//b", "a b"]) Assert.Throws<UserError>(() => HubName.Revision(revision), revision);
        Assert.That(HubName.Parse("https://huggingface.co/acme/tiny/").Id, Is.EqualTo("acme/tiny"));
        Assert.That(Assert.Throws<UserError>(() => Pull(include: ["*.gguf"]))!.Message, Does.Contain("--include *.gguf").And.Contain("config.json"));
        Assert.That(Assert.Throws<UserError>(() => HubSettings.Of(name => name == "HF_ENDPOINT" ? "huggingface.co" : "/tmp"))!.Message, Does.Contain("http"));
        Assert.That(Pull(id: "old/name", exclude: ["*.safetensors"]).Files, Has.None.Contains("safetensors"), "a renamed model is found");
    }

    [TestCase("../../evil.json")]
    [TestCase("/etc/evil.json")]
    [TestCase("a/../../evil.json")]
    [TestCase("a\\evil.json")]
    public void AFileThatLeavesTheFolderEndsThePull(string path)
    {
        hub.Files[path] = [1];
        Assert.That(Assert.Throws<InvalidDataException>(() => Pull())!.Message, Does.Contain("leaves the model's folder"));
        Assert.That(Directory.EnumerateFileSystemEntries(home), Is.Empty);
    }

    [Test]
    public void ACacheThatCannotBeWrittenIsTheUsersToChange()
    {
        File.WriteAllText(Path.Combine(home, "hub"), "no folder");
        Assert.That(() => Pull(), Throws.InstanceOf<UserError>().With.Message.Contains(Path.Combine(home, "hub")).And.Message.Contains("set HF_HOME to another folder"));
    }

    // One that many share may be read-only.
    [Test]
    public void ACacheThatHasAllIsNotWritten()
    {
        Pull();
        string[] folders = [Path.Combine(home, "hub"), .. Directory.GetDirectories(Path.Combine(home, "hub"), "*", SearchOption.AllDirectories)];
        foreach (var folder in folders) Directory.SetLastWriteTimeUtc(folder, DateTime.UnixEpoch);
        Assert.That(Pull().FetchedBytes, Is.Zero);
        Assert.That(folders.Where(folder => Directory.GetLastWriteTimeUtc(folder) != DateTime.UnixEpoch), Is.Empty);
    }

    // A program that runs is opened for writing by nobody: like a disk that is read-only, that does not pass by waiting.
    [Test]
    public void OnlyAnotherPullIsWaitedFor()
    {
        var file = Path.Combine(home, "hub", ".locks", "models--acme--tiny", LocalHub.ETag(Weights) + ".lock");
        Directory.CreateDirectory(Path.GetDirectoryName(file)!);
        File.Copy("/bin/sleep", file);
        using var busy = System.Diagnostics.Process.Start(file, "600");
        try
        {
            using var patience = new CancellationTokenSource(TimeSpan.FromMinutes(1));
            var pull = new HubPull(Settings(), _ => { }).RunAsync(HubName.Parse("acme/tiny"), "main", new HubSelection([], []), patience.Token);
            Assert.That(() => pull.GetAwaiter().GetResult(), Throws.InstanceOf<IOException>().With.Message.Contains(file));
        }
        finally
        {
            busy.Kill();
            busy.WaitForExit();
        }
    }

    [Test]
    public async Task PullsAtOnceFetchOnce()
    {
        await Task.WhenAll(Enumerable.Range(0, 8).Select(_ => Task.Run(() => Pull())));
        Assert.That(Directory.EnumerateFiles(home, "*", SearchOption.AllDirectories).Where(f => f.EndsWith(".part", StringComparison.Ordinal) || f.EndsWith(".link", StringComparison.Ordinal)), Is.Empty);
        Assert.That(hub.Requests.Count(r => r.AtStore && r.Method == "GET" && r.Path.EndsWith("model.safetensors", StringComparison.Ordinal)), Is.EqualTo(1));
    }

    [Test]
    public void TheCommandPrintsTheFolder()
    {
        using var process = ProcessTests.Start("PeftAlign.Host.dll", new Dictionary<string, string> { ["HF_HOME"] = home, ["HF_ENDPOINT"] = hub.Endpoint, ["PEFTALIGN_NATIVE"] = "/nonexistent" }, "models", "pull", "acme/tiny", "--exclude", "*.safetensors");
        var text = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        Assert.That((process.ExitCode, text), Is.EqualTo((0, Path.Combine(home, "hub", "models--acme--tiny", "snapshots", LocalHub.Commit) + "\n")));
    }
}
