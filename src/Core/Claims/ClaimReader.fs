// Reading sets of claims: YAML with the bounds, lines and suggestions of manifests. docs/report.md is the grammar.
module internal PeftAlign.Core.Claims.ClaimReader

open System
open PeftAlign.Core.Language
open PeftAlign.Core.Language.Readers
open PeftAlign.Core.Language.Records

let private axes = Names.axes

/// Any scalar, as it is written.
let private word: Reader<string> =
    {
        Shape = AnyText
        Read =
            fun context path node ->
                match node.Body with
                | Scalar(Scalars.Text value, _) when value <> "" -> Some value
                | Scalar((Scalars.Whole _ | Scalars.Real _), written) -> Some written
                | _ -> wrong context node path AnyText
    }

let private filter: Reader<Filter> =
    let shape =
        Record
            [
                for axis in axes ->
                    {
                        Name = axis
                        Shape = Either [ AnyText; ListOf AnyText ]
                        Required = false
                        Docs = "Accepted values; '!x' must not be there."
                    }
            ]

    {
        Shape = shape
        Read =
            fun context path node ->
                if not node.Body.IsMapping then
                    wrong context node path shape
                else
                    let read =
                        [
                            for entry in entries node do
                                if List.contains entry.Key axes then
                                    (oneOrMany (noted entry.Key word)).Read context (join path entry.Key) entry.Value
                                    |> Option.map (fun values -> entry.Key, values)
                                else
                                    context.Faults.Add(
                                        entry.KeyMark,
                                        join path entry.Key,
                                        $"unknown axis '{entry.Key}'{Suggest.hint axes entry.Key}"
                                    )

                                    None
                        ]

                    if List.forall Option.isSome read then
                        Some(List.map Option.get read)
                    else
                        None
    }

let private curve: Reader<Curve> =
    record (
        fields {
            let! along =
                required
                    "along"
                    "The axis of numbers: checkpoint, variant or benchmark_variant."
                    (choice [ "checkpoint"; "variant"; "benchmark_variant"; "stage" ])

            and! log =
                withDefault "scale" "Of that axis." true (choice [ "log2"; "linear" ] |> map ((=) "log2"))

            and! slope =
                withDefault "take" "What is read off." true (choice [ "slope"; "height" ] |> map ((=) "slope"))

            return
                {
                    Along = along
                    Log = log
                    Slope = slope
                }
        }
    )

let private take =
    choice [ "mean"; "max"; "min" ]
    |> map (fun word ->
        match word with
        | "max" -> Largest
        | "min" -> Smallest
        | _ -> Mean)

type private Source =
    | Policies of Filter
    | Parts of Term list

let rec private term depth : Reader<Term> =
    let inner =
        {
            Shape = Either [ filter.Shape; ListOf filter.Shape ]
            Read =
                fun context path node ->
                    match node.Body with
                    | Sequence _ when depth < 4 -> (filledList (term (depth + 1))).Read context path node |> Option.map Parts
                    | Sequence _ -> fault context node path "terms are nested more than 4 deep; write the contrast flatter"
                    | _ -> filter.Read context path node |> Option.map Policies
        }

    let content =
        fields {
            let! plus = optional "plus" "Policies, or terms, that count." inner
            and! minus = optional "minus" "Policies, or terms, that are taken away." inner

            and! weight =
                withDefault "weight" "How much it counts." 1.0 (number (Interval.parse "(0,)"))

            and! take = withDefault "take" "Of several configurations." Mean take
            and! absolute = withDefault "absolute" "Without its sign." false truth
            and! curve = optional "curve" "A number read off a curve." curve
            return plus, minus, weight, take, absolute, curve
        }
        |> refine (fun context path node (plus, minus, weight, take, absolute, curve) ->
            let made sign source =
                let where, parts =
                    match source with
                    | Policies filter -> filter, []
                    | Parts parts -> [], parts

                if not parts.IsEmpty && (take <> Mean || curve.IsSome) then
                    fault context node path "'take' and 'curve' belong to policies; put them into the inner terms"
                else
                    Some
                        {
                            Weight = sign * weight
                            Where = where
                            Take = take
                            Curve = curve
                            Absolute = absolute
                            Parts = parts
                        }

            match plus, minus with
            | Some source, None -> made 1.0 source
            | None, Some source -> made -1.0 source
            | _ -> fault context node path "a term has either 'plus' or 'minus'")

    record content

let private each: Reader<Each> =
    let one = choice ("metric" :: axes) |> map Axis

    let classesOf axis : Reader<(string * string list) list> =
        let word = noted axis word
        let names = filledList word

        {
            Shape = Either [ names.Shape; MapOf(Either [ AnyText; names.Shape ]) ]
            Read =
                fun context path node ->
                    match node.Body with
                    | Sequence _ ->
                        names.Read context path node
                        |> Option.map (List.map (fun name -> name, [ name ]))
                    | Mapping entries when entries.Length > 0 ->
                        let read =
                            [
                                for entry in entries ->
                                    (oneOrMany word).Read context (join path entry.Key) entry.Value
                                    |> Option.map (fun values -> entry.Key, values)
                            ]

                        if List.forall Option.isSome read then
                            Some(List.map Option.get read)
                        else
                            None
                    | _ -> wrong context node path (MapOf AnyText)
        }

    let classed =
        let shape =
            Record
                [
                    for axis in axes ->
                        {
                            Name = axis
                            Shape = (classesOf axis).Shape
                            Required = false
                            Docs = "Values that tell units apart, or classes of them by name."
                        }
                ]

        {
            Shape = shape
            Read =
                fun context path node ->
                    match entries node with
                    | [| entry |] when List.contains entry.Key axes ->
                        (classesOf entry.Key).Read context (join path entry.Key) entry.Value
                        |> Option.map (fun found -> Classes(entry.Key, found))
                    | [| entry |] -> fault context node path $"unknown axis '{entry.Key}'{Suggest.hint axes entry.Key}"
                    | _ -> fault context node path "one axis in each entry of 'each'; make a list of entries"
        }

    byLook (Either [ one.Shape; classed.Shape ]) (fun node ->
        match node.Body with
        | Mapping _ -> Some classed
        | Scalar _ -> Some one
        | _ -> None)

let private holds =
    choice [ "greater"; "less"; "within" ]
    |> map (fun word ->
        match word with
        | "less" -> Less
        | "within" -> Within
        | _ -> Greater)

let private statistic =
    choice [ "mean"; "share"; "rank_correlation" ]
    |> map (fun word ->
        match word with
        | "share" -> ShareOf
        | "rank_correlation" -> RankCorrelation
        | _ -> MeanOf)

/// One entry makes a claim for each metric and each value of `per`.
let private spread (claim: Claim) (per: (string * string list) list) : Claim list =
    let byMetric =
        if List.contains (Axis "metric") claim.Each then
            [ claim ]
        else
            claim.Metrics
            |> List.map (fun metric ->
                { claim with
                    Metrics = [ metric ]
                    Id =
                        (if claim.Metrics.Length > 1 then
                             $"{claim.Id}/{metric}"
                         else
                             claim.Id)
                })

    per
    |> List.fold
        (fun claims (axis, values) ->
            [
                for claim in claims do
                    for value in values ->
                        { claim with
                            Id = $"{claim.Id}/{value.TrimStart('!')}"
                            Where = claim.Where @ [ axis, [ value ] ]
                        }
            ])
        byMetric

let private claimFields =
    fields {
        let! id = required "id" "Its short name, such as D1." (filled AnyText)
        and! says = required "says" "The claim in words." (filled AnyText)

        and! metrics =
            required "metric" "A benchmark (its first metric) or benchmark/metric; a claim for each." (oneOrMany (filled AnyText))

        and! where = withDefault "where" "Policies that it speaks of." [] filter
        and! each = withDefault "each" "What makes a unit." [] (oneOrMany each)
        and! per = withDefault "per" "A claim of its own for each value." [] filter

        and! terms =
            required "contrast" "What is compared in each unit." (filledList (term 0))

        and! log =
            withDefault "ratio" "Compare ratios of scores instead of differences." false truth

        and! statistic = withDefault "statistic" "Of the units' contrasts." MeanOf statistic
        and! holds = withDefault "is" "What must hold." Greater holds

        and! than =
            optional "than" "The number that it is compared with; the margin of 'within'." (number Interval.all)

        and! test =
            withDefault
                "test"
                "Whose p-value counts."
                ByBootstrap
                (choice [ "bootstrap"; "sign_flip" ]
                 |> map (fun word -> if word = "sign_flip" then BySignFlip else ByBootstrap))

        return id, says, metrics, where, each, per, terms, log, statistic, holds, than, test
    }

/// What of a claim does not go with the rest of it.
let private contradictions (terms: Term list) (each: Each list) log statistic holds (than: float option) test =
    [
        if holds = Within && not (than |> Option.exists (fun margin -> margin > 0.0)) then
            "'is: within' needs a margin above 0 in 'than', stated beforehand"
        if log && not (than |> Option.exists (fun ratio -> ratio > 0.0)) then
            "'ratio: true' needs a ratio above 0 in 'than', such as 1"
        if log && holds = Within then
            "'ratio: true' goes with 'is: greater' or 'is: less'"
        if statistic = RankCorrelation && terms.Length <> 2 then
            $"a rank correlation has two terms, not {terms.Length}"
        if
            statistic = RankCorrelation
            && terms |> List.exists (fun term -> term.Weight <> 1.0)
        then
            "a rank correlation ranks the units by each term as it is; write 'plus' in both and leave 'weight' out ('is: less' for opposite orders)"
        if statistic <> MeanOf && (holds = Within || log || test = BySignFlip) then
            "'is: within', 'ratio' and 'test: sign_flip' go with 'statistic: mean'"
        if test = BySignFlip && holds = Within then
            "'test: sign_flip' does not test equivalence; leave it out"
        if statistic <> MeanOf && each.IsEmpty then
            "a share or a correlation needs units; give 'each'"
    ]

let private claim: Reader<Claim list> =
    record (
        claimFields
        |> refine (fun context path node (id, says, metrics, where, each, per, terms, log, statistic, holds, than, test) ->
            match contradictions terms each log statistic holds than test with
            | [] ->
                let claim =
                    {
                        Id = id
                        Says = says
                        Metrics = metrics
                        Where = where
                        Each = each
                        Terms = terms
                        Log = log
                        Statistic = statistic
                        Holds = holds
                        Than = than |> Option.defaultValue 0.0
                        Test = test
                    }

                Some(spread claim per)
            | faults ->
                for message in faults do
                    fault context node path message |> ignore<unit option>

                None)
    )

let private set: Reader<Claim list> =
    record (
        fields {
            let! claims =
                required "claims" "The claims; all of them are one family of tests." (filledList claim)

            return List.concat claims
        }
        |> refine (fun context path node claims ->
            match claims |> List.countBy _.Id |> List.tryFind (fun (_, count) -> count > 1) with
            | Some(id, count) -> fault context node path $"{count} claims are called '{id}'; give each its own id"
            | None -> Some claims)
    )

/// The claims of a text; none after a fault. Policies: axes of all that the plan has, where the names are to be theirs.
let read (faults: Faults) policies (text: string) : Claim list =
    let context =
        {
            Faults = faults
            Known = Known []
            Uses = ResizeArray()
        }

    let claims =
        Yaml.parseAs Yaml.claims text "" faults
        |> Option.bind (set.Read context "")
        |> Option.defaultValue []

    policies |> Option.iter (Names.unknown faults context.Uses)
    claims
