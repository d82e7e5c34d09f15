// chrF, BLEU, diversity, answer extraction and exact match against sacrebleu 2.6.0 and lm-evaluation-harness 0.4.13.
module PeftAlign.Core.Tests.TextMetricTests

open System
open System.Formats.Tar
open System.IO
open System.IO.Compression
open System.Security.Cryptography
open System.Text
open System.Text.Json
open System.Text.RegularExpressions
open NUnit.Framework
open FsCheck.NUnit
open PeftAlign.Core.Metrics
open PeftAlign.Core.Tests.Golden

let private chrf2 = ChrfOptions.Default

let private variants =
    [
        "chrf2", chrf2
        "chrf++", { chrf2 with WordOrder = 2 }
        "chrf1", { chrf2 with Beta = 1.0 }
        "keep_whitespace", { chrf2 with KeepWhitespace = true }
        "lowercase", { chrf2 with Lowercase = true }
        "eps_smoothing", { chrf2 with EpsilonSmoothing = true }
    ]

[<TestCaseSource(typeof<Source>, "All")>]
let ``chrF variants`` (source: string) =
    run source "metrics/chrf_extra.json" (fun g ->
        for case in g["sentence"].Children do
            let hypothesis, reference = case["hypothesis"].Text, case["reference"].Text

            for name, options in variants do
                case[name].Is(Chrf.Sentence(hypothesis, [| reference |], options))

        let c = g["corpus"]

        let hypotheses, references, second =
            c["hypotheses"].Texts, c["references"].Texts, c["second_references"].Texts

        let single, pairs =
            references |> Array.map Array.singleton, Array.map2 (fun a b -> [| a; b |]) references second

        c["chrf2"].Is(Chrf.Corpus(hypotheses, single, chrf2))
        c["chrf++"].Is(Chrf.Corpus(hypotheses, single, { chrf2 with WordOrder = 2 }))
        c["chrf2_two_references"].Is(Chrf.Corpus(hypotheses, pairs, chrf2))

        c["mean_of_sentence_scores"]
            .Is(Array.average (Array.map2 (fun (h: string) (r: string) -> Chrf.Sentence(h, r)) hypotheses references))

        let oneEmpty = Array.append [| "" |] (Array.tail hypotheses)
        c["chrf2_with_one_empty_hypothesis"].Is(Chrf.Corpus(oneEmpty, single, chrf2))
        c["bleu"].Is(Bleu.Corpus(hypotheses, single)))

/// Poems of a file: numbered headings on lines of their own, what stands before the first is no poem.
let private poems (file: string) =
    Regex.Split(File.ReadAllText file, @"\n\s*\d+\s*\n")
    |> Array.tail
    |> Array.map (fun p -> p.Trim())

[<TestCaseSource(typeof<Source>, "All")>]
let ``chrF of real poems`` (source: string) =
    run source "chrf/golden.json" (fun g ->
        for case in g["micro"].Children do
            case["chrf2"].Is(Chrf.Sentence(case["hyp"].Text, case["ref"].Text))

        for name in g.Keys |> Array.filter ((<>) "micro") do
            let generated = poems (shared (Path.Combine("data/sonnets", name)))
            let real = poems (shared "data/sonnets/TRUE_sonnets_held_out_dev.txt")
            let node = g[name]
            node["n"].Is generated.Length
            node["corpus_chrf2"].Is(Chrf.Corpus(generated, Array.map Array.singleton real, chrf2))
            node["sentence_chrf2"].Are(Array.map2 (fun (h: string) (r: string) -> Chrf.Sentence(h, r)) generated real))

[<TestCaseSource(typeof<Source>, "All")>]
let ``Distinctness, repetition and copying`` (source: string) =
    run source "metrics/diversity.json" (fun g ->
        let texts =
            [|
                for case in g["texts"].Children do
                    let tokens, e = case["tokens"].Texts, case["expect"]

                    for n in 1..4 do
                        e[$"distinct_{n}"].Is(Diversity.Distinct(tokens, n))
                        e[$"distinct_{n}_over_tokens"].Is(Diversity.DistinctOverTokens(tokens, n))
                        e[$"rep_{n}"].Is(Diversity.Repetition(tokens, n))

                    tokens
            |]

        for n in 1..3 do
            let c = g["corpus"]
            c[$"distinct_{n}_corpus"].Is(Diversity.CorpusDistinct(texts, n))
            c[$"distinct_{n}_corpus_over_tokens"].Is(Diversity.CorpusDistinctOverTokens(texts, n))
            c[$"distinct_{n}_mean_of_texts"].Is(Diversity.MeanDistinct(texts, n))

        g["self_bleu_sacrebleu_mean_sentence"].Is(Bleu.Self(g["self_bleu_texts"].Texts))

        for case in g["longest_common_run"].Children do
            case["length"].Is(Diversity.LongestCommonRun(case["a"].Texts, case["b"].Texts)))

/// A filter by its options in the file.
let private filter (options: Node) =
    let pattern = options["regex_pattern"].Text

    let select =
        if options.Has "group_select" then
            options["group_select"].Int
        else
            0

    fun text -> AnswerExtraction.RegexFilter(text, pattern, select, "[invalid]")

let private matchOptions =
    let plain = ExactMatchOptions.Plain

    [
        "plain", plain
        "ignore_case", { plain with IgnoreCase = true }
        "ignore_punctuation", { plain with IgnorePunctuation = true }
        "ignore_case_and_punctuation",
        { plain with
            IgnoreCase = true
            IgnorePunctuation = true
        }
        "ignore_numbers", { plain with IgnoreNumbers = true }
        "bbh_regexes", ExactMatchOptions.BigBenchHard
    ]

[<TestCaseSource(typeof<Source>, "All")>]
let ``Answer extraction on edge cases`` (source: string) =
    run source "metrics/extraction_edge.json" (fun g ->
        let filters =
            g["filters"].Keys |> Array.map (fun name -> name, filter (g["filters", name]))

        for case in g["extraction"].Children do
            let text = case["text"].Text
            case["official"].Is(AnswerExtraction.BigBenchHard text)

            for name, extract in filters do
                case[name].Is(extract text)

        for case in g["exact_match"].Children do
            let prediction, reference = case["prediction"].Text, case["reference"].Text

            for name, options in matchOptions do
                case[name]
                    .Is(
                        if AnswerExtraction.ExactMatch(prediction, reference, options) then
                            1.0
                        else
                            0.0
                    ))

/// Predictions and targets of the published Codex outputs, by "cot/TASK" or "direct/TASK"; and every published accuracy.
let private codex (archive: string) =
    use stream = new GZipStream(File.OpenRead archive, CompressionMode.Decompress)
    use tar = new TarReader(stream)
    let outputs = Collections.Generic.Dictionary<string, (string * string)[]>()
    let published = Collections.Generic.Dictionary<string, float>()

    let rec next () =
        match tar.GetNextEntry() with
        | null -> ()
        | entry ->
            match entry.DataStream with
            | null -> ()
            | data ->
                let name = entry.Name
                let kind = if name.Contains "-cot/" then "cot" else "direct"
                let task = name.Substring(name.LastIndexOf '/' + 1).Split("_few_shot")[0]
                use reader = new StreamReader(data)
                let root = JsonDocument.Parse(reader.ReadToEnd()).RootElement

                if name.EndsWith "_eval_metrics.jsonl" then
                    published[$"{kind}/{task}"] <- root.GetProperty("accuracy").GetDouble()
                else
                    let text (e: JsonElement) (key: string) =
                        match e.GetProperty(key).GetString() with
                        | null -> ""
                        | s -> s

                    outputs[$"{kind}/{task}"] <-
                        [|
                            for o in root.GetProperty("outputs").EnumerateArray() -> text o "prediction", text o "target"
                        |]

            next ()

    next ()
    outputs, published

let private percent test items =
    100.0 * float (items |> Array.filter test |> Array.length)
    / float (Array.length items)

let private checkTask (node: Node) (items: (string * string)[]) =
    let extracted = items |> Array.map (fun (p, _) -> AnswerExtraction.BigBenchHard p)
    let correct = Array.map2 (fun e (_, t) -> e = t) extracted items
    let accuracy = percent id correct
    node["n"].Is items.Length
    Array.iter2 (fun (n: Node) (e: string) -> n.Is e) (node["official_extracted"].Children) extracted
    Array.iter2 (fun (n: Node) c -> n.Is(if c then 1 else 0)) (node["official_correct"].Children) correct
    node["official_accuracy"].Is accuracy
    node["published_accuracy"].Is accuracy
    node["raw_exact_match"].Is(percent (fun (p, t) -> AnswerExtraction.ExactMatch(p, t, ExactMatchOptions.Plain)) items)
    node["stripped_exact_match"].Is(percent (fun (p: string, t: string) -> p.Trim() = t.Trim()) items)

    let relaxed (e, (_, t)) =
        AnswerExtraction.ExactMatch(e, t, ExactMatchOptions.BigBenchHard)

    node["relaxed_exact_match"].Is(percent relaxed (Array.zip extracted items))
    let filters = node["lm_eval_filters"]

    for name in filters.Keys do
        let extract = filter (filters[name])
        let found = items |> Array.map (fst >> extract)
        filters[name, "accuracy"].Is(percent (fun (f, (_, t)) -> f = t) (Array.zip found items))
        filters[name, "invalid"].Is(found |> Array.filter ((=) "[invalid]") |> Array.length)
        Array.iter2 (fun (n: Node) (f: string) -> n.Is f) (filters[name, "first12"].Children) (Array.take 12 found)
        let hash = SHA256.HashData(Encoding.UTF8.GetBytes(String.Join("\n", found)))
        filters[name, "sha256_of_lines"].Is(Convert.ToHexStringLower hash)

[<Test>]
let ``BIG-Bench Hard's published accuracies from the Codex outputs`` () =
    run "full" "metrics/bbh.json" (fun g ->
        let outputs, published = codex (shared "data/bbh/codex_outputs_subset.tar.gz")

        for task in g["tasks"].Keys do
            checkTask (g["tasks", task]) outputs[task]

        for task in g["published"].Keys do
            g["published", task].Is published[task]

        for kind in g["aggregate_of_published"].Keys do
            let mine =
                [|
                    for pair in published do
                        if pair.Key.StartsWith(kind + "/") then
                            pair.Key, pair.Value
                |]

            let node = g["aggregate_of_published", kind]
            node["files"].Is mine.Length
            node["mean_over_files"].Is(Array.averageBy snd mine)

            let folded =
                mine
                |> Array.map (fun (k, _) -> Regex.Replace(k, "_(three|five|seven)_objects$", ""))
                |> Array.distinct

            node["tasks_after_folding_sizes"].Is folded.Length
            node["mean_over_folded_tasks"].Is(AnswerExtraction.BigBenchHardMean(Array.map fst mine, Array.map snd mine)))

[<Property(MaxTest = 100)>]
let ``chrF of a text with itself is 100, and swapping sides swaps precision and recall`` (a: string | null) (b: string | null) =
    let text (s: string | null) =
        match s with
        | null -> ""
        | t -> t.Replace("\uFFFD", "")

    let a, b = text a, text b
    let empty = String.Concat(a.Split()).Length = 0
    let f1 = { chrf2 with Beta = 1.0 }
    let same = Chrf.Sentence(a, a)

    (same = 0.0 || abs (same - 100.0) < 1e-9)
    && (empty || a |> Seq.forall PythonText.isSpace || same > 99.9)
    && abs (Chrf.Sentence(a, [| b |], f1) - Chrf.Sentence(b, [| a |], f1)) < 1e-9

/// Where a reference has no n-gram of an order, the hypothesis' own do not count: else precision here were 3/4 and below.
[<Test>]
let ``An empty reference leaves a corpus score alone`` () =
    let score = Chrf.Corpus([| "abc"; "x" |], [| [| "abc" |]; [| "" |] |], chrf2)
    Assert.That(score, Is.EqualTo(100.0).Within 1e-12)

/// sacrebleu 2.6.0's, with word_order=2: a punctuation mark that stands alone is a word, and one word.
[<TestCase("the cat . sat", "the cat sat .", 61.676587301587304)>]
[<TestCase("a , b", "a b", 45.45454545454545)>]
[<TestCase(". a b", ", a b .", 45.88235294117647)>]
let ``A punctuation mark alone is one word of chrF++`` (hypothesis: string, reference: string, score: float) =
    let options =
        { ChrfOptions.Default with
            WordOrder = 2
        }

    Assert.That(Chrf.Sentence(hypothesis, [| reference |], options), Is.EqualTo(score).Within 1e-9)

/// sacrebleu 2.6.0: a corpus without a single 4-gram has no BLEU, whatever shorter ones match.
[<Test>]
let ``A corpus too short for 4-grams scores nothing`` () =
    Assert.That(Bleu.Corpus([| "a cat"; "the dog" |], [| [| "a cat" |]; [| "the dog" |] |]), Is.Zero)
    Assert.That(Bleu.Corpus([| "a b c"; "d e" |], [| [| "a b c" |]; [| "d e f" |] |]), Is.Zero)
    Assert.That(Bleu.Sentence("a cat", [| "a cat" |]), Is.EqualTo(100.0).Within 1e-9)

/// Texts of a seeded generator, each row of them some hundred characters long.
let private drawnTexts seed =
    let random = Random(seed: int)

    let words =
        [| "the"; "cat"; "sat"; "on"; "a"; "mat"; "and"; "ran"; "home"; "again" |]

    Array.init 40 (fun _ -> String.Join(" ", Array.init (random.Next(8, 40)) (fun _ -> words[random.Next words.Length])))

/// A bootstrap asks for the score of a hundred choices of the rows. The n-grams of a text are counted once: what one more choice
/// takes is not a hundredth of what the counting took.
[<TestCase "chrf">]
[<TestCase "bleu">]
let ``Scores of any rows are those of their texts, which are counted once`` (metric: string) =
    let said, meant = drawnTexts 1, drawnTexts 2 |> Array.map Array.singleton

    let corpus (a: string[]) b =
        if metric = "chrf" then
            Chrf.Corpus(a, b, chrf2)
        else
            Bleu.Corpus(a, b)

    let allocated action =
        let before = GC.GetAllocatedBytesForCurrentThread()
        let value = action ()
        value, GC.GetAllocatedBytesForCurrentThread() - before

    let ofRows, counting =
        allocated (fun () ->
            if metric = "chrf" then
                Chrf.OfRows(said, meant, chrf2)
            else
                Bleu.OfRows(said, meant))

    let random = Random 3

    for size in [ 1; 5; 40; 80 ] do
        let rows = Array.init size (fun _ -> random.Next said.Length)
        let score, own = allocated (fun () -> ofRows.Invoke rows)

        let pick texts =
            rows |> Array.map (fun row -> Array.get texts row)

        Assert.That(score, Is.EqualTo(corpus (pick said) (pick meant)))
        Assert.That(own, Is.LessThan(counting / 10L))

    Assert.That(ofRows.Invoke [| 0..39 |], Is.EqualTo(corpus said meant).And.GreaterThan 1.0)

[<Test>]
let ``Python's string operations`` () =
    Assert.That(PythonText.split " a\u001Cb\u3000 c\u200Bd ", Is.EqualTo<string[]> [| "a"; "b"; "c\u200Bd" |])
    Assert.That(PythonText.strip "\u00A0 x \n", Is.EqualTo "x")
    Assert.That(PythonText.lower "ΟΔΟΣ İ ΣΑ", Is.EqualTo "οδος i\u0307 σα")

    let marks =
        [|
            for c in '\000' .. '\127' do
                if PythonText.isPunctuation c then
                    c
        |]

    Assert.That(String marks, Is.EqualTo "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~")

[<Test>]
let ``A broken pattern and a missing match are named`` () =
    let broken =
        throws (fun () -> AnswerExtraction.RegexFilter("x", "(", 0, "") |> ignore)

    Assert.That(broken, Does.Contain "'('")

    let beyond =
        throws (fun () -> AnswerExtraction.RegexFilter("x", "x", 3, "") |> ignore)

    Assert.That(beyond, Does.Contain "group_select is 3")

    // Nested repetition over a long run without a match takes exponential time.
    let slow =
        throws (fun () ->
            AnswerExtraction.RegexFilter(String('a', 60) + "!", @"^(\w|\w\w)+$", 0, "")
            |> ignore)

    Assert.That(slow, Does.Contain "took over 3 s on a text of 61 characters, 3 times")

/// A process that was stopped has used up the time without having looked.
[<Test>]
let ``An expression is refused only when its time was not enough again and again`` () =
    let found (late: int) =
        let mutable tries = 0

        PatientMatch.Of(fun () ->
            tries <- tries + 1

            if tries <= late then
                raise (RegexMatchTimeoutException())

            Regex.Match("ab", "b"))

    Assert.That((found 0).Index, Is.EqualTo 1)
    Assert.That((found 2).Index, Is.EqualTo 1)

    Assert.Throws<RegexMatchTimeoutException>(Action(fun () -> found 3 |> ignore))
    |> ignore
