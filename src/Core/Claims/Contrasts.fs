// The value of a claim's contrast: of a unit under drawn seeds and under numbers of the policies, and the statistic of all units.
namespace PeftAlign.Core.Claims

open System.Collections.Generic
open PeftAlign.Core.Statistics

module internal Contrasts =
    /// A configuration's mean over the drawn seeds that it has; over all of its seeds where it has none of them.
    let private armValue (values: float[]) (seeds: Dictionary<string, float> | null) (arm: Arm) =
        let mutable sum, count, all = 0.0, 0.0, 0.0

        for seed, i in arm.Seeds do
            all <- all + values[i]

            match seeds with
            | null -> ()
            | seeds ->
                match seeds.TryGetValue seed with
                | true, times ->
                    sum <- sum + times * values[i]
                    count <- count + times
                | _ -> ()

        if count > 0.0 then
            sum / count
        else
            all / float arm.Seeds.Length

    let rec private nodeValue isLog values seeds (node: Node) : float =
        let of1 (arms: Arm[]) =
            let each = arms |> Array.map (armValue values seeds)

            let value =
                match node.Term.Take with
                | Mean -> Array.average each
                | Largest -> Array.max each
                | Smallest -> Array.min each

            if isLog then log value else value

        let value =
            match node.Term.Curve with
            | Some curve ->
                let x, y = Array.map fst node.Points, Array.map (snd >> of1) node.Points

                if curve.Slope then Ranges.slope x y else Ranges.height x y
            | None when node.Parts.Length > 0 -> node.Parts |> Array.sumBy (weighted isLog values seeds)
            | None -> of1 (snd node.Points[0])

        if node.Term.Absolute then abs value else value

    and private weighted isLog values seeds node =
        node.Term.Weight * nodeValue isLog values seeds node

    let unitValue isLog values seeds (unit: Unit) =
        unit.Nodes |> Array.sumBy (weighted isLog values seeds)

    let rec armsOf (node: Node) : Arm seq =
        seq {
            yield! node.Points |> Seq.collect snd
            yield! node.Parts |> Seq.collect armsOf
        }

    let seedsOfArms (unit: Unit) =
        unit.Nodes
        |> Seq.collect armsOf
        |> Seq.map (fun arm -> arm.Seeds |> Array.map fst |> Array.filter ((<>) "") |> Array.distinct)
        |> Array.ofSeq

    /// A policy of one seed is the same in every draw.
    let isDrawn (seeds: string[]) = seeds.Length > 1

    let seedsOf (unit: Unit) =
        seedsOfArms unit
        |> Array.filter isDrawn
        |> Array.concat
        |> Array.distinct
        |> Array.sort

    /// The statistic of units, each with its contrast's value (the two sides apart for a correlation).
    let statistic (claim: Claim) (unitsValues: (float * float * float)[]) =
        match claim.Statistic with
        | MeanOf -> unitsValues |> Array.averageBy (fun (value, _, _) -> value)
        | ShareOf ->
            unitsValues
            |> Array.averageBy (fun (value, _, _) ->
                if value > 0.0 then 1.0
                elif value = 0.0 then 0.5
                else 0.0)
        | RankCorrelation ->
            let side pick = unitsValues |> Array.map pick
            Coefficients.spearman (side (fun (_, first, _) -> first)) (side (fun (_, _, second) -> second))

    let triple (claim: Claim) values seeds (unit: Unit) =
        let value = unitValue claim.Log values seeds unit

        if claim.Statistic = RankCorrelation then
            value, nodeValue claim.Log values seeds unit.Nodes[0], nodeValue claim.Log values seeds unit.Nodes[1]
        else
            value, 0.0, 0.0

    let timesOf (seeds: string seq) =
        let times = Dictionary<string, float>()

        for seed in seeds do
            times[seed] <-
                (match times.TryGetValue seed with
                 | true, n -> n
                 | _ -> 0.0)
                + 1.0

        times
