// Rows that hold more than one shape, or masks beside their tokens: what TRL 1.16 trains of them is what is trained here. Ids
// and labels were taken from its trainers over the tokenizer of golden/trl-data.

using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Models.Rows;
using PeftAlign.Models.Templates;
using PeftAlign.Models.Text;

namespace PeftAlign.Models.Tests.Rows;

public sealed class RowShapeTests
{
    private const string Other = """ "text": "the river" """;
    private const string Chat = """ "messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}] """;
    private const string Both = """ "prompt": "hello", "completion": " yes" """;

    private static PrepareContext Context => new(TokenizerLoader.Load(Checkout.Fixture("trl-data", "tokenizer")), 1024, new MaskLedger())
    {
        ChatTemplate = ChatTemplateLoader.Load(Checkout.Fixture("trl-data", "tokenizer")),
    };

    // TRL writes the end token behind the text alone where that lacks it.
    [TestCase($"{{{Both}}}", new[] { 299, 351, 2 }, new[] { -100, 351, 2 })]
    [TestCase($"{{{Both}, {Chat}}}", new[] { 299, 351, 2 }, new[] { -100, 351, 2 })]
    [TestCase($"{{{Both}, {Other}}}", new[] { 299, 351 }, new[] { -100, 351 })]
    [TestCase($"{{{Both}, \"text\": \"the river</s>\"}}", new[] { 299, 351, 2 }, new[] { -100, 351, 2 })]
    public void Prompt_and_completion_go_before_text_and_messages(string row, int[] ids, int[] labels)
    {
        var sequence = SequenceRows.Read(Row(row), new TrainedPart(), Context).Single();
        Assert.That(sequence.Ids, Is.EqualTo(ids));
        Assert.That(Labels(sequence), Is.EqualTo(labels));
    }

    // A template writes a mark for an image, behind which a model would see nothing.
    [TestCase("""{"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "image"}]}, {"role": "assistant", "content": "b"}]}""", "a part of the type image, and texts alone are read")]
    [TestCase("""{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": [{"type": "image_url"}]}]}""", "a part of the type image_url")]
    [TestCase($"{{{Chat}, \"images\": [\"a.png\"]}}", "'images' has a value, and texts alone are read")]
    [TestCase("""{"prompt": "a", "completion": "b", "image": {"path": "a.png"}}""", "'image' has a value")]
    public void Images_are_refused(string row, string message) =>
        Assert.That(() => SequenceRows.Read(Row(row), new TrainedPart(), Context), Throws.TypeOf<UserErrorException>().With.Message.Contains("t.jsonl, row 1").And.Message.Contains(message));

    [Test]
    public void Empty_columns_of_images_are_nothing() =>
        Assert.That(SequenceRows.Read(Row($"{{{Chat}, \"images\": [], \"image\": null}}"), new TrainedPart(), Context).Single().Ids, Is.EqualTo(SequenceRows.Read(Row($"{{{Chat}}}"), new TrainedPart(), Context).Single().Ids));

    // TRL's extract_prompt: where one answer is the beginning of the other, their last common character is the answers', and a blank before
    // it the prompt's.
    [TestCase("ab", "abc", "a", "b", "bc")]
    [TestCase("a b", "a bc", "a ", "b", "bc")]
    [TestCase("x y z", "x y w", "x y", " z", " w")]
    [TestCase("q", "q r", "", "q", "q r")]
    [TestCase("the cat", "the cat", "the ca", "t", "t")]
    public void A_pair_without_a_prompt_parts_where_TRL_parts_it(string chosen, string rejected, string prompt, string first, string second)
    {
        var parted = PreferenceRows.WithPrompt(Row($$"""{"chosen": "{{chosen}}", "rejected": "{{rejected}}"}""")).Fields;
        Assert.That(((string)parted["prompt"]!, (string)parted["chosen"]!, (string)parted["rejected"]!), Is.EqualTo((prompt, first, second)));
    }

    [TestCase(Other)]
    [TestCase(Chat)]
    public void A_labelled_answer_is_the_completion_whatever_else_the_row_holds(string other)
    {
        var (answer, label) = AnswerRows.Read(Row($"{{{Both}, {other}, \"label\": false}}"), Context);
        Assert.That(answer.Prompt, Is.EqualTo(new[] { 299 }));
        Assert.That(answer.Completion, Is.EqualTo(new[] { 351, 2 }));
        Assert.That(label, Is.False);
    }

    [TestCase(Other)]
    [TestCase(Chat)]
    [TestCase("\"input_ids\": [5, 6]")]
    [TestCase("\"prompt\": \"hello\"")]
    public void A_labelled_row_without_prompt_and_completion_is_refused(string other)
    {
        var row = Row($"{{{other}, \"label\": true}}");
        Assert.That(() => AnswerRows.Read(row, Context), Throws.InstanceOf<UserErrorException>()
            .With.Message.Contains("t.jsonl, row 1").And.Message.Contains("prompt and completion").And.Message.Contains(row.Fields.First().Key));
    }

    // Of separated values every one is a text; datasets makes booleans of these in any case.
    [TestCase("true", true)]
    [TestCase("\"True\"", true)]
    [TestCase("\"FALSE\"", false)]
    [TestCase("\"yes\"", null)]
    [TestCase("\"\"", null)]
    [TestCase("1", null)]
    public void A_label_is_true_or_false_or_either_as_a_text(string label, bool? read)
    {
        var row = Row($"{{{Both}, \"label\": {label}}}");
        if (read is null) Assert.That(() => AnswerRows.Read(row, Context), Throws.InstanceOf<UserErrorException>().With.Message.Contains("'label' must be true or false"));
        else Assert.That(AnswerRows.Read(row, Context).Label, Is.EqualTo(read));
    }

    [TestCase("""{"input_ids": [5, 6, 7, 8, 9], "completion_mask": [0, 0, 0, 1, 1]}""", true, new[] { -100, -100, -100, 8, 9 })]
    [TestCase("""{"input_ids": [5, 6, 7, 8, 9], "completion_mask": [0, 0, 0, 1, 1]}""", null, new[] { 5, 6, 7, 8, 9 })]
    [TestCase("""{"input_ids": [5, 6, 7, 8, 9], "completion_mask": [0, 0, 0, 1, 1]}""", false, new[] { 5, 6, 7, 8, 9 })]
    [TestCase("""{"input_ids": [5, 6, 7, 8, 9], "completion_mask": [0, 0, 0, 1, 1], "prompt": "a", "completion": "b"}""", null, new[] { -100, -100, -100, 8, 9 })]
    [TestCase("""{"input_ids": [5, 6, 7, 8, 9], "completion_mask": [0, 0, 0, 1, 1], "assistant_masks": [0, 1, 1, 1, 0]}""", true, new[] { -100, -100, -100, 8, -100 })]
    [TestCase("""{"input_ids": [5, 6, 7], "assistant_masks": [0, 0, 1]}""", null, new[] { -100, -100, 7 })]
    [TestCase("""{"input_ids": [5, 6, 7], "assistant_masks": [false, true, true]}""", false, new[] { -100, 6, 7 })]
    [TestCase("""{"input_ids": [5, 6, 7], "labels": [-100, 6, -100], "assistant_masks": [0, 0, 1]}""", null, new[] { -100, 6, -100 })]
    public void Masks_of_rows_of_tokens_are_TRLs_labels(string row, bool? completionOnly, int[] labels) =>
        Assert.That(Labels(SequenceRows.Read(Row(row), new TrainedPart(completionOnly), Context).Single()), Is.EqualTo(labels));

    [TestCase("[0, 1]", "2")]
    [TestCase("[0, 1, 2]", "0 and 1")]
    [TestCase("\"011\"", "0 and 1")]
    public void A_mask_that_does_not_fit_its_tokens_is_refused(string mask, string said) =>
        Assert.That(() => SequenceRows.Read(Row($$"""{"input_ids": [5, 6, 7], "assistant_masks": {{mask}}}"""), new TrainedPart(), Context),
            Throws.InstanceOf<UserErrorException>().With.Message.Contains("t.jsonl, row 1").And.Message.Contains("assistant_masks").And.Message.Contains(said));

    // TRL's SFT takes conversations so (maybe_convert_to_chatml), before it looks for messages; roles stay as they are written.
    [TestCase("""{"conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]}""")]
    [TestCase("""{"conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}], "messages": [{"role": "user", "content": "other"}]}""")]
    [TestCase("""{"messages": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]}""")]
    [TestCase("""{"conversations": [{"from": "human", "role": "x", "value": "a"}, {"role": "gpt", "value": "b", "content": null}]}""")]
    public void Conversations_of_from_and_value_are_messages(string row)
    {
        var wanted = SequenceRows.Read(Row("""{"messages": [{"role": "human", "content": "a"}, {"role": "gpt", "content": "b"}]}"""), new TrainedPart(), Context).Single();
        var sequence = SequenceRows.Read(Row(row), new TrainedPart(), Context).Single();
        Assert.That(sequence.Ids, Is.EqualTo(wanted.Ids));
        Assert.That(Labels(sequence), Is.EqualTo(Labels(wanted)));
    }

    [Test]
    public void Conversations_of_another_kind_and_fields_without_a_value_are_told()
    {
        Assert.That(() => SequenceRows.Read(Row("""{"conversations": "a"}"""), new TrainedPart(), Context), Throws.InstanceOf<UserErrorException>().With.Message.Contains("conversations of {from, value}"));
        Assert.That(() => PreferenceRows.Read(Row("""{"prompt": "a", "chosen": "b", "rejected": null}"""), Context), Throws.InstanceOf<UserErrorException>().With.Message.EndsWith("the row has prompt, chosen, rejected (null)."));
    }

    [TestCase("[", "rows.json", "each entry of a JSON list must be a line of its own")]
    [TestCase(" [{\"text\": \"a\"}]", "rows.jsonl, line 1", "JSON list")]
    [TestCase("question,answer", "rows.CSV, line 1", "reader: csv")]
    [TestCase("{", "rows.jsonl, line 3", "write one JSON object per line")]
    public void What_to_do_about_another_format_is_said(string line, string file, string said) => Assert.That(RowJson.Remedy(line, file), Does.Contain(said));

    private static DataRecord Row(string row) => new(JsonNode.Parse(row)!.AsObject(), "t.jsonl", 1);

    private static int[] Labels(SequenceTokens sequence) => [.. sequence.Ids.Zip(sequence.Trained, (id, trained) => trained ? id : -100)];
}
