// The options by which score, generate and chat name a model.

using System.CommandLine;

namespace PeftAlign.Host.Inference;

/// <param name="Model">Folder of the model.</param>
/// <param name="Adapter">Folder of an adapter; null for none.</param>
/// <param name="Plugins">Further folders of plugins.</param>
internal sealed record ModelChoice(string Model, string? Adapter, IReadOnlyList<string> Plugins);

internal sealed class ModelOptions
{
    private readonly Option<string> model = new("--model") { HelpName = "DIR", Required = true, Description = "A model folder." };
    private readonly Option<string?> adapter = new("--adapter") { HelpName = "DIR", Description = "An adapter folder in PEFT's format, used with the model." };
    private readonly Option<string[]> plugins = new("--plugins") { HelpName = "DIR", Description = "A further folder of plugins, for adapters and architectures of theirs." };

    internal void AddTo(Command command)
    {
        command.Add(model);
        command.Add(adapter);
        command.Add(plugins);
    }

    internal ModelChoice Read(ParseResult parsed) => new(parsed.GetValue(model)!, parsed.GetValue(adapter), parsed.GetValue(plugins) ?? []);
}
