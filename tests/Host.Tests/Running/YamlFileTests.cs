// The text of a manifest, however it was saved; and files that are none.

using System.Text;
using PeftAlign.Abstractions;
using PeftAlign.Host.Running;

namespace PeftAlign.Host.Tests.Running;

public sealed class YamlFileTests
{
    private const string Text = "peftalign: 1\nname: 'größe 🐢'\n";
    private string file = "";

    [SetUp]
    public void Name() => file = Path.GetTempFileName();

    [TearDown]
    public void Remove() => File.Delete(file);

    [Test]
    public void A_byte_order_mark_says_how_it_was_saved()
    {
        foreach (var encoding in (Encoding[])[new UTF8Encoding(false), new UTF8Encoding(true), Encoding.Unicode, Encoding.BigEndianUnicode, Encoding.UTF32])
        {
            File.WriteAllText(file, Text, encoding);
            Assert.That(YamlFile.Read(file, ""), Is.EqualTo(Text), encoding.WebName);
        }
    }

    [Test]
    public void Bytes_that_are_no_text_are_refused_with_their_line()
    {
        File.WriteAllBytes(file, [.. "peftalign: 1\nname: gr"u8, 0xF6, 0xDF, .. "e\nseeds: [1]\n"u8]);
        Assert.That(() => YamlFile.Read(file, ""), Throws.InstanceOf<UserErrorException>().With.Message.Contains(file).And.Message.Contains("no UTF-8 text (line 2)"));
    }

    // Opened, it would wait for a writer that never comes.
    [Test]
    public void A_named_pipe_is_refused_before_it_is_opened()
    {
        File.Delete(file);
        System.Diagnostics.Process.Start("mkfifo", file).WaitForExit();
        Assert.That(() => YamlFile.Read(file, ""), Throws.InstanceOf<UserErrorException>().With.Message.Contains(file).And.Message.Contains("is a named pipe"));
    }

    [Test]
    public void A_folder_and_a_file_that_is_not_there_are_no_manifests()
    {
        Assert.That(() => YamlFile.Read(Path.GetTempPath(), ""), Throws.InstanceOf<UserErrorException>().With.Message.Contains("is no file"));
        Assert.That(() => YamlFile.Read(file + ".yaml", ""), Throws.InstanceOf<UserErrorException>().With.Message.Contains("is no file"));
    }
}
