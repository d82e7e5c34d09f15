// The value of a claim's contrast and its bootstrap: units (configurations) are drawn, then the seeds of each drawn unit, and the
// items of each benchmark, the same for all policies that answered them. What there is only one of is not drawn.
namespace PeftAlign.Core.Claims

open System
open System.Collections.Generic
open System.Numerics
open System.Threading.Tasks
open PeftAlign.Core.Statistics

/// The highest level that is drawn: what it is of, how many there are (of seeds the fewest that any policy of several has), and the statistic of each by itself where the claim's
/// is their mean; of seeds those that all policies of several share.
type internal Top =
    {
        Of: string
        Count: int
        Values: float[]
    }

/// What a claim's contrast is worth, and how it varies. NaN intervals and p where nothing can be drawn.
type internal Resampled =
    {
        Units: float[]
        Estimate: float
        Replicates: float[]
        Without: float[]
        /// Levels that were drawn: configurations, seeds, items.
        Drawn: string list
        Top: Top
        /// Whether a policy that was trained stands in with one seed alone.
        HasSingleSeeds: bool
        /// How many there were to draw: items (the fewest that any benchmark has), else configurations, else seeds.
        Count: int
        /// What is known where nothing varies.
        Constant: Constant
    }

module internal Resampling =
    /// Sums of products of as many rows as are left from `first` on, four at most, with the same weights. A row's sum depends on that row alone, and is
    /// added up in one order: a sum waits for its own last addition, so that four together take little more time than one.
    let private dots (rows: float[][]) first (weights: float[]) (sums: float[]) =
        let width = Vector<float>.Count
        let inline row k = rows[min (first + k) (rows.Length - 1)]
        let a, b, c, d = row 0, row 1, row 2, row 3

        let mutable sa, sb, sc, sd =
            Vector<float>.Zero, Vector<float>.Zero, Vector<float>.Zero, Vector<float>.Zero

        let mutable i = 0

        while i <= weights.Length - width do
            let times = Vector<float>(weights, i)
            sa <- sa + Vector<float>(a, i) * times
            sb <- sb + Vector<float>(b, i) * times
            sc <- sc + Vector<float>(c, i) * times
            sd <- sd + Vector<float>(d, i) * times
            i <- i + width

        let rest = i

        let total (row: float[]) (sum: Vector<float>) =
            let mutable total = Vector.Sum sum

            for i in rest .. weights.Length - 1 do
                total <- total + row[i] * weights[i]

            total

        sums[0] <- total a sa
        sums[1] <- total b sb
        sums[2] <- total c sc
        sums[3] <- total d sd

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

    let private unitValue isLog values seeds (unit: Unit) =
        unit.Nodes |> Array.sumBy (weighted isLog values seeds)

    let rec private armsOf (node: Node) : Arm seq =
        seq {
            yield! node.Points |> Seq.collect snd
            yield! node.Parts |> Seq.collect armsOf
        }

    let private seedsOfArms (unit: Unit) =
        unit.Nodes
        |> Seq.collect armsOf
        |> Seq.map (fun arm -> arm.Seeds |> Array.map fst |> Array.filter ((<>) "") |> Array.distinct)
        |> Array.ofSeq

    /// A policy of one seed is the same in every draw.
    let private isDrawn (seeds: string[]) = seeds.Length > 1

    let private seedsOf (unit: Unit) =
        seedsOfArms unit
        |> Array.filter isDrawn
        |> Array.concat
        |> Array.distinct
        |> Array.sort

    /// The statistic of units, each with its contrast's value (the two sides apart for a correlation).
    let private statistic (claim: Claim) (unitsValues: (float * float * float)[]) =
        match claim.Statistic with
        | MeanOf -> unitsValues |> Array.averageBy (fun (value, _, _) -> value)
        | ShareOf ->
            unitsValues
            |> Array.averageBy (fun (value, _, _) ->
                if value > 0.0 then 1.0
                elif value = 0.0 then 0.5
                else 0.0)
        | RankCorrelation ->
            let ranks pick =
                unitsValues |> Array.map pick |> Descriptive.AverageRanks

            let x, y = ranks (fun (_, first, _) -> first), ranks (fun (_, _, second) -> second)
            let mx, my = Array.average x, Array.average y

            let sum (a: float[]) ma (b: float[]) mb =
                Array.fold2 (fun s p q -> s + (p - ma) * (q - mb)) 0.0 a b

            sum x mx y my / sqrt (sum x mx x mx * sum y my y my)

    let private bounds (units: Unit[]) =
        let all = units |> Array.map (fun unit -> Ranges.linear (Array.ofSeq unit.Nodes))

        if Array.forall Option.isSome all then
            all
            |> Array.map Option.get
            |> Array.reduce (fun (a, b) (c, d) -> min a c, max b d)
            |> Some
        else
            None

    /// Items: those of each policy that has a part in it, none where its number is no mean of some.
    let private constant (claim: Claim) plain (units: Unit[]) (used: int[]) (items: int -> float[]) =
        let scoresOf i =
            let own = items i
            if own.Length > 0 then own else [| Array.get plain i |]

        let isShare score = score >= 0.0 && score <= 1.0

        let isOne i = (Array.distinct (items i)).Length = 1

        if claim.Statistic = ShareOf then
            Between(0.0, 1.0)
        elif not (used |> Array.forall (scoresOf >> Array.forall isShare)) then
            Unbounded
        else
            match (if claim.Log then None else bounds units) with
            | Some limits -> Between limits
            | None when Array.forall isOne used -> Limits(Ranges.limits claim.Log plain units)
            | None -> Unclear

    let private triple (claim: Claim) values seeds (unit: Unit) =
        let value = unitValue claim.Log values seeds unit

        if claim.Statistic = RankCorrelation then
            value, nodeValue claim.Log values seeds unit.Nodes[0], nodeValue claim.Log values seeds unit.Nodes[1]
        else
            value, 0.0, 0.0

    let private timesOf (seeds: string seq) =
        let times = Dictionary<string, float>()

        for seed in seeds do
            times[seed] <-
                (match times.TryGetValue seed with
                 | true, n -> n
                 | _ -> 0.0)
                + 1.0

        times

    let private topOf (claim: Claim) plain (units: Unit[]) (observed: float[]) items : Top =
        let ofMean values =
            let values = if claim.Statistic = MeanOf then values () else [||]
            if Array.forall Double.IsFinite values then values else [||]

        let drawn = seedsOfArms units[0] |> Array.filter isDrawn

        if units.Length > 1 then
            {
                Of = "configurations"
                Count = units.Length
                Values = ofMean (fun () -> observed)
            }
        elif drawn.Length > 0 then
            let shared = drawn |> Array.map Set.ofArray |> Set.intersectMany |> Set.toArray

            {
                Of = "seeds"
                Count = drawn |> Array.map _.Length |> Array.min
                Values =
                    ofMean (fun () ->
                        shared
                        |> Array.map (fun seed -> unitValue claim.Log plain (timesOf [ seed ]) units[0]))
            }
        else
            {
                Of = "items"
                Count = items
                Values = [||]
            }

    let run (claim: Claim) (table: Observation[]) (units: Unit[]) (draws: int) (stream: RandomStream) : Resampled =
        let used =
            units
            |> Seq.collect (fun unit -> unit.Nodes |> Seq.collect armsOf)
            |> Seq.collect (fun arm -> arm.Seeds |> Seq.map snd)
            |> Seq.distinct
            |> Array.ofSeq

        let items i = table[i].Items

        let hasItems i =
            not (isNull (box (items i))) && (items i).Length > 1
        // Policies that answered the same items get the same draw.
        let pool i =
            Observations.benchmark table[i], (items i).Length

        let pools = used |> Array.filter hasItems |> Array.map pool |> Array.distinct
        let plain = table |> Array.map _.Value

        /// Of each pool the policies in use with their items.
        let scored =
            pools
            |> Array.map (fun own ->
                let places = used |> Array.filter (fun i -> hasItems i && pool i = own)
                struct (places, Array.map items places))

        let seeds = units |> Array.map seedsOf
        let drawsSeeds = seeds |> Array.exists (fun own -> own.Length > 1)

        /// Numbers of the policies in use under the weights of the items; those of others stay.
        let setValues (weights: float[][]) (values: float[]) =
            let sums = Array.zeroCreate<float> 4

            for k in 0 .. pools.Length - 1 do
                let struct (places, rows) = scored[k]

                for first in 0..4 .. rows.Length - 1 do
                    dots rows first weights[k] sums

                    for j in first .. min (first + 3) (rows.Length - 1) do
                        values[places[j]] <- sums[j - first] / float rows[j].Length

        let observed = units |> Array.map (triple claim plain null)
        let estimate = statistic claim observed
        let unitStream, seedStream = stream.Child "units", stream.Child "seeds"

        let itemStreams =
            pools |> Array.map (fun (name, count) -> stream.Child $"items/{name}/{count}")

        let replicate (weights: float[][]) (values: float[]) (b: int) =
            for k in 0 .. pools.Length - 1 do
                itemStreams[k].Count(int64 b, weights[k])

            setValues weights values

            let drawn =
                if units.Length > 1 then
                    unitStream.Indices(int64 b, units.Length, units.Length)
                else
                    [| 0 |]

            drawn
            |> Array.mapi (fun k u ->
                let own = seeds[u]

                if own.Length < 2 then
                    triple claim values null units[u]
                else
                    let drawn =
                        seedStream.Indices(int64 b * int64 units.Length + int64 k, own.Length, own.Length)

                    triple claim values (timesOf (drawn |> Seq.map (fun s -> own[s]))) units[u])
            |> statistic claim

        /// Draws in parallel; a thread's arrays serve all of its draws.
        let allReplicates () =
            let found = Array.zeroCreate<float> draws

            let own () =
                struct (pools |> Array.map (fun (_, count) -> Array.zeroCreate<float> count), Array.copy plain)

            let draw (b: int) _ (struct (weights, values) as own) =
                found[b] <- replicate weights values b
                own

            Parallel.For(0, draws, Func<_>(own), Func<_, _, _, _>(draw), Action<_>(ignore))
            |> ignore

            found

        /// Leave-one-out values of the highest level that is drawn.
        let without () =
            if units.Length > 1 then
                [|
                    for u in 0 .. units.Length - 1 -> statistic claim (Array.removeAt u observed)
                |]
            elif drawsSeeds then
                [|
                    for left in seeds[0] ->
                        let others = seeds[0] |> Seq.filter ((<>) left)
                        statistic claim [| triple claim plain (timesOf others) units[0] |]
                |]
            else
                [|
                    for k in 0 .. pools.Length - 1 do
                        let values = Array.copy plain
                        let struct (places, rows) = scored[k]

                        for left in 0 .. snd pools[k] - 1 do
                            for j in 0 .. places.Length - 1 do
                                let n = float rows[j].Length
                                values[places[j]] <- (n * plain[places[j]] - rows[j].[left]) / (n - 1.0)

                            statistic claim [| triple claim values null units[0] |]
                |]

        let drawn =
            [
                if units.Length > 1 then
                    "configurations"
                if drawsSeeds then
                    "seeds"
                if pools.Length > 0 then
                    "items"
            ]

        let values = observed |> Array.map (fun (value, _, _) -> value)

        let count =
            if pools.Length > 0 && (claim.Statistic = MeanOf || units.Length = 1) then
                pools |> Array.map snd |> Array.min
            elif units.Length > 1 then
                units.Length
            else
                seeds[0].Length

        {
            Units = values
            Estimate = estimate
            Replicates = if drawn.IsEmpty then [||] else allReplicates ()
            Without = if drawn.IsEmpty then [||] else without ()
            Drawn = drawn
            Top = topOf claim plain units values count
            HasSingleSeeds = units |> Seq.collect seedsOfArms |> Seq.exists (fun own -> own.Length = 1)
            Count = count
            Constant = constant claim plain units used (fun i -> if hasItems i then items i else [||])
        }
