// Merges of task vectors (a model's difference from a base): eight names for one algebra of sparsifying, rescaling, electing a sign
// and normalising. Names, defaults and numbers are mergekit's 0.1.5; `rescale: exact` is the papers' and the default of manifests.

using PeftAlign.Abstractions;

[assembly: PeftAlignPlugin(typeof(PeftAlign.Merge.Dare.MergeDarePlugin))]

namespace PeftAlign.Merge.Dare;

/// <summary>Provides the merges task_arithmetic, ties, dare_linear, dare_ties, breadcrumbs, breadcrumbs_ties, della_linear and della.</summary>
public sealed class MergeDarePlugin : IPlugin
{
    /// <inheritdoc/>
    public void Register(IPluginRegistry registry)
    {
        registry.Add<IMergeStrategy, TaskArithmeticOptions>("task_arithmetic", resultVersion: 1, (_, options) => new TaskVectorMerge(options, new KeepAll(), elect: false));
        registry.Add<IMergeStrategy, TiesOptions>("ties", resultVersion: 1, (_, options) => new TaskVectorMerge(options, new KeepLargest(options), elect: true));
        registry.Add<IMergeStrategy, DareOptions>("dare_linear", resultVersion: 1, (_, options) => new TaskVectorMerge(options, new KeepAtRandom(options), elect: false));
        registry.Add<IMergeStrategy, DareOptions>("dare_ties", resultVersion: 1, (_, options) => new TaskVectorMerge(options, new KeepAtRandom(options), elect: true));
        registry.Add<IMergeStrategy, BreadcrumbsOptions>("breadcrumbs", resultVersion: 1, (_, options) => new TaskVectorMerge(options, new KeepMiddle(options), elect: false));
        registry.Add<IMergeStrategy, BreadcrumbsOptions>("breadcrumbs_ties", resultVersion: 1, (_, options) => new TaskVectorMerge(options, new KeepMiddle(options), elect: true));
        registry.Add<IMergeStrategy, DellaLinearOptions>("della_linear", resultVersion: 1, (_, options) => new TaskVectorMerge(options, new KeepByRank(options), elect: false));
        registry.Add<IMergeStrategy, DellaOptions>("della", resultVersion: 1, (_, options) => new TaskVectorMerge(options, new KeepByRank(options), elect: true));
    }
}
