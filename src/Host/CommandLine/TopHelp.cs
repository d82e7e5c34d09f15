// The help of `peftalign` itself. Written by hand, since the parser need not be loaded to print a list.

using System.Reflection;

namespace PeftAlign.Host.CommandLine;

internal static class TopHelp
{
    public static string Version { get; } =
        typeof(TopHelp).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()!.InformationalVersion;

    public static void Write(TextWriter writer, IReadOnlyList<CommandEntry> commands)
    {
        writer.WriteLine("peftalign: aligns language models to human preferences with parameter-efficient training");
        writer.WriteLine();
        writer.WriteLine("usage: peftalign COMMAND [ARGUMENTS]        peftalign COMMAND --help says more");
        writer.WriteLine();
        writer.WriteLine("commands:");
        commands = [.. commands.Where(command => !command.IsHidden)];
        var width = commands.Max(command => command.Name.Length);
        foreach (var command in commands) writer.WriteLine($"  {command.Name.PadRight(width)}  {command.Summary}");
        writer.WriteLine();
        writer.WriteLine("""
            options of every command:
              --json          write exactly one JSON document (or JSON lines) to stdout
              --quiet, -v     say less, or more, on stderr; colours only on a terminal and without NO_COLOR
            and where they have a meaning:
              --device cpu   --dtype float32|bfloat16|float16   --threads N   --seed N

            exit codes: 0 done, 1 the work failed, 2 a mistake in what was asked, 130 interrupted
            """);
    }
}
