// Values of TRL's configurations: null, truth values and numbers as PyYAML and transformers read them, paths, and what cannot be said here.

using System.Text.Json.Nodes;

namespace PeftAlign.Experiments.Tests;

public class ImportedValueTests
{
    private const string Shape = "\"model_type\": \"llama\", \"architectures\": [\"LlamaForCausalLM\"], \"vocab_size\": 64, \"hidden_size\": 16, \"intermediate_size\": 32, \"num_hidden_layers\": 1, \"num_attention_heads\": 2, \"max_position_embeddings\": 96";

    private static (string Text, string Differs, string Lost) Import(Peftalign here, string config, string method = "sft", string target = "manifest.yaml", string model = "m", string data = "d")
    {
        var outcome = Call(here, config, method, target, model, data);
        Assert.That(outcome.Code, Is.Zero, outcome.All);
        var (text, said) = (File.ReadAllText(here.File(target)), JsonNode.Parse(outcome.Out)!);
        static string Lines(JsonNode list) => string.Join('\n', list.AsArray().Select(line => (string?)line));
        return (text, Lines(said["differs"]!), Lines(said["not_carried_over"]!));
    }

    private static Outcome Call(Peftalign here, string config, string method = "sft", string target = "manifest.yaml", string model = "m", string data = "d") =>
        Peftalign.Call("import", "trl", here.Write("trl.yaml", config + $"\nmodel_name_or_path: {model}\ndataset_name: {data}\n"), "--method", method, "--out", here.File(target), "--json");

    private static void Model(Peftalign here, string config)
    {
        Directory.CreateDirectory(here.File("model"));
        here.Write("model/config.json", $"{{{config}}}");
    }

    // What is written is a manifest.
    private static void Plans(Peftalign here)
    {
        Model(here, Shape);
        var planned = Peftalign.Call("run", here.File("manifest.yaml"), "--out", here.Run, "--dry-run", "--set", $"models.model.path={here.File("model")}");
        Assert.That(planned.Code, Is.Zero, planned.All);
    }

    [Test]
    public void Null_is_a_value()
    {
        using var here = new Peftalign();
        var (text, differs, lost) = Import(here, "max_grad_norm: null\nmax_length: ~\nlearning_rate: null\ncompletion_only_loss: null\nsave_total_limit:\ndeepspeed: null\nrun_name: null\nbf16: null");
        Assert.That(text, Does.Contain("    max_grad_norm: 0\n").And.Contain("    max_length: 2147483647\n").And.Contain("    learning_rate: 2E-05\n"));
        Assert.That(differs, Does.Contain("max_length: null: TRL cuts no row"));
        Assert.That(lost, Is.EqualTo("learning_rate: null; TRL has no such value here: its default is taken"));
        Plans(here);
    }

    [Test]
    public void Without_a_length_rows_are_cut_at_learned_positions_alone_and_packs_have_none()
    {
        using var here = new Peftalign();
        Model(here, Shape);
        Assert.That(Import(here, "max_length: null", model: here.File("model")).Text, Does.Contain("    max_length: 2147483647\n"));
        Plans(here);
        Model(here, "\"model_type\": \"gpt2\", \"architectures\": [\"GPT2LMHeadModel\"], \"vocab_size\": 64, \"n_embd\": 16, \"n_layer\": 1, \"n_head\": 2, \"n_positions\": 96");
        Assert.That(Import(here, "max_length: null", model: here.File("model"), target: "learned.yaml").Text, Does.Contain("    max_length: 96\n"));
        var packed = Call(here, "packing: true\nmax_length: null", target: "other.yaml");
        Assert.That((packed.Code, packed.Err.Contains($"{here.File("trl.yaml")}:2:1: max_length is null: packs have a length", StringComparison.Ordinal)), Is.EqualTo((2, true)), packed.All);
        var unknown = Call(here, "learning_rat: null", target: "other.yaml");
        Assert.That((unknown.Code, unknown.Err.Contains(":1:1: 'learning_rat' is no key", StringComparison.Ordinal)), Is.EqualTo((2, true)), unknown.All);
    }

    [TestCase("use_peft: yes", "type: lora")]
    [TestCase("use_peft: 'True'", "type: lora")]
    [TestCase("use_peft: \"y\"", "type: lora")]
    [TestCase("bf16: 'false'", "dtype: float32")]
    [TestCase("bf16: off", "dtype: float32")]
    [TestCase("packing: yes", "packing: true")]
    [TestCase("assistant_only_loss: yes", "assistant_only_loss: true")]
    [TestCase("max_steps: 1_000", "max_steps: 1000")]
    [TestCase("max_steps: 010", "max_steps: 8")]
    [TestCase("max_steps: '010'", "max_steps: 10")]
    [TestCase("max_steps: 0x1F", "max_steps: 31")]
    [TestCase("max_steps: 0b1_01", "max_steps: 5")]
    [TestCase("max_steps: 1:30", "max_steps: 90")]
    [TestCase("max_length: 1_28", "max_length: 128")]
    [TestCase("learning_rate: 1e-4", "learning_rate: 0.0001")]
    [TestCase("learning_rate: '0.5'", "learning_rate: 0.5")]
    [TestCase("load_in_8bit: no", "name: trl")]
    public void Truths_and_numbers_are_TRLs(string config, string written)
    {
        using var here = new Peftalign();
        var (text, _, lost) = Import(here, config);
        Assert.That(text, Does.Contain(written));
        Assert.That(lost, Is.Empty);
        Plans(here);
    }

    [TestCase("bf16: maybe", "bf16 must be true or false, but is \"maybe\"")]
    [TestCase("packing: perhaps", "packing must be true or false")]
    [TestCase("max_length: long", "max_length must be a number, but is \"long\"")]
    [TestCase("max_steps: 2.5", "max_steps must be a whole number")]
    [TestCase("dtype: int8", "dtype is auto, bfloat16, float16 or float32, not int8")]
    public void What_TRL_refuses_too_is_said_once_with_its_line(string config, string said)
    {
        using var here = new Peftalign();
        var outcome = Call(here, config);
        Assert.That(outcome.Code, Is.EqualTo(2), outcome.All);
        Assert.That(outcome.Err.Split(said), Has.Length.EqualTo(2), outcome.All);
        Assert.That(outcome.Err, Does.Contain($"{here.File("trl.yaml")}:1:1: {said}"));
        Assert.That(File.Exists(here.File("manifest.yaml")), Is.False);
    }

    // TRL ends on these, or trains nothing.
    [TestCase("dpo", "loss_type: sigmod", "TRL has no 'sigmod' here; it takes sigmoid, hinge, ipo, exo_pair, nca_pair, robust, bco_pair, sppo_hard, aot, aot_unpaired, apo_zero, apo_down, discopop, sft, sigmoid_norm. Did you mean 'sigmoid'?")]
    [TestCase("dpo", "loss_type: [sft, x]", "TRL has no 'x' here; it takes sigmoid, ")]
    [TestCase("sft", "loss_type: nl", "TRL has no 'nl' here; it takes nll, dft. Did you mean 'nll'?")]
    [TestCase("kto", "loss_type: sigmoid", "TRL has no 'sigmoid' here; it takes kto, apo_zero_unpaired.")]
    [TestCase("dpo", "loss_type: alphapo", "TRL has no 'alphapo' here; it takes sigmoid, ")]
    [TestCase("cpo", "loss_type: sigmod", "it takes sigmoid, hinge, ipo, simpo, alphapo. Did you mean 'sigmoid'?")]
    [TestCase("sft", "lr_scheduler_type: linea", "TRL has no 'linea' here; it takes linear, cosine, ")]
    [TestCase("sft", "optim: adamwtorch", "TRL has no 'adamwtorch' here; it takes adamw_torch, ")]
    [TestCase("sft", "save_strategy: step", "it takes no, steps, epoch, best. Did you mean 'steps'?")]
    [TestCase("sft", "eval_strategy: best", "it takes no, steps, epoch.")]
    [TestCase("sft", "packing_strategy: bf\npacking: true", "it takes bfd, bfd_split, wrapped.")]
    [TestCase("dpo", "truncation_mode: keep", "it takes keep_start, keep_end.")]
    [TestCase("sft", "num_train_epochs: 0", "no update would be made; give more than 0 epochs, or max_steps")]
    [TestCase("sft", "num_train_epochs: -1", "no update would be made")]
    [TestCase("sft", "per_device_train_batch_size: 0", "TRL refuses it; give a whole number from 1")]
    [TestCase("dpo", "per_device_eval_batch_size: 0\neval_strategy: steps", "TRL refuses it; give a whole number from 1")]
    [TestCase("sft", "gradient_accumulation_steps: 0", "TRL refuses it; give a whole number from 1")]
    [TestCase("sft", "lora_r: 0\nuse_peft: true", "TRL refuses it; give a whole number from 1")]
    [TestCase("sft", "lora_dropout: 1.5\nuse_peft: true", "TRL refuses it; give a number from 0 to 1")]
    [TestCase("sft", "lora_target_modules: []\nuse_peft: true", "an adapter without a module is refused by PEFT; name modules, write all-linear, or leave it out")]
    [TestCase("sft", "seed: -3", "TRL refuses it; give a whole number from 0 to 4294967295")]
    [TestCase("sft", "learning_rate: -1", "TRL refuses it; give a number from 0")]
    [TestCase("sft", "adam_beta2: 1.0", "TRL refuses it; give a number from 0 to below 1")]
    [TestCase("sft", "warmup_steps: -1", "TRL refuses it; give a number from 0")]
    public void What_TRL_ends_on_is_refused_with_what_it_takes(string method, string config, string said)
    {
        using var here = new Peftalign();
        var outcome = Call(here, config, method);
        Assert.That((outcome.Code, outcome.Out), Is.EqualTo((2, "")), outcome.All);
        Assert.That(outcome.Err, Does.StartWith($"peftalign: {here.File("trl.yaml")}:1:1: {config.Split(':')[0]}: ").And.Contain($"; {said}").And.EndWith("\n"));
        Assert.That(outcome.Err.Split('\n'), Has.Length.EqualTo(2), outcome.All);
        Assert.That(File.Exists(here.File("manifest.yaml")), Is.False);
    }

    // TRL does not look at these.
    [TestCase("num_train_epochs: 0\nmax_steps: 5", "max_steps: 5")]
    [TestCase("lora_r: 0", "type: sft")]
    [TestCase("per_device_eval_batch_size: 0", "type: sft")]
    public void What_TRL_leaves_unused_ends_nothing(string config, string written)
    {
        using var here = new Peftalign();
        Assert.That(Import(here, config).Text, Does.Contain(written));
        Plans(here);
    }

    [TestCase("sft", "lr_scheduler_type: polynomial", "TRL's default linear is taken", "    lr_scheduler: linear\n")]
    [TestCase("sft", "lr_scheduler_type: cosine_with_min_lr\nwarmup_steps: 5", "TRL's default linear is taken", "    warmup_steps: 5\n")]
    [TestCase("dpo", "beta: -1", "TRL's default 0.1 is taken", "    beta: 0.1\n")]
    [TestCase("sft", "lora_dropout: -0.1\nuse_peft: true", "TRL's default 0.05 is taken", "dropout: 0.05")]
    [TestCase("sft", "dtype: float16\nbf16: false", "train in bfloat16 or float32", "    dtype: float32\n")]
    [TestCase("sft", "chat_template_path: FOLDER", "a folder's template would come with its tokens", "{ path: m }")]
    public void What_the_language_refuses_is_not_carried_over_and_the_manifest_plans(string method, string config, string instead, string written)
    {
        using var here = new Peftalign();
        Model(here, Shape);
        var (text, _, lost) = Import(here, config.Replace("FOLDER", here.File("model"), StringComparison.Ordinal), method);
        var key = config.Split(':')[0];
        Assert.That(lost.Split('\n'), Has.Length.EqualTo(1), lost);
        Assert.That(lost, Does.StartWith($"{here.File("trl.yaml")}:1:1: {key}: ").And.Contain(instead));
        Assert.That(text, Does.Contain(written).And.Contain("# NOT carried over: "));
        Plans(here);
    }

    // TRL's CPOConfig makes simpo with cpo_alpha 0 of it.
    [Test]
    public void Alphapo_is_simpo_without_the_likelihood()
    {
        using var here = new Peftalign();
        var (text, differs, lost) = Import(here, "loss_type: alphapo\nalpha: 0.1\nsimpo_gamma: 0.7\ncpo_alpha: 2.0", "cpo");
        Assert.That(text, Does.Contain("    loss_type: simpo\n").And.Contain("    alpha: 0.1\n").And.Contain("    simpo_gamma: 0.7\n").And.Contain("    cpo_alpha: 0\n"));
        Assert.That((lost, differs.Contains("loss_type: alphapo is simpo with cpo_alpha 0", StringComparison.Ordinal), differs.Contains("TRL's 1.0", StringComparison.Ordinal)), Is.EqualTo(("", true, false)));
        Plans(here);
    }

    [Test]
    public void A_share_of_the_updates_is_counted_where_their_number_is_known()
    {
        using var here = new Peftalign();
        var (text, _, lost) = Import(here, "eval_strategy: steps\neval_steps: 0.3\nsave_steps: 0.1\nmax_steps: 11");
        Assert.That(lost, Is.Empty);
        Assert.That(text, Does.Contain("    eval_every: 4\n").And.Contain("    save_every: 2\n"));
        (text, _, lost) = Import(here, "eval_strategy: steps\neval_steps: 0.3\nnum_train_epochs: 2", target: "epochs.yaml");
        Assert.That(lost, Does.StartWith("eval_steps: 0.3; a share of all updates"));
        Assert.That(text, Does.Contain("eval_data: test").And.Not.Contain("    eval_every"));
    }

    // Only the rows say how many updates an epoch has; what is measured after the last one is TRL's too.
    [Test]
    public void Evaluation_by_epochs_keeps_its_data_and_its_end()
    {
        using var here = new Peftalign();
        var (text, _, lost) = Import(here, "eval_strategy: epoch\nper_device_eval_batch_size: 2");
        Assert.That(lost, Is.EqualTo("eval_strategy: epoch; evaluation is every eval_every updates, and only the rows say how many an epoch has: give eval_every; without it there is one pass, after the last update"));
        Assert.That(text, Does.Contain("    eval_data: test\n").And.Contain("    eval_batch_size: 2\n").And.Not.Contain("    eval_every"));
        Plans(here);
    }

    // Trainer draws from no stream: rows come as they stand in the file, whatever train_sampling_strategy says.
    [TestCase("dataset_streaming: true", true)]
    [TestCase("dataset_streaming: yes\ntrain_sampling_strategy: random", true)]
    [TestCase("dataset_streaming: false", false)]
    [TestCase("streaming: true", false)] // of the list datasets, which is not given
    [TestCase("datasets: [{path: x}]\nstreaming: true", true)]
    [TestCase("datasets: [{path: x}]\ndataset_streaming: true", false)]
    public void A_stream_is_read_in_its_own_order(string config, bool inOrder)
    {
        using var here = new Peftalign();
        var (text, differs, _) = Import(here, config);
        Assert.That(text.Contains("    shuffle: false\n", StringComparison.Ordinal), Is.EqualTo(inOrder));
        Assert.That(differs.Contains("has no length", StringComparison.Ordinal), Is.EqualTo(inOrder));
        Plans(here);
    }

    // PEFT 0.21 trains a classifier's head under SEQ_CLS only, and ends under CAUSAL_LM, TRL's default: the class lacks what it asks for.
    [TestCase("reward", "use_peft: true", "lora_task_type is not given", "")]
    [TestCase("reward", "use_peft: true\nlora_task_type: SEQ_CLS", "", "")]
    [TestCase("reward", "lora_task_type: CAUSAL_LM", "", "")]
    [TestCase("reward", "lora_task_type: CAUSAL_LM\nuse_peft: true", "", "lora_task_type: CAUSAL_LM; TRL ends on it with a reward model")]
    [TestCase("reward", "lora_task_type: FEATURE_EXTRACTION\nuse_peft: true", "", "TRL leaves the head as it starts")]
    [TestCase("reward", "lora_task_type: FEATURE_EXTRACTION\nuse_peft: true\nlora_modules_to_save: [score]", "", "")]
    [TestCase("sft", "use_peft: true\nlora_task_type: CAUSAL_LM", "", "")]
    [TestCase("reward", "pad_token: <unk>", "", "pad_token: <unk>; the score is read before the tokenizer's own padding token")]
    [TestCase("sft", "pad_token: <unk>", "", "")]
    [TestCase("sft", "test_split_size: 0.1", "", "test_split_size: 0.1; write the test rows to a file of their own")]
    [TestCase("sft", "test_split_size: null", "", "")]
    public void What_a_reward_models_head_and_padding_depend_on_is_said(string method, string config, string noted, string dropped)
    {
        using var here = new Peftalign();
        var (_, differs, lost) = Import(here, config, method);
        Assert.That(differs.Contains("lora_task_type", StringComparison.Ordinal), Is.EqualTo(noted.Length > 0));
        Assert.That(differs, Does.Contain(noted));
        if (dropped.Length == 0) Assert.That(lost, Is.Empty);
        else Assert.That(lost, Does.Contain(dropped));
    }

    [TestCase("sft", "eval_strategy: steps", "    eval_batch_size: 8\n", "eval_packing")]
    [TestCase("sft", "eval_strategy: steps\npacking: true\neval_packing: no\nper_device_eval_batch_size: 3", "    eval_batch_size: 3\n    eval_packing: false\n", "NOT carried over")]
    [TestCase("sft", "eval_strategy: steps\neval_packing: true", "    eval_packing: true\n", "NOT carried over")]
    [TestCase("sft", "eval_packing: true\nper_device_eval_batch_size: 3", "    save_every: 500\n", "eval_batch_size")]
    public void What_eval_loss_depends_on_is_carried_over(string method, string config, string written, string absent)
    {
        using var here = new Peftalign();
        var (text, differs, _) = Import(here, config, method);
        Assert.That(text, Does.Contain(written).And.Not.Contain(absent));
        Assert.That(differs.Contains("TRL lets the documents of a pack see each other", StringComparison.Ordinal), Is.EqualTo(written == "    eval_packing: true\n"));
        Plans(here);
    }

    [Test]
    public void Older_names_are_read()
    {
        using var here = new Peftalign();
        var (text, differs, lost) = Import(here, "loss_type: chunked_nll\npacking: true\npacking_strategy: bfd-requeue");
        Assert.That(text, Does.Contain("    loss_type: nll\n").And.Contain("    packing_strategy: bfd_split\n"));
        Assert.That((differs.Contains("loss_type: chunked_nll is nll", StringComparison.Ordinal), lost), Is.EqualTo((true, "")));
    }

    // A configuration's paths go from the working directory, a manifest's from its own folder.
    [Test]
    public void Paths_lead_to_the_same_files()
    {
        using var here = new Peftalign();
        Model(here, Shape);
        here.Write("rows.jsonl", """{"text": "a"}""" + "\n");
        here.Write("t.j2", "{{ messages }}");
        string FromHere(string name) => Path.GetRelativePath(Environment.CurrentDirectory, here.File(name));
        var config = $"chat_template_path: {FromHere("t.j2")}";
        var beside = Import(here, config, model: FromHere("model"), data: FromHere("rows.jsonl"));
        Assert.That(beside.Text, Does.Contain("{ path: model, chat_template: \"./t.j2\" }").And.Contain("path: rows.jsonl"));
        var elsewhere = Import(here, config, target: "new/manifest.yaml", model: FromHere("model"), data: FromHere("rows.jsonl"));
        foreach (var name in (string[])["model", "t.j2", "rows.jsonl"]) Assert.That(elsewhere.Text, Does.Contain($"\"{here.File(name)}\""));
        foreach (var manifest in (string[])["manifest.yaml", "new/manifest.yaml"])
        {
            var planned = Peftalign.Call("run", here.File(manifest), "--out", here.Run, "--dry-run", "--json");
            Assert.That(planned.Code, Is.Zero, planned.All);
            Assert.That(JsonNode.Parse(planned.Out)!["missing"]!.AsArray(), Is.Empty, "each file is found");
        }
    }

    [TestCase("sft", "", true)]
    [TestCase("dpo", "", false)]
    [TestCase("dpo", "disable_dropout: false", true)]
    public void Dropout_of_the_model_is_not_applied_and_said_where_TRL_applies_it(string method, string config, bool isSaid)
    {
        using var here = new Peftalign();
        Model(here, "\"model_type\": \"gpt2\", \"resid_pdrop\": 0.2, \"attn_pdrop\": 0, \"summary_first_dropout\": 0.1");
        Assert.That(Import(here, config, method, model: here.File("model")).Differs.Contains("the model's own dropout (resid_pdrop 0.2, embd_pdrop 0.1 by its config.json) is not applied", StringComparison.Ordinal), Is.EqualTo(isSaid));
    }

    // TRL's DPO pads whatever padding_free says.
    [TestCase("sft", "falcon", "packing: true", true)]
    [TestCase("sft", "opt", "packing: true\npacking_strategy: bfd_split", true)]
    [TestCase("sft", "opt", "padding_free: true", true)]
    [TestCase("dpo", "opt", "padding_free: true", false)]
    [TestCase("sft", "opt", "packing: true\npacking_strategy: wrapped", false)]
    [TestCase("sft", "opt", "", false)]
    [TestCase("sft", "gptj", "packing: true", false)]
    public void Packs_whose_documents_see_each_other_in_TRL_are_told(string method, string type, string config, bool isSaid)
    {
        using var here = new Peftalign();
        Model(here, $"\"model_type\": \"{type}\"");
        Assert.That(Import(here, config, method, model: here.File("model")).Differs.Contains($"of {type} TRL lets the documents of a pack", StringComparison.Ordinal), Is.EqualTo(isSaid));
    }

    // TRL cuts packs in its own way; a manifest's truncation would cut the other end.
    [TestCase("packing: true\ntruncation_mode: keep_end", false)]
    [TestCase("truncation_mode: keep_end", true)]
    public void A_truncation_that_packing_passes_over_is_not_carried_over(string config, bool isCarried)
    {
        using var here = new Peftalign();
        var made = Import(here, config, "sft");
        Assert.That(made.Text.Contains("truncation: keep_end", StringComparison.Ordinal), Is.EqualTo(isCarried), made.Text);
        Assert.That(made.Differs.Contains("truncation_mode is left out", StringComparison.Ordinal), Is.EqualTo(!isCarried), made.Differs);
    }

    [TestCase("sft", "gpt2", true)]
    [TestCase("sft", "gpt_neo", false)]
    [TestCase("dpo", "gpt2", false)]
    public void A_loss_that_TRL_divides_by_one_token_more_is_said(string method, string type, bool isSaid)
    {
        using var here = new Peftalign();
        Model(here, $"\"model_type\": \"{type}\"");
        Assert.That(Import(here, "", method, model: here.File("model")).Differs.Contains("the first is never predicted", StringComparison.Ordinal), Is.EqualTo(isSaid));
    }
}
