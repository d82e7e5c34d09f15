// The sandbox's meter: how many steps, characters, digits and levels one rendering may use.
// It is ambient for the rendering thread, since comparers and formatters deep below have to charge it too;
// every bound is a count, never a clock, so that the same template fails or passes on every machine.
using System.Runtime.CompilerServices;
using PeftAlign.Abstractions;

namespace PeftAlign.Models.Templates.Jinja;

/// <summary>Bounds of one rendering. The defaults stop an endless template well within a second.</summary>
/// <param name="Steps">Nodes evaluated, loop turns, elements copied or compared.</param>
/// <param name="Characters">UTF-16 units made in all, intermediate strings and output together.</param>
internal sealed record RenderLimits(int Steps = 5_000_000, long Characters = 50_000_000)
{
    /// <summary>Levels of containers in containers.</summary>
    public const int Nesting = 200;

    /// <summary>Macros and recursive loops within each other.</summary>
    public const int Calls = 200;

    /// <summary>Bits of a whole number: 4300 decimal digits, Python's own limit for printing.</summary>
    public const int IntegerBits = 14_284;

    /// <summary>Elements of one range, as Jinja's sandbox has it.</summary>
    public const int Range = 100_000;
}

internal sealed class Meter(RenderLimits limits)
{
    [ThreadStatic]
    private static Meter? current;

    private int steps = limits.Steps;
    private long characters = limits.Characters;

    /// <summary>Whether what does not exist may only be asked for whether it is there (jinja2's StrictUndefined).</summary>
    public bool IsStrict { get; set; }

    /// <summary>The meter of this thread's rendering; outside of one, an unlimited stand-in.</summary>
    public static Meter Current => current ?? new Meter(new RenderLimits(int.MaxValue, long.MaxValue));

    /// <summary>Runs a rendering under this meter.</summary>
    public T Run<T>(Func<T> body)
    {
        Meter? outer = current;
        current = this;
        try
        {
            return body();
        }
        finally
        {
            current = outer;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Step(int count = 1)
    {
        if ((steps -= count) < 0) throw TooManySteps();
    }

    /// <summary>Charges work that is proportional to a count which may exceed int.</summary>
    public void Steps(long count)
    {
        if (count > steps) throw TooManySteps();
        steps -= (int)count;
    }

    /// <summary>Charges a string before it is made.</summary>
    public void Characters(long count)
    {
        if (count < 0 || (characters -= count) < 0)
        {
            throw new Fault(
                ChatTemplateErrorKind.Limit,
                $"it makes more than {limits.Characters} characters of text; shorten the template's loops or the input");
        }
    }

    /// <summary>Fails before the machine's stack does.</summary>
    public static void EnsureStack()
    {
        if (!RuntimeHelpers.TryEnsureSufficientExecutionStack())
            throw new Fault(
                ChatTemplateErrorKind.Limit, "it nests deeper than the stack allows; remove recursion from the template");
    }

    /// <summary>Fails where a container would nest too deeply for the walks over it.</summary>
    public static int Nest(int depth) => depth <= RenderLimits.Nesting
        ? depth
        : throw new Fault(
            ChatTemplateErrorKind.Limit, $"it nests values more than {RenderLimits.Nesting} levels deep; flatten the data");

    private Fault TooManySteps()
    {
        steps = 0;
        return new Fault(
            ChatTemplateErrorKind.Limit,
            $"it takes more than {limits.Steps} steps; look for an endless loop in the template");
    }
}

/// <summary>An error inside the engine, before template name and line are known.</summary>
internal sealed class Fault(ChatTemplateErrorKind kind, string message) : Exception(message)
{
    public ChatTemplateErrorKind Kind => kind;

    public static Fault Syntax(string message) => new(ChatTemplateErrorKind.Syntax, message);

    public static Fault Undefined(string message) => new(ChatTemplateErrorKind.Undefined, message);

    public static Fault Type(string message) => new(ChatTemplateErrorKind.Type, message);

    public static Fault Value(string message) => new(ChatTemplateErrorKind.Value, message);

    public static Fault Security(string message) => new(ChatTemplateErrorKind.Security, message);
}
