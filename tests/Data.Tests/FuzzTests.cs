// Damaged data files, from fixed seeds: every reader gives rows, or one message for the user that names the file.

using System.IO.Compression;
using System.Text;
using PeftAlign.Abstractions;

namespace PeftAlign.Data.Tests;

public sealed class FuzzTests
{
    private const string Pairs = """{"prompt": "One?", "chosen": "yes", "rejected": "no"}""" + "\n" + """{"prompt": "Two?", "chosen": "é, \"yes\"", "rejected": ""}""" + "\n" + """{"prompt": "Three?", "chosen": "c", "rejected": [{"role": "assistant", "content": "d"}]}""" + "\n";
    private const string Table = "prompt,chosen,rejected\nOne?,yes,no\n\"Two, or\nthree?\",\"a \"\"b\"\"\",c\nFour?,d,e\n";
    private const string Dialogues = """{"chosen": "\n\nHuman: a\n\nAssistant: b", "rejected": "\n\nHuman: a\n\nAssistant: c"}""" + "\n" + """{"chosen": "\n\nHuman: d\n\nAssistant: e\n\nHuman: f\n\nAssistant: g", "rejected": "\n\nHuman: d\n\nAssistant: h"}""" + "\n";
    private const string Comparisons = """{"prompt": "p", "response_0": "a", "response_1": "b", "is_response_0_safe": true, "is_response_1_safe": false, "better_response_id": 0, "safer_response_id": 0}""" + "\n" + """{"prompt": "q", "response_0": "c", "response_1": "d", "is_response_0_safe": false, "is_response_1_safe": true, "better_response_id": 0, "safer_response_id": 1}""" + "\n";

    [TestCase("jsonl", "rows.jsonl", Pairs)]
    [TestCase("jsonl", "rows.jsonl.gz", Pairs)]
    [TestCase("csv", "rows.csv", Table)]
    [TestCase("csv", "rows.csv.gz", Table)]
    [TestCase("hh-rlhf", "rows.jsonl", Dialogues)]
    [TestCase("hh-rlhf", "rows.jsonl.gz", Dialogues)]
    [TestCase("beavertails", "rows.jsonl", Comparisons)]
    [TestCase("beavertails", "rows.json", "[" + "{\"prompt\": \"p\", \"response_0\": \"a\", \"response_1\": \"b\", \"is_response_0_safe\": true,\n\"is_response_1_safe\": false, \"better_response_id\": 0, \"safer_response_id\": 0}\n]")]
    public void Damage_is_read_or_refused(string reader, string name, string good)
    {
        var folder = Directory.CreateTempSubdirectory("peftalign-data-fuzz-").FullName;
        var path = Path.Combine(folder, name);
        var (random, bytes, refused) = (Damage.Random(20261121), name.EndsWith(".gz", StringComparison.Ordinal) ? Gzip(good) : Encoding.UTF8.GetBytes(good), 0);
        File.WriteAllBytes(path, bytes);
        Assert.That(Of(reader, path).Read(null).Count(), Is.GreaterThan(0), "the undamaged file");
        for (var round = 0; round < Damage.Rounds(400, 4000); round++)
        {
            File.WriteAllBytes(path, name.EndsWith(".gz", StringComparison.Ordinal) ? Damage.Bytes(bytes, random) : Damage.Text(bytes, random));
            try
            {
                Read(reader, path);
            }
            catch (UserErrorException e)
            {
                refused++;
                Assert.That(e.Message, Does.Contain(name), $"round {round}");
            }
            catch (Exception e)
            {
                Assert.Fail($"round {round}: {e}\n{Encoding.UTF8.GetString(File.ReadAllBytes(path))}");
            }
        }
        Directory.Delete(folder, recursive: true);
        TestContext.Out.WriteLine($"{refused} refused");
        Assert.That(refused, Is.GreaterThan(0));
    }

    // Every field is looked at: a reader may be lazy.
    private static void Read(string reader, string path) => _ = Of(reader, path).Read(null).Sum(row => row.Fields.ToJsonString().Length);

    private static IDatasetReader Of(string reader, string path) => reader switch
    {
        "jsonl" => Readers.Of(reader, new JsonlOptions { Path = path }),
        "csv" => Readers.Of(reader, new CsvOptions { Path = path }),
        "hh-rlhf" => Readers.Of(reader, new HhRlhfOptions { Path = path }),
        _ => Readers.Of(reader, new BeaverTailsOptions { Path = path }),
    };

    private static byte[] Gzip(string text)
    {
        using var bytes = new MemoryStream();
        using (var zip = new GZipStream(bytes, CompressionLevel.Optimal)) zip.Write(Encoding.UTF8.GetBytes(text));
        return bytes.ToArray();
    }
}
