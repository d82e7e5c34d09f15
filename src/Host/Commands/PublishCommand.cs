// peftalign publish: a folder that runs on another Linux machine of this processor family, with nothing installed there.

using System.CommandLine;
using System.Text.Json.Nodes;
using PeftAlign.Host.CommandLine;
using PeftAlign.Host.Commands.Plugins;
using PeftAlign.Host.Publishing;
using PeftAlign.Models.Checkpoints;
using PeftAlign.Plugins;

namespace PeftAlign.Host.Commands;

internal static class PublishCommand
{
    private const string Summary = "a folder that runs where neither .NET nor libtorch is installed";

    private const string Description = """
        Copies the product, the .NET runtime, libtorch and every library that it needs, docs and experiments into a folder, and
        writes manifest.schema.json, the JSON Schema of manifests over the product's plugins.
        DIR/peftalign runs on any Linux of the same processor family whose glibc is as new as this machine's.
        --without-libtorch leaves libtorch out: where it runs, compile DIR/source/native/build OUT with LIBTORCH=DIR (or
        LIBTORCH_USE_PYTORCH=1) and start with PEFTALIGN_NATIVE=OUT. Commands that build plugins need the SDK.
        """;

    private const string Launcher = """
        #!/bin/sh
        # Runs PeftAlign from this folder; needs nothing but glibc. What is closed is opened: another file would get its number.
        [ -e /dev/fd/0 ] || exec </dev/null
        [ -e /dev/fd/1 ] || exec >/dev/null
        [ -e /dev/fd/2 ] || exec 2>/dev/null
        self=$0
        if [ -L "$self" ]; then self=$(PATH="${PATH:-}:/usr/bin:/bin" readlink -f -- "$self"); fi
        case $self in */*) here=$(cd -P -- "${self%/*}" && pwd -P) ;; *) here=$(pwd -P) ;; esac
        export DOTNET_ROOT="$here/dotnet"
        if [ -d "$here/lib" ] && [ -z "${PEFTALIGN_NATIVE:-}" ]; then export LD_LIBRARY_PATH="$here/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"; fi
        . "$here/build/allocator.sh"
        exec "$here/product/PeftAlign.Host" "$@"

        """;

    public static CommandEntry Entry { get; } = new("publish", Summary, Build);

    private static Command Build(CommandFrame frame)
    {
        var output = new Option<string>("--out") { HelpName = "DIR", Required = true, Description = "The new folder; must not be there, or be empty." };
        var without = new Option<bool>("--without-libtorch") { Description = "Leave out libtorch and the compiled native part." };
        var command = new Command("publish", Description) { output, without };
        frame.OnRun(command, Uses.Nothing, (parsed, session, cancel) => Task.FromResult(Run(parsed.GetValue(output)!, !parsed.GetValue(without), session, cancel)));
        return command;
    }

    private static int Run(string target, bool withLibraries, Session session, CancellationToken cancel)
    {
        var folder = Path.GetFullPath(target);
        NewFolder.ThrowIfTaken(target);
        var files = PublishedFolder.Files(withLibraries);
        var bytes = files.Sum(file => file.Size);
        session.Output.Detail($"copying {files.Count} files, {bytes / 1e6:0} MB");
        NewFolder.Fill(folder, made => Copy(files, bytes, (target, made), cancel));
        session.Output.Result(
            () => new JsonObject { ["out"] = folder, ["files"] = files.Count, ["bytes"] = bytes, ["libtorch"] = withLibraries },
            () => [FormattableString.Invariant($"{target}: {files.Count} files, {bytes / 1e6:0} MB; {Path.Combine(target, "peftalign")} runs it")]);
        return ExitCode.Done;
    }

    private static void Copy(IReadOnlyList<PublishedFile> files, long bytes, (string Target, string Made) folder, CancellationToken cancel)
    {
        var made = folder.Made;
        if (FreeSpace.In(made) is { } free && free < bytes) throw new UserError($"--out {folder.Target}", FormattableString.Invariant($"has {free / 1e6:0} MB free and needs {bytes / 1e6:0} MB"), "make room there, or name a folder on another disk");
        foreach (var file in files)
        {
            cancel.ThrowIfCancellationRequested();
            var to = Path.Combine(made, file.To);
            Directory.CreateDirectory(Path.GetDirectoryName(to)!);
            AtomicFile.Copy(file.From, to);
        }
        var plugins = new PluginSearch(Path.Combine(AppContext.BaseDirectory, "plugins"), []).Scan();
        File.WriteAllText(Path.Combine(made, "manifest.schema.json"), Output.Text(SchemaCommand.Of(plugins)) + "\n");
        var launcher = Path.Combine(made, "peftalign");
        File.WriteAllText(launcher, Launcher);
        if (!OperatingSystem.IsWindows()) File.SetUnixFileMode(launcher, (UnixFileMode)0b111_101_101);
    }
}
