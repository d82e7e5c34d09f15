// Linear regression by least squares (QR) with classic, heteroscedasticity-robust and clustered standard errors.
// Sources: White (1980, HC0), MacKinnon and White (1985, HC3), Liang and Zeger (1986, clusters).
namespace PeftAlign.Core.Statistics

open MathNet.Numerics.LinearAlgebra

/// How the variance of coefficients is estimated.
type CovarianceKind =
    /// Equal variances; p-values from the t distribution.
    | Classic = 0
    /// White's; p-values from the normal distribution, as for all robust kinds.
    | HC0 = 1
    /// Residuals over 1 - leverage.
    | HC3 = 2
    /// Clustered, with the factor G/(G-1) (n-1)/(n-k).
    | Clustered = 3
    /// Clustered without that factor.
    | ClusteredUncorrected = 4

/// A fitted linear model; coefficients in the order of the design's columns.
type RegressionResult =
    {
        Coefficients: float[]
        StandardErrors: float[]
        PValues: float[]
        RSquared: float
        Residuals: float[]
        DegreesOfFreedom: float
    }

module private Sandwich =
    /// Sum over groups g of (X_g' u_g)(X_g' u_g)'.
    let meat (x: Matrix<float>) (u: float[]) (groups: int[][]) =
        let sum = Matrix<float>.Build.Dense(x.ColumnCount, x.ColumnCount)

        for rows in groups do
            let score = Vector<float>.Build.Dense x.ColumnCount

            for i in rows do
                score.Add(x.Row(i) * u[i], score)

            sum.Add(score.OuterProduct score, sum)

        sum

    let members (clusters: int[]) =
        clusters
        |> Array.indexed
        |> Array.groupBy snd
        |> Array.map (snd >> Array.map fst)

    let covariance kind (x: Matrix<float>) (bread: Matrix<float>) (u: float[]) (clusters: int[]) =
        let n, k = float x.RowCount, float x.ColumnCount
        let each = Array.init x.RowCount (fun i -> [| i |])
        let sandwich u groups = bread * meat x u groups * bread

        match kind with
        | CovarianceKind.Classic -> bread * (Array.sumBy (fun e -> e * e) u / (n - k))
        | CovarianceKind.HC0 -> sandwich u each
        | CovarianceKind.HC3 ->
            let leverage i = x.Row(i) * bread * x.Row(i)
            sandwich (u |> Array.mapi (fun i e -> e / (1.0 - leverage i))) each
        | CovarianceKind.Clustered
        | CovarianceKind.ClusteredUncorrected ->
            let groups = members clusters
            let g = float groups.Length

            if groups.Length < 2 then
                Guard.fail
                    $"{groups.Length} cluster; clustered standard errors need at least 2. Use the classic or a robust kind."

            let factor =
                if kind = CovarianceKind.Clustered then
                    g / (g - 1.0) * (n - 1.0) / (n - k)
                else
                    1.0

            sandwich u groups * factor
        | other -> Guard.fail $"covariance kind {int other} is unknown; use a member of CovarianceKind."

/// Least squares.
[<AbstractClass; Sealed>]
type Regression =
    /// Fit of y on the design's rows (each one observation; add a column of ones for an intercept).
    /// `clusters` holds a cluster number per row for the clustered kinds, and is unused (may be empty) for the others.
    /// Error: fewer rows than columns + 1, or columns that are linear combinations of others.
    static member Fit(design: float[][], y: float[], kind: CovarianceKind, clusters: int[]) : RegressionResult =
        Guard.sameLength "design" design "y" y
        Guard.sample "y" 2 y

        design
        |> Array.iteri (fun i row -> Guard.sameLength "design[0]" design[0] $"design[{i}]" row)

        design |> Array.iteri (fun i row -> Guard.sample $"design[{i}]" 1 row)

        if kind = CovarianceKind.Clustered || kind = CovarianceKind.ClusteredUncorrected then
            Guard.sameLength "y" y "clusters" clusters

        let x = Matrix<float>.Build.DenseOfRowArrays design
        let n, k = x.RowCount, x.ColumnCount

        if n <= k then
            Guard.fail $"{n} observations for {k} coefficients; more observations than coefficients are needed."

        let qr = x.QR()
        let diagonal = qr.R.Diagonal().PointwiseAbs()

        if diagonal.Minimum() <= 1e-11 * diagonal.Maximum() then
            Guard.fail "a column of the design is a linear combination of others. Drop one of them."

        let target = Vector<float>.Build.DenseOfArray y
        let coefficients = qr.Solve target
        let residuals = (target - x * coefficients).ToArray()
        // (X'X)^-1 from the triangular factor.
        let inverse = qr.R.Inverse()

        let covariance =
            Sandwich.covariance kind x (inverse * inverse.Transpose()) residuals clusters

        let errors = covariance.Diagonal().PointwiseSqrt().ToArray()
        let ratios = Array.map2 (/) (coefficients.ToArray()) errors
        let df = float (n - k)

        let p t =
            if kind = CovarianceKind.Classic then
                2.0 * Distributions.StudentTSf(abs t, df)
            else
                2.0 * Distributions.NormalSf(abs t)

        let mean = Array.average y

        {
            Coefficients = coefficients.ToArray()
            StandardErrors = errors
            PValues = Array.map p ratios
            RSquared =
                1.0
                - Array.sumBy (fun e -> e * e) residuals
                  / Array.sumBy (fun v -> (v - mean) * (v - mean)) y
            Residuals = residuals
            DegreesOfFreedom = df
        }

    /// Simple regression on one variable with an intercept: coefficients are intercept, slope.
    static member Line(x: float[], y: float[], kind: CovarianceKind, clusters: int[]) : RegressionResult =
        Regression.Fit(x |> Array.map (fun v -> [| 1.0; v |]), y, kind, clusters)

    /// Standard error of a mean over clustered observations: sqrt(sum over clusters of (sum of residuals)^2) / n.
    static member ClusteredErrorOfMean(values: float[], clusters: int[]) : float =
        Guard.sameLength "values" values "clusters" clusters
        let ones = values |> Array.map (fun _ -> [| 1.0 |])
        Regression.Fit(ones, values, CovarianceKind.ClusteredUncorrected, clusters).StandardErrors[0]
