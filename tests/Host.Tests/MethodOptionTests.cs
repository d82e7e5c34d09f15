// Each option that a method's plugin.json or train's help offers can be given, on the command line, in a manifest and in a configuration
// of TRL's: it is taken, and the job is another one, or the method refuses its value. It is never offered and then called not built.

using System.Globalization;
using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Core;
using PeftAlign.Host.Importing;
using PeftAlign.Host.Running;
using PeftAlign.Host.SingleTraining;
using PeftAlign.Plugins;

namespace PeftAlign.Host.Tests;

public sealed class MethodOptionTests
{
    private static readonly string Model = Path.Combine(SmallAdapter.Root, "tests", "fixtures", "stories260K");

    private static readonly PluginCatalogue Plugins = PluginSearch.Of(Path.GetDirectoryName(Product.Host)!, []).Scan();

    private string folder = "", rows = "";

    [SetUp]
    public void Make()
    {
        folder = Directory.CreateTempSubdirectory("peftalign-options-").FullName;
        rows = Path.Combine(folder, "rows.jsonl");
        File.WriteAllText(rows, """{"prompt": "Say a.", "chosen": " a", "rejected": " b", "completion": " a", "label": true, "text": "a"}""" + "\n");
    }

    [TearDown]
    public void Drop() => Directory.Delete(folder, recursive: true);

    private static IEnumerable<string> Methods => Plugins.Plugins.SelectMany(p => p.Manifest.Provides).Where(c => c.Kind == "method").Select(c => c.Name).Distinct();

    [TestCaseSource(nameof(Methods))]
    public void Each_flag_of_the_help_is_taken(string method)
    {
        var flags = Flags(method);
        foreach (var flag in flags.All.Where(f => f.Section == "method" && f.IsBuilt))
        {
            if (Given(flag, flags) is not { } given) continue;
            var without = given.Where(g => g.Key != flag.Name).ToDictionary();
            Assert.That(Plan(method, flags, given), Is.Not.EqualTo(Plan(method, flags, without)), $"--{flag.Name} {given[flag.Name]} changes nothing");
        }
    }

    [TestCaseSource(nameof(Methods))]
    public void Each_declared_option_is_taken_from_a_manifest(string method)
    {
        var flags = Flags(method);
        string Jobs(IReadOnlyDictionary<string, string> given)
        {
            var entries = new JsonObject { ["type"] = method, ["adapter"] = "small" };
            foreach (var (name, value) in given) entries[Of(flags, name).Schema.Name] = OptionText.Parse(Of(flags, name).Schema.Type, value == rows ? "data" : value);
            return Read(new JsonObject
            {
                ["peftalign"] = 1,
                ["name"] = "options",
                ["models"] = new JsonObject { ["m"] = new JsonObject { ["path"] = Model } },
                ["datasets"] = new JsonObject { ["data"] = new JsonObject { ["reader"] = "jsonl", ["path"] = rows } },
                ["adapters"] = new JsonObject { ["small"] = new JsonObject { ["type"] = "lora" } },
                ["methods"] = new JsonObject { ["go"] = entries },
                ["train"] = new JsonArray(new JsonObject { ["models"] = "m", ["datasets"] = "data", ["methods"] = "go" }),
            }.ToJsonString());
        }
        foreach (var option in Plugins.Find("method", method).Contract.Options.Options)
        {
            var flag = flags.All.Single(f => f.Section == "method" && f.Schema.Name == option.Name);
            if (Given(flag, flags) is not { } given) continue;
            Assert.That(Jobs(given), Is.Not.EqualTo(Jobs(given.Where(g => g.Key != flag.Name).ToDictionary())), $"{option.Name}: {given[flag.Name]} changes nothing");
        }
    }

    [TestCaseSource(typeof(TrlKeys), nameof(TrlKeys.Methods))]
    public void Each_declared_option_is_taken_from_a_configuration_of_TRLs(string method)
    {
        var flags = Flags(method, adapter: null);
        string Jobs(IReadOnlyDictionary<string, string> given)
        {
            var text = $"model_name_or_path: {Model}\ndataset_name: {rows}\nbf16: false\n" + string.Concat(given.Select(g => $"{Of(flags, g.Key).Schema.Name}: {g.Value}\n"));
            return Read(TrlImport.Read(text, "trl.yaml", method, Plugins).Yaml("trl.yaml"));
        }
        foreach (var option in Plugins.Find("method", method).Contract.Options.Options)
        {
            if (Given(Of(flags, TrainFlags.Dashed(option.Name)), flags) is not { } given) continue;
            Assert.That(Jobs(given), Is.Not.EqualTo(Jobs(given.Where(g => g.Key != TrainFlags.Dashed(option.Name)).ToDictionary())), $"{option.Name}: {string.Join(", ", given)} changes nothing");
        }
    }

    [TestCaseSource(nameof(Methods))]
    public void Rows_are_packed_by_sft_alone(string method)
    {
        Assert.That(Flags(method).All.Single(f => f.Name == "packing").IsBuilt, Is.EqualTo(method == "sft"), "help offers it");
        string Packed() => Plan(method, Flags(method), new Dictionary<string, string> { ["packing"] = "true" });
        if (method == "sft") Assert.That(Packed(), Does.Contain("\"packing\":true"));
        else Assert.That(Packed, Throws.InstanceOf<UserErrorException>().With.Message.Contains("--packing: 'packing' is").And.Message.Contains("does not pack rows"));
    }

    [Test]
    public void Label_smoothing_is_sfts_own()
    {
        var flags = Flags("sft");
        var job = JsonNode.Parse(Plan("sft", flags, new Dictionary<string, string> { ["label-smoothing-factor"] = "0.3" }).Split('\n')[0])!;
        Assert.That((double)job["method"]!["options"]!["label_smoothing_factor"]!, Is.EqualTo(0.3));
        Assert.That(job["training"]!["label_smoothing_factor"], Is.Null);
        Assert.That(() => Plan("sft", flags, new Dictionary<string, string> { ["label-smoothing-factor"] = "0.3", ["loss-type"] = "dft" }), Throws.InstanceOf<UserErrorException>().With.Message.Contains("loss_type nll"));
        // Other methods' jobs say what they always said.
        Assert.That((double)JsonNode.Parse(Plan("dpo", Flags("dpo"), new Dictionary<string, string>()).Split('\n')[0])!["training"]!["label_smoothing_factor"]!, Is.Zero);
        var trl = TrlImport.Read($"model_name_or_path: {Model}\ndataset_name: {rows}\nlabel_smoothing_factor: 0.2\n", "trl.yaml", "dpo", Plugins);
        Assert.That(trl.Notes, Has.Some.Contains("label_smoothing_factor is left out: it has no effect on dpo"));
        Assert.That(trl.Method.ContainsKey("label_smoothing_factor"), Is.False);
    }

    // Plugins know no experiment language, so that they have the names a second time.
    [Test]
    public void Every_option_of_the_loop_is_a_key_that_no_method_may_take()
    {
        var loop = Manifests.TrainingOptions.SelectMany(option => option.Aliases.Prepend(option.Name)).Where(name => name != "label_smoothing_factor");
        Assert.That(HostKeys.Training, Is.EquivalentTo(loop));
    }

    [Test]
    public void An_option_of_the_commands_own_name_is_written_with_its_owner()
    {
        var flags = TrainFlags.Of(Plugins, "dpo", "lora", null, "beta", "rank", "model");
        Assert.That(flags.All.Select(flag => flag.Name), Has.None.EqualTo("beta").And.None.EqualTo("rank").And.Some.EqualTo("method-beta").And.Some.EqualTo("adapter-rank"));
        Assert.That(flags.Normal(["--method-beta", "0.5"]), Is.EqualTo((string[])["--method-beta", "0.5"]));
        Assert.That((double)JsonNode.Parse(Plan("dpo", flags, new Dictionary<string, string> { ["method-beta"] = "0.5" }).Split('\n')[0])!["method"]!["options"]!["beta"]!, Is.EqualTo(0.5));
    }

    private static TrainFlags Flags(string method, string? adapter = "lora") => TrainFlags.Of(Plugins, method, adapter, null);

    private static TrainFlag Of(TrainFlags flags, string name) => flags.All.Single(f => f.Name == name);

    // A value that is not the default, with what it needs beside it; null where there is none.
    private Dictionary<string, string>? Given(TrainFlag flag, TrainFlags flags)
    {
        if (Other(flag) is not { } value) return null;
        var given = new Dictionary<string, string> { [flag.Name] = value };
        var needs = flag.Schema.OnlyWith.Split('=');
        if (needs[0].Length == 0) return given;
        var on = flags.All.Single(f => f.Section == flag.Section && f.Schema.Name == needs[0]);
        string[] values = needs.Length > 1 ? needs[1].Split('|') : [Other(on)!];
        if (!values.Contains(Plain(on.Schema.Default))) given[on.Name] = values[0];
        foreach (var (name, beside) in Given(on, flags) ?? []) // what it needs needs too
            if (name != on.Name) given.TryAdd(name, beside);
        return given;
    }

    private string? Other(TrainFlag flag)
    {
        var (schema, kind) = (flag.Schema, flag.Schema.Type.Element?.Kind ?? flag.Schema.Type.Kind);
        if (schema.Choices.Count > 0) return schema.Choices.FirstOrDefault(choice => choice != Plain(schema.Default) && schema.Default is not JsonArray { Count: > 1 }) ?? (schema.Default is JsonArray ? schema.Choices[0] : null);
        if (schema.Name == "init_adapter") return folder;
        return kind switch
        {
            _ when kind == OptionKind.Dataset || schema.Names == "dataset" => rows,
            OptionKind.Bool => Plain(schema.Default) == "true" ? "false" : "true",
            OptionKind.Int or OptionKind.Long => "7",
            OptionKind.Double => 0.375.ToString(CultureInfo.InvariantCulture),
            OptionKind.Map => "q_proj=7",
            _ => "other",
        };
    }

    private static string Plain(JsonNode? value) => value switch
    {
        null => "",
        JsonArray list => string.Join(',', list.Select(Plain)),
        _ => value.GetValueKind() == System.Text.Json.JsonValueKind.String ? (string)value! : value.ToJsonString(),
    };

    private string Plan(string method, TrainFlags flags, IReadOnlyDictionary<string, string> values)
    {
        var plan = TrainPlan.Of(new TrainRequest { Method = method, Model = Model, Data = rows, Out = folder, Adapter = "lora", Values = values, Flags = [], Unmatched = [] }, flags, Plugins, path => path);
        return $"{plan.Job.Options}\n{plan.Reference?.Options}";
    }

    private static string Read(string manifest)
    {
        var read = Manifests.Read(manifest, "m.yaml", SchemaCatalogue.Of(Plugins.Plugins.Select(p => new KnownPlugin(p, ""))), []);
        Assert.That(read.Faults.Select(f => f.Message), Is.Empty, manifest);
        var planned = Plans.Create(read.Experiment!, path => path);
        Assert.That(planned.Faults.Select(f => f.Message), Is.Empty, manifest);
        NotBuilt.ThrowIfAny(planned.Plan!);
        return string.Join('\n', planned.Plan!.Jobs.Select(job => job.Options));
    }
}
