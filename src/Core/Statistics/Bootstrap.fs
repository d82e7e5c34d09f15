// Bootstrap intervals (Efron 1979, 1987): percentile, basic, BCa and normal, over one sample or two independent ones.
// Replicates are statistics of x[indices[b]]; the indices come from a keyed random stream or from a file.
namespace PeftAlign.Core.Statistics

open System
open System.Threading.Tasks

/// A bootstrap. Intervals have the level 1 - alpha. BCa is NaN where its constants do not exist
/// (all replicates on one side of the statistic).
type BootstrapResult =
    {
        Statistic: float
        StandardError: float
        Percentile: Interval
        Basic: Interval
        Bca: Interval
        Normal: Interval
        BcaZ0: float
        BcaAcceleration: float
        BcaLevels: Interval
        Replicates: float[]
    }

/// A bootstrap of the difference of two independent samples. PShifted: share of replicates whose distance from
/// their mean reaches the observed difference.
type BootstrapDifference =
    {
        Difference: float
        StandardError: float
        Percentile: Interval
        PShifted: float
        Replicates: float[]
    }

module internal BootstrapIntervals =
    let quantiles (replicates: float[]) lower upper =
        let sorted = Array.sort replicates

        let at level =
            if Double.IsNaN level then
                nan
            else
                Descriptive.QuantileOfSorted(sorted, level, QuantileMethod.Linear)

        { Lower = at lower; Upper = at upper }

    let percentile replicates alpha =
        quantiles replicates (0.5 * alpha) (1.0 - 0.5 * alpha)

    /// Median bias; ties with the statistic count one half, which matters for accuracies and medians.
    let z0 (replicates: float[]) statistic =
        let below =
            replicates
            |> Array.sumBy (fun r ->
                if r < statistic then 1.0
                elif r = statistic then 0.5
                else 0.0)

        Distributions.NormalQuantile(below / float replicates.Length)

    /// Acceleration from the leave-one-out statistics; 0 where they are all equal.
    let acceleration (jackknife: float[]) =
        let mean = Array.average jackknife
        let d = jackknife |> Array.map (fun j -> mean - j)
        let squares = d |> Array.sumBy (fun v -> v * v)

        if squares = 0.0 then
            0.0
        else
            Array.sumBy (fun v -> v * v * v) d / (6.0 * Math.Pow(squares, 1.5))

    let bcaLevel z0 acceleration z =
        Distributions.NormalCdf(z0 + (z0 + z) / (1.0 - acceleration * (z0 + z)))

    /// The levels at which BCa reads the replicates' quantiles.
    let bcaLevels z0 acceleration alpha =
        let z = Distributions.NormalQuantile(1.0 - 0.5 * alpha)

        {
            Lower = bcaLevel z0 acceleration -z
            Upper = bcaLevel z0 acceleration z
        }

    let result statistic replicates jackknife alpha =
        Guard.probability "alpha" alpha
        let error = Descriptive.StandardDeviation replicates
        let percentile = percentile replicates alpha
        let z0, acceleration = z0 replicates statistic, acceleration jackknife
        let levels = bcaLevels z0 acceleration alpha
        let half = error * Distributions.NormalQuantile(1.0 - 0.5 * alpha)

        {
            Statistic = statistic
            StandardError = error
            Percentile = percentile
            Basic =
                {
                    Lower = 2.0 * statistic - percentile.Upper
                    Upper = 2.0 * statistic - percentile.Lower
                }
            Bca = quantiles replicates levels.Lower levels.Upper
            Normal =
                {
                    Lower = statistic - half
                    Upper = statistic + half
                }
            BcaZ0 = z0
            BcaAcceleration = acceleration
            BcaLevels = levels
            Replicates = replicates
        }

    let checkDraws draws =
        if draws < 2 then
            Guard.fail $"{draws} bootstrap draws; at least 2 are needed, and 10000 for a 95 %% interval."

    let checkIndices name (bound: int) (rows: int[][]) =
        Guard.atLeast name 2 rows

        for row in rows do
            Guard.atLeast $"a row of {name}" 1 row

            for i in row do
                if i < 0 || i >= bound then
                    Guard.fail $"{name} holds {i}; indices lie in 0..{bound - 1}. Draw them for this sample."

module internal Draws =
    /// A number for each of `draws` draws of items, in parallel; a thread's room for the indices of a draw serves all of its draws.
    let each draws items (number: int -> int[] -> float) =
        let found = Array.zeroCreate<float> draws

        let draw (b: int) _ (indices: int[]) =
            found[b] <- number b indices
            indices

        Parallel.For(0, draws, Func<_>(fun () -> Array.zeroCreate<int> items), Func<_, _, _, _>(draw), Action<_>(ignore))
        |> ignore

        found

    /// The mean of the drawn entries, added in the order of the draw.
    let mean (sample: float[]) (indices: int[]) =
        let mutable sum = 0.0

        for i in indices do
            sum <- sum + sample[i]

        sum / float indices.Length

/// Bootstraps of one and two samples.
[<AbstractClass; Sealed>]
type Bootstrap =
    /// `draws` rows of n indices with replacement from a keyed stream.
    static member Indices(n: int, draws: int, stream: RandomStream) : int[][] =
        Array.init draws (fun b -> stream.Indices(int64 b, n, n))

    /// Bootstrap of a statistic over the given resampling rows. The statistic must be a pure function.
    static member Resample(sample: float[], statistic: Func<float[], float>, indices: int[][], alpha: float) : BootstrapResult =
        Guard.sample "sample" 2 sample
        BootstrapIntervals.checkIndices "indices" sample.Length indices
        let pick row = row |> Array.map (fun i -> sample[i])

        let replicates =
            indices |> Array.Parallel.map (fun row -> statistic.Invoke(pick row))

        let without =
            Array.Parallel.init sample.Length (fun i -> statistic.Invoke(Array.removeAt i sample))

        BootstrapIntervals.result (statistic.Invoke sample) replicates without alpha

    /// Bootstrap of the mean over `draws` seeded resamples. Draws run in parallel; each is keyed by its number.
    static member Mean(sample: float[], draws: int, alpha: float, stream: RandomStream) : BootstrapResult =
        Guard.sample "sample" 2 sample
        BootstrapIntervals.checkDraws draws
        let n = sample.Length
        let mean = Array.average sample

        let replicate b indices =
            stream.Fill(int64 b, n, indices)
            Draws.mean sample indices

        let without = sample |> Array.map (fun x -> (float n * mean - x) / float (n - 1))
        BootstrapIntervals.result mean (Draws.each draws n replicate) without alpha

    /// Difference of means of two samples that are resampled apart (different items, different n).
    static member MeanDifference
        (first: float[], second: float[], firstIndices: int[][], secondIndices: int[][], alpha: float)
        : BootstrapDifference =
        Guard.sample "first" 1 first
        Guard.sample "second" 1 second
        Guard.probability "alpha" alpha
        Guard.sameLength "firstIndices" firstIndices "secondIndices" secondIndices
        BootstrapIntervals.checkIndices "firstIndices" first.Length firstIndices
        BootstrapIntervals.checkIndices "secondIndices" second.Length secondIndices

        let mean (sample: float[]) row =
            row |> Array.averageBy (fun i -> sample[i])

        let replicates =
            Array.map2 (fun a b -> mean first a - mean second b) firstIndices secondIndices

        let difference = Array.average first - Array.average second
        let centre = Array.average replicates

        let extreme =
            replicates
            |> Array.filter (fun r -> abs (r - centre) >= abs difference)
            |> Array.length

        {
            Difference = difference
            StandardError = Descriptive.StandardDeviation replicates
            Percentile = BootstrapIntervals.percentile replicates alpha
            PShifted = float extreme / float replicates.Length
            Replicates = replicates
        }
