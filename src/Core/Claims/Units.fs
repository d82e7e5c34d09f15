// From a claim and observations to units: for each combination of what `each` names, the arms that its terms compare.
namespace PeftAlign.Core.Claims

open System
open System.Collections.Generic
open System.Text.RegularExpressions

/// The seeds of one configuration: each observation's place in the table of all, by seed; seed "" is every seed's.
type internal Arm = { Seeds: (string * int)[] }

/// A term within a unit. Points: the number along the curve's axis (0 without one), and the arms there.
type internal Node =
    {
        Term: Term
        Points: (float * Arm[])[]
        Parts: Node[]
    }

type internal Unit = { Label: string; Nodes: Node[] }

module internal Units =
    let accepts (filter: Filter) observation =
        filter
        |> List.forall (fun (axis, accepted) ->
            let have = Observations.values axis observation

            let forbidden, wanted =
                accepted |> List.partition (fun value -> value.StartsWith '!')

            forbidden
            |> List.forall (fun value -> not (List.contains (value.Substring 1) have))
            && (wanted.IsEmpty || wanted |> List.exists (fun value -> List.contains value have)))

    let private isMetric (metrics: string list) (observation: Observation) =
        metrics
        |> List.exists (fun metric ->
            metric = Observations.name observation
            || (observation.IsFirst && metric = Observations.benchmark observation))

    /// A policy's value on each axis that names units; None where it has no value there, so that it belongs to every unit.
    let private key (each: Each list) observation : string option list =
        each
        |> List.map (fun each ->
            match each with
            | Axis "metric" -> Some(Observations.name observation)
            | Axis axis -> Observations.values axis observation |> List.tryHead
            | Classes(axis, classes) ->
                let have = Observations.values axis observation

                classes
                |> List.tryFind (fun (_, values) -> values |> List.exists (fun value -> List.contains value have))
                |> Option.map fst)

    let private fits (unit: string list) (key: string option list) =
        List.forall2 (fun mine yours -> yours |> Option.forall ((=) mine)) unit key

    /// The last number of a text: "step:100" is 100, "temperature=0.7" is 0.7, "beta=-1" is -1. In "checkpoint-100" the dash is a hyphen.
    let private numberOf (text: string) =
        let found = Regex.Matches(text, @"((?<!\w)-)?\d+(\.\d+)?([eE][-+]?\d+)?")

        if found.Count = 0 then
            None
        else
            Some(Double.Parse(found[found.Count - 1].Value, Globalization.CultureInfo.InvariantCulture))

    let private namesRow (claim: Claim) (term: Term) =
        let named = claim.Where @ term.Where |> List.exists (fun (axis, _) -> axis = "row")

        named
        || claim.Each
           |> List.exists (fun each ->
               match each with
               | Axis axis
               | Classes(axis, _) -> axis = "row")

    /// What several rows ask alike is one job, and counts once. The rows that share one ask for the seeds of one configuration.
    let private once (table: Observation[]) (members: int list) : (string * int) list =
        let names = Dictionary<string, string>()

        let nameOf i =
            let own = Observations.configuration table[i]

            match names.TryGetValue own with
            | true, first -> first
            | _ -> own

        let jobs =
            members
            |> List.groupBy (fun i ->
                match Observations.job table[i] with
                | "" -> $"#{i}"
                | job -> job)
            |> List.map snd

        for places in jobs do
            let first = nameOf places.Head

            for i in places do
                names.TryAdd(Observations.configuration table[i], first) |> ignore

        jobs |> List.map (fun places -> nameOf places.Head, places.Head)

    let private arms (table: Observation[]) isOfRows (members: int list) =
        let named =
            if isOfRows then
                members |> List.map (fun i -> Observations.configuration table[i], i)
            else
                once table members

        named
        |> List.groupBy fst
        |> List.map (fun (_, seeds) ->
            {
                Seeds = [| for _, i in seeds -> Observations.axis "seed" table[i], i |]
            })
        |> Array.ofList

    /// Tags of models: those that an untouched model has, and those that all or none of each model's policies have. Other tags came with the training.
    let modelTags (table: Observation[]) : Set<string> =
        let tags observation =
            Observations.values "tag" observation |> Set.ofList

        let untrained, trained =
            table
            |> Array.filter (fun o -> Observations.axis "policy" o <> "merged")
            |> Array.partition (fun o -> Observations.axis "policy" o = "untouched")

        let of1 = untrained |> Array.map tags |> Set.unionMany

        let byModel =
            Array.append untrained trained
            |> Array.groupBy (Observations.axis "model")
            |> Array.map (fun (_, own) -> let own = Array.map tags own in Set.unionMany own, Set.intersectMany own)

        let isUniform tag =
            byModel
            |> Array.forall (fun (some, all) -> all.Contains tag || not (some.Contains tag))

        byModel
        |> Array.map fst
        |> Set.unionMany
        |> Set.filter isUniform
        |> Set.union of1

    /// What a term says of an axis replaces what the claim says of it (except tags: a policy has many, so both hold). Merged policies and
    /// checkpoints before the end are meant only where they are named.
    let private isMeant (claim: Claim) (modelTags: Set<string>) (term: Term) =
        let own = term.Where |> List.map fst

        let common =
            claim.Where
            |> List.filter (fun (axis, _) -> axis = "tag" || not (List.contains axis own))

        let filter = common @ term.Where
        // What the claim says of trainings is not said of a model that was not trained.
        let ofModel =
            (common
             |> List.filter (fun (axis, accepted) ->
                 match axis with
                 | "model"
                 | "kind"
                 | "benchmark_variant" -> true
                 | "tag" -> accepted |> List.exists (fun tag -> modelTags.Contains(tag.TrimStart '!'))
                 | _ -> false))
            @ term.Where

        let named axis =
            filter |> List.exists (fun (name, _) -> name = axis)

        let kind =
            if named "kind" then []
            elif named "merge" then [ "kind", [ "merged" ] ]
            else [ "kind", [ "trained" ] ]

        let atEnd =
            not (named "checkpoint")
            && not (term.Curve |> Option.exists (fun curve -> curve.Along = "checkpoint"))

        fun observation ->
            isMetric claim.Metrics observation
            && accepts
                ((if Observations.axis "policy" observation = "untouched" then
                      ofModel
                  else
                      filter)
                 @ kind)
                observation
            && (not atEnd || Observations.axis "checkpoint" observation = "")

    let rec leaves (term: Term) =
        if term.Parts.IsEmpty then
            [ term ]
        else
            List.collect leaves term.Parts

    /// A term's points: its policies by their number along the curve's axis; all of them at 0 without a curve.
    let private along (table: Observation[]) (term: Term) (members: int list) =
        match term.Curve with
        | None -> [ 0.0, members ]
        | Some curve ->
            members
            |> List.choose (fun i -> Observations.axis curve.Along table[i] |> numberOf |> Option.map (fun x -> x, i))
            |> List.groupBy fst
            |> List.sortBy fst
            |> List.map (fun (x, group) -> (if curve.Log then Math.Log2 x else x), List.map snd group)

    let rec private node
        (table: Observation[])
        (members: Dictionary<Term, bool * (int * string option list) list>)
        unit
        (term: Term)
        : Node option =
        if not term.Parts.IsEmpty then
            let parts = term.Parts |> List.map (node table members unit)

            if List.forall Option.isSome parts then
                Some
                    {
                        Term = term
                        Points = [||]
                        Parts = parts |> List.map Option.get |> Array.ofList
                    }
            else
                None
        else
            let isOfRows, all = members[term]

            let mine = all |> List.filter (fun (_, key) -> fits unit key) |> List.map fst

            let points = along table term mine

            let enough =
                if term.Curve.IsSome then
                    points.Length > 1
                else
                    not mine.IsEmpty

            if enough then
                Some
                    {
                        Term = term
                        Points = [| for x, group in points -> x, arms table isOfRows group |]
                        Parts = [||]
                    }
            else
                None

    let rec private curves (node: Node) =
        if node.Term.Curve.IsSome then
            [ node ]
        else
            node.Parts |> List.ofArray |> List.collect curves

    /// The points that each training of a curve has; on axes along which the policy itself changes, the points of the whole curve.
    let private pointsOf (table: Observation[]) (curve: Curve) (node: Node) : Set<float> list =
        let isOneTraining = curve.Along = "checkpoint" || curve.Along = "benchmark_variant"

        let training (observation: Observation) =
            observation.Axes
            |> Seq.filter (fun pair ->
                pair.Key <> curve.Along
                && pair.Key <> "configuration"
                && pair.Key <> "tags"
                && pair.Key <> "job")
            |> Seq.map (fun pair -> $"{pair.Key}={pair.Value}")
            |> Seq.sort
            |> String.concat "/"

        [
            for x, arms in node.Points do
                for arm in arms do
                    for _, i in arm.Seeds -> (if isOneTraining then training table[i] else ""), x
        ]
        |> List.groupBy fst
        |> List.map (fun (_, own) -> own |> List.map snd |> Set.ofList)

    /// Curves are compared on the points that all of a unit's have. None where fewer than two are left.
    let private onShared (table: Observation[]) (nodes: Node list) : Node list option =
        let shared =
            nodes
            |> List.collect curves
            |> List.groupBy (fun node -> let curve = node.Term.Curve.Value in curve.Along, curve.Log)
            |> List.map (fun (axis, same) ->
                axis,
                same
                |> List.collect (fun node -> pointsOf table node.Term.Curve.Value node)
                |> Set.intersectMany)
            |> dict

        let rec cut (node: Node) =
            match node.Term.Curve with
            | Some curve ->
                { node with
                    Points =
                        node.Points
                        |> Array.filter (fun (x, _) -> shared[(curve.Along, curve.Log)].Contains x)
                }
            | None ->
                { node with
                    Parts = Array.map cut node.Parts
                }

        if shared.Values |> Seq.forall (fun points -> points.Count > 1) then
            Some(List.map cut nodes)
        else
            None

    /// The units for which every term has a policy.
    let find (claim: Claim) (modelTags: Set<string>) (table: Observation[]) : Unit[] =
        let all = claim.Terms |> List.collect leaves

        let members =
            Dictionary<Term, bool * (int * string option list) list>(HashIdentity.Reference)

        for term in all do
            let isMeant = isMeant claim modelTags term

            members[term] <-
                namesRow claim term,
                [
                    for i in 0 .. table.Length - 1 do
                        if isMeant table[i] then
                            i, key claim.Each table[i]
                ]

        let combinations =
            members.Values
            |> Seq.collect snd
            |> Seq.map snd
            |> Seq.filter (List.forall Option.isSome)
            |> Seq.map (List.map Option.get)
            |> Seq.distinct
            |> Seq.sort

        [|
            for unit in combinations do
                let nodes = claim.Terms |> List.map (node table members unit)

                if List.forall Option.isSome nodes then
                    match nodes |> List.map Option.get |> onShared table with
                    | Some nodes ->
                        {
                            Label = String.Join("/", unit)
                            Nodes = Array.ofList nodes
                        }
                    | None -> ()
        |]

    /// Configurations that a contrast of means adds and takes away within one unit: there their scores cancel in part. A chain is also
    /// its last method, so that `method: dpo` takes in what follows SFT.
    let onBothSides (claim: Claim) (table: Observation[]) (units: Unit[]) : string list =
        let nameOf i =
            match Observations.axis "configuration" table[i] with
            | "" -> Observations.configuration table[i]
            | name -> name

        let isPlain (node: Node) =
            node.Parts.Length = 0
            && node.Term.Take = Mean
            && node.Term.Curve.IsNone
            && not node.Term.Absolute

        let places nodes =
            set
                [
                    for node in nodes do
                        for _, arms in node.Points do
                            for arm in arms do
                                for _, i in arm.Seeds -> i
                ]

        let rec both (siblings: Node list) : int list =
            let plus, minus =
                siblings
                |> List.filter isPlain
                |> List.partition (fun node -> node.Term.Weight > 0.0)

            List.ofSeq (Set.intersect (places plus) (places minus))
            @ (siblings |> List.collect (fun node -> both (List.ofArray node.Parts)))

        if claim.Statistic = RankCorrelation then
            []
        else
            units
            |> Seq.collect (fun unit -> both (List.ofArray unit.Nodes))
            |> Seq.map nameOf
            |> Seq.distinct
            |> Seq.sort
            |> List.ofSeq
