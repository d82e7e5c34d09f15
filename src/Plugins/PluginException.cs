// Why a plugin cannot be used. A user's mistake or a third party's, never the host's: it ends a run only if the run needs it.

using PeftAlign.Abstractions;

namespace PeftAlign.Plugins;

/// <summary>A plugin cannot be found, read, verified, loaded or given its options. The message names plugin, path and remedy.</summary>
/// <param name="message">The message, complete sentences.</param>
/// <param name="inner">What led to it.</param>
public sealed class PluginException(string message, Exception? inner = null) : UserErrorException(message, inner);
