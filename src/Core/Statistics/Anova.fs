// Analysis of variance of crossed factors with sums of squares of type I, II or III, and the shares of variance that tell
// which factor matters. Sums of squares are drops in residual sum of squares between nested models; a model's columns
// are orthogonalised in order, so empty cells lose degrees of freedom instead of failing.
namespace PeftAlign.Core.Statistics

open System

/// Which models are compared for a term.
type SumOfSquares =
    /// Each term after those before it.
    | TypeI = 1
    /// Each term after all that do not contain it.
    | TypeII = 2
    /// Each term after all others, in sum-to-zero coding.
    | TypeIII = 3

/// One row of the table. F, P and Omega2 are NaN for the residual.
/// Eta2 = SS / total SS, PartialEta2 = SS / (SS + residual SS), Omega2 = (SS - df MSE) / (total SS + MSE).
type AnovaTerm =
    {
        Name: string
        SumOfSquares: float
        DegreesOfFreedom: int
        F: float
        PValue: float
        Eta2: float
        PartialEta2: float
        Omega2: float
    }

/// The table: terms in order, the residual last.
type AnovaTable =
    {
        Terms: AnovaTerm[]
        TotalSumOfSquares: float
        RSquared: float
    }

module private Design =
    /// Columns of one factor in treatment coding (levels but the first) or sum-to-zero coding.
    let contrasts sumToZero (values: string[]) =
        let levels =
            values
            |> Array.distinct
            |> Array.sortWith (fun a b -> String.CompareOrdinal(a, b))

        let last = levels.Length - 1

        if last < 1 then
            Guard.fail $"a factor has the single level '{values[0]}'; at least two are needed. Leave that factor out."

        if sumToZero then
            Array.init last (fun j ->
                values
                |> Array.map (fun v ->
                    if v = levels[j] then 1.0
                    elif v = levels[last] then -1.0
                    else 0.0))
        else
            Array.init last (fun j -> values |> Array.map (fun v -> if v = levels[j + 1] then 1.0 else 0.0))

    let product (left: float[][]) (right: float[][]) =
        [|
            for a in left do
                for b in right -> Array.map2 (*) a b
        |]

    /// Columns of a term, a set of factors: products of their contrasts.
    let term (contrasts: float[][][]) (factors: int list) =
        factors |> List.map (fun f -> contrasts[f]) |> List.reduce product

    /// Residual sum of squares of y on the columns, and the rank that they have.
    let residual (y: float[]) (columns: seq<float[]>) =
        let dot (a: float[]) (b: float[]) =
            let mutable sum = 0.0

            for i in 0 .. a.Length - 1 do
                sum <- sum + a[i] * b[i]

            sum

        let basis = Collections.Generic.List<float[]>()

        let clear (v: float[]) =
            // Twice is enough: the second pass removes what rounding left of the first.
            for _ in 1..2 do
                for q in basis do
                    let c = dot q v

                    for i in 0 .. v.Length - 1 do
                        v[i] <- v[i] - c * q[i]

        for column in columns do
            let v = Array.copy column
            let before = sqrt (dot v v)
            clear v
            let after = sqrt (dot v v)

            if after > 1e-9 * before then
                basis.Add(Array.map (fun x -> x / after) v)

        let rest = Array.copy y
        clear rest
        dot rest rest, basis.Count

module private Rows =
    /// Sum of squares and degrees of freedom that the larger of two nested models explains more.
    let drop (less, fewer) (more, greater) = less - more, greater - fewer

    /// The pair of models compared for a term; `fit` gives residual sum of squares and rank of a model with some terms.
    let ofTerm kind (terms: int[][]) (fit: int list -> float * int) t =
        let all = [ 0 .. terms.Length - 1 ]

        let contains u =
            Set.isProperSubset (Set.ofArray terms[t]) (Set.ofArray terms[u])

        match kind with
        | SumOfSquares.TypeI -> drop (fit [ 0 .. t - 1 ]) (fit [ 0..t ])
        | SumOfSquares.TypeII ->
            let others = all |> List.filter (fun u -> u <> t && not (contains u))
            drop (fit others) (fit (List.sort (t :: others)))
        | SumOfSquares.TypeIII -> drop (fit (List.except [ t ] all)) (fit all)
        | other -> Guard.fail $"sum of squares type {int other} is unknown; use I, II or III."

    let entry total (rss, df: int) name (ss, d: int) =
        let mse = rss / float df
        let f = ss / float d / mse

        {
            Name = name
            SumOfSquares = ss
            DegreesOfFreedom = d
            F = f
            PValue = Distributions.FSf(f, float d, float df)
            Eta2 = ss / total
            PartialEta2 = ss / (ss + rss)
            Omega2 = (ss - float d * mse) / (total + mse)
        }

    let residual total error =
        { entry total error "Residual" error with
            F = nan
            PValue = nan
            Omega2 = nan
        }

/// Analysis of variance.
[<AbstractClass; Sealed>]
type Anova =
    /// Table of a model given by terms. `factors[f]` holds the level of factor f per observation, `terms` names the
    /// factors of each term by index ([|0|] a main effect, [|0; 1|] an interaction), main effects first.
    /// Type III adds the intercept's own row in front. Error: a factor with one level, or no residual degrees of freedom.
    static member Table(y: float[], names: string[], factors: string[][], terms: int[][], kind: SumOfSquares) : AnovaTable =
        Guard.sample "y" 3 y
        Guard.sameLength "names" names "factors" factors
        Guard.atLeast "terms" 1 terms

        factors
        |> Array.iteri (fun f levels -> Guard.sameLength "y" y $"the levels of {names[f]}" levels)

        let contrasts =
            factors |> Array.map (Design.contrasts (kind = SumOfSquares.TypeIII))

        let columns = terms |> Array.map (fun t -> Design.term contrasts (List.ofArray t))
        let intercept = [| Array.create y.Length 1.0 |]

        let own included =
            included |> Seq.collect (fun t -> columns[t])

        let fit included =
            Design.residual y (Seq.append intercept (own included))

        let all = [ 0 .. terms.Length - 1 ]
        let total, _ = fit []
        let rss, rank = fit all
        let error = rss, y.Length - rank

        if snd error < 1 then
            Guard.fail
                $"{y.Length} observations leave no residual degrees of freedom for {terms.Length} terms. Drop an interaction."

        let entry = Rows.entry total error

        let name t =
            terms[t] |> Array.map (fun f -> names[f]) |> String.concat ":"

        let rows =
            all
            |> List.map (fun t -> entry (name t) (Rows.ofTerm kind terms fit t))
            |> Array.ofList

        let constant =
            if kind = SumOfSquares.TypeIII then
                [| entry "Intercept" (Rows.drop (Design.residual y (own all)) (rss, rank)) |]
            else
                [||]

        {
            Terms = Array.concat [ constant; rows; [| Rows.residual total error |] ]
            TotalSumOfSquares = total
            RSquared = 1.0 - rss / total
        }

    /// Terms of all main effects of `count` factors, with all two-way interactions if asked for.
    static member Terms(count: int, twoWay: bool) : int[][] =
        [|
            for f in 0 .. count - 1 -> [| f |]
            if twoWay then
                for f in 0 .. count - 2 do
                    for g in f + 1 .. count - 1 -> [| f; g |]
        |]
