// Corners of chrF, BLEU and exact match: tokens, several references and lower case as sacrebleu 2.6.0 and Python have them.
module PeftAlign.Core.Tests.TextCornerTests

open NUnit.Framework
open PeftAlign.Core.Metrics

let private chrf2 = ChrfOptions.Default

/// sacrebleu 2.6.0's: what tokenizer 13a takes away and what it reads as other characters.
[<TestCase("the well-\nknown cat sat on the mat today", "the wellknown cat sat on the mat today", 100.0)>]
[<TestCase("Tom &amp; Jerry said &quot;a &lt; b&quot; to the two of us &gt; here",
           "Tom & Jerry said \"a < b\" to the two of us > here",
           100.0)>]
[<TestCase("he wrote &amp;lt; into the first line of it", "he wrote < into the first line of it", 100.0)>]
[<TestCase("a &amp; b and c in the long line", "a amp b and c in the long line", 75.06238537503395)>]
let ``BLEU reads entities and words that a line's end parts`` (hypothesis: string, reference: string, score: float) =
    Assert.That(Bleu.Corpus([| hypothesis |], [| [| reference |] |]), Is.EqualTo(score).Within 1e-9)

/// sacrebleu 2.6.0's, with word_order=2: of a word with marks at both ends the last is parted, else the first.
[<TestCase("we \"saw (them there", "we \" saw ( them there", 100.0)>]
[<TestCase("\"a\" (b) c", "a b (c)", 16.635475150758992)>]
let ``A mark at a word's start is a word of chrF++`` (hypothesis: string, reference: string, score: float) =
    let options =
        { ChrfOptions.Default with
            WordOrder = 2
        }

    Assert.That(Chrf.Sentence(hypothesis, [| reference |], options), Is.EqualTo(score).Within 1e-9)

/// sacrebleu 2.6.0's: of several references the one counts that scores best, wherever it stands.
[<Test>]
let ``The best reference counts in chrF`` () =
    let sentence, corpus = "the cat sat on the mat", 69.41118312913571
    let others = [| "a dog stood there"; "the cat is on the mat"; "cats sit" |]
    Assert.That(Chrf.Sentence(sentence, others, chrf2), Is.EqualTo(64.5779420625287).Within 1e-9)

    Assert.That(
        Chrf.Corpus([| sentence; "hello there" |], [| others[..1]; [| "hi there"; "hello then" |] |], chrf2),
        Is.EqualTo(corpus).Within 1e-9
    )

/// Python's str.lower(): a sigma that ends a word, and letters whose lower case .NET has not.
[<TestCase("\u03A3", "\u03C3")>]
[<TestCase("\u039F\u0394\u039F\u03A3 \u0391", "\u03BF\u03B4\u03BF\u03C2 \u03B1")>]
[<TestCase("\u0391\u0301\u03A3", "\u03B1\u0301\u03C2")>]
[<TestCase("\u0391.\u03A3", "\u03B1.\u03C2")>]
[<TestCase("\u0391\u03A3'\u0392", "\u03B1\u03C3'\u03B2")>]
[<TestCase("\u0391\u03A3\u0301", "\u03B1\u03C2\u0301")>]
[<TestCase("\u05D0\u03A3", "\u05D0\u03C3")>]
[<TestCase("\u0391\u03A3\u05D0", "\u03B1\u03C2\u05D0")>]
[<TestCase("1\u03A3", "1\u03C3")>]
[<TestCase("\u2168\u03A3", "\u2178\u03C2")>]
[<TestCase("\u00AA\u03A3", "\u00AA\u03C2")>]
[<TestCase("A\u03A3\U0001F170", "a\u03C3\U0001F170")>]
[<TestCase("\u0391\uFF1A\u03A3", "\u03B1\uFF1A\u03C2")>]
[<TestCase("\u0391\u03A3\u0387\u0392", "\u03B1\u03C3\u0387\u03B2")>]
[<TestCase("\U00010400\u03A3", "\U00010428\u03C2")>]
[<TestCase("A\u03A3\U00010400", "a\u03C3\U00010428")>]
[<TestCase("\u0130\u03A3", "i\u0307\u03C2")>]
[<TestCase("A\u03A3\u00AA \u00BA\u03A3", "a\u03C3\u00AA \u00BA\u03C2")>]
[<TestCase("\u2163\u03A3 A\u03A3\U0001F130", "\u2173\u03C2 a\u03C3\U0001F130")>]
[<TestCase("A\u03A3\uFF0EB A\u0387\u03A3", "a\u03C3\uFF0Eb a\u0387\u03C2")>]
[<TestCase("10 \u2126, 3 \u212B, 4 \u212A", "10 \u03C9, 3 \u00E5, 4 k")>]
[<TestCase("STRA\u1E9EE \U0001F600", "stra\u00DFe \U0001F600")>]
let ``Case is ignored as Python ignores it`` (text: string, lowered: string) =
    let options =
        { ExactMatchOptions.Plain with
            IgnoreCase = true
        }

    Assert.That(PythonText.lower text, Is.EqualTo lowered)

    Assert.That(
        PythonText.lower ("\uD800" + text + "\uDC00 "),
        Is.EqualTo("\uD800" + lowered + "\uDC00 "),
        "halves that stand alone stay"
    )

    Assert.That(AnswerExtraction.ExactMatch(text, lowered, options))
