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

    /// A unit's part of a policy: None where it has no value there and stands in every unit.
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

    /// The last number of a text: "step:100" is 100, "temperature=0.7" is 0.7.
    let private numberOf (text: string) =
        let found = Regex.Matches(text, @"-?\d+(\.\d+)?([eE][-+]?\d+)?")

        if found.Count = 0 then
            None
        else
            Some(Double.Parse(found[found.Count - 1].Value, Globalization.CultureInfo.InvariantCulture))

    let private arms (table: Observation[]) (members: int list) =
        members
        |> List.groupBy (fun i -> Observations.configuration table[i])
        |> List.map (fun (_, seeds) ->
            {
                Seeds = [| for i in seeds -> Observations.axis "seed" table[i], i |]
            })
        |> Array.ofList

    /// A term may say again, and otherwise, what the claim says of an axis (of tags, of which a policy has many, both hold). Without a word about them, merged policies and
    /// checkpoints on the way are not meant.
    let private isMeant (claim: Claim) (term: Term) =
        let own = term.Where |> List.map fst

        let common =
            claim.Where
            |> List.filter (fun (axis, _) -> axis = "tag" || not (List.contains axis own))

        let filter = common @ term.Where
        // What the claim says of trainings is not said of a model that was not trained.
        let ofModel =
            (common
             |> List.filter (fun (axis, _) -> axis = "model" || axis = "kind" || axis = "benchmark_variant"))
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

    let rec private leaves (term: Term) =
        if term.Parts.IsEmpty then
            [ term ]
        else
            List.collect leaves term.Parts

    let rec private node
        (table: Observation[])
        (members: Dictionary<Term, (int * string option list) list>)
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
            let mine =
                members[term] |> List.filter (fun (_, key) -> fits unit key) |> List.map fst

            let points =
                match term.Curve with
                | None -> [ 0.0, mine ]
                | Some curve ->
                    mine
                    |> List.choose (fun i -> Observations.axis curve.Along table[i] |> numberOf |> Option.map (fun x -> x, i))
                    |> List.groupBy fst
                    |> List.sortBy fst
                    |> List.map (fun (x, group) -> (if curve.Log then Math.Log2 x else x), List.map snd group)

            let enough =
                if term.Curve.IsSome then
                    points.Length > 1
                else
                    not mine.IsEmpty

            if enough then
                Some
                    {
                        Term = term
                        Points = [| for x, group in points -> x, arms table group |]
                        Parts = [||]
                    }
            else
                None

    /// The units for which every term has a policy.
    let find (claim: Claim) (table: Observation[]) : Unit[] =
        let all = claim.Terms |> List.collect leaves

        let members =
            Dictionary<Term, (int * string option list) list>(HashIdentity.Reference)

        for term in all do
            let isMeant = isMeant claim term

            members[term] <-
                [
                    for i in 0 .. table.Length - 1 do
                        if isMeant table[i] then
                            i, key claim.Each table[i]
                ]

        let combinations =
            members.Values
            |> Seq.concat
            |> Seq.map snd
            |> Seq.filter (List.forall Option.isSome)
            |> Seq.map (List.map Option.get)
            |> Seq.distinct
            |> Seq.sort

        [|
            for unit in combinations do
                let nodes = claim.Terms |> List.map (node table members unit)

                if List.forall Option.isSome nodes then
                    {
                        Label = String.Join("/", unit)
                        Nodes = nodes |> List.map Option.get |> Array.ofList
                    }
        |]
