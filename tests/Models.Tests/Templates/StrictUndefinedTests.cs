// What does not exist, in texts of tasks: jinja2's StrictUndefined, with which lm-evaluation-harness renders. Expected is what jinja2 3.1
// gives or says, for item = {b: 'B', c: 1.0}; chat templates stay lenient, as transformers' are.

using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Models.Templates;
using PeftAlign.Models.Templates.Jinja;

namespace PeftAlign.Models.Tests.Templates;

internal sealed class StrictUndefinedTests
{
    [TestCase("{% if typo %}a{% else %}b{% endif %}", "'typo' is undefined")]
    [TestCase("{% if not typo %}a{% endif %}", "'typo' is undefined")]
    [TestCase("{{ typo or 'x' }}", "'typo' is undefined")]
    [TestCase("{{ 'x' and typo }}", "'typo' is undefined")]
    [TestCase("{{ 'a' if typo else 'b' }}", "'typo' is undefined")]
    [TestCase("{% for x in typo %}{{ x }}{% endfor %}", "'typo' is undefined")]
    [TestCase("{% for x in [1] if typo %}{{ x }}{% endfor %}", "'typo' is undefined")]
    [TestCase("{{ typo|join(', ') }}", "'typo' is undefined")]
    [TestCase("{{ [typo]|join }}", "'typo' is undefined")]
    [TestCase("{{ ['a']|join(typo) }}", "'typo' is undefined")]
    [TestCase("{{ typo|length }}", "'typo' is undefined")]
    [TestCase("{{ typo|list }}", "'typo' is undefined")]
    [TestCase("{{ typo|string }}", "'typo' is undefined")]
    [TestCase("{{ typo ~ 'a' }}", "'typo' is undefined")]
    [TestCase("{{ typo == 1 }}", "'typo' is undefined")]
    [TestCase("{{ 1 == typo }}", "'typo' is undefined")]
    [TestCase("{{ typo != '' }}", "'typo' is undefined")]
    [TestCase("{{ none == typo }}", "'typo' is undefined")]
    [TestCase("{{ 'a' in typo }}", "'typo' is undefined")]
    [TestCase("{{ typo in ['a'] }}", "'typo' is undefined")]
    [TestCase("{{ typo in {'a': 1} }}", "'typo' is undefined")]
    [TestCase("{{ typo in {} }}", "'typo' is undefined")]
    [TestCase("{{ {typo: 1} }}", "'typo' is undefined")]
    [TestCase("{{ {}[typo] }}", "'typo' is undefined")]
    [TestCase("{{ {'a': 1}[typo] }}", "'typo' is undefined")]
    [TestCase("{% if item.typo %}x{% endif %}", "'dict object' has no attribute 'typo'")]
    [TestCase("{% if item['typo'] %}x{% endif %}", "'dict object' has no attribute 'typo'")]
    [TestCase("{{ typo is iterable }}", "'typo' is undefined")]
    [TestCase("{{ typo is eq 1 }}", "'typo' is undefined")]
    [TestCase("{{ typo is in [1] }}", "'typo' is undefined")]
    [TestCase("{{ typo is lower }}", "'typo' is undefined")]
    [TestCase("{{ typo|upper }}", "'typo' is undefined")]
    [TestCase("{{ '%s' % typo }}", "'typo' is undefined")]
    [TestCase("{{ '{}'.format(typo) }}", "'typo' is undefined")]
    [TestCase("{% if []|first %}x{% endif %}", "No first item, sequence was empty.")]
    [TestCase("{% for x in [1] %}{% if loop.previtem %}x{% endif %}{% endfor %}", "there is no previous item")]
    [TestCase("{% macro m(a) %}{% if a %}x{% endif %}{% endmacro %}{{ m() }}", "parameter 'a' was not provided")]
    [TestCase("{% set x, y = typo %}", "'typo' is undefined")]
    [TestCase("{{ [1, 2]|select(typo)|list }}", "'typo' is undefined")]
    [TestCase("{{ [{'a': 1}, {}]|selectattr('a')|list }}", "'dict object' has no attribute 'a'")]
    [TestCase("{{ [typo]|unique|list }}", "'typo' is undefined")]
    [TestCase("{{ [1, typo] == [1, 2] }}", "'typo' is undefined")]
    [TestCase("{{ 3 in [2, typo] }}", "'typo' is undefined")]
    [TestCase("{{ typo|urlencode }}", "'typo' is undefined")]
    [TestCase("{{ typo|tojson }}", "Object of type StrictUndefined is not JSON serializable")]
    [TestCase("{{ typo|map('upper')|list }}", "'typo' is undefined")]
    [TestCase("{{ typo|reverse|list }}", "'typo' is undefined")]
    [TestCase("{{ typo|sort }}", "'typo' is undefined")]
    [TestCase("{{ typo|e }}", "'typo' is undefined")]
    [TestCase("{{ ('a' if false) == typo }}", "'typo' is undefined")]
    [TestCase("{{ 'x'|default('y', typo) }}", "'typo' is undefined")]
    [TestCase("{{ typo|batch(2)|list }}", "'typo' is undefined")]
    [TestCase("{{ typo|first }}", "'typo' is undefined")]
    [TestCase("{{ typo|max }}", "'typo' is undefined")]
    [TestCase("{{ typo|sum }}", "'typo' is undefined")]
    [TestCase("{{ typo|dictsort }}", "'typo' is undefined")]
    [TestCase("{{ typo|trim }}", "'typo' is undefined")]
    [TestCase("{{ typo.a is defined }}", "'typo' is undefined")]
    [TestCase("{{ typo|int }}", "'typo' is undefined")]
    public void Using_what_does_not_exist_stops(string template, string reason) =>
        Assert.That(() => Render(template), Throws.TypeOf<UserErrorException>().With.Message.EqualTo($"Template corner, line 1: {reason}; correct it."));

    [TestCase("{{ typo|default('a', true) }}|{{ typo|default }}|{{ typo is defined }}|{{ typo is undefined }}", "a||False|True")]
    [TestCase("{{ item.typo is defined }}|{{ item.typo|default('d') }}|{% if item.typo is defined %}x{% endif %}", "False|d|")]
    [TestCase("{% if 'typo' in item %}x{% endif %}|{{ item.get('typo') }}", "|None")]
    [TestCase("{{ typo is none }}|{{ typo is string }}|{{ typo is sequence }}|{{ typo is mapping }}|{{ typo is number }}|{{ typo is callable }}|{{ typo is sameas none }}", "False|False|False|False|False|True|False")]
    [TestCase("{{ typo|items|list }}", "[]")]
    [TestCase("{{ [typo] }}", "[Undefined]")]
    [TestCase("{{ '%r' % typo }}", "Undefined")]
    [TestCase("{{ ('a' if false) }}|{% if ('a' if false) %}x{% else %}y{% endif %}|{% for x in ('a' if false) %}{% endfor %}|{{ ('a' if false)|length }}|{{ ('a' if false) == ('b' if false) }}", "|y||0|True")]
    [TestCase("{{ []|first is defined }}", "False")]
    [TestCase("{% set x = typo %}{{ x is defined }}", "False")]
    [TestCase("{{ [{'a': 1}, {}]|selectattr('a', 'defined')|list }}", "[{'a': 1}]")]
    [TestCase("{{ [{'a': 1}, {}]|map(attribute='a')|list }}", "[1, Undefined]")]
    [TestCase("{{ [{'a': 1}, {}]|map(attribute='a', default=2)|list }}", "[1, 2]")]
    [TestCase("{{ {'a': typo}|xmlattr }}", "")]
    [TestCase("{{ [1, typo] == [2, 2] }}", "False")]
    [TestCase("{{ 2 in [2, typo] }}", "True")]
    [TestCase("{{ dict(a=typo)|length }}", "1")]
    [TestCase("{{ typo|default(typo2) is defined }}", "False")]
    [TestCase("{{ 'a' ~ item.b }}{{ item.c }}", "aB1.0")]
    public void What_may_be_asked_of_it_is_answered(string template, string text) => Assert.That(Render(template), Is.EqualTo(text));

    [TestCase("{% if typo %}a{% else %}b{% endif %}|{{ typo or 'x' }}|{{ typo|join }}|{{ typo|length }}|{{ typo ~ 'a' }}|{{ typo == 1 }}|{{ typo in ['a'] }}|{{ '{}'.format(typo) }}", "b|x||0|a|False|False|")]
    [TestCase("{% for x in typo %}a{% else %}b{% endfor %}|{{ {typo: 1}|length }}|{{ typo is sequence }}|{{ typo is iterable }}|{{ typo.__len__ is defined }}", "b|1|True|True|False")]
    public void In_chat_templates_it_counts_as_empty(string template, string text) =>
        Assert.That(new JinjaTemplate("corner", template).Render(new Dictionary<string, object?>(), new RenderLimits(), null).Text, Is.EqualTo(text));

    private static string Render(string template) => new TextTemplate("corner", template).Render(new JsonObject { ["item"] = new JsonObject { ["b"] = "B", ["c"] = JsonNode.Parse("1.0") } });
}
