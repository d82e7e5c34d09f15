// A plugin built for a level of contracts that does not exist yet.

using PeftAlign.Abstractions;

[assembly: PeftAlignPlugin(typeof(Sample.Future.FuturePlugin), 7)]

namespace Sample.Future;

/// <summary>Never reached: the level is read before anything is loaded.</summary>
public sealed class FuturePlugin : IPlugin
{
    /// <inheritdoc/>
    public void Register(IPluginRegistry registry) => throw new InvalidOperationException("must not be reached");
}
