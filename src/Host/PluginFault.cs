// Whose an exception is. Plugins are called from everywhere, often long after they gave an object or a sequence, so the stack is asked and
// not each caller: from where it was thrown outwards, a plugin's code or the host's comes first. What both use alike decides nothing.

using System.Diagnostics;
using System.Reflection;
using PeftAlign.Abstractions;
using PeftAlign.Host.CommandLine;
using PeftAlign.Host.Running;
using PeftAlign.Merging;
using PeftAlign.Plugins;
using PeftAlign.Training;

namespace PeftAlign.Host;

internal static class PluginFault
{
    private static readonly Assembly[] Hosts = [typeof(PluginFault).Assembly, typeof(Merger).Assembly, typeof(Trainer).Assembly, typeof(PluginCatalogue).Assembly];

    /// <summary>The line that people see of an exception which is no message for them: one out of a plugin's code names the plugin and its assembly.</summary>
    internal static string Line(Exception error) => DiskMessage.IsFull(error) ? DiskMessage.Of(error)
        : OpenFiles.AreUsedUp(error) ? OpenFiles.Message(error)
        : Culprit(error) is var (plugin, place, thrown)
        ? $"{plugin} failed in {place} with {thrown.GetType().Name}: {thrown.Message.ReplaceLineEndings(" ").TrimEnd('.')}; its contract asks for a result there, or for a UserErrorException. Ask its author, or leave the plugin out"
        : error is OperationCanceledException ? $"the work was cancelled, though nobody asked for it ({error.Message.ReplaceLineEndings(" ").TrimEnd('.')}): a time limit inside the program, or a fault of it"
        : DiskMessage.Of(error);

    private static (string Plugin, string Place, Exception Thrown)? Culprit(Exception error)
    {
        foreach (var thrown in InnermostFirst(error))
            foreach (var method in new StackTrace(thrown).GetFrames().Select(frame => frame.GetMethod()))
            {
                if (method?.DeclaringType is not { } type) continue;
                if (Hosts.Contains(type.Assembly)) return null;
                if (BrokenContractException.Of(type.Assembly) is { } plugin) return (plugin, Written(type).FullName!, thrown);
            }
        return null;
    }

    private static IEnumerable<Exception> InnermostFirst(Exception error)
    {
        var causes = error is AggregateException several ? several.InnerExceptions : error.InnerException is { } inner ? (IEnumerable<Exception>)[inner] : [];
        return [.. causes.SelectMany(InnermostFirst), error];
    }

    // Closures and iterators are types that compilers make inside the one that people wrote.
    private static Type Written(Type type) => type.DeclaringType is { } outer && (type.Name.Contains('<') || type.Name.Contains('@')) ? Written(outer) : type;
}
