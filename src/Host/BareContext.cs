// What plugins get that need nothing of a job: readers of formats, shapes of models, measurements.

using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using PeftAlign.Abstractions;

namespace PeftAlign.Host;

internal sealed class BareContext : IPluginContext
{
    public ILogger Logger => NullLogger.Instance;

    public string Folder => "";

    public object? GetService(Type type) => null;
}
