// The one table of plugin kinds: the word that manifests, plugin.json and commands use for each contract.

using PeftAlign.Abstractions;

namespace PeftAlign.Plugins;

/// <summary>Kinds of contract. A new contract is one line here.</summary>
public static class ContractKinds
{
    private static readonly (string Kind, Type Contract)[] Table =
    [
        ("method", typeof(IAlignmentMethod)),
        ("adapter", typeof(IPeftAdapter)),
        ("quantization", typeof(IQuantization)),
        ("merge", typeof(IMergeStrategy)),
        ("benchmark", typeof(IBenchmark)),
        ("judge", typeof(IJudge)),
        ("reader", typeof(IDatasetReader)),
        ("architecture", typeof(IModelArchitecture)),
        ("tracker", typeof(ITracker)),
    ];

    /// <summary>Every kind, for instance "method".</summary>
    public static IReadOnlyList<string> All { get; } = [.. Table.Select(row => row.Kind)];

    /// <summary>The kind of a contract, or null where the type is no contract.</summary>
    /// <param name="contract">An interface of the contracts' assembly.</param>
    public static string? Of(Type contract) => Table.FirstOrDefault(row => row.Contract == contract).Kind;

    /// <summary>The contract of a kind, or null where there is none of that name.</summary>
    /// <param name="kind">For instance "reader".</param>
    public static Type? Contract(string kind) => Table.FirstOrDefault(row => row.Kind == kind).Contract;
}
