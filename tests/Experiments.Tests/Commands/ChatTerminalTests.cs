// chat as a person uses it: on a pseudo-terminal, line by line, until /exit, the end of the input, or an interrupt.

using System.Diagnostics;
using System.Text;

namespace PeftAlign.Experiments.Tests;

public sealed class ChatTerminalTests
{
    private static readonly string Model = Peftalign.Stories;

    [Test]
    public void A_conversation_at_a_terminal_has_a_sign_for_the_user_and_ends_when_it_is_told_to()
    {
        using var chat = Start();
        var said = new StringBuilder();
        Until(chat, said, "> ");
        foreach (var line in (string[])["Once upon", "/reset", "Once upon"])
        {
            var before = said.Length;
            chat.StandardInput.Write(line + "\n");
            Until(chat, said, "\n> ", before);
        }
        chat.StandardInput.Write("/exit\n");
        said.Append(chat.StandardOutput.ReadToEnd());
        chat.WaitForExit();
        Assert.That(chat.ExitCode, Is.Zero, said.ToString());
        // What the terminal echoes, then the answer; after /reset the same question has the same answer.
        var answers = said.ToString().Replace("\r", "", StringComparison.Ordinal).Split("Once upon\n").Skip(1).Select(part => part.Split("\n> ")[0]).Where(answer => answer.Length > 0).Distinct().ToList();
        Assert.That(answers, Has.Count.EqualTo(1), said.ToString());
    }

    [Test]
    public void An_interrupt_ends_it_with_130()
    {
        using var chat = Start();
        var said = new StringBuilder();
        Until(chat, said, "> ");
        chat.StandardInput.Write('\u0003');
        said.Append(chat.StandardOutput.ReadToEnd());
        chat.WaitForExit();
        Assert.That(chat.ExitCode, Is.EqualTo(130), said.ToString());
        Assert.That(said.ToString(), Does.Not.Contain("   at "));
    }

    private static Process Start()
    {
        using var probe = Process.Start(new ProcessStartInfo("script", ["-qec", "true", "/dev/null"]) { RedirectStandardOutput = true, RedirectStandardInput = true })!;
        probe.WaitForExit();
        if (probe.ExitCode != 0) Assert.Ignore("this machine makes no pseudo-terminals");
        var chat = Process.Start(new ProcessStartInfo("script", ["-qec", $"'{Path.Combine(Peftalign.Repository, "peftalign")}' chat --model '{Model}' --chat-template vicuna --max-new-tokens 8 --threads 1", "/dev/null"]) { RedirectStandardOutput = true, RedirectStandardInput = true })!;
        chat.StandardInput.AutoFlush = true;
        return chat;
    }

    private static void Until(Process chat, StringBuilder said, string end, int from = 0)
    {
        var one = new char[1];
        while (said.ToString().IndexOf(end, from, StringComparison.Ordinal) < 0)
        {
            if (chat.StandardOutput.Read(one, 0, 1) == 0) Assert.Fail($"it ended without '{end}': {said}");
            said.Append(one[0]);
        }
    }
}
