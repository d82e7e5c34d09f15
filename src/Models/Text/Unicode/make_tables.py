"""Writes unicode.bin, the character tables that UnicodeData.cs reads. Run by hand when a version changes:

    python make_tables.py          needs Python 3.11, the package `tokenizers` (its Oniguruma answers for categories) and perl

Versions, chosen so that results equal those of the published tokenizers: categories, scripts and Alphabetic are Unicode 16.0
(Oniguruma's), letter case is 17.0 (Python's unicodedata plus the pairs added since 14.0), grapheme breaks are 14.0 (perl's;
later characters by category). BERT's notions of punctuation, control and non-spacing mark are Unicode 8.0 and normalisation is
Unicode 9.0: today's data limited to the characters of that age, with the few named below whose category changed afterwards.
"""
import os
import subprocess
import unicodedata
import zlib
from tokenizers import Regex, normalizers

HERE = os.path.dirname(os.path.abspath(__file__))
POINTS = range(0x110000)
# In the order of System.Globalization.UnicodeCategory.
CATEGORIES = "Lu Ll Lt Lm Lo Mn Mc Me Nd Nl No Zs Zl Zp Cc Cf Cs Co Pc Pd Ps Pe Pi Pf Po Sm Sc Sk So Cn".split()
BREAKS = "Other CR LF Control Extend ZWJ Regional_Indicator Prepend SpacingMark L V T LV LVT".split()
SCRIPTS = """
Adlam Ahom Anatolian_hieroglyphs Arabic Armenian Avestan Balinese Bamum Bassa_vah Batak Bengali Bhaiksuki Bopomofo
Brahmi Braille Buginese Buhid Canadian_aboriginal Carian Caucasian_albanian Chakma Cham Cherokee Chorasmian Common
Coptic Cuneiform Cypriot Cypro_minoan Cyrillic Deseret Devanagari Dives_akuru Dogra Duployan Egyptian_hieroglyphs
Elbasan Elymaic Ethiopic Garay Georgian Glagolitic Gothic Grantha Greek Gujarati Gunjala_gondi Gurmukhi Gurung_Khema
Han Hangul Hanifi_rohingya Hanunoo Hatran Hebrew Hiragana Imperial_aramaic Inherited Inscriptional_pahlavi
Inscriptional_parthian Javanese Kaithi Kannada Katakana Kawi Kayah_li Kharoshthi Khitan_small_script Khmer Khojki
Khudawadi Kirat_Rai Lao Latin Lepcha Limbu Linear_a Linear_b Lisu Lycian Lydian Mahajani Makasar Malayalam Mandaic
Manichaean Marchen Masaram_gondi Medefaidrin Meetei_mayek Mende_kikakui Meroitic_cursive Meroitic_hieroglyphs Miao Modi
Mongolian Mro Multani Myanmar Nabataean Nag_Mundari Nandinagari New_tai_lue Newa Nko Nushu Nyiakeng_puachue_hmong Ogham
Ol_Onal Ol_chiki Old_hungarian Old_italic Old_north_arabian Old_permic Old_persian Old_sogdian Old_south_arabian
Old_turkic Old_uyghur Oriya Osage Osmanya Pahawh_hmong Palmyrene Pau_cin_hau Phags_pa Phoenician Psalter_pahlavi Rejang
Runic Samaritan Saurashtra Sharada Shavian Siddham SignWriting Sinhala Sogdian Sora_sompeng Soyombo Sundanese Sunuwar
Syloti_nagri Syriac Tagalog Tagbanwa Tai_le Tai_tham Tai_viet Takri Tamil Tangsa Tangut Telugu Thaana Thai Tibetan
Tifinagh Tirhuta Todhri Toto Tulu_Tigalari Ugaritic Vai Vithkuqi Wancho Warang_citi Yezidi Yi Zanabazar_square
""".split()
# Characters whose category was another one in Unicode 8.0 or 9.0.
PUNCTUATION_8 = {0x166D, 0x111C9}
MARK_9_ALSO = {0x1CF2, 0x1CF3}
MARK_9_NOT = {0x111C9}
NONSPACING_8_ALSO = {0x1734, 0x1171E}
NONSPACING_8_NOT = {0x1885, 0x1886, 0xA9BD, 0x111C9}
# Lower case letters added after Unicode 14.0: (first, last, offset of the lower case letter).
LOWER_SINCE_14 = [
    (0x1C89, 0x1C89, 1), (0xA7CB, 0xA7CB, 0x264 - 0xA7CB), (0xA7CC, 0xA7CC, 1), (0xA7CE, 0xA7CE, 1), (0xA7D2, 0xA7D2, 1),
    (0xA7D4, 0xA7D4, 1), (0xA7DA, 0xA7DA, 1), (0xA7DC, 0xA7DC, 0x19B - 0xA7DC), (0x10D50, 0x10D65, 0x20), (0x16EA0, 0x16EB8, 0x1B)]


def is_surrogate(c):
    return 0xD800 <= c <= 0xDFFF


def members(property_name):
    """The code points that have a property, as Oniguruma knows it."""
    try:
        others = normalizers.Replace(Regex(r"[^\p{%s}]" % property_name), "")
    except Exception as e:
        raise SystemExit(f"{property_name}: {e}")
    points = [c for c in POINTS if not is_surrogate(c)]
    return {ord(x) for i in range(0, len(points), 20000) for x in others.normalize_str("".join(map(chr, points[i:i + 20000])))}


def assign(names):
    """code point -> index into names, for properties that no two share."""
    return {c: index for index, name in enumerate(names) for c in members(name)}


def perl_points(test):
    """The code points for which a perl expression on chr($c) holds."""
    script = "for my $c (0..0x10FFFF) { next if $c >= 0xD800 && $c <= 0xDFFF; print \"$c\\n\" if chr($c) =~ /%s/ }" % test
    return map(int, subprocess.run(["perl", "-e", script], capture_output=True, text=True, check=True).stdout.split())


def grapheme_breaks(category):
    """code point -> index into BREAKS; characters that perl does not know yet go by their category."""
    result = {c: i for i, name in enumerate(BREAKS) if i for c in perl_points(r"\p{GCB=%s}" % name)}
    unknown = set(perl_points(r"\p{Age=NA}"))
    by_category = {"Mn": "Extend", "Me": "Extend", "Mc": "SpacingMark", "Cf": "Control"}
    for c in unknown:
        name = CATEGORIES[category[c]]
        result[c] = BREAKS.index(by_category.get(name, "Other"))
    return result


def ages():
    """code point -> version that assigned it, for what versions up to 9.0 assigned."""
    versions = "1.1 2.0 2.1 3.0 3.1 3.2 4.0 4.1 5.0 5.1 5.2 6.0 6.1 6.2 6.3 7.0 8.0 9.0".split()
    return {c: float(v) for v in versions for c in perl_points(r"\p{Age=%s}" % v)}


def varint(out, value):
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)


def records(age):
    """Per code point: category, script, flags, grapheme break, combining class."""
    category = assign([x for x in CATEGORIES if x != "Cs"])
    category = {c: i + (i >= CATEGORIES.index("Cs")) for c, i in category.items()}
    script_names, script = SCRIPTS + ["Unknown"], assign(SCRIPTS)
    grapheme = grapheme_breaks(category)
    alphabetic, pictographic = members("Alphabetic"), members("Extended_Pictographic")
    result = []
    for c in POINTS:
        if is_surrogate(c):
            result.append((CATEGORIES.index("Cs"), len(script_names) - 1, 0, BREAKS.index("Control"), 0))
            continue
        name, old8, old9 = CATEGORIES[category[c]], age.get(c, 99.0) <= 8.0, age.get(c, 99.0) <= 9.0
        flags = [c in alphabetic, c in pictographic,
                 old8 and name[0] == "P" or c in PUNCTUATION_8,
                 old9 and name[0] == "M" and c not in MARK_9_NOT or c in MARK_9_ALSO,
                 old8 and name == "Mn" and c not in NONSPACING_8_NOT or c in NONSPACING_8_ALSO,
                 old8 and name in ("Cc", "Cf", "Co"),
                 old9]
        bits = sum(1 << i for i, f in enumerate(flags) if f)
        unknown = len(script_names) - 1
        combining = unicodedata.combining(chr(c)) if old9 else 0
        result.append((category[c], script.get(c, unknown), bits, grapheme.get(c, 0), combining))
    return script_names, result


def lower_pairs():
    pairs = {}
    for c in POINTS:
        low = "" if is_surrogate(c) else chr(c).lower()
        if len(low) == 1 and ord(low) != c:
            pairs[c] = ord(low)
    for first, last, offset in LOWER_SINCE_14:
        pairs.update((c, c + offset) for c in range(first, last + 1))
    return sorted(pairs.items())          # U+0130 alone has two letters; UnicodeData.cs knows it


def fold_pairs(lower):
    pairs = {c: low for c, low in lower if c >= 0x1C80 and unicodedata.category(chr(c)) == "Cn"}
    for c in POINTS:
        fold = "" if is_surrogate(c) else chr(c).casefold()
        if len(fold) > 1:
            fold = chr(c).lower()             # simple folding, where full folding gives several letters
        if len(fold) == 1 and ord(fold) != c:
            pairs[c] = ord(fold)
    return sorted(pairs.items())


def write_pairs(out, pairs):
    varint(out, len(pairs))
    last = 0
    for c, to in pairs:
        varint(out, c - last)
        varint(out, (to - c) * 2 if to >= c else (c - to) * 2 - 1)
        last = c


def write_decompositions(out, age):
    """code point, kind (1 compatibility, 2 canonical and not composed again, 4 canonical), mapping."""
    rows = []
    for c in POINTS:
        text = unicodedata.decomposition(chr(c))
        if not text or age.get(c, 99.0) > 9.0:
            continue
        parts = text.split(" ")
        compatible = parts[0].startswith("<")
        points = [int(p, 16) for p in parts[compatible:]]
        rows.append((c, 1 if compatible else 4 if unicodedata.normalize("NFC", chr(c)) == chr(c) else 2, points))
    varint(out, len(rows))
    last = 0
    for c, kind, points in rows:
        varint(out, c - last)
        varint(out, len(points) << 3 | kind)
        for p in points:
            varint(out, p)
        last = c


def main():
    age = ages()
    script_names, rows = records(age)
    kinds = sorted(set(rows))
    index = {row: i for i, row in enumerate(kinds)}
    out = bytearray()
    varint(out, len(script_names))
    for name in script_names:
        varint(out, len(name))
        out += name.encode()
    varint(out, len(kinds))
    for row in kinds:
        out += bytes(row)
    start = 0
    for c in list(POINTS)[1:] + [0x110000]:
        if c == 0x110000 or rows[c] != rows[start]:
            varint(out, c - start)
            varint(out, index[rows[start]])
            start = c
    lower = lower_pairs()
    write_pairs(out, lower)
    write_pairs(out, fold_pairs(lower))
    write_decompositions(out, age)
    packed = zlib.compress(bytes(out), 9)
    with open(os.path.join(HERE, "unicode.bin"), "wb") as f:
        f.write(packed)
    print(len(kinds), "kinds,", len(out), "bytes, packed", len(packed))


if __name__ == "__main__":
    main()
