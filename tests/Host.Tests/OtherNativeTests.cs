// `bench --beside DIR`: a native part of other sources is refused before anything is measured, with the folders that fit; what a worker
// says of its failure is told without its own hint at more.

using PeftAlign.Host.Bench;
using PeftAlign.Torch.Extras;

namespace PeftAlign.Host.Tests;

public sealed class OtherNativeTests
{
    private string all = "";

    [SetUp]
    public void Make() => all = Directory.CreateTempSubdirectory("peftalign-natives-").FullName;

    [TearDown]
    public void Remove() => Directory.Delete(all, recursive: true);

    [Test]
    public void Parts_of_other_sources_are_refused_and_those_that_fit_are_named()
    {
        var own = Part("own", """{"version": "1.13.1", "sources": "a"}""");
        var fits = Part("fits", """{"version": "2.13.0", "sources": "a"}""");
        var others = new[] { Part("other", """{"version": "2.13.0", "sources": "b"}"""), Part("old", """{"version": "2.13.0"}"""), Part("bare", null), Part("damaged", "{"), Part("list", "[1]") };
        Part("same", """{"version": "1.13.1", "sources": "a"}""");
        Assert.That(OtherNative.Of(fits, own), Is.EqualTo(fits));
        foreach (var other in others)
            Assert.That(() => OtherNative.Of(other, own), Throws.TypeOf<UserError>().With.Message.EqualTo(
                $"--beside {other}: was made from other sources than the native part that runs here, so that calls may be missing in it; name {fits} (libtorch 2.13.0)"));
    }

    [Test]
    public void Where_none_fits_the_line_says_how_one_is_made()
    {
        var own = Part("own", """{"version": "1.13.1", "sources": "a"}""");
        var other = Part("other", """{"version": "2.13.0", "sources": "b"}""");
        Assert.That(() => OtherNative.Of(other, own), Throws.TypeOf<UserError>().With.Message.EndsWith("; LIBTORCH=DIR ./peftalign --version makes one"));
        Assert.That(() => OtherNative.Of(all, own), Throws.TypeOf<UserError>().With.Message.Contains("holds no libpeftalign_torch.so"));
        // A part that says nothing of its sources refuses none.
        Assert.That(OtherNative.Of(other, Part("published", null)), Is.EqualTo(other));
    }

    [Test]
    public void The_part_at_hand_says_what_it_was_made_from() =>
        Assert.That(File.ReadAllText(Path.Combine(Path.GetDirectoryName(LibTorch.FileToOpen)!, "build.json")), Does.Match("\"sources\": \"[0-9a-f]{16}\""));

    [Test]
    public void A_workers_hint_at_more_is_not_told_twice()
    {
        var error = Assert.Throws<IOException>(() => Side.Whole("sh", ["-c", "echo 'peftalign: a disaster (-v shows where)' >&2; exit 1"], 1));
        Assert.That(error!.Message, Does.EndWith("ended with code 1: peftalign: a disaster"));
    }

    private string Part(string name, string? record)
    {
        var folder = Directory.CreateDirectory(Path.Combine(all, name)).FullName;
        File.WriteAllText(Path.Combine(folder, "libpeftalign_torch.so"), "");
        if (record is not null) File.WriteAllText(Path.Combine(folder, "build.json"), record);
        return folder;
    }
}
