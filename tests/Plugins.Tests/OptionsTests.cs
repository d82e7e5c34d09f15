// Options from JSON to classes: every type, every fault, all faults at once.

using System.Text.Json.Nodes;
using PeftAlign.Abstractions;

namespace PeftAlign.Plugins.Tests;

public class OptionsTests
{
    public enum Shape
    {
        Round,
        VeryFlat,
    }

    public sealed class Everything
    {
        public bool Switch { get; set; }

        public bool? Maybe { get; set; }

        [OptionRange(1, 10)]
        [OptionAlias("r", "lora_rank")]
        public int Rank { get; set; } = 8;

        public long Large { get; init; } = 1;

        [OptionRange(0, ExclusiveMinimum = true)]
        public double Rate { get; set; } = 1e-4;

        public double Limit { get; set; } = double.PositiveInfinity;

        public string Name { get; set; } = "x";

        public string? Label { get; set; }

        public Shape Shape { get; set; }

        public Shape[] Shapes { get; set; } = [Shape.Round];

        [OptionChoices("a", "b")]
        public List<string> Letters { get; set; } = [];

        public IReadOnlyList<double>? Weights { get; set; }

        public Dictionary<string, int> Pattern { get; set; } = [];

        public JsonNode? Free { get; set; }

        public string Computed => Name;
    }

    public sealed class Unbindable
    {
        public DateTime When { get; set; }
    }

    public sealed class Needing
    {
        [OptionRequired]
        [OptionAlias("file")]
        public string Path { get; set; } = "";

        [OptionRequired]
        public int? Count { get; set; } = 3;

        public string? Label { get; set; }
    }

    public sealed class Ambiguous
    {
        public int Alpha { get; set; }

        [OptionAlias("alpha")]
        public int Beta { get; set; }
    }

    public sealed class Drawn
    {
        [OptionRange(1)]
        public int Most { get; set; } = 1;

        public double Heat { get; set; }
    }

    public sealed class Grouping
    {
        public string Before { get; set; } = "";

        [OptionGroup]
        [OptionOnlyWith("before", "x")]
        public Drawn Drawing { get; } = new() { Most = 5 };

        public string After { get; set; } = "";
    }

    public sealed class Conditional
    {
        public double Heat { get; set; }

        [OptionOnlyWith("heat", ">0")]
        public long Seed { get; set; }

        public string? File { get; set; }

        [OptionOnlyWith("file")]
        public string? Part { get; set; }
    }

    public sealed class WithoutGroup
    {
        [OptionGroup]
        public Drawn? Drawing { get; set; }
    }

    private static readonly OptionsSchema Schema = OptionsSchema.Of<Everything>();

    private static Everything Bind(string json) => Schema.Bind<Everything>(JsonNode.Parse(json)!.AsObject(), "test");

    private static string[] Faults(string json) => [.. Schema.Check(JsonNode.Parse(json)!.AsObject()).Select(fault => fault.Message)];

    [Test]
    public void DefaultsAreThePropertyInitialisers()
    {
        var options = Bind("{}");
        Assert.That((options.Rank, options.Rate, options.Limit, options.Label, options.Shapes.Single()), Is.EqualTo((8, 1e-4, double.PositiveInfinity, (string?)null, Shape.Round)));
        Assert.That(Schema.Find("limit")!.Default!.GetValue<string>(), Is.EqualTo("inf"), "JSON has no infinity");
        Assert.That(Schema.Options.Select(option => option.Name), Has.None.EqualTo("computed"));
    }

    [Test]
    public void AGroupsOptionsStandWhereTheGroupDoes()
    {
        var schema = OptionsSchema.Of<Grouping>();
        Assert.That(schema.Options.Select(option => option.Name), Is.EqualTo(new[] { "before", "most", "heat", "after" }));
        Assert.That(schema.Complete([]).ToJsonString(), Is.EqualTo("""{"after":"","before":"","heat":0,"most":5}"""), "defaults are those of the group's initial value");
        var bound = schema.Bind<Grouping>(new JsonObject { ["before"] = "x", ["heat"] = 0.5, ["after"] = "z" }, "test");
        Assert.That((bound.Drawing.Most, bound.Drawing.Heat, bound.After), Is.EqualTo((5, 0.5, "z")));
        Assert.That(schema.Options.Select(option => option.OnlyWith), Is.EqualTo(new[] { "", "before=x", "before=x", "" }), "what the group goes with");
        Assert.That(schema.Check(new JsonObject { ["before"] = "x", ["most"] = 0 }).Select(fault => fault.Message), Is.EqualTo(new[] { "option 'most' is 0; it must be at least 1." }));
        Assert.That(() => OptionsSchema.Of<WithoutGroup>(), Throws.TypeOf<PluginException>().With.Message.Contains("the group 'Drawing' is null; give it an initial value"));
    }

    [TestCase("""{ "seed": 1 }""", "option 'seed' means nothing with heat 0; it goes with heat >0. Leave it out or change heat.")]
    [TestCase("""{ "seed": 1, "heat": 0.0 }""", "option 'seed' means nothing with heat 0; it goes with heat >0. Leave it out or change heat.")]
    [TestCase("""{ "part": "x" }""", "option 'part' means nothing without file. Leave it out or give file.")]
    [TestCase("""{ "seed": 0 }""", null)]
    [TestCase("""{ "seed": 1, "heat": 1e-3 }""", null)]
    [TestCase("""{ "part": "x", "file": "f" }""", null)]
    public void AnOptionMayGoWithNumbersAboveABoundOrWithAnyValue(string json, string? fault)
    {
        var schema = OptionsSchema.Of<Conditional>();
        Assert.That(schema.Check(JsonNode.Parse(json)!.AsObject()).Select(f => f.Message), Is.EqualTo(fault is null ? [] : new[] { fault }));
    }

    [Test]
    public void EveryTypeBinds()
    {
        var options = Bind("""
            { "switch": true, "maybe": false, "lora-rank": 4, "large": 1e3, "rate": 2, "limit": "inf", "name": "", "label": "y", "shape": "very_flat",
              "shapes": ["very_flat", "round"], "letters": "b", "weights": [1, 0.5], "pattern": { "q_proj": 3 }, "free": { "a": [null] } }
            """);
        Assert.That((options.Switch, options.Maybe, options.Rank, options.Large, options.Rate, options.Limit), Is.EqualTo((true, (bool?)false, 4, 1000L, 2.0, double.PositiveInfinity)));
        Assert.That((options.Name, options.Label, options.Shape), Is.EqualTo(("", "y", Shape.VeryFlat)));
        Assert.That(options.Shapes, Is.EqualTo(new[] { Shape.VeryFlat, Shape.Round }));
        Assert.That(options.Letters, Is.EqualTo(new[] { "b" }), "one value stands for a list of one");
        Assert.That(options.Weights, Is.EqualTo(new[] { 1, 0.5 }));
        Assert.That(options.Pattern, Is.EqualTo(new Dictionary<string, int> { ["q_proj"] = 3 }));
        Assert.That(options.Free!.ToJsonString(), Is.EqualTo("""{"a":[null]}"""));
    }

    [Test]
    public void NodesMadeOfDotNetValuesBindAsParsedOnesDo()
    {
        var given = new JsonObject { ["rank"] = JsonValue.Create(3L), ["large"] = JsonValue.Create(5), ["rate"] = JsonValue.Create(1), ["weights"] = new JsonArray(1, 2.5m), ["limit"] = JsonValue.Create(double.NegativeInfinity) };
        var options = Schema.Bind<Everything>(given, "test");
        Assert.That((options.Rank, options.Large, options.Rate, options.Weights![1], options.Limit), Is.EqualTo((3, 5L, 1.0, 2.5, double.NegativeInfinity)));
    }

    // A program may hand over what no JSON text says.
    [TestCase("rank", double.NaN, "option 'rank' must be a whole number, but is NaN.")]
    [TestCase("rank", double.PositiveInfinity, "option 'rank' must be a whole number, but is Infinity.")]
    [TestCase("rate", double.NaN, "option 'rate' must be a number, but is NaN.")]
    [TestCase("switch", double.NaN, "option 'switch' must be true or false, but is NaN.")]
    [TestCase("name", double.NegativeInfinity, "option 'name' must be a text, but is -Infinity.")]
    public void NumbersOutsideJsonAreNamed(string option, double value, string expected)
    {
        foreach (var node in (JsonNode[])[JsonValue.Create(value), JsonValue.Create((float)value)])
            Assert.That(Schema.Check(new JsonObject { [option] = node }).Select(fault => fault.Message), Is.EqualTo(new[] { expected }));
        Assert.That(Schema.Bind<Everything>(new JsonObject { ["limit"] = JsonValue.Create(float.PositiveInfinity) }, "test").Limit, Is.EqualTo(double.PositiveInfinity));
    }

    [TestCase("""{ "rnak": 3 }""", "unknown option 'rnak'. Did you mean 'rank'?")]
    [TestCase("""{ "rank": "3" }""", "option 'rank' must be a whole number, but is \"3\".")]
    [TestCase("""{ "rank": 2.5 }""", "option 'rank' must be a whole number, but is 2.5.")]
    [TestCase("""{ "rank": 0 }""", "option 'rank' is 0; it must be at least 1 and at most 10.")]
    [TestCase("""{ "r": 11 }""", "option 'r' is 11; it must be at least 1 and at most 10.")]
    [TestCase("""{ "rate": 0 }""", "option 'rate' is 0; it must be more than 0.")]
    [TestCase("""{ "rank": null }""", "option 'rank' has no value; it is a whole number. Give one or leave the option out.")]
    [TestCase("""{ "large": 9223372036854775808 }""", "option 'large' must be a whole number, but is 9223372036854775808.")]
    [TestCase("""{ "rank": 1e400 }""", "option 'rank' must be a whole number, but is 1e400.")]
    [TestCase("""{ "switch": "yes" }""", "option 'switch' must be true or false, but is \"yes\".")]
    [TestCase("""{ "name": 3 }""", "option 'name' must be a text, but is 3.")]
    [TestCase("""{ "name": ["a"] }""", "option 'name' must be a text, but is a list.")]
    [TestCase("""{ "shape": "rund" }""", "option 'shape' cannot be 'rund'. Did you mean 'round'?")]
    [TestCase("""{ "letters": ["a", "zzz"] }""", "option 'letters[1]' cannot be 'zzz'. Known: a, b.")]
    [TestCase("""{ "weights": [1, null] }""", "option 'weights[1]' has no value; it is a number. Give one or leave the option out.")]
    [TestCase("""{ "pattern": [1] }""", "option 'pattern' must be a map of names, each value a whole number, but is a list.")]
    [TestCase("""{ "pattern": { "q": 3000000000 } }""", "option 'pattern.q' is 3000000000; it is at most 2147483647 in size.")]
    [TestCase("""{ "rank": 1, "lora_rank": 2 }""", "option 'rank' is given twice ('lora_rank' is another spelling of it); keep one.")]
    public void AFaultIsOneSentence(string json, string expected) => Assert.That(Faults(json), Is.EqualTo(new[] { expected }));

    [Test]
    public void AllFaultsAreSaidAtOnce()
    {
        var error = Assert.Throws<PluginException>(() => Bind("""{ "rnak": 3, "rate": -1, "shape": "x", "switch": true }"""));
        Assert.That(error!.Message.Split('\n'), Has.Length.EqualTo(4).And.ItemAt(0).EqualTo("test: 3 faults."));
    }

    [Test]
    public void ATypeThatCannotBindIsNamed() =>
        Assert.That(Assert.Throws<PluginException>(() => OptionsSchema.Of<Unbindable>())!.Message, Does.Contain("'When' is of type System.DateTime"));

    [Test]
    public void WhatMustBeGivenHasNoDefault()
    {
        var needing = OptionsSchema.Of<Needing>();
        Assert.That(needing.Options.Select(option => (option.Name, option.Required, option.Default?.ToJsonString())),
            Is.EqualTo(new[] { ("path", true, null), ("count", true, null), ("label", false, (string?)null) }));
        Assert.That(needing.Check(new JsonObject { ["labl"] = "x" }).Select(fault => fault.Message), Is.EqualTo(new[]
        {
            "unknown option 'labl'. Did you mean 'label'?",
            "option 'path' is missing; it is a text and has no default. Give one.",
            "option 'count' is missing; it is a whole number and has no default. Give one.",
        }));
        Assert.That(needing.Check(new JsonObject { ["file"] = "x", ["count"] = null }).Single().Message, Is.EqualTo("option 'count' has no value; it is a whole number. Give one."), "null is not given, whatever the type");
        Assert.That(needing.Bind<Needing>(new JsonObject { ["file"] = "x", ["count"] = 2 }, "test").Path, Is.EqualTo("x"));
    }

    public sealed class OutOfRange { [OptionRange(1)] public int Rank { get; set; } [OptionRequired] public string Path { get; set; } = ""; }

    public sealed class NoChoice { [OptionChoices("mean", "sum")] public List<string> Kinds { get; set; } = ["men"]; }

    public sealed class NotANumber { public double Rate { get; set; } = double.NaN; }

    public sealed class NotNumbers { public Dictionary<string, double> Rates { get; set; } = new() { ["a"] = double.NaN }; }

    public sealed class Misnamed { [OptionNames("pth")] public string Path { get; set; } = ""; }

    public sealed class NumberOfAPath { [OptionNames("path")] public int Path { get; set; } }

    public sealed class Throwing { public Throwing() => throw new InvalidOperationException("no licence"); public int Rank { get; set; } }

    [TestCase(typeof(OutOfRange), "its initial values: option 'rank' is 0; it must be at least 1.")]
    [TestCase(typeof(NoChoice), "its initial values: option 'kinds[0]' cannot be 'men'. Did you mean 'mean'?")]
    [TestCase(typeof(NotANumber), "property 'Rate' begins as NaN, which no manifest can hold; make it nullable and begin with null.")]
    [TestCase(typeof(NotNumbers), "property 'Rates' begins as NaN, which no manifest can hold; make it nullable and begin with null.")]
    [TestCase(typeof(Misnamed), "property 'Path' is a text that names a 'pth'; OptionNames goes on texts and is one of path, model, dataset, judge. Did you mean 'path'?")]
    [TestCase(typeof(NumberOfAPath), "property 'Path' is a whole number that names a 'path'; OptionNames goes on texts and is one of path, model, dataset, judge.")]
    [TestCase(typeof(Throwing), "its constructor or a property fails with InvalidOperationException: no licence. It is made without values for its defaults; let it only set initial values.")]
    public void AClassThatCouldNeverWorkIsRefused(Type type, string why) =>
        Assert.That(Assert.Throws<PluginException>(() => ClassSchema.Read(type, XmlDocs.None))!.Message, Does.StartWith($"Options class {type.FullName}").And.EndsWith(why));

    [Test]
    public void TwoOptionsOfOneNameAreRefused() =>
        Assert.That(Assert.Throws<PluginException>(() => OptionsSchema.Of<Ambiguous>())!.Message, Does.Contain("two options answer to 'alpha'"));

    [Test]
    public void CompletedOptionsDoNotDependOnSpellingOrOrder()
    {
        var one = Schema.Complete(JsonNode.Parse("""{ "r": 4, "rate": 1e-4 }""")!.AsObject()).ToJsonString();
        var two = Schema.Complete(JsonNode.Parse("""{ "rate": 0.0001, "letters": [], "lora_rank": 4.0 }""")!.AsObject()).ToJsonString();
        Assert.That(two, Is.EqualTo(one));
        Assert.That(JsonNode.Parse(one)!.AsObject(), Has.Count.EqualTo(Schema.Options.Count));
    }

    [TestCase("""{ "rank": 1 }""", true)]
    [TestCase("""{ "rank": 0 }""", false)]
    [TestCase("""{ "rank": 10 }""", true)]
    [TestCase("""{ "rank": 11 }""", false)]
    [TestCase("""{ "rate": 0 }""", false)]
    [TestCase("""{ "pattern": { "q_proj": -2147483648 } }""", true)]
    [TestCase("""{ "pattern": { "q_proj": -2147483649 } }""", false)]
    [TestCase("""{ "pattern": { "q_proj": 2147483648 } }""", false)]
    public void LimitsAreWhereTheyAreSaidToBe(string given, bool fits) =>
        Assert.That(Schema.Check(JsonNode.Parse(given)!.AsObject()), Has.Count.EqualTo(fits ? 0 : 1));

    [Test]
    public void TypesAreReadBackAsWritten() =>
        Assert.That(Schema.Options.Select(option => OptionType.Parse(option.Type.ToString())), Is.EqualTo(Schema.Options.Select(option => option.Type)));

    [TestCase("switch", "true", "true")]
    [TestCase("rank", "4", "4")]
    [TestCase("rate", "2.0e-4", "0.0002")]
    [TestCase("name", "3", "\"3\"")]
    [TestCase("label", "null", "null")]
    [TestCase("letters", "a, b", "[\"a\",\"b\"]")]
    [TestCase("weights", "[1, 2]", "[1,2]")]
    [TestCase("pattern", "q_proj=3,v_proj=4", "{\"q_proj\":3,\"v_proj\":4}")]
    [TestCase("free", "{\"a\": 1}", "{\"a\":1}")]
    [TestCase("free", "plain", "\"plain\"")]
    public void AFlagsTextBecomesAValue(string option, string text, string expected)
    {
        var value = OptionText.Parse(Schema.Find(option)!.Type, text);
        Assert.That(value?.ToJsonString() ?? "null", Is.EqualTo(expected));
        Assert.That(Schema.Check(new JsonObject { [option] = value }), Is.Empty);
    }

    [TestCase("rank", "four")]
    [TestCase("switch", "yes")]
    [TestCase("pattern", "q_proj")]
    [TestCase("pattern", "=3")]
    [TestCase("limit", "Infinity")]
    [TestCase("limit", "1e999")]
    public void ATextThatIsNoValueIsAFault(string option, string text) =>
        Assert.That(Schema.Check(new JsonObject { [option] = OptionText.Parse(Schema.Find(option)!.Type, text) }), Has.Count.EqualTo(1));

    public sealed class Places
    {
        [OptionNames("path")]
        public string? One { get; set; }

        [OptionNames("path")]
        public List<string>? Several { get; set; }

        [OptionNames("path")]
        public Dictionary<string, string> Named { get; set; } = [];

        public List<string>? Words { get; set; }
    }

    [TestCase("""{"one": "a", "several": ["b", "c"], "named": {"x": "d"}, "words": ["e"]}""", """{"one":"/r/a","several":["/r/b","/r/c"],"named":{"x":"/r/d"},"words":["e"]}""")]
    [TestCase("""{"one": null, "several": "b"}""", """{"one":null,"several":"/r/b"}""")]
    [TestCase("""{"one": "", "several": ["", "b"], "named": {"x": ""}}""", """{"one":"","several":["","/r/b"],"named":{"x":""}}""")]
    public void PathsAreReplacedInListsAndMapsToo(string given, string expected)
    {
        var options = JsonNode.Parse(given)!.AsObject();
        OptionsSchema.Of<Places>().ReplacePaths(options, path => "/r/" + path);
        Assert.That(options.ToJsonString(), Is.EqualTo(expected));
    }

    [TestCase(1, false)]
    [TestCase(0.999, true)]
    [TestCase(0, true)]
    public void A_limit_that_does_not_belong_to_the_values_says_so(double given, bool isTaken)
    {
        var beta = new OptionSchema("beta", new OptionType(OptionKind.Double), JsonValue.Create(0.9)) { Minimum = 0, Maximum = 1, ExclusiveMaximum = true };
        Assert.That(beta.RangeText, Is.EqualTo("at least 0 and less than 1"));
        var faults = new OptionsSchema([beta]).Check(new JsonObject { ["beta"] = given });
        Assert.That(faults.Select(fault => fault.Message), isTaken ? Is.Empty : Has.One.EqualTo("option 'beta' is 1; it must be at least 0 and less than 1."));
    }
}
