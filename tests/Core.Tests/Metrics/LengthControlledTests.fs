// The length-controlled win rate as a regression: what it removes, its rows, its folds, its optimum; numbers that can be worked out.
module PeftAlign.Core.Tests.LengthControlledTests

open System
open NUnit.Framework
open PeftAlign.Core.Metrics
open PeftAlign.Core.Statistics
open PeftAlign.Core.Tests.Golden

[<Test>]
let ``A length-controlled fit removes what length alone explains`` () =
    // Preferences follow length only: longer answers win. Without the length term nothing is left but a draw.
    let stream = RandomStream(3L, "length-controlled test")

    let rows =
        Array.init 400 (fun i ->
            let delta = float (stream.Indices(int64 i, 1, 2001)[0] - 1000)
            let p = 1.0 / (1.0 + exp (-delta / 400.0))

            {
                LengthRow.Preference = 1.0 + p
                BaselineLength = 2000.0
                ModelLength = 2000.0 + delta
                Difficulty = sin (float i)
            })

    let r = LengthControlled.Fit(rows, [||], LengthControlledForm.Unregularised)
    Assert.That(r.WinRate, Is.EqualTo(50.0).Within 1.5)
    Assert.That(r.Weights[0], Is.LessThan -1.0)

    let missing =
        throws (fun () -> LengthControlled.Fit(rows, [||], LengthControlledForm.Version1) |> ignore)

    Assert.That(missing, Does.Contain "gamed has 0 values")

    let flat =
        rows
        |> Array.map (fun r ->
            { r with
                ModelLength = 1.0
                BaselineLength = 2.0
            })

    Assert.That(
        throws (fun () -> LengthControlled.Fit(flat, [||], LengthControlledForm.Minimal) |> ignore),
        Does.Contain "do not vary"
    )

/// Worked by hand: lengths 10 - 9, 10 - 11, 10 - 13, 10 - 7 differ by 1, -1, -3, 3, whose standard deviation is sqrt(20/3).
[<Test>]
let ``The regression's rows`` () =
    let row preference length : LengthRow =
        {
            Preference = preference
            BaselineLength = 10.0
            ModelLength = length
            Difficulty = length / 2.0
        }

    let rows = [| row 2.0 9.0; row nan 11.0; row 0.0 13.0; row 1.25 7.0 |]

    let gamed =
        [|
            {
                GamedRow.Preference = 0.3
                StandardisedLength = 0.5
                Difficulty = -1.0
            }
        |]

    let x d = tanh (d / sqrt (20.0 / 3.0))
    let data = LengthControlled.Data(rows, gamed, LengthControlledForm.Version1)
    // The gamed row first; the row without preference is dropped, but its length counts in the deviation.
    let expected =
        [|
            [| tanh 0.5; -1.0; 0.0 |]
            [| x 1.0; 4.5; 1.0 |]
            [| x -3.0; 6.5; 1.0 |]
            [| x 3.0; 3.5; 1.0 |]
        |]

    Assert.That(data.X, Is.EqualTo<float[][]>(expected).Within 1e-15)
    Assert.That(data.P, Is.EqualTo<float[]> [| 0.3; 1.0; 0.5; 0.25 |])
    Assert.That(data.S, Is.EqualTo<float[]> [| 0.1; 1.0; 1.0; 1.0 |])
    let minimal = LengthControlled.Data(rows, gamed, LengthControlledForm.Minimal)
    Assert.That(minimal.X, Is.EqualTo<float[][]>([| [| x 1.0; 1.0 |]; [| x -3.0; 1.0 |]; [| x 3.0; 1.0 |] |]).Within 1e-15)

/// Folds written out for seven rows: counted from the last row, 0, 1, 2, 3, 4, 0, 1.
[<Test>]
let ``The folds of the cross-validation`` () =
    let data: SparseLogistic.Data =
        {
            X = Array.init 7 (fun i -> [| sin (float i); 1.0 |])
            P = Array.init 7 (fun i -> 0.5 + 0.4 * cos (2.0 * float i))
            S = Array.init 7 (fun i -> if i < 2 then 0.1 else 1.0)
        }

    let folds = [| 1; 0; 4; 3; 2; 1; 0 |]

    let score k =
        let test =
            [
                for i in 0..6 do
                    if folds[i] = k then
                        i
            ]

        let train =
            [|
                for i in 0..6 do
                    if folds[i] <> k then
                        i
            |]

        let pick (values: 'a[]) = train |> Array.map (fun i -> values[i])

        let w =
            SparseLogistic.fit
                {
                    X = pick data.X
                    P = pick data.P
                    S = pick data.S
                }
                3.0
                [| 0.0; 0.0 |]

        let one i =
            let q = 1.0 / (1.0 + exp -(w[0] * data.X[i].[0] + w[1]))
            data.S[i] * (data.P[i] * log q + (1.0 - data.P[i]) * log (1.0 - q))

        List.averageBy one test

    let expected = List.averageBy score [ 0..4 ]
    Assert.That(LengthControlled.CrossValidate(data, [| 3.0 |])[0], Is.EqualTo(expected).Within 1e-12)

[<Test>]
let ``A baseline against itself is 50 percent with no error`` () =
    let rows =
        Array.init 40 (fun i ->
            {
                LengthRow.Preference = (if i % 7 = 0 then nan else 1.5)
                BaselineLength = float i
                ModelLength = float i
                Difficulty = cos (float i)
            })

    for form in [ LengthControlledForm.Minimal; LengthControlledForm.Unregularised ] do
        let r = LengthControlled.Fit(rows, [||], form)
        Assert.That((r.WinRate, r.StandardError), Is.EqualTo((50.0, 0.0)))

/// At the minimiser the subgradient of |w|_1 balances the gradient of the losses: a check that needs no other solver.
[<Test>]
let ``The sparse logistic optimum meets its optimality conditions`` () =
    let stream = RandomStream(11L, "sparse logistic test")

    for trial in 0..19 do
        let draw =
            stream.Indices(int64 trial, 600, 1000)
            |> Array.map (fun v -> float v / 500.0 - 1.0)

        let data: SparseLogistic.Data =
            {
                X = Array.chunkBySize 3 draw |> Array.take 150
                P = Array.init 150 (fun i -> 0.5 + 0.5 * draw[450 + i])
                S = Array.init 150 (fun i -> 1.0 + float (i % 3))
            }

        for c in LengthControlled.Penalties do
            let w = SparseLogistic.fit data c [| 0.0; 0.0; 0.0 |]
            let gradient, _ = SparseLogistic.derivatives data c w

            for k in 0..2 do
                let slack =
                    if w[k] <> 0.0 then
                        abs (gradient[k] + float (sign w[k]))
                    else
                        max 0.0 (abs gradient[k] - 1.0)

                Assert.That(slack, Is.LessThan(1e-9 * (1.0 + c * 150.0)), $"trial {trial}, C {c}, w {w[k]}")
