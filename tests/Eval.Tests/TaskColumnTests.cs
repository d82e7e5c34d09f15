// What the columns of a task's rows print, as datasets 5.2 with pandas 3.1 and pyarrow 26 has them: each case was read there.

using PeftAlign.Abstractions;

namespace PeftAlign.Eval.Tests;

public sealed class TaskColumnTests
{
    [TestCase("0.5 1 2", "0.5 1.0 2.0")]
    [TestCase("1 2", "1 2")]
    [TestCase("1 null", "1 None")]
    [TestCase("1 null 2.5", "1.0 None 2.5")]
    [TestCase("1e3 2", "1000.0 2.0")]
    [TestCase("2.0 3", "2.0 3.0")]
    [TestCase("-0 2.5", "-0.0 2.5")]
    [TestCase("1e16 2.5", "1e+16 2.5")]
    [TestCase("12345678901234567890 1", "1.2345678901234567e+19 1.0")]
    [TestCase("true 1", "True 1")]
    [TestCase("""[1,2.5] []""", "[1.0, 2.5] []")]
    [TestCase("""[1] [2.5] null""", "[1.0] [2.5] None")]
    [TestCase("""[1,null] null""", "[1, None] None")]
    [TestCase("""[1,"a"] ["b"]""", "[1, 'a'] ['b']")]
    [TestCase("""{"a":1} {"a":2.5} null""", "{'a': 1.0} {'a': 2.5} None")]
    [TestCase("""{"a":1,"b":2} {"b":3,"a":4}""", "{'a': 1, 'b': 2} {'a': 4, 'b': 3}")]
    [TestCase("""{"a":1} {"b":2} {"a":1,"b":0.5}""", "{'a': 1} {'b': 2} {'a': 1, 'b': 0.5}")]
    [TestCase("""{} {"a":1}""", "{} {'a': 1}")]
    [TestCase("""[{"a":1}] [{"a":2.5},{"a":3}]""", "[{'a': 1.0}] [{'a': 2.5}, {'a': 3.0}]")]
    [TestCase("""1 "5" "x" "[1]" "null" "true" """, "1 5 x [1] None True")]
    [TestCase("""{"a":1} "x" """, "{'a': 1} x")]
    [TestCase("""{"a":1} {"a":"x"}""", "{'a': 1} {'a': 'x'}")]
    [TestCase(""" "007" "5" """, "007 5")]
    [TestCase(""" "2020-01-02" null "2020-01-02T03:04:05Z" "2020-01-02T03:04:05+02:00" "2020-01-02T03" """, "2020-01-02 00:00:00|None|2020-01-02 03:04:05|2020-01-02 01:04:05|2020-01-02 03:00:00")]
    [TestCase(""" "2020-01-02" "x" """, "2020-01-02 x")]
    [TestCase(""" "2020-01-02" "" """, "2020-01-02 ")]
    [TestCase(""" "2020-02-30" "2020-01-02" """, "2020-02-30 2020-01-02")]
    [TestCase(""" "2020-1-2" """, "2020-1-2")]
    [TestCase(""" "2020-01-02T03:04:05.123" """, "2020-01-02T03:04:05.123")]
    public void A_column_of_JSON_has_one_type(string values, string printed)
    {
        using var files = new TaskFiles();
        Assert.That(string.Join(printed.Contains('|') ? '|' : ' ', files.Printed(TaskFiles.Lines(values.Trim().Split(' ')))), Is.EqualTo(printed));
    }

    [TestCase("1|2", "1|2")]
    [TestCase("1.50|2", "1.5|2.0")]
    [TestCase("1||3", "1.0|None|3.0")]
    [TestCase("|z", "None|z")]
    [TestCase("NA|None|null", "None|None|None")]
    [TestCase("na|NONE", "na|NONE")]
    [TestCase("True|false|", "True|False|None")]
    [TestCase("tRUE|FALSE", "True|False")]
    [TestCase("True|1", "True|1")]
    [TestCase("1|x", "1|x")]
    [TestCase("007|010", "7|10")]
    [TestCase("+5|-3", "5|-3")]
    [TestCase(" 5.5|6 ", "5.5|6.0")]
    [TestCase("1e5|2", "100000.0|2.0")]
    [TestCase("1.|.5", "1.0|0.5")]
    [TestCase("-Infinity|1.5|inf|1e400", "-inf|1.5|inf|inf")]
    [TestCase("1_000|2", "1_000|2")]
    [TestCase("1e|2", "1e|2")]
    [TestCase("9223372036854775808|1", "9223372036854775808|1")]
    [TestCase("9223372036854775808|-1", "9223372036854775808|-1")]
    [TestCase("99999999999999999999|1.5", "99999999999999999999|1.5")]
    [TestCase("9223372036854775808|", "9223372036854775808|")]
    [TestCase("123456789012345678|1.5", "1.2345678901234568e+17|1.5")]
    [TestCase(" |1", " |1")]
    [TestCase("True |False", "True |False")]
    [TestCase("2020-01-02|2021-01-01", "2020-01-02|2021-01-01")]
    public void A_column_of_CSV_is_typed_as_pandas_types_it(string cells, string printed)
    {
        using var files = new TaskFiles();
        Assert.That(string.Join('|', files.Printed("q,v\n" + string.Concat(cells.Split('|').Select(c => $"a,{c}\n")), "csv")), Is.EqualTo(printed));
    }

    // A column that the first row lacks was taken for a literal text.
    [Test]
    public void Every_row_has_every_column()
    {
        using var files = new TaskFiles();
        const string Rows = """
            {"q": "a"}
            {"q": "b", "ans": "cat"}
            """;
        Assert.That(files.Printed(Rows, text: "{{q}} {{ans}}{% if ans %}!{% endif %}"), Is.EqualTo(new[] { "a None", "b cat!" }));
        var task = files.Task(Rows, "output_type: generate_until\ndoc_to_text: q\ndoc_to_target: ans");
        Assert.That(TaskFiles.Scores(task, "exact_match", "ans", "cat"), Is.EqualTo(new double[] { 0, 1 }));
    }

    // Jinja's own, unlike chat templates', where keys stay in order and nothing is escaped.
    [TestCase("{{ v|tojson }}", """{"a": "\u003cb\u003e \u0026 it\u0027s \u00e9", "z": [1.0, 2.5, null]}""")]
    [TestCase("{{ v.z|tojson(2) }}", "[\n  1.0,\n  2.5,\n  null\n]")]
    [TestCase("{{ [v.a]|map('tojson')|first }}", "\"\\u003cb\\u003e \\u0026 it\\u0027s \\u00e9\"")]
    public void Templates_write_JSON_as_Jinja_does(string template, string printed)
    {
        using var files = new TaskFiles();
        Assert.That(files.Printed(TaskFiles.Lines("""{"z":[1,2.5,null],"a":"<b> & it's é"}"""), text: template), Is.EqualTo(new[] { printed }));
    }

    // The filter that the harness adds to Jinja's.
    [TestCase("{{ v|regex_replace('(a)(b)', '\\\\2-\\\\1') }}", "xb-a b-a")]
    [TestCase("{{ v|regex_replace('a', '😀', 1) }}", "x😀b ab")]
    [TestCase("{{ v|regex_replace(pattern='(?P<l>[a-z])', repl='\\\\g<l>.', count=2)|upper }}", "X.A.B AB")]
    public void Templates_replace_by_pattern(string template, string printed)
    {
        using var files = new TaskFiles();
        Assert.That(files.Printed(TaskFiles.Lines("\"xab ab\""), text: template), Is.EqualTo(new[] { printed }));
    }

    // Jinja's StrictUndefined, which the harness takes, is not what an if-expression without else gives.
    [TestCase("{{ 'a' if v > 1 }}b", "b")]
    [TestCase("{{ 'a' if v > 0 }}b", "ab")]
    [TestCase("{% set x = 'a' if v > 1 %}[{{ x }}{{ x ~ 'c' }}]", "[c]")]
    public void An_if_expression_without_else_prints_nothing(string template, string printed)
    {
        using var files = new TaskFiles();
        Assert.That(files.Printed(TaskFiles.Lines("1"), text: template), Is.EqualTo(new[] { printed }));
    }

    [TestCase("{{ v|regex_replace('a', 'b') }}", "Template t, doc_to_text, line 1: expected string or bytes-like object, got 'int'")]
    [TestCase("{{ (v|string)|regex_replace('(', 'b') }}", "regular expression '(' cannot be read")]
    [TestCase("{{ nothing if v > 0 }}", "Template t, doc_to_text, line 1: 'nothing' is undefined; correct it.")]
    [TestCase("{{ nothing }}", "Template t, doc_to_text, line 1: 'nothing' is undefined; correct it.")]
    [TestCase("{{ v|tojson(ensure_ascii=False) }}", "unexpected keyword argument 'ensure_ascii'")]
    [TestCase("{{ v", "Template t, doc_to_text, line 1: ")]
    public void A_fault_of_a_template_is_that_field_s(string template, string message)
    {
        using var files = new TaskFiles();
        Assert.That(() => files.Printed(TaskFiles.Lines("1"), text: template), Throws.TypeOf<UserErrorException>().With.Message.Contains(message));
    }

    [Test]
    public void Two_columns_of_one_name_are_refused()
    {
        using var files = new TaskFiles();
        Assert.That(() => files.Printed("v,v\n1,2\n", "csv"), Throws.TypeOf<UserErrorException>().With.Message.Contains("line 1: 2 columns are named 'v'; give each a name of its own"));
    }
}
