// golden/tokenizers/components.json: single normalizers, pre-tokenizers and decoders against the `tokenizers` library.
using System.Text.Json;
using PeftAlign.Models.Text;
using PeftAlign.Models.Text.Files;
using PeftAlign.Models.Text.PreTokenizers;
using PeftAlign.Models.Text.Unicode;

namespace PeftAlign.Models.Tests.Text;

public class ComponentGoldenTests
{
    private static JsonElement Components => SharedFolder.Golden("components.json");

    private static string[] Inputs => [.. Components.GetProperty("inputs").EnumerateArray().Select(item => item.GetString()!)];

    [Test]
    public void Normalizers_write_the_same_texts()
    {
        var rows = new GoldenRows();
        foreach (var component in Components.GetProperty("normalizers").EnumerateArray())
        {
            var normalizer = NormalizerJson.Read(new JsonField("components.json", "normalizer", component.GetProperty("json")));
            foreach (var (input, output) in Inputs.Zip(component.GetProperty("out").EnumerateArray()))
                rows.Equal($"{component.GetProperty("name")} of '{input}'", GoldenRows.TextOr(output, input),
                    normalizer.Apply(input));
        }
        rows.Check();
    }

    [Test]
    public void Pre_tokenizers_cut_the_same_pieces_at_the_same_offsets([Values] bool tracks)
    {
        var rows = new GoldenRows();
        var inputs = Inputs.Where((_, index) => index % 2 == 0).ToArray();
        foreach (var component in Components.GetProperty("pre_tokenizers").EnumerateArray())
        {
            var preTokenizer = PreTokenizerJson.Read(new JsonField("components.json", "pre_tokenizer",
                component.GetProperty("json")));
            foreach (var (input, output) in inputs.Zip(component.GetProperty("out").EnumerateArray()))
            {
                var name = $"{component.GetProperty("name")} of '{input}'";
                var (pieces, offsets) = Cut(preTokenizer, input, tracks);
                rows.Same(name, output.EnumerateArray().Select(piece => piece[0].GetString()), pieces);
                if (tracks) rows.Same(name, output.EnumerateArray().Select(piece =>
                    (piece[1][0].GetInt32(), piece[1][1].GetInt32())), offsets);
            }
        }
        rows.Check();
    }

    // Every character in order: where tokenizers 0.23.3 cuts, as a count and a hash (FNV-1a) of the places.
    [Test]
    public void Scripts_change_where_they_do_in_tokenizers()
    {
        var text = string.Concat(Enumerable.Range(0, 0x110000).Where(point => point is < 0xD800 or > 0xDFFF).Select(char.ConvertFromUtf32));
        var (pieces, offsets) = Cut(new UnicodeScriptsPreTokenizer(), text, tracks: true);
        Assert.That((pieces.Count, offsets.Aggregate(2166136261u, (sum, o) => (sum ^ (uint)o.Item1) * 16777619u)), Is.EqualTo((371, 0x509DC4ADu)));
        Assert.That(Cut(new UnicodeScriptsPreTokenizer(), "abc\uE0A0", tracks: false).Item1, Is.EqualTo(new[] { "abc\uE0A0" }));
        Assert.That(Cut(new UnicodeScriptsPreTokenizer(), "\uE000", tracks: false).Item1, Is.Empty);
    }

    [Test]
    public void Decoders_write_the_same_texts()
    {
        var rows = new GoldenRows();
        var inputs = Components.GetProperty("decoder_inputs").EnumerateArray()
            .Select(list => list.EnumerateArray().Select(token => token.GetString()!).ToList()).ToList();
        foreach (var component in Components.GetProperty("decoders").EnumerateArray())
        {
            var decoder = DecoderJson.Read(new JsonField("components.json", "decoder", component.GetProperty("json")));
            foreach (var (input, output) in inputs.Zip(component.GetProperty("out").EnumerateArray()))
            {
                // null: the reference tool crashes there; ours must not.
                var text = string.Concat(decoder.Decode([.. input]));
                if (output.ValueKind == JsonValueKind.Null) continue;
                rows.Equal($"{component.GetProperty("name")} of [{string.Join(' ', input)}]", output.GetString(), text);
            }
        }
        rows.Check();
    }

    private static (List<string>, List<(int, int)>) Cut(PreTokenizer preTokenizer, string input, bool tracks)
    {
        var pool = new TextPool();
        var text = pool.Rent(tracks, 0);
        text.AppendOriginal(input, 0);
        var result = new PreTokenized(text, input == "" ? [] : [new Piece(0, input.Length, -1, 0)]);
        preTokenizer.Apply(result, pool);
        var points = CodePoints.OffsetsByUnit(input) ?? [.. Enumerable.Range(0, input.Length + 1)];
        return (
            [.. result.Pieces.Select(piece => result.Text.Chars[piece.Start..piece.End].ToString())],
            tracks ? [.. result.Pieces.Select(piece => (points[result.Text.Start(piece.Start)],
                points[result.Text.End(piece.End - 1)]))] : []);
    }
}
