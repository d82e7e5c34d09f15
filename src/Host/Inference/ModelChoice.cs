// The options by which score, generate and chat name a model.

using System.CommandLine;
using PeftAlign.Abstractions;
using PeftAlign.Host.CommandLine;
using PeftAlign.Models.Adapters;

namespace PeftAlign.Host.Inference;

/// <param name="Model">Folder of the model.</param>
/// <param name="Adapter">Folder of an adapter; null for none.</param>
/// <param name="Plugins">Further folders of plugins.</param>
internal sealed record ModelChoice(string Model, string? Adapter, IReadOnlyList<string> Plugins)
{
    /// <summary>The name of one of the policy's controls; null for none.</summary>
    internal string? Control { get; init; }

    /// <summary>The choice with the folder of its control in the adapter's place, and the control that is a text; found before any weight is read.</summary>
    /// <exception cref="UserErrorException">There is no such control, or the adapter's folder holds controls and none was named.</exception>
    internal (ModelChoice Choice, TextControl? Text) Resolved()
    {
        var adapters = Adapter is null ? new Dictionary<string, PolicyControl>() : PolicyControls.Adapters(Adapter);
        if (Control is null && adapters.Keys.SequenceEqual(["adapter"])) throw new UserError($"--adapter {Adapter}", "holds an adapter in its folder adapter", $"give {Path.Combine(Adapter!, "adapter")}");
        if (Control is null) return adapters.Count == 0 ? (this, null) : throw new UserError($"--adapter {Adapter}", $"holds the controls {string.Join(", ", adapters.Keys)}", "choose one with --control NAME");
        if (adapters.Count == 0) return (this, PolicyControls.Find(Adapter is null ? PolicyControls.Texts(Model) : PolicyControls.Texts(Adapter), Control, Adapter ?? Model).Text);
        return (this with { Adapter = PolicyControls.Find(adapters, Control, Adapter!).Folder }, null);
    }
}

internal sealed class ModelOptions
{
    private readonly Option<string> model = new("--model") { HelpName = "DIR", Required = true, Description = "A model folder." };
    private readonly Option<string?> adapter = new("--adapter") { HelpName = "DIR", Description = "An adapter folder in PEFT's format, used with the model." };
    private readonly Option<string?> control = new("--control") { HelpName = "NAME", Description = "Which of the trained controls to use (good, bad): an adapter in the adapter's folder, or a text around each prompt." };
    private readonly Option<string[]> plugins = PluginFolders.Option();

    internal void AddTo(Command command)
    {
        command.Add(model);
        command.Add(adapter);
        command.Add(control);
        command.Add(plugins);
    }

    internal ModelChoice Read(ParseResult parsed) => new(parsed.GetValue(model)!, parsed.GetValue(adapter), parsed.GetValue(plugins)!) { Control = parsed.GetValue(control) };
}
