// Hostile templates: each ends in an error of its kind, without exhausting memory or the stack; and a seeded fuzz of the golden
// templates that may do nothing but render or raise ChatTemplateException. What is bounded is the work: steps by the meter, bytes by what
// the thread allocates. Both are counts, the same on a busy machine.
using System.Diagnostics;
using System.Text;
using System.Text.Json;
using PeftAlign.Abstractions;
using PeftAlign.Models.Templates;
using PeftAlign.Models.Templates.Jinja;

namespace PeftAlign.Models.Tests.Templates;

public class SandboxTests
{
    private static readonly ChatMessage[] Dialogue = [ChatMessage.Of("user", "hi"), ChatMessage.Of("assistant", "ho")];

    private static IEnumerable<TestCaseData> BadFiles() => ChatGolden.Rows("bad/cases.jsonl")
        .Select(row => new TestCaseData(row).SetArgDisplayNames(row.GetProperty("id").GetString()!));

    [TestCaseSource(nameof(BadFiles))]
    public void BadFilesAreHandledAsTheySay(JsonElement row)
    {
        string folder = Path.Combine(ChatGolden.Folder, "bad", row.GetProperty("id").GetString()!.Split('/')[1]);
        string must = row.GetProperty("must").GetString()!;
        Assert.That(must, Is.AnyOf("accept", "refuse", "accept or refuse"));
        ChatTemplateException? error = null;
        try
        {
            ChatTemplateLoader.Load(folder)!.Render(Dialogue, new());
        }
        catch (ChatTemplateException e)
        {
            error = e;
        }

        if (must != "accept or refuse") Assert.That(error is not null, Is.EqualTo(must == "refuse"), error?.Message);
        if (row.TryGetProperty("message_names", out JsonElement names))
            foreach (JsonElement name in names.EnumerateArray()) Assert.That(error!.Message, Does.Contain(name.GetString()));
    }

    private static readonly string[] Endless =
    [
        "{% for i in range(90000) %}{% for j in range(90000) %}{% for k in range(90000) %}{% endfor %}{% endfor %}{% endfor %}",
        "{% macro f(x) %}{{ f(x) }}{% endmacro %}{{ f(1) }}",
        "{% macro f(n) %}{{ g(n) }}{% endmacro %}{% macro g(n) %}{% if true %}{% for i in [1] %}{{ f(n) }}{% endfor %}{% endif %}{% endmacro %}{{ f(1) }}",
        "{% macro f(n) %}{% for i in range(9) %}{% if n %}{{ f(n - 1) }}{% endif %}{% endfor %}{% endmacro %}{{ f(50) }}",
        "{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}",
        "{% for x in [1, 2] recursive %}{% if loop.depth < 100 %}{{ loop([1, 2]) }}{% endif %}{% endfor %}",
        "{% macro f() %}{% call f() %}{{ caller() }}{% endcall %}{% endmacro %}{{ f() }}",
        "{% macro f(c) %}{{ c(c) }}{% endmacro %}{{ f(f) }}",
        "{{ 'a' * 20000000000 }}",
        "{{ ('a' * 1000000) * 1000000 }}",
        "{% set ns = namespace(s='ab') %}{% for i in range(60) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}",
        "{% set ns = namespace(s='ab') %}{% for i in range(60) %}{% set ns.s = ns.s.replace('a', 'aa') %}{% endfor %}",
        "{% set ns = namespace(s='ab') %}{% for i in range(60) %}{% set ns.s = ns.s.join([ns.s, ns.s]) %}{% endfor %}",
        "{% set ns = namespace(s='ab') %}{% for i in range(60) %}{% set ns.s %}{{ ns.s }}{{ ns.s }}{% endset %}{% endfor %}",
        "{% set ns = namespace(l=[1]) %}{% for i in range(60) %}{% set ns.l = ns.l + ns.l %}{% endfor %}",
        "{% set ns = namespace(l=[1]) %}{% for i in range(60) %}{% set ns.l = [ns.l, ns.l] %}{% endfor %}{{ ns.l }}",
        "{% set ns = namespace(l=[1]) %}{% for i in range(60) %}{% set ns.l = [ns.l, ns.l] %}{% endfor %}{{ ns.l | tojson | length }}",
        "{% set a = namespace(l=(1,)) %}{% set b = namespace(l=(1,)) %}{% for i in range(60) %}{% set a.l = (a.l, a.l) %}{% set b.l = (b.l, b.l) %}{% endfor %}{{ a.l == b.l }}",
        "{% set a = namespace(l=(1,)) %}{% for i in range(60) %}{% set a.l = (a.l, a.l) %}{% endfor %}{{ {a.l: 1} }}",
        "{% set ns = namespace(l=[1]) %}{% for i in range(9000) %}{% set ns.l = [ns.l] %}{% endfor %}{{ ns.l }}",
        "{% set ns = namespace(l=[1]) %}{% for i in range(9000) %}{% set ns.l = ns.l | map('string') %}{% endfor %}{{ ns.l | list }}",
        "{% set ns = namespace() %}{% set ns.n = ns %}{{ ns }}",
        "{{ [9] * 1000000000 }}",
        "{{ range(100000) | list | batch(1) | list }}{% for i in range(90000) %}{{ range(100000) | list | length }}{% endfor %}",
        "{{ [1] | batch(2000000000, 'x') | list }}",
        "{{ [1] | slice(2000000000) | list }}",
        "{{ 10 ** 10 ** 10 ** 10 ** 10 }}",
        "{% set ns = namespace(n=3) %}{% for i in range(99) %}{% set ns.n = ns.n * ns.n %}{% endfor %}",
        "{{ '%1000000000d' % 1 }}",
        "{{ '%.1000000000f' % 1 }}",
        "{{ '%*d' % (1000000000, 1) }}",
        "{{ '{:1000000000}'.format(1) }}",
        "{{ '{:.1000000000f}'.format(1) }}",
        "{{ '{:{}}'.format(1, 1000000000) }}",
        "{{ 'x'.center(1000000000) }}",
        "{{ 'x'.zfill(1000000000) }}",
        "{{ 'x' | center(1000000000) }}",
        "{{ ('\\n' * 10000) | indent(100000, true, true) }}",
        "{{ '\t'.expandtabs(2000000000) }}",
        "{{ [[1]] | tojson(indent=1000000000) }}",
        "{% set a = 'a' * 100000 %}{% set b = 'a' * 50000 ~ 'b' %}{% for i in range(90000) %}{{ b in a }}{% endfor %}",
        "{% set a = 'ab' * 100000 %}{% for i in range(90000) %}{{ a.upper() | length }}{% endfor %}",
        "{% set a = 'ab ' * 100000 %}{% for i in range(90000) %}{{ a.split() | length }}{% endfor %}",
        "{% set a = 'ab' * 100000 %}{% for i in range(90000) %}{{ a[::-1] | length }}{% endfor %}",
        "{% set a = 'ab' * 100000 %}{% for i in range(90000) %}{{ a | title | length }}{% endfor %}",
        "{% set a = '<b' * 100000 %}{% for i in range(90000) %}{{ a | striptags | length }}{% endfor %}",
        "{% set a = 'a-' * 100000 %}{% for i in range(90000) %}{{ a | wordwrap(3) | length }}{% endfor %}",
        "{% set a = 'a' * 100000 %}{% for i in range(90000) %}{{ a.rfind('ab' * 50) }}{{ a.count('b') }}{% endfor %}",
        "{% set l = range(100000) | list %}{% for i in range(90000) %}{{ l | sort | length }}{% endfor %}",
        "{% set l = range(100000) | list %}{% for i in l %}{{ -1 in l }}{% endfor %}",
        "{% for i in range(100000) %}{{ '0123456789' * 100 }}{% endfor %}",
        "{% for i in range(100000) %}{% generation %}{{ '0123456789' * 100 }}{% endgeneration %}{% endfor %}",
    ];

    [TestCaseSource(nameof(Endless))]
    public void EndlessTemplatesEndAtALimit(string template)
    {
        new ChatTemplate("warm", "{% for i in range(2) %}{{ i }}{% endfor %}").Render(Dialogue, new());
        var parsed = new ChatTemplate("endless", template);
        long before = GC.GetAllocatedBytesForCurrentThread();
        var watch = Stopwatch.StartNew();
        var error = Assert.Throws<ChatTemplateException>(() => parsed.Render(Dialogue, new()));
        long bytes = GC.GetAllocatedBytesForCurrentThread() - before;
        TestContext.Out.WriteLine($"{watch.ElapsedMilliseconds} ms, {bytes >> 20} MiB: {error!.Message}");
        Assert.That(error.Kind, Is.EqualTo(ChatTemplateErrorKind.Limit), error.Message);
        Assert.That(bytes, Is.LessThan(MostBytes));
    }

    // Of five million steps and fifty million characters.
    private const long MostBytes = 512L << 20;

    // Going into a container is most of the work that comparing nested ones takes: it counts more than an item.
    [TestCase("{{ a.l == b.l }}")]
    [TestCase("{{ a.l != b.l }}")]
    [TestCase("{{ [a.l] == [b.l] }}")]
    [TestCase("{{ {1: a.l} == {1: b.l} }}")]
    [TestCase("{{ {a.l: 1} | length }}")]
    public void NestedContainersCostTheirDepth(string compared)
    {
        bool Fits(int depth, int steps)
        {
            string nested = $"{{% set a = namespace(l=(1,)) %}}{{% set b = namespace(l=(1,)) %}}{{% for i in range({depth}) %}}{{% set a.l = (a.l, a.l) %}}{{% set b.l = (b.l, b.l) %}}{{% endfor %}}{compared}";
            try
            {
                new JinjaTemplate("nested", nested).Render(new Dictionary<string, object?>(), new RenderLimits(steps), null);
                return true;
            }
            catch (ChatTemplateException error) when (error.Kind is ChatTemplateErrorKind.Limit)
            {
                return false;
            }
        }

        // 2^12 containers or more.
        Assert.That((Fits(12, 30_000), Fits(12, 300_000)), Is.EqualTo((false, true)));
    }

    private static readonly (string Name, string Open, string Middle, string Close)[] Nested =
    [
        ("parentheses",
            "{{ ", "(", "1"), ("lists", "{{ ", "[", "1"), ("dicts", "{{ ", "{1:", "1"), ("minus", "{{ ", "-", "1 }}"), ("not", "{{ ", "not ", "1 }}"),
        ("plus", "{{ 1", " + 1", " }}"), ("or", "{{ 1", " or 1", " }}"), ("else", "{{ 1", " if 1 else 1", " }}"), ("attributes", "{{ a", ".a", " }}"),
        ("filters",
            "{{ a", "|string", " }}"), ("calls", "{{ a", "()", " }}"), ("items", "{{ a", "[0]", " }}"), ("tests", "{{ 1", " is defined == 1", " }}"),
        ("ifs", "",
            "{% if true %}", "x"), ("fors", "", "{% for i in [1] %}", "x"), ("macros", "", "{% macro m() %}", "x"), ("sets", "", "{% set x %}", "x"),
        ("targets",
            "{% for ", "(", "x"), ("power", "{{ 2", " ** 1", " }}"), ("elifs", "{% if 0 %}", "{% elif 0 %}", "{% endif %}"), ("comments", "", "{# ", ""), ("raws", "", "{% raw %}", ""),
        ("strings",
            "{{ ''", " ''", " }}"), ("concatenations", "{{ 1", " ~ 1", " }}"), ("comparisons", "{{ 1", " == 1", " }}"), ("arguments", "{{ dict(", "*", "1) }}"),
    ];

    [Test]
    public void DeepNestingIsAnErrorOrHarmlessOnASmallStack([Values(90, 3000, 30000)] int depth)
    {
        foreach ((string name, string open, string middle, string close) in Nested)
        {
            string template = open + new StringBuilder().Insert(0, middle, depth) + close;
            Exception? failure = null;
            long bytes = 0;
            var thread = new Thread(() =>
            {
                failure = Attempt(template);
                bytes = GC.GetAllocatedBytesForCurrentThread();
            }, 1 << 20);
            thread.Start();
            thread.Join();
            Assert.That(failure, Is.Null.Or.TypeOf<ChatTemplateException>(), name);
            Assert.That(bytes, Is.LessThan(MostBytes), name);
        }
    }

    [Test]
    public void LongChainsOfUsualLengthAreFine()
    {
        string sum = string.Join(" + ", Enumerable.Repeat("'a'", 200)),
            joined = string.Join(" ~ ", Enumerable.Repeat("'a'", 5000));
        Assert.That(new ChatTemplate("t", $"{{{{ {sum} }}}}{{{{ {joined} }}}}").Render([], new()).Text, Has.Length.EqualTo(5200));
    }

    [Test]
    public void LongConversationsAreFine()
    {
        ChatMessage[] many = [.. Enumerable.Range(0, 10000).Select(
            i => ChatMessage.Of(i % 2 == 0 ? "user" : "assistant", $"Message {i}."))];
        ChatMessage[] large = [ChatMessage.Of("user", new string('x', 10_000_000))];
        foreach (string name in BuiltInTemplates.Names)
        {
            Assert.That(BuiltInTemplates.Get(name).Render(many, new()).Text, Does.Contain("Message 9999."), name);
            Assert.That(BuiltInTemplates.Get(name).Render(large, new()).Text, Has.Length.GreaterThan(10_000_000), name);
        }
    }

    /// <summary>Renders; gives back what is no ChatTemplateException as it is.</summary>
    private static Exception? Attempt(string template)
    {
        try
        {
            new ChatTemplate("fuzz", template).Render(
                Dialogue, new ChatTemplateArguments { AddGenerationPrompt = true, Now = ChatGolden.Now });
            return null;
        }
        catch (Exception error)
        {
            return error;
        }
    }

    [Test]
    public void MutatedTemplatesRenderOrFailCleanly([Range(1, 8)] int seed)
    {
        var random = Damage.Random(seed);
        string[] sources =
        [
            .. Directory.GetFiles(Path.Combine(ChatGolden.Folder, "templates")).Order(StringComparer.Ordinal).Select(
                File.ReadAllText),
            .. ChatGolden.Rows("jinja_units.jsonl").Select(row => row.GetProperty("template").GetString()!),
        ];
        (int rendered, int refused) = (0, 0);
        for (int i = 0; i < Damage.Rounds(2500, 2500); i++)
        {
            string template = Mutate(random, sources);
            long before = GC.GetAllocatedBytesForCurrentThread();
            Exception? error = Attempt(template);
            Assert.That(
                error, Is.Null.Or.TypeOf<ChatTemplateException>(), () => $"seed {seed}, template {i}: {template}\n{error}");
            Assert.That(GC.GetAllocatedBytesForCurrentThread() - before, Is.LessThan(MostBytes), () => $"seed {seed}, template {i}: {template}");
            if (error is null) rendered++;
            else refused++;
        }

        Assert.That(rendered, Is.GreaterThan(100));
        Assert.That(refused, Is.GreaterThan(100));
    }

    private static string Mutate(Random random, string[] sources)
    {
        string[] pieces = ["{{", "}}", "{%", "%}", "{#", "#}", "-", "+", "(", ")", "[", "]", "{", "}", "'", "\"", "\\", "|", ".", ":", ",", "~", "**", "=", " in ",
            " is ", " not ", " if ", " else ", "loop", "messages", "range(9)", "9999999999", "1e308", "none", "\n", "\r",
                "\ud83d", "\u0000", "endfor", "set ", "*"];
        var text = new StringBuilder(sources[random.Next(sources.Length)]);
        for (int changes = random.Next(1, 5); changes > 0; changes--)
        {
            int at = random.Next(text.Length + 1);
            int length = Math.Min(random.Next(1, 20), text.Length - at);
            switch (random.Next(5))
            {
                case 0: text.Remove(at, length); break;
                case 1: text.Insert(at, pieces[random.Next(pieces.Length)]); break;
                case 2: text.Insert(at, text.ToString(at, length)); break;
                case 3:
                    string other = sources[random.Next(sources.Length)];
                    int from = random.Next(other.Length);
                    text.Insert(at, other.AsSpan(from, Math.Min(random.Next(1, 60), other.Length - from)));
                    break;
                default: text.Remove(at, length).Insert(at, pieces[random.Next(pieces.Length)]); break;
            }
        }

        return text.ToString();
    }
}
