// Permutation tests: every arrangement where they are few, seeded random arrangements where they are many.
// A rearrangement counts as extreme if it reaches the observed value within 1e-12 (equal sums in another order).
namespace PeftAlign.Core.Statistics

/// Shares of arrangements at least as extreme as the observed one, itself included.
/// Monte Carlo shares are (count + 1) / (draws + 1). TwiceSmallerTail = min(1, 2 min(PGreater, PLess)).
type PermutationResult =
    {
        Statistic: float
        Arrangements: int
        CountAbsolute: int
        PAbsolute: float
        PGreater: float
        PLess: float
        TwiceSmallerTail: float
    }

module private Arrangements =
    let tolerance = 1e-12

    let summary observed (values: seq<float>) monteCarlo =
        let mutable n, extreme, greater, less = 0, 0, 0, 0

        for v in values do
            n <- n + 1

            if abs v >= abs observed - tolerance then
                extreme <- extreme + 1

            if v >= observed - tolerance then
                greater <- greater + 1

            if v <= observed + tolerance then
                less <- less + 1

        let share count =
            if monteCarlo then
                float (count + 1) / float (n + 1)
            else
                float count / float n

        {
            Statistic = observed
            Arrangements = n
            CountAbsolute = extreme
            PAbsolute = share extreme
            PGreater = share greater
            PLess = share less
            TwiceSmallerTail = min 1.0 (2.0 * min (share greater) (share less))
        }

    let signedMean (differences: float[]) (positive: int -> bool) =
        let mutable sum = 0.0

        for i in 0 .. differences.Length - 1 do
            sum <-
                if positive i then
                    sum + differences[i]
                else
                    sum - differences[i]

        sum / float differences.Length

    let limit = 1 <<< 24

    /// Bit masks of `size` bits with `chosen` bits set, in ascending order (Gosper's hack).
    let combinations size chosen =
        Seq.unfold
            (fun (mask: uint64) ->
                if mask >= (1UL <<< size) then
                    None
                else
                    let low = mask &&& (~~~mask + 1UL)
                    let ripple = mask + low
                    Some(mask, (((ripple ^^^ mask) >>> 2) / low) ||| ripple))
            ((1UL <<< chosen) - 1UL)

    let groupDifference (pool: float[]) total n (inFirst: int -> bool) =
        let mutable first = 0.0

        for i in 0 .. pool.Length - 1 do
            if inFirst i then
                first <- first + pool[i]

        first / float n - (total - first) / float (pool.Length - n)

/// Sign-flip tests of paired differences and two-group tests of means.
[<AbstractClass; Sealed>]
type Permutation =
    /// All 2^n sign flips of paired differences; statistic: their mean. Error: more than 24 differences.
    static member SignFlipExact(differences: float[]) : PermutationResult =
        Guard.sample "differences" 1 differences

        if differences.Length > 24 then
            Guard.fail $"{differences.Length} differences have 2^{differences.Length} sign flips; 24 at most. Use SignFlip."

        let mean = Arrangements.signedMean differences (fun _ -> true)

        let all =
            seq {
                for mask in 0 .. (1 <<< differences.Length) - 1 ->
                    Arrangements.signedMean differences (fun i -> (mask >>> i) &&& 1 = 0)
            }

        Arrangements.summary mean all false

    /// Given sign flips, one row of +1 and -1 per draw.
    static member SignFlip(differences: float[], signs: int[][]) : PermutationResult =
        Guard.sample "differences" 1 differences

        signs
        |> Array.iteri (fun i row -> Guard.sameLength "differences" differences $"signs[{i}]" row)

        let mean = Arrangements.signedMean differences (fun _ -> true)

        let values =
            signs
            |> Seq.map (fun row -> Arrangements.signedMean differences (fun i -> row[i] > 0))

        Arrangements.summary mean values true

    /// Seeded random sign flips.
    static member SignFlip(differences: float[], draws: int, stream: RandomStream) : PermutationResult =
        Permutation.SignFlip(differences, Array.init draws (fun d -> stream.Signs(int64 d, differences.Length)))

    /// All assignments of the pooled values to groups of the same sizes; statistic: mean(first) - mean(second).
    /// Error: more than 2^24 assignments.
    static member TwoGroupsExact(first: float[], second: float[]) : PermutationResult =
        Guard.sample "first" 1 first
        Guard.sample "second" 1 second
        let pool = Array.append first second
        let count = MathNet.Numerics.SpecialFunctions.Binomial(pool.Length, first.Length)

        if pool.Length > 62 || count > float Arrangements.limit then
            Guard.fail $"{pool.Length} values have {count} assignments; {Arrangements.limit} at most. Use TwoGroups."

        let total = Array.sum pool
        let difference = Arrangements.groupDifference pool total first.Length

        let all =
            Arrangements.combinations pool.Length first.Length
            |> Seq.map (fun mask -> difference (fun i -> (mask >>> i) &&& 1UL = 1UL))

        Arrangements.summary (difference (fun i -> i < first.Length)) all false

    /// Seeded random assignments.
    static member TwoGroups(first: float[], second: float[], draws: int, stream: RandomStream) : PermutationResult =
        Guard.sample "first" 1 first
        Guard.sample "second" 1 second
        let pool = Array.append first second
        let total = Array.sum pool
        let difference = Arrangements.groupDifference pool total first.Length

        let values =
            Seq.init draws (fun d ->
                let order = stream.Permutation(int64 d, pool.Length)
                difference (fun i -> order[i] < first.Length))

        Arrangements.summary (difference (fun i -> i < first.Length)) values true
