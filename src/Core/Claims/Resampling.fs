// The bootstrap of a claim's contrast: units (configurations) are drawn, then the seeds of each drawn unit, and the
// items of each benchmark, the same for all policies that answered them. What there is only one of is not drawn.
namespace PeftAlign.Core.Claims

open System
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
    open Contrasts

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

    /// What is drawn from, as all draws share it.
    type private Sample =
        {
            Claim: Claim
            Units: Unit[]
            /// Each policy's number as it was measured.
            Plain: float[]
            /// Policies that the units name.
            Used: int[]
            Items: int -> float[]
            /// Policies that answered the same items get the same draw: benchmark and number of items of each such pool.
            Pools: (string * int)[]
            /// Of each pool the policies in use with their items.
            Scored: struct (int[] * float[][])[]
            /// Of each unit the seeds that are drawn.
            Seeds: string[][]
            /// Each unit's contrast as it was measured.
            Observed: (float * float * float)[]
        }

        member sample.DrawsSeeds = sample.Seeds |> Array.exists (fun own -> own.Length > 1)

    let private hasItems (items: float[]) =
        not (isNull (box items)) && items.Length > 1

    let private sampleOf (claim: Claim) (table: Observation[]) (units: Unit[]) : Sample =
        let used =
            units
            |> Seq.collect (fun unit -> unit.Nodes |> Seq.collect armsOf)
            |> Seq.collect (fun arm -> arm.Seeds |> Seq.map snd)
            |> Seq.distinct
            |> Array.ofSeq

        let items i = table[i].Items

        let pool i =
            Observations.benchmark table[i], (items i).Length

        let pools =
            used |> Array.filter (items >> hasItems) |> Array.map pool |> Array.distinct

        let plain = table |> Array.map _.Value

        {
            Claim = claim
            Units = units
            Plain = plain
            Used = used
            Items = items
            Pools = pools
            Scored =
                pools
                |> Array.map (fun own ->
                    let places = used |> Array.filter (fun i -> hasItems (items i) && pool i = own)
                    struct (places, Array.map items places))
            Seeds = units |> Array.map seedsOf
            Observed = units |> Array.map (triple claim plain null)
        }

    /// Numbers of the policies in use under the weights of the items; those of others stay.
    let private setValues (sample: Sample) (weights: float[][]) (values: float[]) =
        let sums = Array.zeroCreate<float> 4

        for k in 0 .. sample.Pools.Length - 1 do
            let struct (places, rows) = sample.Scored[k]

            for first in 0..4 .. rows.Length - 1 do
                dots rows first weights[k] sums

                for j in first .. min (first + 3) (rows.Length - 1) do
                    values[places[j]] <- sums[j - first] / float rows[j].Length

    /// The statistic of draw b, by these streams of units, seeds and each pool's items; a thread's weights and values serve all of its draws.
    let private replicate
        (sample: Sample)
        (ofUnits: RandomStream)
        (ofSeeds: RandomStream)
        (ofItems: RandomStream[])
        weights
        (values: float[])
        (b: int)
        =
        let units = sample.Units

        for k in 0 .. sample.Pools.Length - 1 do
            ofItems[k].Count(int64 b, Array.get weights k)

        setValues sample weights values

        let drawn =
            if units.Length > 1 then
                ofUnits.Indices(int64 b, units.Length, units.Length)
            else
                [| 0 |]

        drawn
        |> Array.mapi (fun k u ->
            let own = sample.Seeds[u]

            if own.Length < 2 then
                triple sample.Claim values null units[u]
            else
                let drawn =
                    ofSeeds.Indices(int64 b * int64 units.Length + int64 k, own.Length, own.Length)

                triple sample.Claim values (timesOf (drawn |> Seq.map (fun s -> own[s]))) units[u])
        |> statistic sample.Claim

    /// Draws in parallel.
    let private allReplicates (sample: Sample) (draws: int) (stream: RandomStream) =
        let ofUnits, ofSeeds = stream.Child "units", stream.Child "seeds"

        let ofItems =
            sample.Pools
            |> Array.map (fun (name, count) -> stream.Child $"items/{name}/{count}")

        let found = Array.zeroCreate<float> draws

        let own () =
            struct (sample.Pools |> Array.map (fun (_, count) -> Array.zeroCreate<float> count), Array.copy sample.Plain)

        let draw (b: int) _ (struct (weights, values) as own) =
            found[b] <- replicate sample ofUnits ofSeeds ofItems weights values b
            own

        Parallel.For(0, draws, Func<_>(own), Func<_, _, _, _>(draw), Action<_>(ignore))
        |> ignore

        found

    /// Leave-one-out values of the highest level that is drawn.
    let private without (sample: Sample) =
        let claim, units, plain = sample.Claim, sample.Units, sample.Plain

        if units.Length > 1 then
            [|
                for u in 0 .. units.Length - 1 -> statistic claim (Array.removeAt u sample.Observed)
            |]
        elif sample.DrawsSeeds then
            [|
                for left in sample.Seeds[0] ->
                    let others = sample.Seeds[0] |> Seq.filter ((<>) left)
                    statistic claim [| triple claim plain (timesOf others) units[0] |]
            |]
        else
            [|
                for k in 0 .. sample.Pools.Length - 1 do
                    let values = Array.copy plain
                    let struct (places, rows) = sample.Scored[k]

                    for left in 0 .. snd sample.Pools[k] - 1 do
                        for j in 0 .. places.Length - 1 do
                            let n = float rows[j].Length
                            values[places[j]] <- (n * plain[places[j]] - rows[j].[left]) / (n - 1.0)

                        statistic claim [| triple claim values null units[0] |]
            |]

    let private countOf (sample: Sample) =
        if
            sample.Pools.Length > 0
            && (sample.Claim.Statistic = MeanOf || sample.Units.Length = 1)
        then
            sample.Pools |> Array.map snd |> Array.min
        elif sample.Units.Length > 1 then
            sample.Units.Length
        else
            sample.Seeds[0].Length

    let run (claim: Claim) (table: Observation[]) (units: Unit[]) (draws: int) (stream: RandomStream) : Resampled =
        let sample = sampleOf claim table units

        let drawn =
            [
                if units.Length > 1 then
                    "configurations"
                if sample.DrawsSeeds then
                    "seeds"
                if sample.Pools.Length > 0 then
                    "items"
            ]

        let values = sample.Observed |> Array.map (fun (value, _, _) -> value)
        let count = countOf sample

        let itemsOf i =
            if hasItems (sample.Items i) then sample.Items i else [||]

        {
            Units = values
            Estimate = statistic claim sample.Observed
            Replicates =
                if drawn.IsEmpty then
                    [||]
                else
                    allReplicates sample draws stream
            Without = if drawn.IsEmpty then [||] else without sample
            Drawn = drawn
            Top = topOf claim sample.Plain units values count
            HasSingleSeeds = units |> Seq.collect seedsOfArms |> Seq.exists (fun own -> own.Length = 1)
            Count = count
            Constant = constant claim sample.Plain units sample.Used itemsOf
        }
