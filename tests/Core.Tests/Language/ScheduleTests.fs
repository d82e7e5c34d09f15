// What schedules and label patterns say, by their definitions.
module PeftAlign.Core.Tests.Language.ScheduleTests

open NUnit.Framework
open PeftAlign.Core
open PeftAlign.Core.Tests.Language.TestManifests

/// transformers' get_*_schedule, by their definitions.
[<TestCase("linear", 0, 0, 10, 1.0)>]
[<TestCase("linear", 12, 0, 10, 0.0)>]
[<TestCase("linear", 10, 9, 10, 0.0)>]
[<TestCase("linear", 3, 4, 10, 0.75)>]
[<TestCase("cosine", 6, 2, 10, 0.5)>]
[<TestCase("constant", 0, 4, 10, 1.0)>]
[<TestCase("constant_with_warmup", 2, 4, 10, 0.5)>]
[<TestCase("inverse_sqrt", 30000, 0, 40000, 0.5)>]
[<TestCase("inverse_sqrt", 16, 4, 40, 0.5)>]
let ``a schedule's factor is its definition's`` (name: string, step: int, warmup: int, total: int, expected: float) =
    Assert.That(Schedules.Factor(name, step, warmup, total), Is.EqualTo(expected).Within 1e-12)

[<TestCase(0, 0.1, 25, 3)>]
[<TestCase(0, 0.0, 25, 0)>]
[<TestCase(7, 0.1, 100, 7)>]
let ``a share of the steps warms up, rounded up`` (steps: int, ratio: float, total: int, expected: int) =
    same expected (Schedules.WarmupSteps(steps, ratio, total))

[<TestCase("*ab", "xab", true)>]
[<TestCase("*aab", "aaab", true)>]
[<TestCase("a?c*", "abc", true)>]
[<TestCase("a?c*d", "abcxxd", true)>]
[<TestCase("*ab", "xac", false)>]
[<TestCase("a", "ab", false)>]
let ``a pattern's star takes as much as it must`` (pattern: string, label: string, expected: bool) =
    same expected (Plans.Matches(pattern, label))
