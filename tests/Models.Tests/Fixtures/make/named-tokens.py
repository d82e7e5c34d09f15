"""Writes ../named-tokens.json: what transformers 5 makes of folders whose three files beside tokenizer.json name tokens, each in its
own way. Usage: python named-tokens.py TOKENIZER_JSON (golden/tokenizers/trained/qwen2_split/tokenizer.json)"""
import json
import pathlib
import shutil
import sys
import tempfile

from transformers import AutoTokenizer

# Name, tokenizer_config.json, special_tokens_map.json, added_tokens.json; None: not there. The tokenizer has the ids 0 to 704; of its
# added tokens <|im_end|> (702) is special, <tool_call> (703) is not.
CASES = [
    ("map alone", {}, {"eos_token": "</s>", "bos_token": {"content": "<s>", "lstrip": False, "normalized": True, "rstrip": True, "single_word": False}}, None),
    ("both", {"eos_token": "<|im_end|>", "pad_token": "<p>"}, {"eos_token": "</s>"}, None),
    ("both, decoder", {"added_tokens_decoder": {}, "eos_token": "<|im_end|>"}, {"eos_token": "</s>", "pad_token": "<p>"}, None),
    ("map null", {"eos_token": "</s>", "pad_token": "<p>"}, {"eos_token": None}, None),
    ("map empty text", {"eos_token": "</s>", "pad_token": "<p>"}, {"eos_token": ""}, None),
    ("map object special false", {"eos_token": "</s>"}, {"eos_token": {"content": "<e>", "special": False, "lstrip": True}}, None),
    ("map object special false normalized absent", {}, {"eos_token": {"content": "<E>"}}, None),
    ("additional both", {"additional_special_tokens": ["<|a|>", "<|b|>"]}, {"additional_special_tokens": ["<|c|>", "<|a|>"]}, None),
    ("additional map type", {}, {"additional_special_tokens": ["<|c|>", {"content": "<|d|>", "lstrip": True, "rstrip": False, "normalized": False, "single_word": False, "__type": "AddedToken"}]}, None),
    ("extra both", {"extra_special_tokens": ["<|a|>"]}, {"extra_special_tokens": ["<|b|>", "<|a|>", {"content": "<|c|>", "lstrip": True}]}, None),
    ("extra conf, additional map", {"extra_special_tokens": ["<|a|>"]}, {"additional_special_tokens": ["<|b|>"]}, None),
    ("extra empty conf, additional map", {"extra_special_tokens": []}, {"additional_special_tokens": ["<|b|>"]}, None),
    ("additional empty conf, additional map", {"additional_special_tokens": []}, {"additional_special_tokens": ["<|b|>"]}, None),
    ("additional null conf, additional map", {"additional_special_tokens": None}, {"additional_special_tokens": ["<|b|>"]}, None),
    ("additional conf, extra map", {"additional_special_tokens": ["<|a|>"]}, {"extra_special_tokens": ["<|b|>"]}, None),
    ("both in conf, additional map", {"additional_special_tokens": ["<|a|>"], "extra_special_tokens": ["<|x|>"]}, {"additional_special_tokens": ["<|b|>"]}, None),
    ("both in map", {}, {"additional_special_tokens": ["<|b|>"], "extra_special_tokens": ["<|x|>"]}, None),
    ("extra dict map", {"extra_special_tokens": {"image_token": "<|i|>"}}, {"extra_special_tokens": {"image_token": "<|j|>", "video_token": "<|v|>"}}, None),
    ("extra dict conf, list map", {"extra_special_tokens": {"image_token": "<|i|>"}}, {"extra_special_tokens": ["<|j|>"]}, None),
    ("extra list conf, dict map", {"extra_special_tokens": ["<|j|>"]}, {"extra_special_tokens": {"image_token": "<|i|>"}}, None),
    ("own both", {"image_token": "<|i|>"}, {"image_token": "<|j|>"}, None),
    ("own map", {"eot_token": "<|q|>"}, {"image_token": "<|j|>"}, None),
    ("own map object", {"eot_token": "<|q|>"}, {"image_token": {"content": "<|j|>", "lstrip": True}}, None),
    ("own order", {"b_token": "<|q|>", "extra_special_tokens": {"c_token": "<|c|>"}}, {"a_token": "<|j|>", "b_token": "<|z|>"}, None),
    ("own map, dict conf", {"extra_special_tokens": {"c_token": "<|c|>"}}, {"c_token": "<|j|>"}, None),
    ("added special by config", {"eos_token": "<e>"}, {"eos_token": "<f>"}, {"<e>": 705, "<f>": 706}),
    ("added special by additional map", {}, {"additional_special_tokens": ["<e>"]}, {"<e>": 705, "<f>": 706}),
    ("added special by additional conf", {"additional_special_tokens": ["<e>"]}, None, {"<e>": 705, "<f>": 706}),
    ("added special by own", {"x_token": "<e>"}, {"y_token": "<f>"}, {"<e>": 705, "<f>": 706}),
    ("added, decoder", {"added_tokens_decoder": {"705": {"content": "<z>", "lstrip": False, "normalized": False, "rstrip": False, "single_word": False, "special": True}}}, {"additional_special_tokens": ["<e>"]}, {"<e>": 706, "<f>": 707}),
    ("added order", {}, None, {"<f>": 706, "<e>": 705}),
    ("added with role object flags", {"eos_token": {"__type": "AddedToken", "content": "<e>", "lstrip": True, "rstrip": True, "normalized": False, "single_word": False, "special": True}}, None, {"<e>": 705}),
    ("role non special in tokenizer.json, conf", {"eos_token": "<tool_call>"}, None, None),
    ("role non special in tokenizer.json, map", {}, {"eos_token": "<tool_call>"}, None),
    ("additional non special in tokenizer.json", {}, {"additional_special_tokens": ["<tool_call>"]}, None),
    ("role flags vs tokenizer.json", {}, {"eos_token": {"content": "<|im_end|>", "lstrip": True, "rstrip": True, "normalized": False, "single_word": False}}, None),
    ("added known in tokenizer.json", {}, None, {"<tool_call>": 703, "<|im_end|>": 702}),
    ("added empty role", {"eos_token": ""}, {"pad_token": ""}, {"<e>": 705}),
    ("vocab word added json", {}, None, {"x": 87}),
    ("added gap", {}, None, {"<e>": 800, "<f>": 900}),
    ("added gap then role", {"eos_token": "</s>"}, None, {"<e>": 800, "<f>": 900}),
    ("decoder gap", {"added_tokens_decoder": {"900": {"lstrip": False, "normalized": False, "rstrip": False, "single_word": False, "special": True, "content": "<z>"}, "800": {"lstrip": False, "normalized": False, "rstrip": False, "single_word": False, "special": True, "content": "<y>"}}}, None, None),
    ("role non special, decoder", {"added_tokens_decoder": {}, "eos_token": "<tool_call>"}, None, None),
    ("own non special, decoder", {"added_tokens_decoder": {}, "eot_token": "<tool_call>"}, None, None),
    ("own non special", {"eot_token": "<tool_call>"}, None, None),
    ("own non special map", {}, {"eot_token": "<tool_call>"}, None),
    ("cls non special", {"cls_token": "<tool_call>"}, None, None),
    ("cls non special decoder", {"added_tokens_decoder": {}, "cls_token": "<tool_call>"}, None, None),
    ("config own object + map own", {"a_token": "<A>", "eot_token": {"__type": "AddedToken", "content": "<q>"}}, {"b_token": "<B>", "eot_token": "<r>"}, None),
    ("config role object no normalized", {"eos_token": {"__type": "AddedToken", "content": "</S>"}}, None, None),
    ("map extra obj", {}, {"extra_special_tokens": ["<a>", {"content": "<B>"}]}, {"<B>": 705}),
    ("map additional in added, and config eos obj", {"eos_token": "<q>"}, {"additional_special_tokens": ["<e>"], "eos_token": {"content": "<f>"}}, {"<e>": 705, "<f>": 706}),
    ("conf additional objects in added", {"additional_special_tokens": [{"__type": "AddedToken", "content": "<e>", "normalized": False, "special": True}]}, None, {"<e>": 705}),
    ("own in vocab", {"x_token": "x"}, None, None),
    ("map additional null", {"additional_special_tokens": ["<a>"]}, {"additional_special_tokens": None}, None),
    ("map extra null", {"extra_special_tokens": ["<a>"]}, {"extra_special_tokens": None}, None),
    ("map own null", {"a_token": "<A>"}, {"a_token": None}, None),
    ("map own obj null", {"a_token": {"__type": "AddedToken", "content": "<q>"}}, {"a_token": None}, None),
    ("map extra dict vs conf own", {"a_token": "<A>"}, {"extra_special_tokens": {"a_token": "<B>"}}, None),
    ("map extra dict std", {"eos_token": "<A>"}, {"extra_special_tokens": {"eos_token": "<B>"}}, None),
    ("conf extra dict std", {"eos_token": "<A>", "extra_special_tokens": {"eos_token": "<B>"}}, None, None),
    ("same token two roles", {"eos_token": "<A>"}, {"pad_token": {"content": "<A>", "lstrip": True}}, None),
    ("extra dict and additional list in conf", {"extra_special_tokens": {"i": "<A>"}, "additional_special_tokens": ["<B>"]}, None, None),
    ("extra dict conf, additional map", {"extra_special_tokens": {"i": "<A>"}}, {"additional_special_tokens": ["<B>"]}, None),
    ("additional conf, extra dict map", {"additional_special_tokens": ["<B>"]}, {"extra_special_tokens": {"i": "<A>"}}, None),
    ("extra null conf, additional map", {"extra_special_tokens": None}, {"additional_special_tokens": ["<B>"]}, None),
    ("extra dict and additional map", {}, {"extra_special_tokens": {"i": "<A>"}, "additional_special_tokens": ["<B>"]}, None),
    ("mixed normal form", {"added_tokens_decoder": {"705": {"content": "<Z>", "special": True}}}, None, None),
    ("conf extra empty and additional", {"extra_special_tokens": [], "additional_special_tokens": ["<B>"]}, {"additional_special_tokens": ["<C>"]}, None),
]


def contents(value):
    if isinstance(value, dict):
        if "content" in value:
            yield value["content"]
        else:
            for item in value.values():
                yield from contents(item)
    elif isinstance(value, list):
        for item in value:
            yield from contents(item)
    elif isinstance(value, str) and value:
        yield value


def case(tokenizer, name, config, special, added):
    files = {"tokenizer_config.json": config, "special_tokens_map.json": special, "added_tokens.json": added}
    files = {file: content for file, content in files.items() if content is not None}
    tokens = dict.fromkeys([*contents(config), *contents(special), *(added or {})])
    text = "".join(f"a {token} b" for token in tokens)
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(tokenizer, folder)
        for file, content in files.items():
            if file == "tokenizer_config.json":
                content = {**content, "tokenizer_class": "PreTrainedTokenizerFast"}
            pathlib.Path(folder, file).write_text(json.dumps(content))
        theirs = AutoTokenizer.from_pretrained(folder)
    ids = theirs(text, add_special_tokens=False)["input_ids"]
    return {"name": name, "files": files, "text": text, "ids": ids, "plain": theirs.decode(ids, skip_special_tokens=True),
            "roles": theirs.special_tokens_map, "size": len(theirs)}


rows = [json.dumps(case(sys.argv[1], *row)) for row in CASES]
pathlib.Path(__file__).parent.with_name("named-tokens.json").write_text("[\n" + ",\n".join(rows) + "\n]\n")
