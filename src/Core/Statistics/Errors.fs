// The one exception of statistics and metrics: data or settings for which a number does not exist.
namespace PeftAlign.Core.Statistics

/// Input that a statistic cannot work with. The message names the value, the limit and the next action,
/// so a program may show it as it is (a user's mistake, exit code 2).
type StatisticsException(message: string) =
    inherit System.Exception(message)

/// Which values speak against the null hypothesis.
type Alternative =
    | TwoSided = 0
    | Greater = 1
    | Less = 2

/// A closed interval; NaN limits where it is undefined.
type Interval = { Lower: float; Upper: float }

/// A test statistic with its p-value; DegreesOfFreedom is NaN where the reference distribution has none.
type TestResult =
    {
        Statistic: float
        DegreesOfFreedom: float
        PValue: float
    }

module internal Guard =
    let fail message : 'a = raise (StatisticsException message)

    let probability name (value: float) =
        if not (value > 0.0 && value < 1.0) then
            fail $"{name} is {value}; it must lie strictly between 0 and 1. Give for example 0.05 or 0.95."

    let atLeast name minimum (values: 'a[]) =
        if values.Length < minimum then
            fail $"{name} has {values.Length} values; at least {minimum} are needed. Add observations or drop this comparison."

    let sameLength first (a: 'a[]) second (b: 'b[]) =
        if a.Length <> b.Length then
            fail $"{first} has {a.Length} values and {second} {b.Length}; pairs need equal lengths. Join them by item first."

    let finite name (values: float[]) =
        match values |> Array.tryFindIndex (fun v -> not (System.Double.IsFinite v)) with
        | Some i -> fail $"{name}[{i}] is {values[i]}; only finite numbers can be used. Drop or repair that observation."
        | None -> ()

    /// Items that could not be scored are NaN by convention: a place where they matter is named, not averaged over.
    let sample name minimum values =
        atLeast name minimum values
        finite name values
