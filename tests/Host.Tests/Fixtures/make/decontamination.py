"""Writes ../decontamination.json: which rows of a benchmark lm-evaluation-harness 0.4.13 finds in training texts (get_train_overlap, with
runs of 13, of 5 and of 1 word). Its archives of runs are plain text here. Usage: python decontamination.py"""
import json
import os
import pathlib
import sys
import tempfile
import types

sys.modules["lm_eval.decontamination.archiver"] = archiver = types.ModuleType("archiver")
archiver.ZStdTextReader = lambda path: types.SimpleNamespace(read_tqdm=lambda: pathlib.Path(path).read_text(encoding="utf-8").split("\n")[:-1])
from lm_eval.decontamination.decontaminate import get_train_overlap  # noqa: E402
from lm_eval.decontamination.janitor import Janitor, word_ngrams  # noqa: E402

LONG = "The river that runs behind our village froze last winter, and nobody could remember when it had done so before."
BENCHMARK = [
    LONG,
    "Which of these animals can fly, swim and also walk over the dry sand of a desert without any water at all?",
    "Too short to be found.",
    "One-two three; FOUR five (six) seven eight nine ten eleven twelve 'thirteen'",
    "Grüße aus ÄGYPTEN, wo die Sonne scheint und der Nil so breit ist wie ein See im Sommer",
    "exactly these thirteen words stand here so that they make one single run",
    "only twelve of the words of this row can be found in training data",
    "words\u00a0are\u2003parted\u2028by\u001cmany\u0085kinds\u3000of\u205fwhite\u1680space\u000bin\u000cthis\rone\there and there",
    "a zero\u200bwidth space parts no word and neither does \u2060 a joiner nor \ufeff a byte order mark I think",
    "emoji 😀 stay 😀 as they are 😀 and — dashes – too “quotes” as well, since … none of them is ASCII",
    "$ + < = > ^ ` | ~ the symbols of ASCII go away as its punctuation does, even where they stand alone & apart",
    "Wörter mit İ und ẞ und Σ und groß bleiben wie sie sind weil nur A bis Z klein werden hier",
]
TRAINING = [
    "Someone wrote: the RIVER, that runs behind our village froze last winter and nobody could remember. That was all.",
    "which of these animals can fly swim and also walk over the wet sand of a desert without any water at all",
    "onetwo three four five six seven eight nine ten eleven twelve thirteen",
    "Grüße aus ägypten, wo die Sonne scheint und der Nil so breit ist wie ein See im Winter",
    "Grüße aus ÄGypten wo die sonne scheint und der nil so breit ist wie ein see",
    "exactly, these thirteen words stand here, so that they make one single run!",
    "only twelve of the words of this row can be found in nothing",
    "words are parted by many kinds of white space in this one here",
    "a zerowidth space parts no word and neither does a joiner nor a byte order mark I think",
    "a zero\u200bwidth space parts no word and neither does \u2060 a joiner nor",
    "emoji 😀 stay 😀 as they are 😀 and — dashes – too “quotes” as",
    "the symbols of ascii go away as its punctuation does even where they stand alone apart",
    "wörter mit i\u0307 und ß und σ und groß bleiben wie sie sind weil nur a bis z klein werden hier",
    "wörter mit İ und ẞ und Σ und groß bleiben wie sie sind",
    "words\u001dparted\u001eby\u001fthe rarest",
]

found = {}
for words in (13, 5, 1):
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        os.mkdir("data")
        runs = sorted({run for text in TRAINING for run in word_ngrams(Janitor().normalize_string(text), words)})
        pathlib.Path("runs.sorted.zst").write_text("".join(f"{run} 0\n" for run in runs), encoding="utf-8")
        pathlib.Path("info.json").write_text(json.dumps({"ngram_size": words}))
        found[words] = sorted(get_train_overlap({("task", "test"): BENCHMARK}, folder, 0)["task"])
        os.chdir("/")

target = pathlib.Path(__file__).resolve().parent.parent / "decontamination.json"
target.write_text(json.dumps({"benchmark": BENCHMARK, "training": TRAINING, "found": found}, indent=1) + "\n")
