// Every command line that README and docs show is executed: here, in the order of the table, or by the test that the table names. A
// command line that is added to a page needs a row, and a row whose command line is gone must go.

using System.Text.RegularExpressions;
using PeftAlign.Host.CommandLine;

namespace PeftAlign.Host.Tests;

public sealed partial class DocumentedRunTests
{
    private static readonly string Tests = Path.Combine(SmallAdapter.Root, "tests");

    // As shown -> what is executed, with {names} of Names(); `@` runs the product's own process in the folder, which what trains or
    // writes into the working directory needs; ` && ` parts calls; a|b is each of them. Or `test:` and the test that executes it.
    private static readonly (string Shown, string Executed)[] Rows =
    [
        ("run experiments/quickstart.yaml", "@run {experiments}/quickstart.yaml --dry-run && test:Two_folders_get_the_same_numbers_and_a_second_run_does_nothing"),
        ("run experiments/quickstart.yaml --set methods.dpo.beta=0.1", "@run {experiments}/quickstart.yaml --set methods.dpo.beta=0.1 --dry-run"),
        ("run experiments/quickstart.yaml --set 'seeds=[1,2,3]'", "@run {experiments}/quickstart.yaml --set seeds=[1,2,3] --dry-run"),
        ("run MANIFEST", "@run {folder}/small.yaml --threads 1"),
        ("run mine.yaml --dry-run", "@run {folder}/small.yaml --dry-run"),
        ("report out/quickstart --format md", "report {folder}/out/small --format md"),
        ("report DIR [--format html|md|json] [--out F] [--claims NAME|F.yaml]", "report {folder}/out/small --format html|md|json --out {new} --claims quickstart"),
        ("runs list", "@runs list"),
        ("runs show out/quickstart --json", "runs show {folder}/out/small --json"),
        ("plugins new method Acme.Mine", "@plugins new method Acme.Mine && test:The_page_is_followed"),
        ("plugins new judge Acme.Graders", "@plugins new judge Acme.Graders"),
        ("plugins new reader Acme.Rows [--lang fs]", "@plugins new reader Acme.Rows --lang fs"),
        ("plugins pack", "test:FromAnEmptyFolderToARun"),
        ("plugins add acme.rows-0.1.0.peftplugin --plugins DIR", "test:FromAnEmptyFolderToARun"),
        ("plugins list|info|verify|test [ID] --plugins DIR", "plugins list --plugins {plugins} && plugins info|verify peft.lora --plugins {plugins} && test:FromAnEmptyFolderToARun"),
        ("plugins schema", "plugins schema && test:Manifests_that_ship_are_valid_and_unknown_keys_are_not"),
        ("plugins relink", "test:AMovedProductIsAdopted"),
        ("plugins info peft.lora", "plugins info peft.lora"),
        ("plugins info eval", "plugins info eval"),
        ("plugins info merge.dare", "plugins info merge.dare"),
        ("adapter info DIR", "adapter info {adapter}"),
        ("adapter merge --model DIR --adapter DIR --out DIR [--dtype TYPE]", "adapter merge --model {model} --adapter {adapter} --out {new} --dtype bfloat16"),
        ("adapter combine --adapter DIR --adapter DIR ... [--weights W,W] [--type cat] --out DIR", "adapter combine --adapter {adapter} --adapter {adapter} --weights 0.5,0.5 --type cat --out {new}"),
        ("data audit F.jsonl --model DIR [--max-length N] [--against FILE] [--threads N] [--json]", "data audit {rows} --model {model} --max-length 64 --against {rows} --threads 2 --json"),
        ("eval --model DIR [--adapter DIR] --benchmarks A,B --data DIR --out DIR", "eval --model {model} --adapter {adapter} --benchmarks mmlu,bbh --option mmlu.subjects=global_facts --option bbh.tasks=boolean_expressions --data {experiments}/tiny --limit 1 --out {new}"),
        ("eval --model MODEL --task tasks/even.yaml --out out/even", "test:The_page_is_executed"),
        ("eval --model MODEL --task tasks --benchmarks even --shots 1 --limit 2 --out out/even-1 --json", "test:The_page_is_executed"),
        ("merge CONFIG.yaml --out DIR", "merge {merge} --out {new}"),
        ("merge CONFIG --out OUT", "merge {merge} --out {new} --seed 3 --shard-size 5GB"),
        ("merge CONFIG.yaml --out DIR [--certificate [--probe F.jsonl] [--trained-over nf4]]", "merge {merge} --out {new} --certificate --probe {texts} --trained-over nf4"),
        ("import trl dpo.yaml --method dpo --out mine.yaml", "import trl {trl} --method dpo --out {new}.yaml"),
        ("import trl CONFIG.yaml --method sft|dpo|kto|orpo|cpo|reward --out MANIFEST.yaml", "import trl {trl} --method sft|dpo|kto|orpo|cpo|reward --out {new}.yaml"),
        ("score --model DIR --in rows.jsonl [--per-token] [--top K] [--rolling]", "score --model {model} --in {rows} --per-token --top 2 && score --model {model} --in {texts} --rolling"),
        ("generate --model DIR (--prompt T | --in rows.jsonl) [OPTIONS]", "generate --model {model} --prompt Once --max-new-tokens 2 && generate --model {model} --in {rows} --max-new-tokens 2"),
        ("winrate --a mine.jsonl --b theirs.jsonl --judge NAME_OR_DIR --out DIR", "test:Two_files_are_compared_and_their_annotations_give_the_same_rates"),
        ("winrate --annotations annotations.json --data data/alpaca_eval --out DIR", "winrate --annotations {annotations} --data {folder} --out {new}"),
        ("quantize --model DIR --out DIR4 --type nf4 --double-quant [--blocksize 64] [--skip down_proj,model.layers.0]", "quantize --model {model} --out {folder}/four --type nf4 --double-quant --blocksize 64 --skip down_proj,model.layers.0"),
        ("quantize --model DIR --out PAIR --double-quant --loftq-rank 16 --loftq-iter 5 [--loftq-targets q_proj,v_proj] [--loftq-alpha 32]", "quantize --model {model} --out {folder}/pair --double-quant --loftq-rank 16 --loftq-iter 5 --loftq-targets q_proj,v_proj --loftq-alpha 32"),
        ("train sft --model PAIR --adapter lora --init-adapter PAIR/loftq_init --data rows.jsonl --out RUN", "@train sft --model {folder}/pair --adapter lora --init-adapter {folder}/pair/loftq_init --data {rows} --out {folder}/from-pair --max-steps 1 --batch-size 2 --threads 1"),
        ("score --model DIR4 --in rows.jsonl", "score --model {folder}/four --in {rows}"),
        ("train sft --model DIR --data rows.jsonl --out RUN --adapter qlora", "@train sft --model {model} --data {rows} --out {folder}/q --adapter qlora --max-steps 1 --batch-size 2 --threads 1"),
        ("train sft --model DIR4 --data rows.jsonl --out RUN --adapter lora", "@train sft --model {folder}/four --data {rows} --out {folder}/l --adapter lora --max-steps 1 --batch-size 2 --threads 1"),
        ("adapter merge --model DIR4 --adapter RUN/adapter --out WHOLE [--dtype bfloat16]", "adapter merge --model {folder}/four --adapter {folder}/l/adapter --out {new} --dtype bfloat16"),
        ("train METHOD --model DIR --data F.jsonl --out DIR", "@train kto --model {model} --data {pairs} --out {folder}/kto --max-steps 1 --batch-size 2 --threads 1"),
        ("train dpo --model DIR --data pairs.jsonl --out tuned --adapter lora --rank 16", "@train dpo --model {model} --data {pairs} --out {folder}/dpo --adapter lora --rank 16 --max-steps 1 --batch-size 2 --threads 1"),
        ("train sft --model base --data rows.jsonl --out tuned --adapter lora --rank 16 --alpha 32 --targets all-linear --learning-rate 2e-4 --lr-scheduler cosine --warmup-steps 10 --max-steps 300 --save-every 50 --dry-run",
            "@train sft --model {model} --data {rows} --out {new} --adapter lora --rank 16 --alpha 32 --targets all-linear --learning-rate 2e-4 --lr-scheduler cosine --warmup-steps 10 --max-steps 300 --save-every 50 --dry-run"),
        ("train meet --model DIR --data F.jsonl --adapter prompt --num-virtual-tokens 20 --learning-rate 0.03 --model-learning-rate 1e-5 --epochs 2 --out OUT",
            "@train meet --model {model} --data {pairs} --adapter prompt --num-virtual-tokens 20 --learning-rate 0.03 --model-learning-rate 1e-5 --epochs 2 --batch-size 2 --out {folder}/meet --threads 1"),
        ("generate --model OUT/model --adapter OUT/adapter --control good --prompt T", "generate --model {folder}/meet/model --adapter {folder}/meet/adapter --control good --prompt Once --max-new-tokens 2"),
        ("doctor", "test:ARealRunReportsTheLibtorchThatWasBuiltFor"),
        ("publish --out DIR", "test:A_published_folder_runs_with_an_empty_environment_and_gives_the_same_numbers"),
        ("publish --without-libtorch --out DIR", "test:Without_libtorch_the_folder_carries_what_compiles_the_native_part"),
        ("bench-device", "@bench-device sft --shape tiny --batch 1 --steps 1 --device cpu --threads 1"),
        ("bench", "@bench start-up --rounds 1 --work {folder}/bench --threads 1 --write {folder}/bench.md"),
        ("bench [train|train-bfloat16|train-curves|growth|generate|score|load|merge|qlora|scaling|start-up]...", "@bench start-up --rounds 1 --work {folder}/bench --threads 1 --write {folder}/bench.md"),
        ("bench qlora", "@bench start-up --rounds 1 --work {folder}/bench --threads 1 --write {folder}/bench.md"),
        ("bench qlora --threads 1", "@bench start-up --rounds 1 --work {folder}/bench --threads 1 --write {folder}/bench.md"),
        ("bench --write", "@bench start-up --rounds 1 --work {folder}/bench --threads 1 --write {folder}/bench.md"),
    ];

    private string folder = "";
    private readonly HashSet<string> ran = [];
    private int made;

    [OneTimeSetUp]
    public void Make()
    {
        folder = Directory.CreateTempSubdirectory("peftalign-documented-").FullName;
        SmallAdapter.Write(Path.Combine(folder, "adapter"));
        Write("rows.jsonl", "{\"prompt\": \"Once upon\", \"completion\": \" a time\"}\n{\"prompt\": \"There was\", \"completion\": \" a girl\"}\n");
        Write("texts.jsonl", "{\"text\": \"Once upon a time\"}\n");
        Write("pairs.jsonl", "{\"prompt\": \"Say a.\", \"chosen\": \" a\", \"rejected\": \" b\", \"completion\": \" a\", \"label\": true}\n{\"prompt\": \"Say c.\", \"chosen\": \" c\", \"rejected\": \" d\", \"completion\": \" d\", \"label\": false}\n");
        Write("trl.yaml", $"model_name_or_path: m\ndataset_name: {folder}/pairs.jsonl\nmax_steps: 2\n");
        Write("merge.yaml", $"merge_method: linear\nmodels:\n  - model: {Model}\n    parameters: {{ weight: 0.5 }}\n  - model: {Model}+{folder}/adapter\n    parameters: {{ weight: 0.5 }}\nbase_model: {Model}\ndtype: float32\n");
        Write("annotations.json", """[{"instruction": "i", "output_1": "a", "output_2": "bb", "generator_1": "x", "generator_2": "y", "preference": 2}, {"instruction": "j", "output_1": "a", "output_2": "bb", "generator_1": "x", "generator_2": "y", "preference": 1}]""");
        Write("small.yaml", $"peftalign: 1\nname: small\nmodels: {{ m: {{ path: '{Model}' }} }}\ndatasets: {{ d: {{ reader: jsonl, path: pairs.jsonl }} }}\nmethods: {{ t: {{ type: sft, max_steps: 1, batch_size: 2 }} }}\ntrain: [{{ models: m, datasets: d, methods: t }}]\nevaluate: [{{ of: trained, with: {{ type: preference, dataset: d }} }}]\n");
        Environment.SetEnvironmentVariable("PEFTALIGN_PLUGINS", Plugins);
    }

    [OneTimeTearDown]
    public void Drop()
    {
        Environment.SetEnvironmentVariable("PEFTALIGN_PLUGINS", null);
        Directory.Delete(folder, recursive: true);
    }

    private static string Model => Path.Combine(Tests, "fixtures", "stories260K");

    private static string Plugins => Path.Combine(Path.GetDirectoryName(Product.Host)!, "plugins");

    private void Write(string name, string text) => File.WriteAllText(Path.Combine(folder, name), text);

    private static List<string> Documented() =>
        [.. DocumentedCommandTests.Lines().Select(line => Blanks().Replace(Program().Replace(line.Text.Split(" #")[0].Trim(), ""), " ")).Distinct()];

    // "peftalign eval" in the midst of a sentence shows nothing but a name.
    private static bool IsName(string shown) => !shown.Contains(' ') || shown is "train METHOD";

    [Test]
    public void Every_command_line_of_the_pages_has_a_row_and_every_row_is_shown()
    {
        var shown = Documented();
        Assert.That(shown, Has.Count.GreaterThan(40));
        Assert.That(shown.Except(Rows.Select(r => r.Shown)).Where(s => !(IsName(s) && Rows.Any(r => r.Shown.Split(' ')[0] == s.Split(' ')[0]))), Is.Empty, "not executed");
        Assert.That(Rows.Select(r => r.Shown).Except(shown), Is.Empty, "no longer shown");
    }

    private static IEnumerable<TestCaseData> Executed() => Rows.Select((row, k) => new TestCaseData(row.Shown, row.Executed) { TestName = $"It_runs({k}: {row.Shown})" });

    [TestCaseSource(nameof(Executed)), Order(1)]
    public void It_runs(string shown, string executed)
    {
        var calls = executed.Split(" && ");
        foreach (var call in calls)
        {
            if (call.StartsWith("test:", StringComparison.Ordinal)) IsThere(call[5..], shown);
            else foreach (var one in Alternatives(call)) Run(one);
        }
        var all = string.Join(' ', calls);
        foreach (var flag in Flags().Matches(shown).Select(m => m.Value).Where(_ => !executed.Contains("test:", StringComparison.Ordinal)))
            Assert.That(all, Does.Contain(flag), "each flag that is shown is given");
    }

    // bench/start-up as the pages show it; those beside peers need a Python that has them.
    [Test]
    public void The_scripts_of_bench_run()
    {
        var bench = Path.Combine(SmallAdapter.Root, "bench");
        Assert.That(Product.Run(folder, 0, folder, Path.Combine(bench, "start-up"), "1"), Does.Match(@"(?m)^--help +median +[0-9.]+ +worst +[0-9.]+$"));
        if (Environment.GetEnvironmentVariable("PEFTALIGN_PEERS_PYTHON") is not { Length: > 0 } python) return;
        foreach (var name in (string[])["merge-base", "merge-1", "merge-2", "merge-3"])
        {
            var copy = Directory.CreateDirectory(Path.Combine(folder, "work", name)).FullName;
            foreach (var file in Directory.GetFiles(Model)) File.Copy(file, Path.Combine(copy, Path.GetFileName(file)));
        }
        Product.Run(folder, 0, folder, "env", $"PEERS_PYTHON={python}", "THREADS=1", "METHODS=linear", Path.Combine(bench, "merge"), Path.Combine(folder, "work"), "1");
    }

    // The named test is in a file that gives every flag.
    private static void IsThere(string name, string shown)
    {
        var sources = Directory.GetFiles(Tests, "*Tests.cs", SearchOption.AllDirectories).Select(File.ReadAllText).ToList();
        var source = sources.SingleOrDefault(text => text.Contains($" {name}(", StringComparison.Ordinal));
        Assert.That(source, Is.Not.Null, name);
        foreach (var word in Flags().Matches(shown).Select(m => m.Value).Append(shown.Split(' ')[0]).Where(word => word != "eval"))
            if (name != "The_page_is_executed") Assert.That(source, Does.Contain($"\"{word}\"").Or.Contain("Finish("), $"{name} gives {word}");
    }

    private void Run(string call)
    {
        if (!ran.Add(call) && !call.Contains("{new}", StringComparison.Ordinal)) return; // several pages show it
        var words = call.TrimStart('@').Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(Filled).ToArray();
        if (call.StartsWith('@'))
        {
            Product.Run(folder, 0, folder, Product.Host, words);
            return;
        }
        using var results = new StringWriter();
        using var remarks = new StringWriter();
        var code = new Dispatcher(Catalogue.Commands, results, remarks).RunAsync(words).GetAwaiter().GetResult();
        Assert.That(code, Is.Zero, $"{string.Join(' ', words)}\n{results}\n{remarks}");
        Assert.That(results.ToString().Length + (words.Contains("--out") ? 1 : 0), Is.Positive, "it says something");
    }

    private string Filled(string word) => Hole().Replace(word, hole => hole.Groups[1].Value switch
    {
        "new" => Path.Combine(folder, $"new{++made}"),
        "model" => Model,
        "experiments" => Path.Combine(SmallAdapter.Root, "experiments"),
        "plugins" => Plugins,
        "folder" => folder,
        "rows" or "texts" or "pairs" => Path.Combine(folder, hole.Groups[1].Value + ".jsonl"),
        "trl" or "merge" => Path.Combine(folder, hole.Groups[1].Value + ".yaml"),
        "annotations" => Path.Combine(folder, "annotations.json"),
        var name => Path.Combine(folder, name),
    });

    private static IEnumerable<string> Alternatives(string call)
    {
        var either = Either().Match(call);
        return either.Success ? either.Value.Split('|').SelectMany(one => Alternatives(call[..either.Index] + one + call[(either.Index + either.Length)..])) : [call];
    }

    [GeneratedRegex("--[a-z][a-z0-9-]*")]
    private static partial Regex Flags();

    [GeneratedRegex(@"\{([a-z]+)\}")]
    private static partial Regex Hole();

    [GeneratedRegex(@"[a-z]+(?:\|[a-z]+)+")]
    private static partial Regex Either();

    [GeneratedRegex(@"^(?:\./)?peftalign ")]
    private static partial Regex Program();

    [GeneratedRegex(" +")]
    private static partial Regex Blanks();
}
