// What a plugin cannot do without the host. Compiled into the plugins that ask for it.

using PeftAlign.Abstractions;

namespace PeftAlign;

internal static class HostServices
{
    /// <summary>A capability of the host.</summary>
    /// <param name="context">Null where a plugin is made without a host.</param>
    /// <exception cref="InvalidOperationException">The host has none.</exception>
    internal static T Lent<T>(this IPluginContext? context) where T : class =>
        (T?)context?.GetService(typeof(T)) ?? throw new InvalidOperationException($"the host offers no {typeof(T).Name}");
}
