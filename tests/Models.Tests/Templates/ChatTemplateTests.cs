// What happens around a rendering: preparation of messages, variables, continued messages, masks, places of errors.
using System.Text.Json;
using PeftAlign.Abstractions;
using PeftAlign.Models.Templates;

namespace PeftAlign.Models.Tests.Templates;

public class ChatTemplateTests
{
    private static ChatMessage[] Messages(string json) => ChatGolden.Messages(JsonDocument.Parse(json).RootElement);

    private static string Render(string template, string messages, ChatTemplateArguments? arguments = null) =>
        new ChatTemplate("t", template, new Dictionary<string, string> { ["eos_token"] = "</s>" }).Render(
            Messages(messages), arguments ?? new()).Text;

    [Test]
    public void KeysWithoutValueAreDropped() => Assert.That(
        Render("{{ messages }}", """[{"role": "user", "content": null, "parts": [null]}]"""), Is.EqualTo("[{'role': 'user', 'parts': [None]}]"));

    [TestCase("reasoning")]
    [TestCase("thinking")]
    [TestCase("reasoning_content")]
    public void ReasoningIsFoundUnderBothNames(string name) => Assert.That(
        Render("{{ messages[0].reasoning_content }}|{{ messages[0].thinking }}", $$"""[{"role": "a", "{{name}}": "hm"}]"""), Is.EqualTo("hm|hm"));

    [Test]
    public void ReasoningNamesThatAreThereStay() => Assert.That(
        Render("{{ messages[0].reasoning_content }}|{{ messages[0].thinking }}", """[{"thinking": "t", "reasoning_content": "r"}]"""), Is.EqualTo("r|t"));

    [Test]
    public void ArgumentsWinOverSpecialTokensAndNumbersKeepTheirType()
    {
        var variables = JsonDocument.Parse("""{"eos_token": "E", "n": 1, "f": 1.0, "big": 123456789012345678901}""").RootElement
            .EnumerateObject().ToDictionary(v => v.Name, v => v.Value);
        Assert.That(
            Render("{{ eos_token }} {{ n }} {{ f }} {{ big }} {{ tools }} {{ documents }} {{ add_generation_prompt }}", "[]", new() { Variables = variables }),
            Is.EqualTo("E 1 1.0 123456789012345678901 None None False"));
    }

    [TestCase("{{ messages[-1].content }}!", "[{\"content\": \"abc \"}]", "abc ")]
    [TestCase("{{ messages[-1].content | trim }}!", "[{\"content\": \"abc \"}]", "abc")]
    [TestCase(
        "{% for p in messages[-1].content %}[{{ p.text }}]{% endfor %}", "[{\"content\": [{\"text\": \"a\"}, {\"text\": \"b\"}, {\"type\": \"image\"}]}]", "[a][b")]
    public void AContinuedMessageIsCutBehindItsText(string template, string messages, string expected) =>
        Assert.That(Render(template, messages, new() { ContinueFinalMessage = true }), Is.EqualTo(expected));

    [TestCase("x", "[]", "at least one message")]
    [TestCase("x", "[{\"role\": \"user\"}]", "with content")]
    [TestCase("x", "[{\"content\": [{\"type\": \"image\"}]}]", "part with text")]
    [TestCase("x", "[{\"content\": \"abc\"}]", "does not appear")]
    public void WhatCannotBeContinuedIsRefused(string template, string messages, string reason)
    {
        var error = Assert.Throws<ChatTemplateException>(() => Render(template, messages, new() { ContinueFinalMessage = true }));
        Assert.That((error!.Kind, error.Message), Is.EqualTo((ChatTemplateErrorKind.Value, error.Message)));
        Assert.That(error.Message, Does.Contain(reason));
    }

    [Test]
    public void AMessageIsAnObject() => Assert.That(
        () => Render("x", "[\"hi\"]"),
            Throws.TypeOf<ChatTemplateException>().With.Message.Contains("object with role and content"));

    [TestCase("a\n{{ x.y }}", 2, ChatTemplateErrorKind.Undefined)]
    [TestCase("a\n\n{% if %}", 3, ChatTemplateErrorKind.Syntax)]
    [TestCase("{#\n\n#}{{ 1 + 'a' }}", 3, ChatTemplateErrorKind.Type)]
    [TestCase("\r\n{{\r\nraise_exception('no') }}", 3, ChatTemplateErrorKind.Raised)]
    [TestCase("\n{{ 1 | nofilter }}", 2, ChatTemplateErrorKind.Syntax)]
    [TestCase("{% macro m() %}\n\n{{ 1 / 0 }}{% endmacro %}{{ m() }}", 3, ChatTemplateErrorKind.Value)]
    [TestCase("{% for x in [1] %}\n\n{{ 'a' }}", 3, ChatTemplateErrorKind.Syntax)]
    public void ErrorsNameTemplateAndLine(string template, int line, ChatTemplateErrorKind kind)
    {
        var error = Assert.Throws<ChatTemplateException>(() => Render(template, "[]"));
        Assert.That((error!.Line, error.Kind), Is.EqualTo((line, kind)));
        Assert.That(error.Message, Does.StartWith($"Chat template t, line {line}: "));
    }

    [Test]
    public void SpansCountCodePoints()
    {
        RenderedChat chat = new ChatTemplate(
            "t", "😀{% generation %}é😀{% endgeneration %}-{% generation %}{% endgeneration %}{% generation %}b{% endgeneration %}").Render([], new());
        Assert.That(
            chat.Generated, Is.EqualTo(new[] { new CodePointSpan(1, 3), new CodePointSpan(4, 4), new CodePointSpan(4, 5) }));
    }

    private static CodePointSpan[] Offsets(params int[] ends) =>
        [.. ends.Select((end, i) => new CodePointSpan(i == 0 ? 0 : ends[i - 1], end))];

    [Test]
    public void MaskFollowsTheFirstTokenOfEachCharacter()
    {
        CodePointSpan[] two = [new(1, 3), new(4, 6)];
        Assert.That(AssistantMask.Compute(two, Offsets(1, 2, 3, 4, 5, 6)), Is.EqualTo(new[] { 0, 1, 1, 0, 1, 1 }));
        Assert.That(
            AssistantMask.Compute(two, Offsets(2, 5, 7)), Is.EqualTo(new[] { 1, 1, 1 }), "tokens across the borders count");
        Assert.That(AssistantMask.Compute(two, Offsets(1, 2)), Is.EqualTo(new[] { 0, 1 }), "an end cut off: all to the end");
        Assert.That(
            AssistantMask.Compute(two, Offsets(1, 2, 3, 4)), Is.EqualTo(new[] { 0, 1, 1, 0 }), "a start cut off: nothing");
        CodePointSpan[] split = [new(0, 1), new(1, 2), new(1, 2), new(2, 3)];
        Assert.That(AssistantMask.Compute([new(0, 2)], split), Is.EqualTo(new[] { 1, 1, 0, 0 }),
            "the first token of a split last character");
        CodePointSpan[] special = [new(0, 0), new(0, 1), new(1, 2), new(0, 0)];
        Assert.That(AssistantMask.Compute([new(0, 2), new(2, 2)], special), Is.EqualTo(new[] { 0, 1, 1, 0 }));
        Assert.That(
            AssistantMask.Compute([new(1, 1), new(1, 3)], Offsets(1, 2, 3, 4)), Is.EqualTo(new[] { 0, 1, 1, 0 }), "a span of nothing");
        Assert.That(
            AssistantMask.Compute([new(2, 3), new(0, 2)], Offsets(1, 2, 3, 4)), Is.EqualTo(new[] { 1, 1, 1, 0 }), "spans in any order");
        Assert.That(
            AssistantMask.Compute([new(0, 1)], Offsets(1, 2, 3)), Is.EqualTo(new[] { 1, 1, 1 }), "as in transformers, where token 0 is no end");
    }
}
