// What the readers that make rows with a model ask of the host: the model, the judge, and samples of answers.

using PeftAlign.Abstractions;

namespace PeftAlign.Data.Sampling;

internal static class Asking
{
    internal static ILanguageModel Model(IPluginContext? context, ModelReference model) =>
        ((IModels?)context?.GetService(typeof(IModels)) ?? throw new InvalidOperationException("the host offers no models")).Open(model);

    internal static IJudge Judge(IPluginContext? context, JudgeReference judge) =>
        ((IJudges?)context?.GetService(typeof(IJudges)) ?? throw new InvalidOperationException("the host offers no judges")).Open(judge);

    internal static IDatasets Datasets(IPluginContext? context) =>
        (IDatasets?)context?.GetService(typeof(IDatasets)) ?? throw new InvalidOperationException("the host offers no datasets");

    /// <summary>The error for a split of a reader that makes its rows in the run.</summary>
    internal static UserErrorException NoSplits(string reader, string split, string instead) => new($"Reader {reader} has no splits; leave 'split' ({split}) out, and {instead}.");
}
