// What a contrast of scores between 0 and 1 may come to: curves as weighted sums of their points, the bounds of what is a weighted mean, and
// limits of what is not.
namespace PeftAlign.Core.Claims

open System

/// What is known of a number that every resampling gives again.
type internal Constant =
    /// Each item gives it, and lies between these.
    | Between of float * float
    /// Every policy scored the same on all items: the limits of the number where a share of other items at most comes out otherwise.
    | Limits of (float -> float * float)
    /// Scores have no bounds.
    | Unbounded
    /// Items differ, or there are none, and the number is no mean over them.
    | Unclear

module internal Ranges =
    let slope (x: float[]) (y: float[]) =
        let mx, my = Array.average x, Array.average y

        Array.fold2 (fun sum a b -> sum + (a - mx) * (b - my)) 0.0 x y
        / Array.sumBy (fun a -> (a - mx) * (a - mx)) x

    let height (x: float[]) (y: float[]) =
        let area =
            Seq.init (x.Length - 1) (fun i -> 0.5 * (y[i] + y[i + 1]) * (x[i + 1] - x[i]))
            |> Seq.sum

        area / (x[x.Length - 1] - x[0])

    /// How much each point counts.
    let private weights (curve: Curve) (points: (float * Arm[])[]) =
        let x = Array.map fst points

        Array.init x.Length (fun j ->
            let only = Array.init x.Length (fun i -> if i = j then 1.0 else 0.0)
            if curve.Slope then slope x only else height x only)

    let private times weight (low, high) =
        // Zero times a limit that is infinite is nothing.
        if weight = 0.0 then 0.0, 0.0
        elif weight > 0.0 then weight * low, weight * high
        else weight * high, weight * low

    let private sum (ranges: (float * float)[]) =
        Array.sumBy fst ranges, Array.sumBy snd ranges

    let rec private boundsOf (node: Node) : (float * float) option =
        let term = node.Term

        if term.Absolute || term.Take <> Mean then
            None
        elif node.Parts.Length > 0 then
            node.Parts |> linear |> Option.map (times term.Weight)
        else
            match term.Curve with
            | Some curve when curve.Slope ->
                let own = weights curve node.Points |> Array.map (fun w -> times w (0.0, 1.0))
                Some(times term.Weight (sum own))
            | _ -> Some(times term.Weight (0.0, 1.0))

    /// The least and greatest value of a weighted mean of scores from 0 to 1; None for what is none.
    and linear (nodes: Node[]) : (float * float) option =
        let all = nodes |> Array.map boundsOf

        if Array.forall Option.isSome all then
            Some(sum (Array.map Option.get all))
        else
            None

    let private absolute (low, high) =
        (if low <= 0.0 && high >= 0.0 then
             0.0
         else
             min (abs low) (abs high)),
        max (abs low) (abs high)

    let rec private limitsOf isLog (ofArm: Arm -> float * float) (node: Node) : float * float =
        let of1 (arms: Arm[]) =
            let pick: float[] -> float =
                match node.Term.Take with
                | Mean -> Array.average
                | Largest -> Array.max
                | Smallest -> Array.min

            let each = arms |> Array.map ofArm
            let low, high = pick (Array.map fst each), pick (Array.map snd each)
            if isLog then log low, log high else low, high

        let own =
            match node.Term.Curve with
            | Some curve ->
                Array.map2 (fun weight (_, arms) -> times weight (of1 arms)) (weights curve node.Points) node.Points
                |> sum
            | None when node.Parts.Length > 0 -> node.Parts |> Array.map (limitsOf isLog ofArm) |> sum
            | None -> of1 (snd node.Points[0])

        times node.Term.Weight (if node.Term.Absolute then absolute own else own)

    /// Limits of the mean of units if at most a share q of each arm's items scored differently. (Each arm scored the same on every item.)
    let limits isLog (values: float[]) (units: Unit[]) (q: float) =
        let ofArm (arm: Arm) =
            let low = arm.Seeds |> Array.averageBy (fun (_, i) -> (1.0 - q) * values[i])
            low, low + q

        let all =
            units
            |> Array.map (fun unit -> unit.Nodes |> Array.map (limitsOf isLog ofArm) |> sum)

        Array.averageBy fst all, Array.averageBy snd all
