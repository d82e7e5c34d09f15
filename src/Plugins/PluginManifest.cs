// What plugin.json says: enough for lists, help and checks without loading the plugin's assembly.

namespace PeftAlign.Plugins;

/// <summary>A plugin.json.</summary>
/// <param name="Id">The project's name in lower case, for instance "methods.dpo".</param>
/// <param name="Version">The author's version.</param>
/// <param name="ApiLevel">Level of the contracts that it was built for.</param>
/// <param name="EntryAssembly">File name of the assembly whose attribute names the plugin class.</param>
/// <param name="Provides">Everything that Register adds, in its order.</param>
/// <param name="Files">Every other file of the folder.</param>
public sealed record PluginManifest(
    string Id, string Version, int ApiLevel, string EntryAssembly, IReadOnlyList<ProvidedContract> Provides, IReadOnlyList<PluginFile> Files)
{
    /// <summary>The file's name.</summary>
    public const string FileName = "plugin.json";
}

/// <summary>One thing that a plugin provides.</summary>
/// <param name="Kind">A word of <see cref="ContractKinds"/>.</param>
/// <param name="Name">The name that manifests and commands use, for instance "dpo".</param>
/// <param name="ResultVersion">Raised whenever the same options give other numbers.</param>
/// <param name="Options">What it can be told.</param>
/// <param name="Docs">Summary of its options class; may be empty.</param>
public sealed record ProvidedContract(string Kind, string Name, int ResultVersion, OptionsSchema Options, string Docs)
{
    /// <summary>JSON of what the name stands for, such as {"type":"lora","quantization":"nf4"}; empty for a contract of its own.</summary>
    public string Alias { get; init; } = "";

    /// <summary>Of a merge strategy: how many models it takes, like "[2,2]"; else empty.</summary>
    public string Inputs { get; init; } = "";

    /// <summary>What plans must know: "reference" on a method that compares with a reference policy.</summary>
    public IReadOnlyList<string> Traits { get; init; } = [];
}

/// <summary>A file of a plugin's folder.</summary>
/// <param name="Path">Relative to the folder, with forward slashes.</param>
/// <param name="Sha256">Of its bytes, 64 lower-case hexadecimal digits.</param>
public sealed record PluginFile(string Path, string Sha256);
