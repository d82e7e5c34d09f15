// Rows in and out: what a line may be, what is refused and how the message names it, and that no row waits for the file's end.

using System.IO.Compression;
using System.IO.Pipes;
using System.Text;
using System.Text.Json.Nodes;
using PeftAlign.Host.Rows;

namespace PeftAlign.Host.Tests.Tokenize;

public class RowTests
{
    private static async Task<List<(string Place, string Json)>> Read(byte[] bytes)
    {
        using var reader = RowReader.Of("f.jsonl", new MemoryStream(bytes));
        var rows = new List<(string, string)>();
        await foreach (var row in reader.ReadAsync(CancellationToken.None)) rows.Add((row.Place, row.Fields.GetRawText()));
        return rows;
    }

    private static byte[] Zipped(byte[] bytes)
    {
        using var zipped = new MemoryStream();
        using (var zip = new GZipStream(zipped, CompressionLevel.Optimal)) zip.Write(bytes);
        return zipped.ToArray();
    }

    [TestCase("{\"a\":1}\n{\"a\":2}\n")]
    [TestCase("{\"a\":1}\n{\"a\":2}")]
    [TestCase("\uFEFF{\"a\":1}\r\n{\"a\":2}\r\n")]
    public async Task LinesMayEndAsTheyLike(string text)
    {
        (string, string)[] expected = [("f.jsonl, line 1", "{\"a\":1}"), ("f.jsonl, line 2", "{\"a\":2}")];
        Assert.That(await Read(Encoding.UTF8.GetBytes(text)), Is.EqualTo(expected));
        Assert.That(await Read(Zipped(Encoding.UTF8.GetBytes(text))), Is.EqualTo(expected));
    }

    [Test]
    public async Task BlankLinesCountAsLinesOnly() =>
        Assert.That((await Read("\n  \t\n{\"a\":1}\n\r\n{\"a\":2}"u8.ToArray())).Select(row => row.Place), Is.EqualTo(new[] { "f.jsonl, line 3", "f.jsonl, line 5" }));

    [Test]
    public async Task GzipMembersFollowEachOther() =>
        Assert.That((await Read([.. Zipped("{\"a\":1}\n{\"a\""u8.ToArray()), .. Zipped(":2}\n"u8.ToArray())])).Select(row => row.Json), Is.EqualTo(new[] { "{\"a\":1}", "{\"a\":2}" }));

    // Longer than any buffer, and of a size where a line's end may fall on a buffer's.
    [TestCase(65534)]
    [TestCase(65536)]
    [TestCase(10_000_000)]
    public async Task LongLinesAreWhole(int length)
    {
        var text = $"{{\"a\":\"{new string('x', length - 8)}\"}}";
        foreach (var bytes in new[] { Encoding.UTF8.GetBytes($"{text}\n{text}\n{{}}"), Zipped(Encoding.UTF8.GetBytes($"{text}\n{text}\n{{}}")) })
            Assert.That((await Read(bytes)).Select(row => row.Json), Is.EqualTo(new[] { text, text, "{}" }));
    }

    // GZipStream alone takes these for whole: it ends where the bytes end.
    [Test]
    public void AGzipFileThatIsCutOffIsRefused()
    {
        var random = new Random(8);
        var text = new StringBuilder();
        for (var i = 0; i < 4000; i++) text.Append($"{{\"a\":{random.Next()}}}\n");
        var whole = Zipped(Encoding.UTF8.GetBytes(text.ToString()));
        Assert.That(Read(whole).Result, Has.Count.EqualTo(4000));
        Assert.Multiple(() =>
        {
            for (var left = 3; left < whole.Length; left += left < 30 || left > whole.Length - 30 ? 1 : 997)
                Assert.That(async () => await Read(whole[..left]), Throws.TypeOf<PeftAlign.Abstractions.UserErrorException>().With.Message.Contains("damaged or cut off after line"), $"{left} of {whole.Length} bytes");
        });
    }

    [Test]
    public void ADamagedGzipFileIsRefused()
    {
        var bytes = Zipped(Encoding.UTF8.GetBytes(string.Concat(Enumerable.Range(0, 100).Select(i => $"{{\"a\":{i}}}\n"))));
        bytes[^6] ^= 1;
        Assert.That(async () => await Read(bytes), Throws.TypeOf<PeftAlign.Abstractions.UserErrorException>().With.Message.Contains("damaged or cut off"));
    }

    // A manifest's reader of csv is no help to a command that reads rows itself.
    [Test]
    public void OtherFormatsAreToldWithoutAManifest() =>
        Assert.That(() => Row.Parse("rows.csv, line 1", "question,answer"u8.ToArray()), Throws.TypeOf<UserError>().With.Message.EndsWith("; write one JSON object per line"));

    [TestCase("{\"a\":1}\n{\"a\":}", "f.jsonl, line 2: is not valid JSON (byte 6: ")]
    [TestCase("{\"a\":1} {\"a\":2}", "f.jsonl, line 1: is not valid JSON")]
    [TestCase("\n[1]", "f.jsonl, line 2: holds a list; each entry of a JSON list must be a line of its own")]
    [TestCase("7", "f.jsonl, line 1: holds 7;")]
    [TestCase("{\"a\":1,\"a\":2}", "f.jsonl, line 1: is not valid JSON")]
    [TestCase("{\"a\":NaN}", "f.jsonl, line 1: is not valid JSON")]
    [TestCase("{\"a\":\"x\0\"}", "f.jsonl, line 1: is not valid JSON")]
    [TestCase("{\"a\":\"\\uD83D\"}", "f.jsonl, line 1: is not valid JSON (an escape \\u stands for half a character)")]
    [TestCase("{\"\\ude00\":1}", "f.jsonl, line 1: is not valid JSON (an escape \\u stands for half a character)")]
    [TestCase("", "f.jsonl: holds no rows")]
    [TestCase("\n \n", "f.jsonl: holds no rows")]
    public void WhatIsNoRowIsNamed(string text, string message) =>
        Assert.That(async () => await Read(Encoding.UTF8.GetBytes(text)), Throws.TypeOf<UserError>().With.Message.StartsWith(message));

    [Test]
    public void OtherEncodingsAreRefused() =>
        Assert.That(async () => await Read([.. "{}\n{\"a\":\"caf"u8, 0xE9, .. "\"}"u8]), Throws.TypeOf<UserError>().With.Message.EqualTo("f.jsonl, line 2: is not valid UTF-8; save the file as UTF-8"));

    [Test]
    public void NestingIsBounded() =>
        Assert.That(async () => await Read(Encoding.UTF8.GetBytes($"{{\"a\":{new string('[', 100_000)}")), Throws.TypeOf<UserError>().With.Message.Contains("depth"));

    [TestCase("{\"a\":1}", "Text", "f: \"a\" holds 1; it must be a text")]
    [TestCase("{\"a\":\"x\"}", "Flag", "f: \"a\" holds a text; it must be true or false")]
    [TestCase("{\"a\":{}}", "List", "f: \"a\" holds an object; it must be a list")]
    [TestCase("{\"a\":0}", "Number", "f: \"a\" holds 0; it must be a whole number from 1 to 2147483647")]
    [TestCase("{\"a\":2.5}", "Number", "f: \"a\" holds 2.5; it must be a whole number from 1 to 2147483647")]
    [TestCase("{\"a\":[1,-1]}", "Ids", "f: \"a\" holds -1; ids are whole numbers from 0 to 2147483647")]
    [TestCase("{\"a\":[1,2147483648]}", "Ids", "f: \"a\" holds 2147483648; ids are whole numbers from 0 to 2147483647")]
    [TestCase("{\"a\":[\"1\"]}", "Ids", "f: \"a\" holds \"1\"; ids are whole numbers from 0 to 2147483647")]
    public void FieldsOfAnotherTypeAreNamed(string json, string kind, string message)
    {
        using var row = Row.Parse("f", Encoding.UTF8.GetBytes(json));
        Assert.That(() => Field(row, kind, "a"), Throws.TypeOf<UserError>().With.Message.EqualTo(message));
        using var none = Row.Parse("f", "{\"a\":null}"u8.ToArray());
        Assert.That((Field(none, kind, "a"), Field(none, kind, "b")), Is.EqualTo(((object?)null, (object?)null)));
    }

    private static object? Field(Row row, string kind, string name) => kind switch
    {
        "Text" => row.Text(name),
        "Flag" => row.Flag(name),
        "List" => row.List(name),
        "Number" => row.Number(name, least: 1),
        _ => row.Ids(name),
    };

    // The pipe is closed only after the last row came; a reader that waits for the end runs into the time limit.
    [TestCase(false)]
    [TestCase(true)]
    public async Task ARowComesBeforeTheFileEnds(bool zipped)
    {
        using var server = new AnonymousPipeServerStream(PipeDirection.Out);
        using var client = new AnonymousPipeClientStream(PipeDirection.In, server.ClientSafePipeHandle);
        using var reader = RowReader.Of("pipe", client);
        await using var rows = reader.ReadAsync(CancellationToken.None).GetAsyncEnumerator();
        Stream sink = zipped ? new GZipStream(server, CompressionLevel.Fastest) : server;
        for (var i = 0; i < 3; i++)
        {
            sink.Write(Encoding.UTF8.GetBytes($"{{\"a\":{i}}}\n"));
            sink.Flush();
            Assert.That(await rows.MoveNextAsync().AsTask().WaitAsync(TimeSpan.FromSeconds(30)), Is.True);
            Assert.That(rows.Current.Fields.GetProperty("a").GetInt32(), Is.EqualTo(i));
        }
        sink.Dispose();
        Assert.That(await rows.MoveNextAsync().AsTask().WaitAsync(TimeSpan.FromSeconds(30)), Is.False);
    }

    [Test]
    public void AnInterruptDoesNotWaitForTheNextRow()
    {
        using var server = new AnonymousPipeServerStream(PipeDirection.Out);
        using var client = new AnonymousPipeClientStream(PipeDirection.In, server.ClientSafePipeHandle);
        using var cancel = new CancellationTokenSource();
        var rows = RowReader.Of("pipe", client).ReadAsync(cancel.Token).GetAsyncEnumerator();
        var next = rows.MoveNextAsync().AsTask();
        Assert.That(next.Wait(200), Is.False, "there is no row yet");
        cancel.Cancel();
        Assert.That(async () => await next.WaitAsync(TimeSpan.FromSeconds(30)), Throws.InstanceOf<OperationCanceledException>());
    }

    [Test]
    public void ResultsAreOneLineEachAndWholeOrAbsent()
    {
        using var text = new StringWriter();
        using var writer = new RowWriter(text);
        var hard = "a\nb\u2028\u0085\0\"\\ü😀\uFFFE";
        writer.Write(json => json.WriteString("text", hard));
        Assert.That(() => writer.Write(json =>
        {
            json.WriteNumbers("ids", [1, 2]);
            throw new UserError("a", "b", "c");
        }), Throws.TypeOf<UserError>());
        writer.Write(json => json.WriteTexts("tokens", ["<b>", ""]));
        var @long = string.Concat(Enumerable.Repeat("éü日", 20_000));
        writer.Write(json => json.WriteString("text", @long));
        var lines = text.ToString().Split('\n');
        Assert.That(lines, Has.Length.EqualTo(4).And.ItemAt(3).Empty);
        Assert.That(JsonNode.Parse(lines[2])!["text"]!.GetValue<string>(), Is.EqualTo(@long));
        Assert.That(JsonNode.Parse(lines[0])!["text"]!.GetValue<string>(), Is.EqualTo(hard));
        Assert.That(lines[1], Is.EqualTo("{\"tokens\":[\"<b>\",\"\"]}"));
        Assert.That(lines[0], Does.Not.Contain("\u2028").And.Not.Contain("\u0085"), "some readers take these for line ends");
    }
}
