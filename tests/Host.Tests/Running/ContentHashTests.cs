// What an option that names a path stands for: a file's or folder's content, and the files that its YAML names.

using PeftAlign.Host.Running;

namespace PeftAlign.Host.Tests.Running;

public sealed class ContentHashTests
{
    private string folder = "";

    [SetUp]
    public void Write()
    {
        folder = Directory.CreateTempSubdirectory("peftalign-content-").FullName;
        Directory.CreateDirectory(Place("tasks"));
        Directory.CreateDirectory(Place("base"));
        Put("tasks/mine.yaml", "include: ../base/_default_yaml\ntask: mine\ndoc_to_text: 'other.txt {{a}}'\n");
        Put("base/_default_yaml", "dataset_kwargs: { data_files: { test: [rows.jsonl, ../base/shots.csv] } }\ntest_split: test\n");
        foreach (var file in (string[])["tasks/rows.jsonl", "base/rows.jsonl", "base/shots.csv", "tasks/other.txt", "tasks/test", "base/unnamed.csv"]) Put(file, file);
    }

    [TearDown]
    public void Remove() => Directory.Delete(folder, recursive: true);

    private string Place(string name) => Path.Combine(folder, name);

    private void Put(string name, string text) => File.WriteAllText(Place(name), text);

    private string? Of(string path) => new ContentHashes(Place("hashes.json"), folder) { Cancellation = default }.Of(path);

    [TestCase("tasks/mine.yaml", true)]
    [TestCase("base/_default_yaml", true)]
    [TestCase("tasks/rows.jsonl", true, Description = "data paths of an included file start from the folder of the file that includes it")]
    [TestCase("base/rows.jsonl", true)]
    [TestCase("base/shots.csv", true)]
    [TestCase("tasks/other.txt", false)]
    [TestCase("base/unnamed.csv", false)]
    public void A_yaml_file_counts_with_the_files_that_it_names(string file, bool counts)
    {
        var before = Of("tasks/mine.yaml");
        Put(file, File.ReadAllText(Place(file)) + "\n# more\n");
        Assert.That(Of("tasks/mine.yaml") == before, Is.EqualTo(!counts));
    }

    [Test]
    public void A_folder_counts_with_what_its_yaml_names_outside_it()
    {
        var before = Of("tasks");
        Put("base/unnamed.csv", "other");
        Assert.That(Of("tasks"), Is.EqualTo(before));
        Put("base/shots.csv", "other");
        Assert.That(Of("tasks"), Is.Not.EqualTo(before));
    }

    // A model's folder may hold a trainer's settings.
    [Test]
    public void What_else_a_yaml_mentions_does_not_count()
    {
        Put("tasks/settings.yaml", "log: other.log\nshell: /bin/sh\nnull_device: /dev/null\ndata_files: /dev/null\n");
        Put("tasks/other.log", "");
        Put("other.log", "");
        var before = (Of("tasks/settings.yaml"), Of("tasks"));
        Put("other.log", "more");
        Assert.That((Of("tasks/settings.yaml"), Of("tasks")), Is.EqualTo(before));
        Put("tasks/other.log", "more");
        Assert.That(Of("tasks/settings.yaml"), Is.EqualTo(before.Item1));
    }

    // Identities of finished jobs rest on these.
    [Test]
    public void Without_such_files_it_is_the_bytes_alone()
    {
        Put("plain.yaml", "a: b\n");
        Assert.That(Of("plain.yaml"), Is.EqualTo("52c9693cf3f219d51ba6af4362ee092c55fb5e6f96d6f9da13c8ede7eff8e71b"));
        Assert.That(Of("tasks/other.txt"), Is.Not.Null);
        Assert.That(Of("nowhere"), Is.Null);
    }

    [Test]
    public void Files_that_name_each_other_and_broken_ones_have_an_end()
    {
        Put("a.yaml", "include: b.yaml\n");
        Put("b.yaml", "include: [a.yaml, c.yaml]\n");
        Put("c.yaml", "a: [\n");
        var before = Of("a.yaml");
        Put("c.yaml", "a: ]\n");
        Assert.That(Of("a.yaml"), Is.Not.EqualTo(before));
    }
}
