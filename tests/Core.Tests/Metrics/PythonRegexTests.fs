// Python's regular expressions on .NET's engine: what Python 3.11's re finds, replaces and refuses.
module PeftAlign.Core.Tests.PythonRegexTests

open System
open NUnit.Framework
open PeftAlign.Core.Metrics
open PeftAlign.Core.Tests.Golden

[<Test>]
let ``Python's spellings of a pattern are understood`` () =
    let extract pattern =
        AnswerExtraction.RegexFilter("x=aa; y=7", pattern, 0, "none")

    Assert.That(extract @"(?P<digit>\d)\Z", Is.EqualTo "7")
    Assert.That(extract @"=((?P<c>\w)(?P=c))", Is.EqualTo "aa")
    Assert.That(extract @"\(?P<", Is.EqualTo "none")

[<TestCase("score 7 of 10", @"(?P<num>\d+) of (\d+)", "7")>]
[<TestCase("a1b22", @"(?P<l>[0-9])?(\w)", "a")>]
[<TestCase("abab", @"(?P<x>a)(b)(?P=x)\2", "a")>]
[<TestCase("aabb", @"(?P<x>a)\1(?P<y>b)\2", "a")>]
[<TestCase("xay", @"(?P<q>x)?a(?(q)y|z)", "x")>]
[<TestCase("answer B", @"([A-D]){,2}$", "B")>]
[<TestCase("aaa", @"^(a{,2})", "aa")>]
[<TestCase("a{,x}", @"(\{,x)", "{,x")>]
[<TestCase("Answer: 😀 yes", "Answer: (.)", "😀")>]
[<TestCase("Answer: 😀 yes", "Answer: ([^x])", "😀")>]
[<TestCase("Answer: 😀 yes", @"Answer: (\W)", "😀")>]
[<TestCase("a😀😀b", "(😀+)", "😀😀")>]
[<TestCase("a😀", "(a.*)", "a😀")>]
[<TestCase("Yes 😀 B", @"([^\S\n]+)B", "")>]
[<TestCase("ok 😀!", @"([^\W\d_]+)!", "[no]")>]
[<TestCase("Ответ😀 А", @"([^\W\d_])$", "А")>]
[<TestCase("x 𝐀𠀀😀", @"x (\w+)", "𝐀𠀀")>]
[<TestCase("x 𠀀 y", @"\b(𠀀)\b", "𠀀")>]
[<TestCase("x 𝟗😀", @"(\d)", "𝟗")>]
[<TestCase("😀🙏🚀", @"([🙈-🙏]+)", "🙏")>]
[<TestCase("a😀\uE000b", "(😀.)", "😀\uE000")>]
[<TestCase("नहीं, यह गलत है", @"\b(हाँ|नहीं)\b", "[no]")>]
[<TestCase("उत्तर: सही", @"(\w)\B", "उ")>]
[<TestCase("उत्तर", @"(\w)\B", "उ")>]
[<TestCase("e\u0301Yes", @"\b(Yes|No)\b", "Yes")>]
[<TestCase("e\u0301!", @"([\W]+)", "\u0301!")>]
[<TestCase("a_b", @"(\_[\_b])", "_b")>]
[<TestCase("aéb", @"(\é)", "é")>]
[<TestCase("नमस्ते दुनिया", @"(\w+)", "नमस")>]
[<TestCase("é_½ x", @"([\w]+)", "é_½")>]
[<TestCase("a[b", "([[]b)", "[b")>]
[<TestCase("x]y", "([]y]+)", "]y")>]
[<TestCase("x", "(?#note)(x)", "x")>]
[<TestCase("(a)", @"[(](\w)[)]", "a")>]
[<TestCase("aaa", @"(a++)a", "[no]")>]
[<TestCase("aaab", @"(a++b)", "aaab")>]
[<TestCase("ababa", @"((?:ab)*+a)", "ababa")>]
[<TestCase("ababa", @"((ab)*+)b", "[no]")>]
[<TestCase("aab", @"(a?+ab)", "aab")>]
[<TestCase("aaaa", @"(a{1,3}+a)", "aaaa")>]
[<TestCase("aaaa", @"^(a{,4}+a)", "[no]")>]
[<TestCase("12.5", @"([0-9.]*+)$", "12.5")>]
[<TestCase("x\\\\y", @"(\\++y)", "\\\\y")>]
[<TestCase("aa", "(a(?#note)++)", "aa")>]
[<TestCase("123", @"((?:\d{1,3}+){2})", "[no]")>]
[<TestCase("b1]", @"((?:\w{1,2}+){2})", "[no]")>]
[<TestCase("x yy", @"(?x) x \  (y++) # the rest", "yy")>]
[<TestCase("é_a½", @"(?a)(\w+)", "_a")>]
[<TestCase("é_a½", @"(?a)([\W]+)$", "½")>]
[<TestCase("é1", @"(?a)(\W\d)", "é1")>]
[<TestCase("x ٣3", @"(?a)(\d)", "3")>]
[<TestCase("x ٣3", @"(?a)x([\D]+)", "٣")>]
[<TestCase("éa", @"(?a)\b(a)", "a")>]
[<TestCase("éa", @"(?a)(a)\B", "[no]")>]
[<TestCase("a\u00A0b", @"(?a)a(\s)b", "[no]")>]
[<TestCase("a\u00A0b", @"(?a)a[\S](\S)", "b")>]
[<TestCase("é é", @"(?a:(\w))|(\w)", "é")>]
[<TestCase("éa", @"(?a:(?u:(\w)))", "é")>]
[<TestCase("É é", @"(?u)(\w)$", "é")>]
[<TestCase("x\ny", @"(?ms)^(y)", "y")>]
[<TestCase("x\ny", @"(?us)x(.)y", "")>]
[<TestCase("a😀b", @"a(\U0001F600)b", "😀")>]
[<TestCase("a😀b", @"([\U0001F600-\U0001F64F]+)", "😀")>]
[<TestCase("aéb", @"(\U000000e9b)", "éb")>]
[<TestCase("a(b", @"(\U00000028b)", "(b")>]
[<TestCase("aéé1", @"(\u00e9++1)", "éé1")>]
[<TestCase("aaa11", @"(\x61{2,}+1)", "aaa1")>]
[<TestCase("\n\nb", @"(\012++b)", "b")>]
[<TestCase("ab bbx", @"(a)(b) (\2++x)", "a")>]
let ``A pattern finds what Python finds`` (text: string, pattern: string, found: string) =
    Assert.That(AnswerExtraction.RegexFilter(text, pattern, 0, "[no]"), Is.EqualTo found)

// Python refuses them too, but for (?ai), whose letters have no other case beyond ASCII, and \N.
[<TestCase(@"a+++")>]
[<TestCase(@"(a)++{2}")>]
[<TestCase(@"a+?+")>]
[<TestCase(@"++")>]
[<TestCase(@"(?:++)")>]
[<TestCase(@"(a|++)")>]
[<TestCase(@"(?L)a")>]
[<TestCase(@"(?au)a")>]
[<TestCase(@"a(?a)b")>]
[<TestCase(@"a(?u)b")>]
[<TestCase(@"\U00110000")>]
[<TestCase(@"\UFFFFFFFF")>]
[<TestCase(@"\U1F600")>]
[<TestCase(@"(?ai)a")>]
[<TestCase(@"(?a)(?i:a)")>]
[<TestCase(@"\N{DIGIT ONE}")>]
let ``A pattern that is not Python's is refused`` (pattern: string) =
    let fault =
        throws (fun () -> AnswerExtraction.RegexFilter("aa", pattern, 0, "") |> ignore)

    Assert.That(fault, Does.Contain "cannot be read")

[<Test>]
let ``A separator of files is white space`` () =
    let found pattern =
        AnswerExtraction.RegexFilter("a\u001Cb", pattern, 0, "[no]")

    Assert.That(found @"a(\s)b", Is.EqualTo "")
    Assert.That(found @"([\S]+)$", Is.EqualTo "b")
    Assert.That(found @"(\S[\s]\S)", Is.EqualTo "a\u001Cb")

[<TestCase(@".*answer is (\d+)", "none")>]
[<TestCase(@"(?s).*answer is (\d+)", "none")>]
[<TestCase(@"(?s).*#### ", "none")>]
[<TestCase(@"(?s)fox.*(😀)", "😀")>]
let ``A character of two units slows no pattern down`` (pattern: string, found: string) =
    let text = String.replicate 600 "The quick brown fox.\nThen on" + "😀"
    Assert.That(AnswerExtraction.RegexFilter(text, pattern, 0, "none"), Is.EqualTo found)

[<TestCase("a{,2}b", "aaab b ab", "aab|b|ab")>]
[<TestCase("x{,1}", "xx", "x|x|")>]
[<TestCase("(?:ab){,2}$", "ababab", "abab|")>]
let ``A repetition without a lower bound begins at none`` (pattern: string, text: string, found: string) =
    let matches = PythonRegex.Matches(text, pattern) |> Array.map Array.head
    Assert.That(String.concat "|" matches, Is.EqualTo found)

[<TestCase("a1b22", @"(\d)(\d)?", @"<\1\2>", 0, "a<1>b<22>")>]
[<TestCase("a1b22", @"(?P<d>\d)", @"\g<d>\g<1>\n", 1, "a11\nb22")>]
[<TestCase("abxd", "x*", "-", 0, "-a-b--d-")>]
[<TestCase("1a2", @"x*|\da", "-", 0, "---2-")>]
[<TestCase("éßü", "ß??", "-", 0, "-é---ü-")>]
[<TestCase("éßü", "ß??", "-", 2, "-é-ßü")>]
[<TestCase("aß", @"(?x) ß?? # none, then one", "-", 0, "-a---")>]
[<TestCase("a12b3", "(?x:[0-9]*)", "-", 0, "-a--b--")>]
[<TestCase("a😀b", ".", "-", 0, "---")>]
[<TestCase("Yes 😀 B", @"[^\S\n]+", "", 0, "Yes😀B")>]
[<TestCase("a😀b", "b", "\uE000🙏", 0, "a😀\uE000🙏")>]
[<TestCase("a.b", @"\.", @"\\", 0, @"a\b")>]
[<TestCase("a$b", "b", "$0", 0, "a$$0")>]
let ``What is found is replaced as Python replaces it``
    (text: string, pattern: string, into: string, count: int, result: string)
    =
    Assert.That(PythonRegex.Replace(text, pattern, into, count), Is.EqualTo result)

[<TestCase(@"\2", "the group 2, which the pattern has not")>]
[<TestCase(@"\g<y>", "the group y, which the pattern has not")>]
[<TestCase(@"\q", @"the escape \q")>]
let ``A replacement that Python refuses is named`` (into: string, what: string) =
    Assert.That(throws (fun () -> PythonRegex.Replace("x", "(?P<x>x)", into, 0) |> ignore), Does.Contain what)
