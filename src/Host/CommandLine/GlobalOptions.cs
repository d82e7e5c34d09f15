// The options that mean the same for every command. A command says which of them it uses; the others are unknown to it,
// so that none is read and ignored. --json, --quiet and -v belong to all.

using System.CommandLine;
using System.Globalization;
using PeftAlign.Abstractions;

namespace PeftAlign.Host.CommandLine;

/// <summary>Which global options a command uses beside --json, --quiet and -v.</summary>
[Flags]
internal enum Uses
{
    Nothing = 0,
    Device = 1,
    Dtype = 2,
    Threads = 4,
    Seed = 8,
}

/// <summary>What the user chose; null is the documented default.</summary>
/// <param name="Device">cpu, cuda or cuda:N; null is the first GPU where there is one, else cpu.</param>
/// <param name="Dtype">float32, bfloat16 or float16; null lets the command choose.</param>
/// <param name="Threads">1 to 4096; null is PEFTALIGN_THREADS, of trainings and runs every core that the process may use.</param>
/// <param name="Seed">0 to 2^63-1; null is the command's default.</param>
internal sealed record GlobalOptions(string? Device, string? Dtype, int? Threads, long? Seed);

internal sealed class GlobalOptionSet
{
    private static readonly string[] Dtypes = ["float32", "bfloat16", "float16"];

    private readonly Option<string?> device = Typed("--device", "DEVICE", "cpu, cuda or cuda:N (default: the first GPU that libtorch sees, else cpu).", ParseDevice);
    private readonly Option<string?> dtype = Typed("--dtype", "TYPE", "float32, bfloat16 or float16 (default: float32 on a processor, the checkpoint's on a GPU).", ParseDtype);
    private readonly Option<int?> threads = Typed("--threads", "N", "Processor threads (default: the cores that the process may use; except in train and run, PEFTALIGN_THREADS where it is set).", ParseThreads);
    private readonly Option<long?> seed = Typed("--seed", "N", "Seed of all random numbers.", ParseSeed);
    private readonly Option<bool> json = new("--json") { Description = "Write exactly one JSON document (or JSON lines) to stdout." };
    private readonly Option<bool> quiet = new("--quiet") { Description = "No progress and no remarks on stderr; failures are still reported." };
    private readonly Option<bool> verbose = new("-v", "--verbose") { Description = "Say more on stderr; stack traces of failures." };

    /// <summary>The global options that take a value, which may stand before the command: --device cpu score ...</summary>
    public static IReadOnlyList<string> Valued { get; } = ["--device", "--dtype", "--threads", "--seed"];

    public static IReadOnlyList<string> Flags { get; } = ["--json", "--quiet", "-v", "--verbose"];

    /// <summary>Adds to a command the global options that it uses.</summary>
    public void AddTo(Command command, Uses uses)
    {
        if (uses.HasFlag(Uses.Device)) command.Add(device);
        if (uses.HasFlag(Uses.Dtype)) command.Add(dtype);
        if (uses.HasFlag(Uses.Threads)) command.Add(threads);
        if (uses.HasFlag(Uses.Seed)) command.Add(seed);
        command.Add(json);
        command.Add(quiet);
        command.Add(verbose);
    }

    public GlobalOptions Read(ParseResult parsed) => new(parsed.GetValue(device), parsed.GetValue(dtype), parsed.GetValue(threads), parsed.GetValue(seed));

    public Output Output(ParseResult parsed, TextWriter results, TextWriter remarks)
    {
        if (parsed.GetValue(quiet) && parsed.GetValue(verbose))
            throw new UserError("--quiet -v", "one says less and the other more", "give one of them");
        return new Output(results, remarks, parsed.GetValue(json), parsed.GetValue(quiet), parsed.GetValue(verbose)) { Coloured = Host.Output.TerminalHasColour() };
    }

    private static Option<T?> Typed<T>(string name, string helpName, string description, Func<string, T?> parse) => new(name)
    {
        HelpName = helpName,
        Description = description,
        CustomParser = result =>
        {
            try
            {
                return parse(result.Tokens[0].Value);
            }
            catch (UserErrorException e)
            {
                result.AddError(e.Message);
                return default;
            }
        },
    };

    // Whether it is there is seen when libtorch is open. privateuseone is the device to rehearse on (native/rehearsal.cpp).
    internal static string? ParseDevice(string text) =>
        text is "cpu" or "cuda" or "privateuseone" || (text.StartsWith("cuda:", StringComparison.Ordinal) && IsIndex(text[5..]))
            ? text
            : throw new UserError($"--device {text}", "is cpu, cuda or cuda:N", "leave it out for the first GPU, or the processor where there is none");

    internal static string? ParseDtype(string text) =>
        Dtypes.Contains(text)
            ? text
            : throw new UserError($"--dtype {text}", $"is one of {string.Join(", ", Dtypes)}", Near.DidYouMean(text, Dtypes) ?? "leave it out for the default");

    internal static int? ParseThreads(string text) =>
        int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var n) && n is >= 1 and <= 4096
            ? n
            : throw new UserError($"--threads {text}", "is a whole number from 1 to 4096", "leave it out to use every core");

    internal static long? ParseSeed(string text) =>
        long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var n)
            ? n
            : throw new UserError($"--seed {text}", "is a whole number from 0 to 9223372036854775807", "leave it out for the default");

    private static bool IsIndex(string text) => text.Length is > 0 and <= 4 && text.All(char.IsAsciiDigit);
}
