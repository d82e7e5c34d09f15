// Strengths from pairwise games: the Bradley-Terry model (1952) by Newton's method, with ties as half a win and half a
// loss, a first-position effect and an optional L2 penalty; and online Elo ratings (1978).
namespace PeftAlign.Core.Metrics

open System
open MathNet.Numerics.LinearAlgebra
open PeftAlign.Core.Statistics

/// One game between two different players (numbers from 0); Verdict.First: the player named first won.
type Game =
    {
        First: int
        Second: int
        Outcome: Verdict
    }

/// Fitted strengths b: P(first beats second) = sigmoid(b_first - b_second + FirstPosition).
/// Strengths have mean 0; Elo = 1000 + 400 / ln 10 * b. StandardErrors are those with player 0 fixed at 0
/// (its own is 0), NaN under a penalty. FirstPosition is 0 where it is not fitted.
type BradleyTerryResult =
    {
        Strengths: float[]
        Elo: float[]
        StandardErrors: float[]
        FirstPosition: float
        LogLikelihood: float
    }

module private BradleyTerryFit =
    /// Score of the player named first: 1, 1/2 or 0.
    let score game =
        match game.Outcome with
        | Verdict.First -> 1.0
        | Verdict.Second -> 0.0
        | _ -> 0.5

    /// Negative log-likelihood (with penalty), gradient and Hessian at b; the last entry is the first position's if fitted.
    let objective (games: Game[]) players position penalty (b: Vector<float>) =
        let gradient = b * penalty
        let hessian = Matrix<float>.Build.DenseDiagonal(b.Count, penalty)
        let mutable value = 0.5 * penalty * b.DotProduct b

        for game in games do
            let z = b[game.First] - b[game.Second] + (if position then b[players] else 0.0)
            let s, p = score game, Elementary.sigmoid z
            value <- value + s * Elementary.softplus -z + (1.0 - s) * Elementary.softplus z

            let entries =
                if position then
                    [ game.First, 1.0; game.Second, -1.0; players, 1.0 ]
                else
                    [ game.First, 1.0; game.Second, -1.0 ]

            for i, x in entries do
                gradient[i] <- gradient[i] + (p - s) * x

                for j, y in entries do
                    hessian[i, j] <- hessian[i, j] + p * (1.0 - p) * x * y

        value, gradient, hessian

    /// Newton steps in the free coordinates (player 0 is held where no penalty fixes the origin), halved until they descend.
    let minimise evaluate size held =
        let free = [| (if held then 1 else 0) .. size - 1 |]

        let rec go (b: Vector<float>) steps =
            let value, (gradient: Vector<float>), (hessian: Matrix<float>) = evaluate b
            let g = Vector<float>.Build.Dense(free.Length, fun k -> gradient[free[k]])

            let h =
                Matrix<float>.Build.Dense(free.Length, free.Length, fun k l -> hessian[free[k], free[l]])

            let step = h.Cholesky().Solve g

            let move (scale: float) =
                let next = b.Clone()
                free |> Array.iteri (fun k i -> next[i] <- b[i] - scale * step[k])
                next

            let descends scale =
                let v, _, _ = evaluate (move scale) in v <= value + 1e-12 * abs value

            let scale =
                Seq.initInfinite (fun k -> 0.5 ** float k)
                |> Seq.take 40
                |> Seq.tryFind descends
                |> Option.defaultValue 0.0

            if scale * step.L2Norm() <= 1e-13 * (1.0 + b.L2Norm()) || steps = 0 then
                move scale, value, h
            else
                go (move scale) (steps - 1)

        go (Vector<float>.Build.Dense size) 100

    /// Players that nobody outside beats, or that beat nobody outside, have infinite strengths (Ford 1957).
    let checkConnected (games: Game[]) players =
        let beats = Array.init players (fun _ -> Collections.Generic.HashSet<int>())

        for game in games do
            if game.Outcome <> Verdict.Second then
                beats[game.First].Add game.Second |> ignore

            if game.Outcome <> Verdict.First then
                beats[game.Second].Add game.First |> ignore

        let reach (next: int -> seq<int>) =
            let seen = Collections.Generic.HashSet<int>([ 0 ])

            let rec walk todo =
                match todo with
                | [] -> ()
                | i :: rest ->
                    walk (
                        List.append
                            [
                                for j in next i do
                                    if seen.Add j then
                                        j
                            ]
                            rest
                    )

            walk [ 0 ]
            seen

        let beaten i =
            seq {
                for j in 0 .. players - 1 do
                    if beats[j].Contains i then
                        j
            }

        for seen in [ reach (fun i -> beats[i]); reach beaten ] do
            match Seq.tryFind (seen.Contains >> not) (seq { 0 .. players - 1 }) with
            | Some i ->
                Guard.fail
                    $"wins do not link players 0 and {i} both ways, so some strength is infinite. Add games or an L2 penalty."
            | None -> ()

/// Ratings of players from pairwise games.
[<AbstractClass; Sealed>]
type BradleyTerry =
    static member private Check(games: Game[], players: int) =
        Guard.atLeast "games" 1 games

        for g in games do
            if
                g.First = g.Second
                || min g.First g.Second < 0
                || max g.First g.Second >= players
            then
                Guard.fail $"a game names players {g.First} and {g.Second}; two different ones of 0..{players - 1} are needed."

    /// Maximum-likelihood strengths. `penalty` p adds p/2 |b|^2 (0 for none). Error: strengths that the games leave infinite.
    static member Fit(games: Game[], players: int, firstPosition: bool, penalty: float) : BradleyTerryResult =
        BradleyTerry.Check(games, players)

        if not (penalty >= 0.0) then
            Guard.fail $"penalty is {penalty}; it is zero or positive."

        if penalty = 0.0 then
            BradleyTerryFit.checkConnected games players

        let size = if firstPosition then players + 1 else players
        let evaluate = BradleyTerryFit.objective games players firstPosition penalty
        let b, value, information = BradleyTerryFit.minimise evaluate size (penalty = 0.0)
        let strengths = Array.init players (fun i -> b[i])
        let mean = Array.average strengths
        let centred = strengths |> Array.map (fun s -> s - mean)

        let errors =
            if penalty > 0.0 then
                Array.create players nan
            else
                let inverse = information.Inverse()
                Array.init players (fun i -> if i = 0 then 0.0 else sqrt inverse[i - 1, i - 1])

        {
            Strengths = centred
            Elo = centred |> Array.map (fun s -> 1000.0 + 400.0 / log 10.0 * s)
            StandardErrors = errors
            FirstPosition = (if firstPosition then b[players] else 0.0)
            LogLikelihood = -(value - 0.5 * penalty * b.DotProduct b)
        }

    /// P(i beats j) without position effect, [i][j].
    static member WinProbabilities(strengths: float[]) : float[][] =
        strengths
        |> Array.map (fun a -> strengths |> Array.map (fun b -> Elementary.sigmoid (a - b)))

    /// Elo ratings after each game, in order; both players are updated from their old ratings.
    static member OnlineElo(games: Game[], players: int, start: float, k: float) : float[][] =
        BradleyTerry.Check(games, players)
        let ratings = Array.create players start

        games
        |> Array.map (fun g ->
            let expected =
                1.0 / (1.0 + 10.0 ** ((ratings[g.Second] - ratings[g.First]) / 400.0))

            let gain = k * (BradleyTerryFit.score g - expected)
            ratings[g.First] <- ratings[g.First] + gain
            ratings[g.Second] <- ratings[g.Second] - gain
            Array.copy ratings)
