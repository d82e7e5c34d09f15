// What rows give their chat template, and where a prompt ends: texts and ids were taken from TRL 1.16's trainers over the tokenizer
// of golden/trl-data and this template.

using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Models.Rows;
using PeftAlign.Models.Templates;
using PeftAlign.Models.Text;

namespace PeftAlign.Models.Tests.Rows;

public sealed class RowTemplateTests
{
    private const string Head = "{%- if tools is not none -%}TOOLS {{ tools | length }}\n{%- endif -%}{%- if documents -%}DOCS {{ documents[0].title }}\n{%- endif -%}{%- if x is defined -%}X{{ x }}{%- endif -%}";
    private const string Turns = "<|im_start|>user\nhello<|im_end|>\n<|im_start|>assistant\n";
    private const string Messages = """ "messages": [{"role": "user", "content": "hello"}, {"role": "assistant", "content": "x"}] """;
    private const string Pair = """ "prompt": [{"role": "user", "content": "hello"}], "chosen": [{"role": "assistant", "content": "x"}], "rejected": [{"role": "assistant", "content": "y"}] """;
    private const string Tool = """{"type": "function", "function": {"name": "f"}}""";

    private static readonly ITokenizer Tokenizer = TokenizerLoader.Load(Checkout.Fixture("trl-data", "tokenizer"));
    private static readonly IChatTemplate Plain = ChatTemplateLoader.Load(Checkout.Fixture("trl-data", "tokenizer"))!;

    private static PrepareContext Context => new(Tokenizer, 1024, new MaskLedger()) { ChatTemplate = new ChatTemplate("test", Head + Plain.Source, Plain.SpecialTokens) };

    [TestCase("", Turns + "x<|im_end|>\n")]
    [TestCase(", \"tools\": null", Turns + "x<|im_end|>\n")]
    [TestCase(", \"tools\": []", "TOOLS 0" + Turns + "x<|im_end|>\n")]
    [TestCase(", \"tools\": \"[]\"", "TOOLS 0" + Turns + "x<|im_end|>\n")]
    [TestCase($", \"tools\": [{Tool}]", "TOOLS 1" + Turns + "x<|im_end|>\n")]
    [TestCase(", \"chat_template_kwargs\": {\"documents\": [{\"title\": \"T\"}]}", "DOCS T" + Turns + "x<|im_end|>\n")]
    [TestCase(", \"chat_template_kwargs\": {\"add_generation_prompt\": true}", Turns + "x<|im_end|>\n<|im_start|>assistant\n")]
    [TestCase(", \"chat_template_kwargs\": {\"continue_final_message\": true}", Turns + "x")]
    [TestCase($", \"tools\": [{Tool}, {Tool}], \"chat_template_kwargs\": {{\"tools\": [{Tool}]}}", "TOOLS 1" + Turns + "x<|im_end|>\n")]
    [TestCase($", \"tools\": [{Tool}], \"chat_template_kwargs\": {{\"tools\": null}}", Turns + "x<|im_end|>\n")]
    [TestCase(", \"chat_template_kwargs\": {\"chat_template\": \"{{ 'hello' }}\"}", "hello")]
    [TestCase(", \"chat_template_kwargs\": {\"x\": 5}", "X5" + Turns + "x<|im_end|>\n")]
    public void A_rows_arguments_reach_the_template_as_in_TRL(string given, string text)
    {
        var whole = SequenceRows.Read(Row($"{{{Messages}{given}}}"), new TrainedPart(), Context).Single();
        Assert.That(Tokenizer.Decode(whole.Ids), Is.EqualTo(text));
    }

    [TestCase("\"tools\": {\"a\": 1}", "'tools'", "a list of objects")]
    [TestCase("\"tools\": [\"f\"]", "'tools'", "a list of objects")]
    [TestCase("\"tools\": \"{}\"", "'tools'", "a list of objects")]
    [TestCase("\"tools\": \"[{\\\"a\\\": \\\"\\\\ud800\\\"}]\"", "'tools'", "half a character")]
    [TestCase("\"tools\": \"[1 2]\"", "'tools'", "not valid JSON (byte 4: ")]
    [TestCase("\"chat_template_kwargs\": \"{}\"", "'chat_template_kwargs'", "an object")]
    [TestCase("\"chat_template_kwargs\": {\"tools\": \"[]\"}", "chat_template_kwargs.tools", "a list of objects")]
    [TestCase("\"chat_template_kwargs\": {\"documents\": [\"a\"]}", "chat_template_kwargs.documents", "a list of objects")]
    [TestCase("\"chat_template_kwargs\": {\"add_generation_prompt\": 1}", "chat_template_kwargs.add_generation_prompt", "true or false")]
    [TestCase("\"chat_template_kwargs\": {\"chat_template\": \"chatml\"}", "chat_template_kwargs.chat_template", "Jinja")]
    [TestCase("\"chat_template_kwargs\": {\"chat_template\": \"{% if %}\"}", "Chat template of the row", "line 1")]
    [TestCase("\"chat_template_kwargs\": {\"messages\": []}", "chat_template_kwargs.messages", "left out")]
    [TestCase("\"chat_template_kwargs\": {\"tokenize\": false}", "chat_template_kwargs.tokenize", "left out")]
    [TestCase("\"chat_template_kwargs\": {\"truncation\": true}", "chat_template_kwargs.truncation", "left out")]
    public void Arguments_that_TRL_could_not_give_are_refused_by_name(string given, string name, string wanted) =>
        Assert.That(() => SequenceRows.Read(Row($"{{{Messages}, {given}}}"), new TrainedPart(), Context),
            Throws.InstanceOf<UserErrorException>().With.Message.StartsWith("t.jsonl, row 1").And.Message.Contains(name).And.Message.Contains(wanted));

    // The prompt's own call says where its text ends.
    [TestCase("add_generation_prompt", "false", "left out")]
    [TestCase("continue_final_message", "true", "exclude each other")]
    public void What_a_prompts_rendering_says_itself_is_refused(string name, string value, string said)
    {
        var row = Row($$$"""{{{{Pair}}}, "chat_template_kwargs": {"{{{name}}}": {{{value}}}}}""");
        Assert.That(() => PreferenceRows.Read(row, Context), Throws.InstanceOf<UserErrorException>().With.Message.Contains(said));
        Assert.That(() => JoinedPreferenceRows.Read(row, Context), Throws.InstanceOf<UserErrorException>().With.Message.Contains("left out"));
    }

    // reward alone renders no prompt.
    [TestCase("", "x<|im_end|>\n", "y<|im_end|>\n")]
    [TestCase("\"add_generation_prompt\": true", "x<|im_end|>\n<|im_start|>assistant\n", "y<|im_end|>\n<|im_start|>assistant\n")]
    [TestCase("\"add_generation_prompt\": false", "x<|im_end|>\n", "y<|im_end|>\n")]
    [TestCase("\"continue_final_message\": true", "x", "y")]
    public void Whole_pairs_end_where_the_row_says(string given, string chosen, string rejected)
    {
        const string Joined = """ "chosen": [{"role": "user", "content": "hello"}, {"role": "assistant", "content": "x"}], "rejected": [{"role": "user", "content": "hello"}, {"role": "assistant", "content": "y"}] """;
        foreach (var pair in (string[])[Pair, Joined])
        {
            var (a, b) = PreferenceRows.ReadWhole(Row($$"""{{{pair}}, "chat_template_kwargs": {{{given}}} }"""), Context);
            Assert.That((Tokenizer.Decode(a), Tokenizer.Decode(b)), Is.EqualTo((Turns + chosen, Turns + rejected)));
        }
        Assert.That(() => PreferenceRows.ReadWhole(Row($$"""{{{Pair}}, "chat_template_kwargs": {"add_generation_prompt": true, "continue_final_message": true} }"""), Context), Throws.InstanceOf<UserErrorException>().With.Message.Contains("exclude each other"));
    }

    [Test]
    public void Whole_texts_get_the_end_token_once_and_tokens_stay_as_they_are()
    {
        var (a, b) = PreferenceRows.ReadWhole(Row("""{"chosen": "a</s>", "rejected": "a</s>b"}"""), Context);
        Assert.That((Tokenizer.Decode(a), Tokenizer.Decode(b)), Is.EqualTo(("a</s>", "a</s>b</s>")));
        (a, b) = PreferenceRows.ReadWhole(Row("""{"prompt": "p", "chosen": "a", "rejected": "b"}"""), Context);
        Assert.That((Tokenizer.Decode(a), Tokenizer.Decode(b)), Is.EqualTo(("pa</s>", "pb</s>")));
        (a, b) = PreferenceRows.ReadWhole(Row("""{"prompt_ids": [1, 2], "chosen_ids": [3], "rejected_ids": [4, 5]}"""), Context);
        Assert.That((a, b), Is.EqualTo((new[] { 1, 2, 3 }, new[] { 1, 2, 4, 5 })));
        Assert.That(() => PreferenceRows.ReadWhole(Row("""{"prompt": "p", "chosen": "a"}"""), Context), Throws.InstanceOf<UserErrorException>().With.Message.Contains("needs chosen and rejected"));
    }

    [TestCase("[]", "TOOLS 0", "")]
    [TestCase($"[{Tool}]", "TOOLS 1", "")]
    public void Tools_are_given_as_they_are_and_not_at_all_by_ORPO_and_CPO(string tools, string shown, string joined)
    {
        var row = Row($"{{{Pair}, \"tools\": {tools}}}");
        Assert.That(Tokenizer.Decode(PreferenceRows.Read(row, Context).Chosen.Prompt), Is.EqualTo(shown + Turns));
        Assert.That(Tokenizer.Decode(JoinedPreferenceRows.Read(row, Context).Chosen.Prompt), Is.EqualTo("<s>" + joined + Turns));
        var given = Row($"{{{Pair}, \"chat_template_kwargs\": {{\"tools\": {tools}}}}}");
        Assert.That(() => JoinedPreferenceRows.Read(given, Context), Throws.InstanceOf<UserErrorException>().With.Message.Contains("chat_template_kwargs.tools"));
    }

    [Test]
    public void A_prompt_that_the_assistant_ends_is_continued_by_ORPO_and_CPO_and_answered_anew_by_the_others()
    {
        var row = Row("""{"prompt": [{"role": "user", "content": "hello"}, {"role": "assistant", "content": "It is"}], "chosen": [{"role": "assistant", "content": " green"}], "rejected": [{"role": "assistant", "content": " red"}]}""");
        int[] start = [3, 290, 86, 203, 299, 4, 203, 3, 69, 87, 87, 77, 324, 69, 348, 203, 45, 88, 404], turn = [4, 203, 3, 69, 87, 87, 77, 324, 69, 348, 203];
        Same(JoinedPreferenceRows.Read(row, Context), [1, .. start], [.. turn, 389, 4, 203, 2], [.. turn, 225, 262, 72, 4, 203, 2]);
        Same(PreferenceRows.Read(row, Context), [.. start, .. turn], [389, 4, 203], [225, 262, 72, 4, 203]);
    }

    [Test]
    public void A_tools_message_is_answered()
    {
        var row = Row("""{"prompt": [{"role": "user", "content": "hello"}, {"role": "tool", "content": "7"}], "chosen": [{"role": "assistant", "content": "yes"}], "rejected": [{"role": "assistant", "content": "no"}]}""");
        int[] prompt = [1, 3, 290, 86, 203, 299, 4, 203, 3, 88, 83, 83, 80, 203, 27, 4, 203, 3, 69, 87, 87, 77, 324, 69, 348, 203];
        Same(JoinedPreferenceRows.Read(row, Context), prompt, [289, 4, 203, 2], [82, 83, 4, 203, 2]);
    }

    [TestCase("\"role\": \"system\", ", "'system'")]
    [TestCase("", "no role")]
    public void Other_last_roles_are_refused_by_ORPO_and_CPO_alone(string role, string said)
    {
        var row = Row($$"""{"prompt": [{"role": "user", "content": "hello"}, { {{role}}"content": "7"}], "chosen": [{"role": "assistant", "content": "yes"}], "rejected": [{"role": "assistant", "content": "no"}]}""");
        Assert.That(() => JoinedPreferenceRows.Read(row, Context), Throws.InstanceOf<UserErrorException>().With.Message.Contains("t.jsonl, row 1").And.Message.Contains(said));
        if (role.Length > 0) Assert.That(PreferenceRows.Read(row, Context).Chosen.Completion, Is.EqualTo(new[] { 289, 4, 203 }));
    }

    private static DataRecord Row(string row) => new(JsonNode.Parse(row)!.AsObject(), "t.jsonl", 1);

    private static void Same(PairTokens pair, int[] prompt, int[] chosen, int[] rejected)
    {
        Assert.That(pair.Chosen.Prompt, Is.EqualTo(prompt));
        Assert.That(pair.Rejected.Prompt, Is.EqualTo(prompt));
        Assert.That(pair.Chosen.Completion, Is.EqualTo(chosen));
        Assert.That(pair.Rejected.Completion, Is.EqualTo(rejected));
    }
}
