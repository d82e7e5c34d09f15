// From arguments to an exit code. Only the command that was named is built and parsed; errors become one line on stderr:
// 2 for the user's mistakes, 130 for an interrupt, 1 for the rest.

using System.CommandLine;
using System.CommandLine.Help;
using System.CommandLine.Parsing;
using PeftAlign.Abstractions;
using PeftAlign.Core.Statistics;
using PeftAlign.Host.Rows;
using PeftAlign.Torch;

namespace PeftAlign.Host.CommandLine;

internal sealed class Dispatcher(IReadOnlyList<CommandEntry> commands, TextWriter results, TextWriter remarks)
{
    /// <summary>What a failure's line ends with.</summary>
    internal const string More = " (-v shows where)";

    private readonly CommandFrame frame = new(results, remarks);

    // The user's, of the command that runs. What cancels by itself, such as a time limit inside a plugin, is a failure.
    private CancellationToken interrupt;

    public async Task<int> RunAsync(string[] args)
    {
        try
        {
            return await RouteAsync(args);
        }
        catch (OperationCanceledException) when (interrupt.IsCancellationRequested)
        {
            remarks.WriteLine("peftalign: interrupted");
            return ExitCode.Interrupted;
        }
        catch (ResultReaderGoneException)
        {
            return ExitCode.Interrupted;
        }
        catch (Exception e) when (IsUsersMistake(e))
        {
            remarks.WriteLine($"peftalign: {e.Message}");
            return ExitCode.UserError;
        }
        catch (FileNotFoundException) when (IsWithoutFolder())
        {
            remarks.WriteLine("peftalign: the working folder is not there any more; change to one that is (cd) and run the same command again");
            return ExitCode.UserError;
        }
        catch (TorchOutOfMemoryException e) when (e.IsOnGpu && !frame.Verbose)
        {
            remarks.WriteLine($"peftalign: the GPU's memory ran out ({e.Cause.ReplaceLineEndings(" ")}); use a narrower --dtype, a 4-bit model (quantize), another GPU (--device cuda:N) or --device cpu");
            return ExitCode.Failed;
        }
        catch (Exception e)
        {
            remarks.WriteLine(frame.Verbose ? $"peftalign: {PluginFault.Line(e)}{Environment.NewLine}{e}" : $"peftalign: {PluginFault.Line(e)}{More}");
            return ExitCode.Failed;
        }
    }

    // Core is pure and uses nothing of ours, and Torch stands below all, so theirs are types of their own: for data without an answer, and
    // for a variable that asks for what the processor does not have.
    private static bool IsUsersMistake(Exception e) => e is UserErrorException or StatisticsException or TorchSettingException;

    // Of .NET's own message nobody learns which file was looked for.
    private static bool IsWithoutFolder()
    {
        try
        {
            return Environment.CurrentDirectory.Length == 0;
        }
        catch (FileNotFoundException)
        {
            return true;
        }
    }

    private Task<int> RouteAsync(string[] args)
    {
        var at = CommandPosition(args);
        if (at == args.Length) return Task.FromResult(WithoutCommand(args));
        if (args[at] == "help") return RouteAsync([.. args[(at + 1)..], "--help"]);
        var entry = commands.FirstOrDefault(command => command.Name == args[at]) ?? throw UnknownCommand(args[at]);
        return InvokeAsync(entry, BehindCommand(args, at));
    }

    /// <summary>Global options may stand before the command; their values are no commands.</summary>
    private static int CommandPosition(string[] args)
    {
        var at = 0;
        while (at < args.Length && args[at].StartsWith('-')) at += GlobalOptionSet.Valued.Contains(args[at]) ? 2 : 1;
        return Math.Min(at, args.Length);
    }

    // Options given before the command are moved behind its own arguments, where the parser knows them.
    private static string[] BehindCommand(string[] args, int at)
    {
        var own = args[at..];
        var end = Array.IndexOf(own, "--") is >= 0 and var dashes ? dashes : own.Length;
        return [.. own[..end], .. args[..at], .. own[end..]];
    }

    private int WithoutCommand(string[] args)
    {
        if (args.Any(arg => arg is "--help" or "-h" or "-?"))
        {
            TopHelp.Write(results, commands);
            return ExitCode.Done;
        }
        if (args is ["--version"])
        {
            results.WriteLine($"peftalign {TopHelp.Version}");
            return ExitCode.Done;
        }
        string[] known = [.. GlobalOptionSet.Valued, .. GlobalOptionSet.Flags, "--help", "--version"];
        if (args.FirstOrDefault(arg => arg.StartsWith('-') && !known.Contains(arg.Split('=')[0])) is { } unknown)
            throw new UserError(unknown, "no such option", Near.DidYouMean(unknown, known) ?? "peftalign --help lists them");
        throw new UserError("peftalign", "needs a command", "peftalign --help lists them");
    }

    private UserError UnknownCommand(string name) => PlannedParts.Error("", name)
        ?? new UserError(name, "no such command", Near.DidYouMean(name, commands.Select(command => command.Name)) ?? "peftalign --help lists them");

    private async Task<int> InvokeAsync(CommandEntry entry, string[] args)
    {
        var root = new Command("peftalign") { new HelpOption() };
        var (command, spelled) = entry.BuildFor is { } build ? build(frame, args) : (entry.Build(frame), args);
        root.Add(command);
        // No response files: an argument that begins with @ is text like any other.
        var parsed = root.Parse(spelled, new ParserConfiguration { ResponseFileTokenReplacer = null });
        var help = parsed.GetResult("--help") != null;
        if (!help) ThrowIfMistaken(parsed, spelled);
        if (!help) OpenFiles.RefuseIfFew();
        using var interrupts = new Interrupts();
        interrupt = interrupts.Token;
        var configuration = new InvocationConfiguration { Output = results, Error = remarks, EnableDefaultExceptionHandler = false, ProcessTerminationTimeout = null };
        var code = await parsed.InvokeAsync(configuration, interrupts.Token);
        return interrupts.Token.IsCancellationRequested ? ExitCode.Interrupted : code;
    }

    private static void ThrowIfMistaken(ParseResult parsed, IReadOnlyList<string> spelled)
    {
        var command = parsed.CommandResult.Command;
        var path = string.Join(' ', parsed.Tokens.Where(token => token.Type == TokenType.Command).Select(token => token.Value));
        var more = $"peftalign {path} --help says what it takes";
        EmptyPaths.ThrowIfAny(path, parsed.CommandResult, spelled);
        if (command.TreatUnmatchedTokensAsErrors && parsed.UnmatchedTokens is [var first, ..]) throw Unmatched(command, path, first, more);
        if (parsed.Errors is { Count: > 0 } errors)
            throw new UserError(path, string.Join(" ", errors.Select(Said).Distinct()).TrimEnd('.'), more);
    }

    // The parser names types of .NET where a value is of another kind.
    private static string Said(ParseError error)
    {
        if (error.SymbolResult is not OptionResult { Option: var option } result) return error.Message;
        var kind = Nullable.GetUnderlyingType(option.ValueType) ?? option.ValueType.GetElementType() ?? option.ValueType;
        return error.Message.Contains(kind.ToString(), StringComparison.Ordinal) && result.Tokens.LastOrDefault(token => error.Message.Contains($"'{token.Value}'", StringComparison.Ordinal)) is { } wrong
            ? $"{option.Name} {wrong.Value}: is {KindOf(kind)}." : error.Message;
    }

    private static string KindOf(Type type) => type == typeof(int) ? $"a whole number of at most {int.MaxValue}" : type == typeof(long) ? "a whole number" : type == typeof(bool) ? "true or false" : "a number";

    private static UserError Unmatched(Command command, string path, string token, string more)
    {
        var name = token.Split('=')[0];
        if (name.StartsWith('-'))
        {
            var options = command.Options.SelectMany(option => option.Aliases.Prepend(option.Name));
            // One that is spelt right but for other commands is near to nothing.
            if (GlobalOptionSet.Valued.Contains(name)) return new UserError($"{path} {name}", "makes no difference to this command", more);
            return PlannedParts.Error(path, name) ?? new UserError($"{path} {name}", "no such option", Near.DidYouMean(name, options) ?? more);
        }
        if (command.Subcommands.Count > 0)
            return PlannedParts.Error(path, token) ?? new UserError($"{path} {token}", "no such command", Near.DidYouMean(token, command.Subcommands.Select(sub => sub.Name)) ?? more);
        return new UserError($"{path} {token}", "one argument too many", more);
    }
}
