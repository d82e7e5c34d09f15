"""Writes ../tokenizer-corners.json: what tokenizers 0.23.3 makes of small tokenizers whose settings are seldom: affixes of BPE, bytes that
are not all there, splits of every behaviour, added tokens that strip. Usage: python tokenizer-corners.py"""
import json
import pathlib

from tokenizers import Tokenizer

cases = []


def case(name, spec, texts, decode=()):
    whole = dict.fromkeys(["truncation", "padding", "normalizer", "pre_tokenizer", "post_processor", "decoder"])
    whole = {"version": "1.0", "added_tokens": []} | whole | spec
    tokenizer = Tokenizer.from_str(json.dumps(whole))
    rows = []
    for text in texts:
        encoded = tokenizer.encode(text)
        rows.append({"text": text, "ids": encoded.ids, "offsets": encoded.offsets, "decoded": tokenizer.decode(encoded.ids)})
    decoded = [{"ids": ids, "text": tokenizer.decode(ids)} for ids in decode]
    cases.append({"name": name, "tokenizer": whole, "rows": rows, "decoded": decoded})


def added(id, content, **flags):
    off = dict.fromkeys(["single_word", "lstrip", "rstrip", "normalized", "special"], False)
    return {"id": id, "content": content} | off | flags


spaces = {"type": "WhitespaceSplit"}
vocab = ["<unk>", "a", "##b", "##c", "b", "c", "a</w>", "##b</w>", "##c</w>", "ab", "abc</w>", "##bc</w>", "b</w>", "ab</w>"]
affixes = {"type": "BPE", "unk_token": "<unk>", "continuing_subword_prefix": "##", "end_of_word_suffix": "</w>",
           "vocab": {token: id for id, token in enumerate(vocab)},
           "merges": [["a", "##b"], ["##b", "##c</w>"], ["a", "##b</w>"], ["ab", "##c</w>"]]}
case("bpe with affixes", {"model": affixes, "pre_tokenizer": spaces}, ["abc ab a b", "xaby bca", "abx", "\u00e9 b"])
few = {"type": "BPE", "unk_token": "<unk>", "fuse_unk": True, "byte_fallback": True, "merges": [["a", "b"]],
       "vocab": {"<unk>": 0, "a": 1, "b": 2, "ab": 3, "<0x61>": 4, "<0xC3>": 5}}
case("bpe with two bytes", {"model": few}, ["a\u00e9b", "\u00e9\u00e9ab", "abc\U0001f600a"])
case("bpe without unknown", {"model": few | {"unk_token": None, "byte_fallback": False}}, ["a\u00e9b", "\u00e9ab", "ab\U0001f600ab"])

pieces = [["<unk>", 0.0], ["a", -1.0], ["b", -2.0], ["ab", -2.5], ["\u2581", -3.0], ["abc", -9.0], ["c", -4.0], ["bc", -2.0]]
unigram = {"type": "Unigram", "unk_id": 0, "byte_fallback": False, "vocab": pieces}
meta = {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "first", "split": False}
case("unigram", {"model": unigram, "pre_tokenizer": meta, "decoder": meta}, ["abc ab", "xxabyz", "ab  b", "", " a"])
for count in (256, 100):
    of_bytes = [[f"<0x{b:02X}>", -5.0] for b in range(count)]
    case(f"unigram with {count} bytes", {"model": unigram | {"byte_fallback": True, "vocab": pieces + of_bytes}}, ["a\u00e9b\U0001f600", "zza"])

words = {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 4,
         "vocab": {"[UNK]": 0, "ab": 1, "##c": 2, "##cd": 3, "a": 4, "##b": 5, "\u00e9": 6, "##\u00e9": 7}}
case("wordpiece of four characters", {"model": words, "pre_tokenizer": spaces, "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True}},
     ["abcd abcde abc ab", "\u00e9\u00e9\u00e9\u00e9 \u00e9\u00e9\u00e9\u00e9\u00e9 a\u00e9b", "abx a"])

level = {"type": "WordLevel", "unk_token": "[UNK]", "vocab": {"[UNK]": 0}}
for behavior in ("Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"):
    for invert in (False, True):
        split = {"type": "Split", "pattern": {"Regex": "\\d"}, "behavior": behavior, "invert": invert}
        case(f"split {behavior}{' inverted' if invert else ''}", {"model": level, "pre_tokenizer": split}, ["a12b3", "12", "ab", "1a22bb333"])
case("digits in runs", {"model": level, "pre_tokenizer": {"type": "Digits", "individual_digits": False}}, ["ab123c45", "7", "x"])
case("punctuation in runs", {"model": level, "pre_tokenizer": {"type": "Punctuation", "behavior": "Contiguous"}}, ["a!!b?,c", "...", "x"])
heard = {token: id for id, token in enumerate(["<pad>", "h", "e", "l", "o", "|", "<unk>"])}
case("ctc", {"model": level | {"unk_token": "<unk>", "vocab": heard},
             "decoder": {"type": "CTC", "pad_token": "<pad>", "word_delimiter_token": "|", "cleanup": True}},
     [], [[1, 1, 2, 3, 0, 3, 3, 4, 5, 5, 1, 4], [0, 0, 1], [5, 1]])
mask = added(1, "<m>", lstrip=True, rstrip=True, special=True)
case("added tokens", {"model": level, "normalizer": {"type": "Lowercase"},
                      "added_tokens": [mask, added(2, "ab", single_word=True, normalized=True), added(3, "<m>x")]},
     ["a <m> <m> b", "AB ab abc ab", "  <m>x <m>", "<M>"])

byte = {"type": "BPE", "vocab": {"a": 0, "\u0120": 1, "b": 2, "\u0120a": 3, "\u0120\u0120": 4, "\u010a": 5},
        "merges": [["\u0120", "a"], ["\u0120", "\u0120"]]}
for prefix in (False, True):
    step = {"type": "ByteLevel", "add_prefix_space": prefix, "trim_offsets": True, "use_regex": False}
    case(f"byte-level offsets{' behind a space' if prefix else ''}",
         {"model": byte, "pre_tokenizer": step, "post_processor": step, "decoder": step}, ["  a b", "a  a ", "   ", "a\na", "a  "])

target = pathlib.Path(__file__).parent.parent / "tokenizer-corners.json"
target.write_text("[\n" + ",\n".join(json.dumps(case) for case in cases) + "\n]\n")
