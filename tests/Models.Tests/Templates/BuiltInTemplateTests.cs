// Each built-in template against its format, spelled out.
using PeftAlign.Abstractions;
using PeftAlign.Models.Templates;

namespace PeftAlign.Models.Tests.Templates;

public class BuiltInTemplateTests
{
    private static readonly ChatMessage[] Dialogue =
    [
        ChatMessage.Of("user", "Hi"), ChatMessage.Of("assistant", "Hello."), ChatMessage.Of("user", "2+2?"),
    ];

    private static readonly ChatMessage[] WithSystem = [ChatMessage.Of("system", "Be brief."), .. Dialogue];

    private const string Vicuna = "A chat between a curious user and an artificial intelligence assistant. "
        + "The assistant gives helpful, detailed, and polite answers to the user's questions.";

    private const string Alpaca = "Below is an instruction that describes a task. Write a response that appropriately completes the request.";

    private static readonly object?[][] Formats =
    [
        ["vicuna", false, $"<s>{Vicuna} USER: Hi ASSISTANT: Hello.</s>USER: 2+2? ASSISTANT:", "Hello.</s>"],
        ["vicuna", true, "<s>Be brief. USER: Hi ASSISTANT: Hello.</s>USER: 2+2? ASSISTANT:", "Hello.</s>"],
        ["mistral", false, "<s>[INST] Hi [/INST] Hello.</s>[INST] 2+2? [/INST]", "Hello.</s>"],
        ["mistral", true, "<s>[INST] Be brief.\n\nHi [/INST] Hello.</s>[INST] 2+2? [/INST]", "Hello.</s>"],
        ["llama-2", false, "<s>[INST] Hi [/INST] Hello. </s><s>[INST] 2+2? [/INST]", "Hello. </s>"],
        ["llama-2", true, "<s>[INST] <<SYS>>\nBe brief.\n<</SYS>>\n\nHi [/INST] Hello. </s><s>[INST] 2+2? [/INST]",
            "Hello. </s>"],
        ["llama-3", true, "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nBe brief.<|eot_id|>"
            + "<|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\nHello.<|eot_id|>"
            + "<|start_header_id|>user<|end_header_id|>\n\n2+2?<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n",
                "Hello.<|eot_id|>"],
        ["chatml", true,
            "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\nHello.<|im_end|>\n"
            + "<|im_start|>user\n2+2?<|im_end|>\n<|im_start|>assistant\n", "Hello.<|im_end|>"],
        ["zephyr", true,
            "<|system|>\nBe brief.</s>\n<|user|>\nHi</s>\n<|assistant|>\nHello.</s>\n<|user|>\n2+2?</s>\n<|assistant|>\n",
                "Hello.</s>"],
        ["gemma", false, "<bos><start_of_turn>user\nHi<end_of_turn>\n<start_of_turn>model\nHello.<end_of_turn>\n"
            + "<start_of_turn>user\n2+2?<end_of_turn>\n<start_of_turn>model\n", "Hello.<end_of_turn>"],
        ["phi-3", true,
            "<|system|>\nBe brief.<|end|>\n<|user|>\nHi<|end|>\n<|assistant|>\nHello.<|end|>\n<|user|>\n2+2?<|end|>\n<|assistant|>\n",
            "Hello.<|end|>"],
        ["alpaca", false,
            $"<s>{Alpaca}\n\n### Instruction:\nHi\n\n### Response:\nHello.</s>\n\n### Instruction:\n2+2?\n\n### Response:\n",
                "Hello.</s>"],
        ["alpaca", true,
            "<s>Be brief.\n\n### Instruction:\nHi\n\n### Response:\nHello.</s>\n\n### Instruction:\n2+2?\n\n### Response:\n",
                "Hello.</s>"],
        ["human-assistant", false, "\n\nHuman: Hi\n\nAssistant: Hello.\n\nHuman: 2+2?\n\nAssistant:", " Hello."],
        ["human-assistant", true, "Be brief.\n\nHuman: Hi\n\nAssistant: Hello.\n\nHuman: 2+2?\n\nAssistant:", " Hello."],
    ];

    [TestCaseSource(nameof(Formats))]
    public void RendersItsFormat(string name, bool system, string expected, string generated)
    {
        RenderedChat chat = BuiltInTemplates.Get(name).Render(
            system ? WithSystem : Dialogue, new ChatTemplateArguments { AddGenerationPrompt = true });
        Assert.That(chat.Text, Is.EqualTo(expected));
        Assert.That(chat.Generated, Has.Count.EqualTo(1));
        Assert.That(
            expected[chat.Generated[0].Start..chat.Generated[0].End], Is.EqualTo(generated), "what the model learns to write");
    }

    [Test]
    public void EveryNameHasAFormatHereAndStopsAtTheLastMessage()
    {
        Assert.That(Formats.Select(f => f[0]).Distinct().Order(), Is.EqualTo(BuiltInTemplates.Names));
        var text = (string name) => BuiltInTemplates.Get(name).Render(Dialogue, new ChatTemplateArguments()).Text;
        Assert.That(text("vicuna"), Does.EndWith("USER: 2+2? "));
        Assert.That(
            text("phi-3"), Does.EndWith("2+2?<|end|>\n<|endoftext|>"), "a conversation without prompt for more is complete");
        Assert.That(text("chatml"), Does.EndWith("2+2?<|im_end|>\n"));
    }

    [TestCase("Llama2", "llama-2")]
    [TestCase("LLAMA_3", "llama-3")]
    [TestCase("phi3", "phi-3")]
    [TestCase("Human/Assistant", "human-assistant")]
    [TestCase("hh", "human-assistant")]
    public void NamesAreSpelledFreely(string spelled, string name) =>
        Assert.That(BuiltInTemplates.Get(spelled).Name, Is.EqualTo(name));

    [Test]
    public void TheModelsOwnTokensWin()
    {
        ChatTemplate template = BuiltInTemplates.Get("zephyr", new Dictionary<string, string> { ["eos_token"] = "<end>" });
        Assert.That(template.Render([ChatMessage.Of("user", "a")], new()).Text, Is.EqualTo("<|user|>\na<end>\n"));
    }

    [TestCase("gemma", "system", "no system role")]
    [TestCase("zephyr", "tool", "turn 1 is by tool")]
    [TestCase("vicuna", "assistant", "turn 1 is by assistant")]
    [TestCase("alpaca", "robot", "turn 1 is by robot")]
    [TestCase("human-assistant", "robot", "turn 1 is by robot")]
    public void RolesThatAFormatDoesNotKnowAreRefused(string name, string role, string reason)
    {
        var error = Assert.Throws<ChatTemplateException>(
            () => BuiltInTemplates.Get(name).Render([ChatMessage.Of(role, "x")], new()));
        Assert.That(error!.Kind, Is.EqualTo(ChatTemplateErrorKind.Raised));
        Assert.That(error.Message, Does.Contain(reason));
    }

    [Test]
    public void AnUnknownNameListsTheKnownOnes()
    {
        var error = Assert.Throws<ChatTemplateException>(() => BuiltInTemplates.Get("vicunia"));
        Assert.That(error!.Message, Does.Contain("vicunia").And.Contain("vicuna").And.Contain("zephyr"));
    }
}
