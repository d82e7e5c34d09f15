// A plugin returned what its contract rules out. Whoever receives the value reports it at once: deep in the engine, where it would do
// harm, nothing tells any more which plugin it came from.

using System.Reflection;
using System.Runtime.Loader;

namespace PeftAlign.Abstractions;

/// <summary>A plugin returned what its contract rules out; exit code 2. The message names the plugin, its assembly's file, what it returned and what the contract asks for.</summary>
/// <param name="plugin">The plugin's object that returned it.</param>
/// <param name="gave">The member and what it returned: "Loss gave null".</param>
/// <param name="asked">What the contract asks for, as a clause of its own.</param>
/// <param name="inner">What led to it, for the log.</param>
public sealed class BrokenContractException(object plugin, string gave, string asked, Exception? inner = null)
    : UserErrorException($"{Of(plugin.GetType().Assembly) ?? "Code of this program"}: {plugin.GetType().FullName}.{gave}; {asked}. Mend the plugin, or leave it out.", inner)
{
    /// <summary>The list that a member returned, checked to hold no null.</summary>
    /// <typeparam name="T">Type of its entries.</typeparam>
    /// <param name="plugin">The plugin's object that returned it.</param>
    /// <param name="member">Which member.</param>
    /// <param name="given">The list.</param>
    /// <exception cref="BrokenContractException">It is null, or one of its entries is.</exception>
    public static IReadOnlyList<T> Whole<T>(object plugin, string member, IReadOnlyList<T>? given)
        where T : class
    {
        if (given is null) throw new BrokenContractException(plugin, $"{member} gave null", $"a list of {typeof(T).Name} is asked for, empty where there is nothing");
        for (var k = 0; k < given.Count; k++)
            if (given[k] is null) throw new BrokenContractException(plugin, $"{member} gave a list whose entry {k + 1} of {given.Count} is null", $"every entry must be a {typeof(T).Name}");
        return given;
    }

    /// <summary>The plugin that an assembly belongs to: "Plugin acme.loss (/plugins/acme.loss/Acme.Loss.dll)"; null where it is the host's or .NET's.</summary>
    /// <param name="assembly">Any assembly.</param>
    public static string? Of(Assembly assembly) =>
        AssemblyLoadContext.GetLoadContext(assembly) is { } context && context != AssemblyLoadContext.Default && context != AssemblyLoadContext.GetLoadContext(typeof(Api).Assembly)
            ? $"Plugin {context.Name} ({assembly.Location})" : null;
}
