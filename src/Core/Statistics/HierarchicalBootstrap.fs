// Bootstraps over seeds and items: an arm is a table [seed][item]; the statistic is the mean over drawn seeds of the mean
// over drawn items. A benchmark asks the same items of every seed, so `Crossed` is the right one for it.
namespace PeftAlign.Core.Statistics

/// A hierarchical bootstrap; ShareAtOrBelowZero is a one-sided bootstrap p-value of a positive difference.
type HierarchicalResult =
    {
        Mean: float
        StandardError: float
        Percentile: Interval
        ShareAtOrBelowZero: float
        Replicates: float[]
    }

/// Bootstraps of a table of seeds (rows) by items (columns).
[<AbstractClass; Sealed>]
type HierarchicalBootstrap =
    static member private Check(arm: float[][]) =
        Guard.atLeast "arm" 1 arm

        arm
        |> Array.iteri (fun s row -> Guard.sameLength "arm[0]" arm[0] $"arm[{s}]" row)

        arm |> Array.iteri (fun s row -> Guard.sample $"arm[{s}]" 1 row)

    static member private Summary(arm: float[][], replicates: float[], alpha) =
        Guard.probability "alpha" alpha

        {
            Mean = arm |> Array.averageBy Array.average
            StandardError = Descriptive.StandardDeviation replicates
            Percentile = BootstrapIntervals.percentile replicates alpha
            ShareAtOrBelowZero =
                float (replicates |> Array.filter (fun r -> r <= 0.0) |> Array.length)
                / float replicates.Length
            Replicates = replicates
        }

    /// first - second, seed by seed and item by item: the arm of a paired comparison.
    static member Difference(first: float[][], second: float[][]) : float[][] =
        Guard.sameLength "first" first "second" second

        Array.map2
            (fun (a: float[]) b ->
                Guard.sameLength "a seed of first" a "the same seed of second" b
                Array.map2 (-) a b)
            first
            second

    /// Items nested in seeds: draw b takes seeds seeds[b]; its k-th drawn seed takes items items[b][k].
    static member Nested(arm: float[][], seeds: int[][], items: int[][][], alpha: float) : HierarchicalResult =
        HierarchicalBootstrap.Check arm
        BootstrapIntervals.checkIndices "seeds" arm.Length seeds
        Guard.sameLength "seeds" seeds "items" items
        Array.iter2 (fun (s: int[]) i -> Guard.sameLength "a row of seeds" s "of items" i) seeds items
        Array.concat items |> BootstrapIntervals.checkIndices "items" arm[0].Length

        let mean (seed: int) row =
            row |> Array.averageBy (fun i -> arm[seed][i])

        let replicates =
            Array.map2 (fun s i -> Array.map2 mean s i |> Array.average) seeds items

        HierarchicalBootstrap.Summary(arm, replicates, alpha)

    /// Seeds resampled, every seed with all its items: items are a fixed set.
    static member SeedsOnly(arm: float[][], seeds: int[][], alpha: float) : HierarchicalResult =
        HierarchicalBootstrap.Check arm
        BootstrapIntervals.checkIndices "seeds" arm.Length seeds
        let means = arm |> Array.map Array.average
        let replicates = seeds |> Array.map (Array.averageBy (fun s -> means[s]))
        HierarchicalBootstrap.Summary(arm, replicates, alpha)

    /// Every seed answers the same items: draw b takes seeds seeds[b] and, for all of them, items items[b].
    static member Crossed(arm: float[][], seeds: int[][], items: int[][], alpha: float) : HierarchicalResult =
        HierarchicalBootstrap.Check arm
        BootstrapIntervals.checkIndices "seeds" arm.Length seeds
        BootstrapIntervals.checkIndices "items" arm[0].Length items
        Guard.sameLength "seeds" seeds "items" items

        let mean (items: int[]) (seed: int) =
            items |> Array.averageBy (fun i -> arm[seed][i])

        let replicates = Array.map2 (fun s i -> Array.averageBy (mean i) s) seeds items
        HierarchicalBootstrap.Summary(arm, replicates, alpha)

    /// Crossed bootstrap with `draws` seeded draws of seeds and of items.
    static member Crossed(arm: float[][], draws: int, alpha: float, stream: RandomStream) : HierarchicalResult =
        HierarchicalBootstrap.Check arm
        let seeds = Bootstrap.Indices(arm.Length, draws, stream.Child "seeds")
        let items = Bootstrap.Indices(arm[0].Length, draws, stream.Child "items")
        HierarchicalBootstrap.Crossed(arm, seeds, items, alpha)

    /// Nested bootstrap with `draws` seeded draws.
    static member Nested(arm: float[][], draws: int, alpha: float, stream: RandomStream) : HierarchicalResult =
        HierarchicalBootstrap.Check arm
        let seeds = Bootstrap.Indices(arm.Length, draws, stream.Child "seeds")
        let source = stream.Child "items"

        let items =
            Array.init draws (fun b ->
                Array.init arm.Length (fun k ->
                    source.Indices(int64 b * int64 arm.Length + int64 k, arm[0].Length, arm[0].Length)))

        HierarchicalBootstrap.Nested(arm, seeds, items, alpha)

    /// Configurations first, then the seeds of each drawn configuration, then common items of all:
    /// arms [configuration][seed][item]; statistic: mean of the configurations' means.
    static member ConfigurationsSeedsItems
        (arms: float[][][], draws: int, alpha: float, stream: RandomStream)
        : HierarchicalResult =
        Guard.atLeast "arms" 1 arms
        arms |> Array.iter HierarchicalBootstrap.Check
        let width = arms[0][0]

        arms
        |> Array.iter (fun arm -> Guard.sameLength "a seed of the first arm" width "of another arm" arm[0])

        let count, items = arms.Length, width.Length

        let configurations, seeds, common =
            stream.Child "configurations", stream.Child "seeds", stream.Child "items"

        let replicate b =
            let drawn = common.Indices(b, items, items)

            configurations.Indices(b, count, count)
            |> Array.mapi (fun k c ->
                let arm = arms[c]
                let chosen = seeds.Indices(b * int64 count + int64 k, arm.Length, arm.Length)

                chosen
                |> Array.averageBy (fun s -> drawn |> Array.averageBy (fun i -> arm[s][i])))
            |> Array.average

        let replicates = Array.init draws (int64 >> replicate)
        HierarchicalBootstrap.Summary(arms |> Array.map (fun arm -> [| Array.averageBy Array.average arm |]), replicates, alpha)
