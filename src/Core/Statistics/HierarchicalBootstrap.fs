// Bootstraps over seeds and items: an arm is a table [seed][item]; the statistic is the mean over drawn seeds of the mean
// over drawn items. A benchmark asks the same items of every seed, so `Crossed` is the right one for it.
// Seeded draws run in parallel and are keyed by their number, so results depend on neither order nor threads.
namespace PeftAlign.Core.Statistics

open System.Runtime.Intrinsics

/// A hierarchical bootstrap of level 1 - alpha. Bca takes its acceleration from leaving out one unit of the top level
/// (configurations, else seeds; items where there is a single seed); NaN where its constants do not exist.
/// ShareAtOrBelowZero is a one-sided bootstrap p-value of a positive difference.
type HierarchicalResult =
    {
        Mean: float
        StandardError: float
        Percentile: Interval
        Bca: Interval
        ShareAtOrBelowZero: float
        Replicates: float[]
    }

module private Levels =
    let check (arm: float[][]) =
        Guard.atLeast "arm" 1 arm

        arm
        |> Array.iteri (fun s row -> Guard.sameLength "arm[0]" arm[0] $"arm[{s}]" row)

        arm |> Array.iteri (fun s row -> Guard.sample $"arm[{s}]" 1 row)

    /// Means without each unit in turn.
    let jackknife (units: float[]) =
        units |> Array.mapi (fun i _ -> Array.average (Array.removeAt i units))

    /// Leave-one-out means of the statistic over seeds, or over items where there is one seed.
    let ofArm (arm: float[][]) =
        if arm.Length > 1 then
            jackknife (Array.map Array.average arm)
        elif arm[0].Length > 1 then
            jackknife arm[0]
        else
            [| arm[0].[0] |]

    let result mean (replicates: float[]) jackknife alpha =
        let r = BootstrapIntervals.result mean replicates jackknife alpha
        let below = replicates |> Array.filter (fun v -> v <= 0.0) |> Array.length

        {
            Mean = mean
            StandardError = r.StandardError
            Percentile = r.Percentile
            Bca = r.Bca
            ShareAtOrBelowZero = float below / float replicates.Length
            Replicates = replicates
        }

    let ofReplicates (arm: float[][]) replicates alpha =
        result (arm |> Array.averageBy Array.average) replicates (ofArm arm) alpha

    let nested (arm: float[][]) (seeds: int[]) (items: int[][]) =
        Array.map2 (fun s row -> row |> Array.averageBy (fun i -> arm[s][i])) seeds items
        |> Array.average

    let crossed (arm: float[][]) (seeds: int[]) (items: int[]) =
        seeds
        |> Array.averageBy (fun s -> items |> Array.averageBy (fun i -> arm[s][i]))

/// An arm with the scores of up to four seeds side by side, so that a drawn item is one place in memory and their sums are made at once. Each seed's sum is
/// added up by itself, in the order of the draw.
[<Sealed>]
type internal SideBySide(arm: float[][]) =
    let lanes = Vector256<float>.Count

    let groups =
        [|
            for first in 0..lanes .. arm.Length - 1 ->
                Array.init arm[0].Length (fun i ->
                    let at k =
                        if first + k < arm.Length then arm[first + k].[i] else 0.0

                    Vector256.Create(at 0, at 1, at 2, at 3))
        |]

    /// Each seed's mean over the drawn items.
    member _.Means(items: int[]) : float[] =
        let means = Array.zeroCreate<float> arm.Length

        for g in 0 .. groups.Length - 1 do
            let scores = groups[g]
            let mutable sum = Vector256<float>.Zero

            for i in items do
                sum <- sum + scores[i]

            for k in 0 .. min lanes (arm.Length - g * lanes) - 1 do
                means[g * lanes + k] <- sum[k] / float items.Length

        means

/// Bootstraps of a table of seeds (rows) by items (columns).
[<AbstractClass; Sealed>]
type HierarchicalBootstrap =
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
        Levels.check arm
        BootstrapIntervals.checkIndices "seeds" arm.Length seeds
        Guard.sameLength "seeds" seeds "items" items
        Array.iter2 (fun (s: int[]) i -> Guard.sameLength "a row of seeds" s "of items" i) seeds items
        Array.concat items |> BootstrapIntervals.checkIndices "items" arm[0].Length
        Levels.ofReplicates arm (Array.map2 (Levels.nested arm) seeds items) alpha

    /// Seeds resampled, every seed with all its items: items are a fixed set.
    static member SeedsOnly(arm: float[][], seeds: int[][], alpha: float) : HierarchicalResult =
        Levels.check arm
        BootstrapIntervals.checkIndices "seeds" arm.Length seeds
        let means = arm |> Array.map Array.average
        Levels.ofReplicates arm (seeds |> Array.map (Array.averageBy (fun s -> means[s]))) alpha

    /// Every seed answers the same items: draw b takes seeds seeds[b] and, for all of them, items items[b].
    static member Crossed(arm: float[][], seeds: int[][], items: int[][], alpha: float) : HierarchicalResult =
        Levels.check arm
        BootstrapIntervals.checkIndices "seeds" arm.Length seeds
        BootstrapIntervals.checkIndices "items" arm[0].Length items
        Guard.sameLength "seeds" seeds "items" items
        Levels.ofReplicates arm (Array.map2 (Levels.crossed arm) seeds items) alpha

    /// Crossed bootstrap with `draws` seeded draws of seeds and of items.
    static member Crossed(arm: float[][], draws: int, alpha: float, stream: RandomStream) : HierarchicalResult =
        Levels.check arm
        BootstrapIntervals.checkDraws draws
        let seeds, items = stream.Child "seeds", stream.Child "items"
        let rows, columns = arm.Length, arm[0].Length

        let scores = SideBySide arm

        let replicate (b: int) drawn =
            items.Fill(int64 b, columns, drawn)
            let means = scores.Means drawn

            seeds.Indices(int64 b, rows, rows) |> Array.averageBy (fun s -> means[s])

        Levels.ofReplicates arm (Draws.each draws columns replicate) alpha

    /// Nested bootstrap with `draws` seeded draws.
    static member Nested(arm: float[][], draws: int, alpha: float, stream: RandomStream) : HierarchicalResult =
        Levels.check arm
        BootstrapIntervals.checkDraws draws
        let seeds, items = stream.Child "seeds", stream.Child "items"
        let rows, columns = arm.Length, arm[0].Length

        let replicate (b: int) =
            let own k =
                items.Indices(int64 b * int64 rows + int64 k, columns, columns)

            Levels.nested arm (seeds.Indices(int64 b, rows, rows)) (Array.init rows own)

        Levels.ofReplicates arm (Array.Parallel.init draws replicate) alpha

    /// Configurations first, then the seeds of each drawn configuration, then common items of all:
    /// arms [configuration][seed][item]; statistic: mean of the configurations' means.
    static member ConfigurationsSeedsItems
        (arms: float[][][], draws: int, alpha: float, stream: RandomStream)
        : HierarchicalResult =
        Guard.atLeast "arms" 1 arms
        BootstrapIntervals.checkDraws draws
        arms |> Array.iter Levels.check
        let width = arms[0][0]

        arms
        |> Array.iter (fun arm -> Guard.sameLength "a seed of the first arm" width "of another arm" arm[0])

        let count, items = arms.Length, width.Length

        let configurations, seeds, common =
            stream.Child "configurations", stream.Child "seeds", stream.Child "items"

        let replicate (b: int) =
            let drawn = common.Indices(int64 b, items, items)

            configurations.Indices(int64 b, count, count)
            |> Array.mapi (fun k c ->
                let rows = arms[c].Length
                Levels.crossed arms[c] (seeds.Indices(int64 b * int64 count + int64 k, rows, rows)) drawn)
            |> Array.average

        let means = arms |> Array.map (Array.averageBy Array.average)

        let without =
            if count > 1 then
                Levels.jackknife means
            else
                Levels.ofArm arms[0]

        Levels.result (Array.average means) (Array.Parallel.init draws replicate) without alpha
