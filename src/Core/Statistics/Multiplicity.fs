// Corrections for several tests: adjusted p-values, to be compared with alpha; and combination of independent p-values.
// Sources: Holm (1979), Hochberg (1988), Hommel (1988), Benjamini and Hochberg (1995), Benjamini and Yekutieli (2001).
namespace PeftAlign.Core.Statistics

open System

/// A correction for multiplicity.
type Correction =
    | Bonferroni = 0
    | Holm = 1
    | HolmSidak = 2
    /// Simes-Hochberg step-up.
    | Hochberg = 3
    | Hommel = 4
    /// False discovery rate, independent or positively dependent tests.
    | BenjaminiHochberg = 5
    /// False discovery rate under any dependence.
    | BenjaminiYekutieli = 6

module private StepProcedures =
    /// Ascending p-values adjusted by `factor i p`, then made monotone from below (step-down).
    let stepDown factor (sorted: float[]) =
        sorted
        |> Array.mapi factor
        |> Array.scan max 0.0
        |> Array.tail
        |> Array.map (min 1.0)

    /// The same made monotone from above (step-up).
    let stepUp factor (sorted: float[]) =
        Array.scanBack min (Array.mapi factor sorted) 1.0 |> Array.take sorted.Length

    let bonferroni (sorted: float[]) =
        sorted |> Array.map (fun p -> min 1.0 (p * float sorted.Length))

    let holm (sorted: float[]) =
        stepDown (fun i p -> p * float (sorted.Length - i)) sorted

    let holmSidak (sorted: float[]) =
        stepDown
            (fun i p ->
                if p >= 1.0 then
                    1.0
                else
                    -(Elementary.expm1 (float (sorted.Length - i) * Elementary.log1p -p)))
            sorted

    let hochberg (sorted: float[]) =
        stepUp (fun i p -> p * float (sorted.Length - i)) sorted

    let benjaminiHochberg (sorted: float[]) =
        stepUp (fun i p -> p * float sorted.Length / float (i + 1)) sorted

    let benjaminiYekutieli (sorted: float[]) =
        let harmonic = Seq.init sorted.Length (fun i -> 1.0 / float (i + 1)) |> Seq.sum
        stepUp (fun i p -> p * harmonic * float sorted.Length / float (i + 1)) sorted

    /// Hommel's closed Simes procedure (Wright 1992, the loop over subset sizes m = n, n-1, ..., 2).
    let hommel (sorted: float[]) =
        let n = sorted.Length
        let adjusted = Array.copy sorted

        for m in n .. -1 .. 2 do
            // The m-1 largest p-values beside each candidate: Simes' bound over them.
            let tail =
                Seq.init (m - 1) (fun k -> float m * sorted[n - m + 1 + k] / float (k + 2))
                |> Seq.min

            for i in 0 .. n - 1 do
                let bound =
                    if i <= n - m then
                        min tail (float m * sorted[i])
                    else
                        max adjusted[i] tail

                adjusted[i] <- max adjusted[i] bound

        adjusted

    let check (values: float[]) =
        Guard.atLeast "pValues" 1 values

        values
        |> Array.iteri (fun i p ->
            if not (p >= 0.0 && p <= 1.0) then
                Guard.fail $"pValues[{i}] is {p}; p-values lie in [0, 1]. Leave undefined tests out of the family.")

/// Families of tests.
[<AbstractClass; Sealed>]
type Multiplicity =
    /// Adjusted p-values in the order given; a hypothesis is rejected at level alpha where its value is <= alpha.
    static member Adjust(pValues: float[], correction: Correction) : float[] =
        StepProcedures.check pValues
        let order = Array.init pValues.Length id |> Array.sortBy (fun i -> pValues[i])
        let sorted = order |> Array.map (fun i -> pValues[i])

        let adjusted =
            match correction with
            | Correction.Bonferroni -> StepProcedures.bonferroni sorted
            | Correction.Holm -> StepProcedures.holm sorted
            | Correction.HolmSidak -> StepProcedures.holmSidak sorted
            | Correction.Hochberg -> StepProcedures.hochberg sorted
            | Correction.Hommel -> StepProcedures.hommel sorted
            | Correction.BenjaminiHochberg -> StepProcedures.benjaminiHochberg sorted
            | Correction.BenjaminiYekutieli -> StepProcedures.benjaminiYekutieli sorted
            | other -> Guard.fail $"correction {int other} is unknown; use a member of Correction."

        let result = Array.zeroCreate pValues.Length
        order |> Array.iteri (fun rank i -> result[i] <- adjusted[rank])
        result

    /// Fisher's combination of independent p-values: chi-squared with 2k degrees of freedom.
    static member CombineFisher(pValues: float[]) : TestResult =
        StepProcedures.check pValues
        let chi = -2.0 * Array.sumBy log pValues
        let df = 2.0 * float pValues.Length

        {
            Statistic = chi
            DegreesOfFreedom = df
            PValue = Distributions.ChiSquaredSf(chi, df)
        }

    /// Stouffer's combination of independent one-sided p-values: z.
    static member CombineStouffer(pValues: float[]) : TestResult =
        StepProcedures.check pValues

        let z =
            Array.sumBy (fun p -> -Distributions.NormalQuantile p) pValues
            / sqrt (float pValues.Length)

        {
            Statistic = z
            DegreesOfFreedom = nan
            PValue = Distributions.NormalSf z
        }
