// Claims for C#: text and observations in, verdicts out. Nothing is read but what the caller passes.
namespace PeftAlign.Core.Claims

open System
open System.Collections.Generic
open System.IO
open System.Reflection
open PeftAlign.Core
open PeftAlign.Core.Language
open PeftAlign.Core.Statistics

/// <summary>A set of claims that was read without a fault.</summary>
[<Sealed>]
type ClaimSet internal (claims: Claim list) =
    member internal _.Claims = claims

    /// <summary>Claims of one statistic each.</summary>
    member _.Count = claims.Length

/// <summary>A set of claims, or the faults that prevent it. Set is null where there are faults.</summary>
[<NoComparison; NoEquality>]
type ClaimSetResult =
    {
        Set: ClaimSet | null
        Faults: IReadOnlyList<Fault>
    }

/// <summary>Claims: read from text, tested on a run's evaluations.</summary>
[<AbstractClass; Sealed>]
type ClaimSets private () =
    static let prefix = "Claims."

    /// <summary>Names of the sets that come with the product.</summary>
    static member BuiltIn: IReadOnlyList<string> =
        Assembly.GetExecutingAssembly().GetManifestResourceNames()
        |> Array.filter (fun name -> name.StartsWith(prefix, StringComparison.Ordinal))
        |> Array.map (fun name -> name.Substring(prefix.Length, name.Length - prefix.Length - ".yaml".Length))
        |> Array.sort
        :> _

    /// <summary>The text of a set that comes with the product; null for an unknown name.</summary>
    /// <param name="name">For instance "deep-dive".</param>
    static member TextOf(name: string) : string | null =
        match Assembly.GetExecutingAssembly().GetManifestResourceStream(prefix + name + ".yaml") with
        | null -> null
        | stream ->
            use reader = new StreamReader(stream)
            reader.ReadToEnd()

    /// <summary>Reads a set; every fault of it is reported at once.</summary>
    /// <param name="text">YAML.</param>
    static member Read(text: string) : ClaimSetResult = ClaimSets.Read(text, None)

    /// <summary>Reads a set that is about these policies; a name that none of them has is a fault, too.</summary>
    /// <param name="text">YAML.</param>
    /// <param name="policies">Axes of the plan's evaluations and trainings.</param>
    static member Read(text: string, policies: IReadOnlyList<IReadOnlyDictionary<string, string>>) : ClaimSetResult =
        ClaimSets.Read(text, Some policies)

    static member private Read
        (text: string, policies: IReadOnlyList<IReadOnlyDictionary<string, string>> option)
        : ClaimSetResult =
        let faults = Faults()
        let claims = ClaimReader.read faults policies text

        {
            Set = if faults.Count = 0 then ClaimSet claims else null
            Faults = faults.Sorted()
        }

    /// <summary>Tests every claim. A verdict needs both: an interval on one side of the number, and Holm's adjusted p of at most alpha.</summary>
    /// <param name="set">The claims; the family of Holm's correction is those that have data.</param>
    /// <param name="observations">Of finished evaluations, in any order.</param>
    /// <param name="draws">Bootstrap draws.</param>
    /// <param name="alpha">For instance 0.05.</param>
    /// <param name="seed">Of the draws; equal seeds give equal results whatever the threads.</param>
    static member Test
        (set: ClaimSet, observations: IReadOnlyList<Observation>, draws: int, alpha: float, seed: int64)
        : IReadOnlyList<ClaimResult> =
        ClaimSets.Test(set, observations, [||], draws, alpha, seed)

    /// <summary>Tests every claim; one that planned evaluations are missing for is inconclusive and names them.</summary>
    /// <param name="set">The claims; the family of Holm's correction is those that have data.</param>
    /// <param name="observations">Of finished evaluations, in any order.</param>
    /// <param name="pending">Axes of the evaluations and trainings that the plan has and that are not finished; those of a training with the benchmark "train".</param>
    /// <param name="draws">Bootstrap draws.</param>
    /// <param name="alpha">For instance 0.05.</param>
    /// <param name="seed">Of the draws; equal seeds give equal results whatever the threads.</param>
    static member Test
        (
            set: ClaimSet,
            observations: IReadOnlyList<Observation>,
            pending: IReadOnlyList<IReadOnlyDictionary<string, string>>,
            draws: int,
            alpha: float,
            seed: int64
        ) : IReadOnlyList<ClaimResult> =
        // In a fixed order, so that the order in which the plan lists them does not matter.
        let table =
            observations
            |> Seq.filter (fun o -> not (Double.IsNaN o.Value))
            |> Seq.sortBy (fun o -> Observations.name o, Observations.configuration o, Observations.axis "seed" o)
            |> Array.ofSeq

        let pending = Array.ofSeq pending

        let modelTags =
            Units.modelTags (Array.append table (pending |> Array.map Gaps.planned))

        let firsts =
            table
            |> Array.filter _.IsFirst
            |> Array.distinctBy Observations.benchmark
            |> Array.map (fun o -> Observations.benchmark o, o.Metric)
            |> dict
            |> Dictionary

        set.Claims
        |> List.map (fun claim -> Judging.one claim modelTags table firsts pending draws alpha seed)
        |> Array.ofList
        |> Verdicts.corrected alpha
