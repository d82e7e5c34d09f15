// The benchmark `preference` on conversations: the words of the last message are scored after what the template makes of all before it.

using System.Text.Json.Nodes;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using PeftAlign.Abstractions;
using PeftAlign.Host.Evaluation;
using PeftAlign.Models.Templates;

namespace PeftAlign.Eval.Tests;

public sealed class PreferenceConversationTests
{
    private const string Asked = """[{"role": "user", "content": "Once"}]""";
    private const string Good = """{"role": "assistant", "content": "upon a time"}""";
    private const string Bad = """{"role": "assistant", "content": "more"}""";

    // Without a prompt, it is what stands before the last message.
    [TestCase($$"""{"prompt": {{Asked}}, "chosen": [{{Good}}], "rejected": [{{Bad}}]}""")]
    [TestCase($$"""{"chosen": [{"role": "user", "content": "Once"}, {{Good}}], "rejected": [{"role": "user", "content": "Once"}, {{Bad}}]}""")]
    public void Answers_are_scored_after_the_template(string row)
    {
        var template = new ChatTemplate("t", "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}");
        var encoder = new RequestEncoder(Models.Stories.Tokenizer, template, 512, takesLeadingBlank: false, addSpecialTokens: null);
        var requests = Requests(row);
        Assert.That(requests.Select(r => r.Continuation), Is.EqualTo(new[] { "upon a time", "more" }));
        foreach (var (request, answer) in requests.Zip((string[])["upon a time", "more"]))
        {
            var pair = encoder.Pair(request);
            // By training's rule: the prompt is what the template alone and with the answer have in common.
            int[] alone = [.. Models.Stories.Tokenizer!.EncodeToIds("user: Once\nassistant: ")], whole = [.. Models.Stories.Tokenizer.EncodeToIds("user: Once\nassistant: " + answer)];
            var shared = alone.AsSpan().CommonPrefixLength(whole);
            Assert.That(pair.Context, Is.EqualTo(whole[..shared]));
            Assert.That(pair.Continuation, Is.EqualTo(whole[shared..]));
        }
    }

    // preference has no option chat that could be left out: here the rows ask for the template.
    [Test]
    public void A_model_without_a_template_is_told_with_what_to_give() =>
        Assert.That(() => new RequestEncoder(Models.Stories.Tokenizer, null, 512, takesLeadingBlank: false, addSpecialTokens: null).Pair(Requests($$"""{"prompt": {{Asked}}, "chosen": [{{Good}}], "rejected": [{{Bad}}]}""")[0]),
            Throws.InstanceOf<UserErrorException>().With.Message.EndsWith("no chat template; give the model a chat_template, or ask without conversations (no option chat, rows of texts)."));

    [TestCase($$"""{"prompt": {{Asked}}, "chosen": "upon", "rejected": "more"}""", "rows, row 1: field 'chosen' must be a list of messages, as the row's other texts are")]
    [TestCase($$"""{"prompt": {{Asked}}, "chosen": [], "rejected": []}""", "rows, row 1: 'chosen' must end with words of the assistant")]
    [TestCase($$"""{"prompt": [5], "chosen": [{{Good}}], "rejected": [{{Bad}}]}""", "rows, row 1: field 'prompt' must be a list of messages, each with role and content as texts")]
    [TestCase("""{"chosen": "upon", "rejected": "more", "question": "Once"}""", "rows, row 1: the pair has no prompt, and without one an answer's likelihood is another quantity; the row has chosen, rejected, question. Name the prompt's column in the data set's map (map: { prompt: COLUMN })")]
    public void Other_rows_are_named(string row, string said) => Assert.That(() => Requests(row), Throws.InstanceOf<UserErrorException>().With.Message.StartsWith(said));

    private static List<EvalRequest.LogLikelihood> Requests(string row)
    {
        var benchmark = new PreferenceBenchmark(new PreferenceOptions { Dataset = new DatasetReference([]) }, new Lent(row));
        return [.. benchmark.Requests(benchmark.Items().Single()).Cast<EvalRequest.LogLikelihood>()];
    }

    private sealed class Lent(string row) : IPluginContext, IDatasets
    {
        public ILogger Logger => NullLogger.Instance;

        public string Folder => "";

        public object? GetService(Type type) => type == typeof(IDatasets) ? this : null;

        public IEnumerable<DataRecord> Open(DatasetReference dataset) => [new DataRecord(JsonNode.Parse(row)!.AsObject(), "rows", 1)];
    }
}
