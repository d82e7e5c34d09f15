// How sure claims are: tails, few units and seeds, equivalence, the correction for their number. What is expected follows from the definitions
// in docs/report.md.
module PeftAlign.Core.Tests.Claims.TailTests

open System
open NUnit.Framework
open PeftAlign.Core.Claims
open PeftAlign.Core.Statistics
open PeftAlign.Core.Tests.Claims.BorderTests

// ---- tails ----

/// No draw is as small as the number: one of 2001, the observed one, on either side.
[<Test>]
let ``The smallest p is of the observed value alone`` () =
    let found = one "than: 0.01, contrast: [{ plus: {} }]" [ scored "method=a" 0.6 ]
    Assert.That(found.PValue, Is.EqualTo(2.0 / float (draws + 1)).Within 1e-12)

/// Draws that are equal to the number count on both sides, so that nothing speaks against the estimate itself.
[<Test>]
let ``Against the estimate itself p is one`` () =
    let found =
        one "than: 0.75, contrast: [{ plus: {} }]" [ observed "method=a" 0.75 (items 8 0.75) ]

    Assert.That(found.PValue, Is.EqualTo 1.0)

/// Twelve units in one order: every draw has the same correlation, which is the bootstrap's to say.
[<Test>]
let ``A perfect rank correlation is as sure as its draws`` () =
    let table =
        [
            for k in 1..12 do
                measured $"dataset=d{k} method=a" (float k)
                measured $"dataset=d{k} method=b" (float (k * k))
        ]

    let found =
        one "each: dataset, statistic: rank_correlation, contrast: [{ plus: { method: a } }, { plus: { method: b } }]" table

    Assert.That(found.Estimate, Is.EqualTo(1.0).Within 1e-12)
    Assert.That(found.PValue, Is.EqualTo(2.0 / float (draws + 1)).Within 1e-12)

/// One coefficient for claims and for the statistics that are checked against scipy; equal rankings correlate by exactly 1.
[<Test>]
let ``A claim's rank correlation is Spearman's`` () =
    for count in 3..40 do
        let x = Array.init count (fun k -> float (k * 7919 % 13))
        let y = Array.init count (fun k -> float (k * 104729 % 11))

        let claimed (x: float[]) (y: float[]) =
            let table =
                [
                    for k in 0 .. count - 1 do
                        measured $"dataset=d{k} method=a" x[k]
                        measured $"dataset=d{k} method=b" y[k]
                ]

            (one "each: dataset, statistic: rank_correlation, contrast: [{ plus: { method: a } }, { plus: { method: b } }]" table)
                .Estimate

        Assert.That(claimed x y, Is.EqualTo (Correlation.Spearman(x, y)).Coefficient)
        let order = Array.init count float
        Assert.That(claimed order (Array.map (fun v -> v * v) order), Is.EqualTo 1.0)
        Assert.That((Correlation.Spearman(order, order)).Coefficient, Is.EqualTo 1.0)

// ---- six of something ----

let private differing count =
    [
        for k in 1..count do
            measured $"dataset=d{k} method=a" (2.0 + 0.1 * float k)
            measured $"dataset=d{k} method=b" (if k = 1 then 3.0 else 1.0)
    ]

[<Test>]
let ``Six configurations are enough`` () =
    let share =
        "each: dataset, statistic: share, than: 0.1, contrast: [{ plus: { method: a } }, { minus: { method: b } }]"

    Assert.That((one share (differing 5)).Reason, Does.StartWith "only 5 configurations")
    Assert.That((one share (differing 6)).Reason, Does.Not.StartWith "only")
    let mean = "each: dataset, contrast: [{ plus: { method: a } }]"
    Assert.That((one mean (differing 6)).Method, Does.EndWith "t over 6 configurations")

/// One above, one below, and one of no difference, which is half above.
[<Test>]
let ``A tie is half above zero and on neither side`` () =
    let table =
        [
            for dataset, a in [ "x", 0.7; "y", 0.5; "z", 0.5; "w", 0.2 ] do
                measured $"dataset={dataset} method=a" a
                measured $"dataset={dataset} method=b" 0.5
        ]

    let found =
        one "each: dataset, statistic: share, than: 0.5, contrast: [{ plus: { method: a } }, { minus: { method: b } }]" table

    Assert.That(found.Estimate, Is.EqualTo(0.5).Within 1e-12)
    Assert.That((found.Positive, found.Negative), Is.EqualTo((1, 1)))

/// Of 0.1, 0.2, 0.3 and of 0.1, 0.3: a mean of 0.2 with a standard error of 0.1 / sqrt 3, and of 0.1, times t's quantile.
[<TestCase(3, 4.302652729911275, 0.057735026918962574)>]
[<TestCase(2, 12.706204736432095, 0.1)>]
let ``A handful of seeds is as sure as t is`` (count: int, quantile: float, error: float) =
    let table =
        [
            for seed in 1..count do
                measured $"method=b seed={seed}" 0.4

                measured
                    $"method=a seed={seed}"
                    (if count = 2 then
                         0.3 + 0.2 * float seed
                     else
                         0.4 + 0.1 * float seed)
        ]

    let found =
        one "contrast: [{ plus: { method: a } }, { minus: { method: b } }]" table

    Assert.That(found.Lower, Is.EqualTo(0.2 - quantile * error).Within 1e-9)
    Assert.That(found.Upper, Is.EqualTo(0.2 + quantile * error).Within 1e-9)

/// Sixteen differences are flipped in all 65536 ways, of which two are as large.
[<Test>]
let ``Sixteen units are flipped in every way`` () =
    let table = [ for k in 1..16 -> measured $"dataset=d{k}" (1.0 + 0.01 * float k) ]
    let found = one "each: dataset, test: sign_flip, contrast: [{ plus: {} }]" table
    Assert.That(found.PValue, Is.EqualTo(2.0 / 65536.0).Within 1e-15)

// ---- equivalence and the family ----

/// Five numbers around a shift; t with four degrees of freedom: two one-sided tests, of which the larger p counts, and an interval of 90 %.
[<TestCase(0.4)>]
[<TestCase(-0.4)>]
let ``Equivalence is two one-sided tests`` (shift: float) =
    let values = [ for k in -2 .. 2 -> shift + 0.1 * float k ]

    let table =
        [ for k, value in List.indexed values -> measured $"dataset=d{k}" value ]

    let found =
        one "each: dataset, is: within, than: 0.6, contrast: [{ plus: {} }]" table
    // s = 0.1 sqrt 2.5, s / sqrt 5 = 0.1 sqrt 0.5; the 95 % quantile of t with 4 degrees of freedom is 2.1318467863266499.
    let error = 0.1 * sqrt 0.5
    let half = 2.1318467863266499 * error
    Assert.That(found.Level, Is.EqualTo(0.9).Within 1e-12)
    Assert.That(found.Lower, Is.EqualTo(shift - half).Within 1e-9)
    Assert.That(found.Upper, Is.EqualTo(shift + half).Within 1e-9)
    // P(T > t) of 4 degrees of freedom is 1/2 - u (3 - u^2) / 4 with u = t / sqrt(t^2 + 4), whichever side is nearer.
    let t = 0.2 / error
    let u = t / sqrt (t * t + 4.0)
    Assert.That(found.PValue, Is.EqualTo(0.5 - u * (3.0 - u * u) / 4.0).Within 1e-9)
    Assert.That(found.Verdict, Is.EqualTo "supported", found.Reason)

/// Farther off than the margin on either side: the p-value is the two-sided one against the nearer margin.
[<TestCase(2.0)>]
[<TestCase(-2.0)>]
let ``What lies beyond the margin is no equivalence`` (shift: float) =
    let table = [ for k in -2 .. 2 -> measured $"dataset=d{k}" (shift + 0.1 * float k) ]

    let found =
        one "each: dataset, is: within, than: 1.8, contrast: [{ plus: {} }]" table

    let t = 0.2 / (0.1 * sqrt 0.5)
    let u = t / sqrt (t * t + 4.0)
    Assert.That(found.PValue, Is.EqualTo(1.0 - u * (3.0 - u * u) / 2.0).Within 1e-9)

/// 2 / 2^n of n right answers: by Holm the smallest of three p-values is multiplied by 3, the next by 2, the last by 1.
[<Test>]
let ``The family is corrected after Holm`` () =
    let claims =
        String.concat
            ""
            [
                for count in [ 8; 9; 10 ] ->
                    $"  - {{ id: N{count}, says: s., metric: quiz, than: 0.5, contrast: [{{ plus: {{ dataset: d{count} }} }}] }}\n"
            ]

    let table =
        [
            for count in [ 8; 9; 10 ] -> observed $"dataset=d{count}" 1.0 (Array.create count 1.0)
        ]

    let found = test (ClaimSets.Read("claims:\n" + claims)) table []
    let p count = 2.0 * Math.Pow(0.5, count)

    for result, expected in Seq.zip found [ p 8.0; 2.0 * p 9.0; 3.0 * p 10.0 ] do
        Assert.That(result.AdjustedP, Is.EqualTo(expected).Within 1e-12, result.Id)
