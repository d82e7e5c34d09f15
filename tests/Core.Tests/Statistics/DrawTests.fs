// What bootstraps draw: our generator against the published known answers of Philox4x32-10, and the draws made of it.
module PeftAlign.Core.Tests.DrawTests

open NUnit.Framework
open PeftAlign.Core.Statistics

/// Known answers of the Random123 distribution for philox4x32 with ten rounds.
[<Test>]
let ``Philox gives its published known answers`` () =
    let answers =
        [
            (0u, 0u, 0u, 0u), 0UL, (0x6627e8d5u, 0xe169c58du, 0xbc57ac4cu, 0x9b00dbd8u)
            (~~~0u, ~~~0u, ~~~0u, ~~~0u), ~~~0UL, (0x408f276du, 0x41c83b0eu, 0xa20bc7c6u, 0x6d5451fdu)
            (0x243f6a88u, 0x85a308d3u, 0x13198a2eu, 0x03707344u),
            0x299f31d0a4093822UL,
            (0xd16cfe09u, 0x94fdccebu, 0x5001e420u, 0x24126ea1u)
        ]

    for (a, b, c, d), key, expected in answers do
        let struct (w, x, y, z) = Philox.block (struct (a, b, c, d)) key
        Assert.That((w, x, y, z), Is.EqualTo expected)

/// Four blocks at once are the same words, also where the counter's lower half overflows among them.
[<TestCase(0UL, 0UL, 0UL)>]
[<TestCase(0xFFFFFFFEUL, 7UL, 0x0123456789ABCDEFUL)>]
[<TestCase(0xFFFFFFFFFFFFFFFDUL, 0xFFFFFFFF00000001UL, 0xFFFFFFFFFFFFFFFFUL)>]
[<TestCase(12UL, 0x8000000000000003UL, 0xA4093822299F31D0UL)>]
let ``Blocks that are made together are those made alone`` (first: uint64, draw: uint64, key: uint64) =
    let words = Array.zeroCreate<uint32>(4 * Philox.together)
    Philox.fill words first draw key

    let alone =
        [|
            for k in 0 .. Philox.together - 1 do
                let number = first + uint64 k

                let struct (a, b, c, d) =
                    Philox.block (struct (uint32 number, uint32 (number >>> 32), uint32 draw, uint32 (draw >>> 32))) key

                yield! [| a; b; c; d |]
        |]

    Assert.That(words, Is.EqualTo<uint32[]> alone)

/// The claims' bootstrap counts how often it draws each item, in arrays that serve all of a thread's draws.
[<Test>]
let ``Counted draws are the drawn indices, counted`` () =
    let stream = RandomStream(23L, "counts")

    for count in [ 1; 2; 15; 16; 17; 1000 ] do
        let times = Array.create count 9.0

        for draw in [ 0L; 1L; 4_294_967_296L ] do
            stream.Count(draw, times)

            let expected =
                Array.init count (fun i ->
                    stream.Indices(draw, count, count)
                    |> Array.filter ((=) i)
                    |> Array.length
                    |> float)

            Assert.That(times, Is.EqualTo<float[]> expected)

[<Test>]
let ``Draws do not depend on their order and differ between seeds and purposes`` () =
    let stream = RandomStream(17L, "bootstrap")
    let forward = [| for d in 0L .. 99L -> stream.Indices(d, 50, 37) |]

    let backward =
        Array.init 100 (fun k -> RandomStream(17L, "bootstrap").Indices(int64 (99 - k), 50, 37))

    Assert.That(Array.rev backward, Is.EqualTo<int[][]> forward)
    Assert.That(RandomStream(18L, "bootstrap").Indices(0L, 50, 37), Is.Not.EqualTo<int[]> forward[0])
    Assert.That(RandomStream(17L, "other").Indices(0L, 50, 37), Is.Not.EqualTo<int[]> forward[0])
    // All 37 cells are hit about equally: chi-squared of 5,000 draws over 36 degrees of freedom.
    let counts = forward |> Array.concat |> Array.countBy id |> Array.map (snd >> float)
    let mean = 5000.0 / 37.0
    let chi = counts |> Array.sumBy (fun c -> (c - mean) ** 2.0 / mean)
    Assert.That(counts.Length, Is.EqualTo 37)
    Assert.That(Distributions.ChiSquaredSf(chi, 36.0), Is.InRange(1e-4, 1.0 - 1e-4))
    Assert.That(Array.sort (stream.Permutation(3L, 100)), Is.EqualTo<int[]> [| 0..99 |])

[<Test>]
let ``Means of drawn items are those of their indices, bit for bit`` () =
    let sample = Array.init 37 (fun i -> sin (float i) / 3.0)
    let stream = RandomStream(9L, "bits")

    let mean (values: float[]) (indices: int[]) =
        indices |> Array.averageBy (fun i -> values[i])

    let plain = Array.init 50 (fun b -> mean sample (stream.Indices(int64 b, 37, 37)))
    Assert.That(Bootstrap.Mean(sample, 50, 0.05, stream).Replicates, Is.EqualTo<float[]> plain)

    for seeds in [ 1; 2; 4; 5; 9 ] do
        let arm =
            Array.init seeds (fun s -> Array.init 23 (fun i -> cos (float (7 * s + i)) / 7.0))

        let ofSeeds, ofItems =
            RandomStream(9L, "bits/seeds"), RandomStream(9L, "bits/items")

        let plain =
            Array.init 50 (fun b ->
                let items = ofItems.Indices(int64 b, 23, 23)

                ofSeeds.Indices(int64 b, seeds, seeds)
                |> Array.averageBy (fun s -> mean arm[s] items))

        Assert.That(HierarchicalBootstrap.Crossed(arm, 50, 0.05, stream).Replicates, Is.EqualTo<float[]> plain, $"{seeds} seeds")
