// How texts and items are parted: the windows of a whole text, the room that new tokens leave, and what is cut into chunks together.

using PeftAlign.Abstractions;
using PeftAlign.Host.Evaluation;
using PeftAlign.Models.Text;

namespace PeftAlign.Eval.Tests;

public sealed class WindowTests
{
    private static readonly ITokenizer Bytes = ByteTokenizer.Create();
    private static readonly int[] Ids = [.. Bytes.EncodeToIds("abcdefghij", addSpecialTokens: false)];
    private static readonly EvalRequest Judge = new EvalRequest.Judge(new JudgeReference([]), new JudgeQuestion.Ask("?"));

    private static RequestEncoder Encoder(int maxLength) => new(Bytes, null, maxLength, takesLeadingBlank: false, addSpecialTokens: false);

    // As the harness's rolling windows: the last token is never fed, so a window has one more than the model takes.
    [Test]
    public void A_window_of_a_text_has_one_token_before_it_and_the_last_as_many_as_fit()
    {
        int[] begin = [Bytes.SpecialTokens.Bos!.Value];
        var parted = Encoder(4).Rolling("abcdefghij");
        Assert.That(parted.Select(w => w.Context), Is.EqualTo(new[] { begin, Ids[3..4], Ids[5..8] }));
        Assert.That(parted.Select(w => w.Continuation), Is.EqualTo(new[] { Ids[..4], Ids[4..8], Ids[8..] }));
        var even = Encoder(5).Rolling("abcdefghij");
        Assert.That(even.Select(w => w.Context), Is.EqualTo(new[] { begin, Ids[4..5] }));
        Assert.That(even.Select(w => w.Continuation), Is.EqualTo(new[] { Ids[..5], Ids[5..] }));
    }

    [Test]
    public void A_prompt_has_the_room_that_new_tokens_leave_and_needs_one()
    {
        var cut = Encoder(12).Prompt(new EvalRequest.Generate("abcdefghij") { MaxNewTokens = 11 });
        Assert.That((cut.Ids, cut.Cut), Is.EqualTo((Ids[9..], 9)));
        Assert.That(() => Encoder(12).Prompt(new EvalRequest.Generate("a") { MaxNewTokens = 12 }), Throws.InstanceOf<UserErrorException>().With.Message.Contains("leave no room for a prompt"));
    }

    [Test]
    public void A_window_holds_items_of_one_task_and_is_named_by_what_its_model_is_asked()
    {
        static Asked Item(int row, string task, params EvalRequest[] requests) => new(new EvalItem($"{row}", []) { Task = task }, row, requests);
        static EvalRequest Scored(string text) => new EvalRequest.LogLikelihood(text, "x");
        static EvalRequest Drawn(double temperature) => new EvalRequest.Generate("p") { Temperature = temperature };
        static IReadOnlyList<AskedWindow> Of(params Asked[] items) => AskedWindow.Of(items, 2, requests => RequestJson.Key(requests, addSpecialTokens: null));
        static string Name(int row, params EvalRequest[] requests) => Of(Item(row, "a", requests)).Single().Name;
        var windows = Of(Item(0, "a", Scored("1")), Item(1, "b", Scored("2")), Item(2, "a", Judge), Item(3, "a", Scored("3")));
        Assert.That(windows.Select(w => string.Join(' ', w.Items.Select(item => item.Row))), Is.EqualTo(new[] { "0 2", "3", "1" }));
        Assert.That(windows[0].Items.Select(windows[0].Of), Is.EqualTo(new[] { windows[0].Name, null }), "what only a judge is asked has no window");
        Assert.That(windows[0].Name, Is.EqualTo(Name(0, Scored("1"))).And.EqualTo(Name(7, Scored("1"), Judge)).And.Not.EqualTo(Name(0, Scored("2"))));
        Assert.That((Name(7, Drawn(0)) == Name(0, Drawn(0)), Name(7, Drawn(1)) == Name(0, Drawn(1))), Is.EqualTo((true, false)), "random numbers go by the item's place");
    }
}
