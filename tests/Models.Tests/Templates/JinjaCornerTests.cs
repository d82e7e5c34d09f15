// Corners of Jinja and of Python beneath it: slices from beyond the end, order of lists of unequal lengths, loops that only go on, filters
// with every argument. Expected is what jinja2 3.1 renders, in its sandbox with loop controls.

using PeftAlign.Models.Templates;
using PeftAlign.Models.Templates.Jinja;

namespace PeftAlign.Models.Tests.Templates;

internal sealed class JinjaCornerTests
{
    [TestCase("{{ 'abcde'[10::-1] }}|{{ 'abcde'[:-10:-1] }}|{{ [1, 2, 3][-10::-1] }}|{{ [1, 2, 3][9:0:-2] }}|{{ 'abc'[5:] }}", "edcba|edcba|[]|[3]|")]
    [TestCase("{{ [1, 2] < [1, 2, 3] }}|{{ [1, 2, 3] <= [1, 2] }}|{{ [[1, 2, 3], [1, 2], [1]]|sort }}|{{ (1, 2) >= (1, 2) }}", "True|False|[[1], [1, 2], [1, 2, 3]]|True")]
    [TestCase("{{ range(0) == range(2, 2) }}|{{ range(1, 2, 5) == range(1, 2, 7) }}|{{ range(0, 4, 2) == range(0, 3, 2) }}|{{ range(0, 4, 2) == range(0, 4, 3) }}", "True|True|True|False")]
    [TestCase("{% for i in [1, 2] %}{% continue %}{% else %}e{% endfor %}|{% for i in [1, 2] %}{% if i == 2 %}{% continue %}{% endif %}{{ i }}{% else %}e{% endfor %}|{% for i in [1] %}{% break %}{% else %}e{% endfor %}", "e|1|e")]
    [TestCase("{{ range(5)|slice(3, 'x')|list }}|{{ range(6)|slice(3, 'x')|list }}|{{ range(5)|batch(2, 'x')|list }}|{{ range(4)|batch(2, 'x')|list }}", "[[0, 1], [2, 3], [4, 'x']]|[[0, 1, 'x'], [2, 3, 'x'], [4, 5, 'x']]|[[0, 1], [2, 3], [4, 'x']]|[[0, 1], [2, 3]]")]
    [TestCase("{{ [{'a': 'B', 'n': 1}, {'a': 'b', 'n': 2}, {'a': 'a', 'n': 3}]|groupby('a')|list }}|{{ [{'a': 'B'}, {'a': 'b'}]|groupby('a', case_sensitive=true)|list }}", "[('a', [{'a': 'a', 'n': 3}]), ('B', [{'a': 'B', 'n': 1}, {'a': 'b', 'n': 2}])]|[('B', [{'a': 'B'}]), ('b', [{'a': 'b'}])]")]
    [TestCase("{{ [{'k': 1, 'n': 'a'}, {'k': 2, 'n': 'b'}, {'k': 1, 'n': 'c'}]|sort(reverse=true, attribute='k')|map(attribute='n')|join }}|{{ ['b', 'A', 'a', 'B']|sort|join }}|{{ ['b', 'A', 'a', 'B']|sort(true, true)|join }}", "bac|AabB|baBA")]
    [TestCase("{{ {'b': 1, 'A': 2, 'a': 3}|dictsort }}|{{ {'b': 1, 'A': 2, 'a': 3}|dictsort(true) }}|{{ {'b': 1, 'A': 2}|dictsort(false, 'value', true) }}", "[('A', 2), ('a', 3), ('b', 1)]|[('A', 2), ('a', 3), ('b', 1)]|[('A', 2), ('b', 1)]")]
    [TestCase("{{ 'a\\n\\n  b\\n'|indent }}|{{ 'a\\n\\nb'|indent(2, true) }}|{{ 'a\\n\\nb'|indent('> ', false, true) }}", "a\n\n      b\n|  a\n\n  b|a\n> \n> b")]
    [TestCase("{{ 'foo bar baz qux'|truncate(9) }}|{{ 'foo bar baz qux'|truncate(9, true) }}|{{ 'foo bar baz qux'|truncate(11) }}|{{ 'foo bar baz qux'|truncate(11, false, '...', 0) }}|{{ 'foobarbazqux'|truncate(6, false, '...', 0) }}", "foo...|foo ba...|foo bar baz qux|foo bar...|foo...")]
    [TestCase("[{{ 'ab'|center(5) }}]|[{{ 'abc'|center(6) }}]|[{{ 'ab'.center(7, '*') }}]|[{{ 'abc'.center(8) }}]", "[  ab ]|[ abc  ]|[***ab**]|[  abc   ]")]
    [TestCase("{{ {'a b': 'c/d', 'e': '\u00e9'}|urlencode }}|{{ 'a/b c'|urlencode }}|{{ [('x', 1), ('y', '&')]|urlencode }}", "a+b=c%2Fd&e=%C3%A9|a/b%20c|x=1&y=%26")]
    [TestCase("{{ 'aaaa'.count('aa') }}|{{ 'abc'.find('', 5) }}|{{ 'abc'.find('', 3) }}|{{ 'abc'.count('', 4) }}|{{ 'abc'.count('', 3) }}|{{ 'abcabc'.rfind('c', 0, 5) }}", "2|-1|3|0|1|2")]
    [TestCase("{{ ' a b  c '.rsplit(none, 1) }}|{{ ' a b  c '.split(none, 1) }}|{{ 'a,b,c'.rsplit(',', 1) }}|{{ ' a '.rsplit(none, 0) }}", "[' a b', 'c']|['a', 'b  c ']|['a,b', 'c']|[' a']")]
    [TestCase("{{ {'a': [1, 2], 'b': {}}|tojson(indent=2) }}|{{ [1, {'c': '\u00e9'}]|tojson }}|{{ '\\x7f~'|tojson }}|{{ []|tojson(indent=1) }}", "{\n  \"a\": [\n    1,\n    2\n  ],\n  \"b\": {}\n}|[1, {\"c\": \"\\u00e9\"}]|\"\\u007f~\"|[]")]
    [TestCase("{{ [3, 1, 2]|max }}|{{ ['b', 'A']|min }}|{{ ['b', 'B', 'a']|unique|join }}|{{ ['b', 'B']|unique(true)|join }}|{{ 'a b\\nc'|wordcount }}", "3|A|ba|bB|3")]
    [TestCase("{% for i in [1, 1, 2] %}{{ loop.changed(i) }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.previtem is defined }}{{ loop.nextitem is defined }} {% endfor %}", "True32FalseTrue False21TrueTrue True10TrueFalse ")]
    [TestCase("{{ 7 // -2 }}|{{ -7 % 3 }}|{{ 2 ** -1 }}|{{ 7.5 // 2 }}|{{ 1e16 }}|{{ 0.1 + 0.2 }}|{{ 10 / 4 }}|{{ -7 // 2 }}|{{ 5.0 % -3 }}", "-4|2|0.5|3.0|1e+16|0.30000000000000004|2.5|-4|-1.0")]
    [TestCase("{{ 'abcdefgh ijk'|wordwrap(5) }}|{{ 'a-b-c d'|wordwrap(3) }}|{{ '%05.1f|%-4s|%x' % (3.14159, 'ab', 255) }}|{{ '{:>6}|{:^5}|{:,}'.format('a', 'b', 1234567) }}", "abcde\nfgh\nijk|a-\nb-c\nd|003.1|ab  |ff|     a|  b  |1,234,567")]
    [TestCase("{{ 2.5|round }}|{{ 3.5|round }}|{{ 2.675|round(2) }}|{{ 1234.5|round(-2) }}|{{ 2.1|round(0, 'ceil') }}|{{ '3.7'|int }}|{{ 'x'|int(5) }}|{{ '0x1f'|int(0, 16) }}|{{ 1000000|filesizeformat }}", "2.0|4.0|2.67|1200.0|3.0|3|5|31|1.0 MB")]
    [TestCase("{{ '\u0391\uff1a\u03a3'|lower }}|{{ '\u0391\u03a3\u0387\u0392'|lower }}|{{ '\u2168\u03a3'|lower }}|{{ 'A\U0001171E\u03a3'|lower }}", "\u03b1\uff1a\u03c2|\u03b1\u03c3\u0387\u03b2|\u2178\u03c2|a\U0001171E\u03c2")]
    public void A_corner_renders_as_in_Jinja(string template, string text) =>
        Assert.That(new JinjaTemplate("corner", template, trims: false).Render(new Run(new Dictionary<string, object?>(), new RenderLimits(), null) { Strict = true }).Text, Is.EqualTo(text));
}
