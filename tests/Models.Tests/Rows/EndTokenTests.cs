// The end token behind an answer, where decoding writes it with other characters than its own.

using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Models.Rows;
using PeftAlign.Models.Tests.Checkpoints;
using PeftAlign.Models.Text;
using PeftAlign.Models.Text.SentencePiece;

namespace PeftAlign.Models.Tests.Rows;

internal sealed class EndTokenTests
{
    private const string End = "<｜end▁of▁sentence｜>";

    // The ids are what TRL makes of the row with this tokenizer.
    [Test]
    public void An_end_token_with_a_blank_of_sentencepiece_is_one_token_and_trained()
    {
        var (tokenizer, ledger) = (WithEnd(), new MaskLedger());
        Assert.That(tokenizer.Decode([700]), Is.EqualTo("<｜end of sentence｜>"), "decoding changes it");
        var record = new DataRecord(JsonNode.Parse("""{"prompt": "hello", "completion": " there"}""")!.AsObject(), "t.jsonl", 1);
        var context = new PrepareContext(tokenizer, 64, ledger);
        Assert.That(SequenceRows.Read(record, new TrainedPart(), context).Single().Ids, Is.EqualTo(new[] { 1, 350, 477, 323, 685, 700 }));
        Assert.That(SequenceRows.Groups(record, new TrainedPart(), context).Single().Completions.Single().Tokens[^1], Is.EqualTo(700));
        Assert.That(ledger.AnswersWithTrainedEnd, Is.EqualTo(1));
    }

    [Test]
    public void What_ends_with_the_token_gets_no_second_one()
    {
        var record = new DataRecord(new JsonObject { ["prompt"] = "hello", ["completion"] = " there" + End }, "t.jsonl", 1);
        Assert.That(SequenceRows.Read(record, new TrainedPart(), new PrepareContext(WithEnd(), 64, new MaskLedger())).Single().Ids, Is.EqualTo(new[] { 1, 350, 477, 323, 685, 700 }));
    }

    // sentencepiece itself finds no token by its content: there, the content is not written behind a text.
    [Test]
    public void A_tokenizer_that_does_not_look_for_its_end_token_gets_what_decoding_gives()
    {
        var tokenizer = new PipelineTokenizer(SentencePieceTokenizer.Native(SentencePieceFile.Read(Text.SharedFolder.Path("golden/tokenizers/trained/spm_small/tokenizer.model"))));
        Assert.That(EndToken.Text(tokenizer), Is.EqualTo(tokenizer.Decode([tokenizer.SpecialTokens.Eos!.Value])));
    }

    private static ITokenizer WithEnd()
    {
        var folder = Shared.Scratch();
        var json = JsonNode.Parse(File.ReadAllText(Text.SharedFolder.Path("golden/tokenizers/trained/llama2_legacy/tokenizer.json")))!;
        json["added_tokens"]!.AsArray().Add(new JsonObject { ["id"] = 700, ["content"] = End, ["special"] = true, ["normalized"] = false });
        File.WriteAllText(Path.Combine(folder, "tokenizer.json"), json.ToJsonString());
        File.WriteAllText(Path.Combine(folder, "tokenizer_config.json"), new JsonObject { ["bos_token"] = "<s>", ["eos_token"] = End }.ToJsonString());
        return TokenizerLoader.Load(folder);
    }
}
