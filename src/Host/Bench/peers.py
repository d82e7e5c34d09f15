"""The peers' side of `peftalign bench`: KIND DIR ROWS THREADS. Answers each line of standard input with one measured run, as BenchWorker does."""
import json
import logging
import shutil
import sys
import time

kind, folder, rows, threads = sys.argv[1:5]
logging.disable(logging.WARNING)
import torch

torch.set_num_threads(int(threads))
torch.manual_seed(0)


def model_of():
    import transformers
    return transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="sdpa").eval()


def generate():
    """transformers' generate: greedy, dynamic cache, no end token, inference mode."""
    import transformers
    spec, model = json.load(open(rows)), model_of()
    ids, count = torch.tensor(spec["prompts"]), spec["new_tokens"]
    mask = torch.ones_like(ids)
    config = transformers.GenerationConfig(do_sample=False, max_new_tokens=count, min_new_tokens=count, pad_token_id=0, eos_token_id=None, use_cache=True)

    def run():
        with torch.inference_mode():
            out = model.generate(ids, attention_mask=mask, generation_config=config)
        return out[:, ids.shape[1]:ids.shape[1] + 8].flatten().tolist()
    return run


def tokenizer():
    """HFLM asks for one; requests are given as tokens, so that it is never used."""
    import tokenizers
    import transformers
    words = tokenizers.Tokenizer(tokenizers.models.WordLevel({"<unk>": 0, "<s>": 1, "</s>": 2}, unk_token="<unk>"))
    return transformers.PreTrainedTokenizerFast(tokenizer_object=words, unk_token="<unk>", bos_token="<s>", eos_token="</s>", pad_token="<unk>")


def score():
    """lm-evaluation-harness's HFLM, batches of 4, its cache of one-token answers on."""
    from lm_eval.models.huggingface import HFLM
    items = json.load(open(rows))["items"]
    lm = HFLM(pretrained=model_of(), tokenizer=tokenizer(), backend="causal", device="cpu", batch_size=4, max_length=2048, logits_cache=True)
    turn = [0]

    def run():
        turn[0] += 1
        requests = [((f"{turn[0]} {i}", str(j)), r["context"], c) for i, r in enumerate(items) for j, c in enumerate(r["continuations"])]
        with torch.inference_mode():
            return [o[0] for o in lm._loglikelihood_tokens(requests, disable_tqdm=True)]
    return run


def load():
    """from_pretrained and one forward pass; what both import is imported before."""
    from transformers import AutoModelForCausalLM, LlamaForCausalLM  # noqa: F401

    def run():
        with torch.inference_mode():
            logits = model_of()(torch.ones(1, 8, dtype=torch.long)).logits
        return [torch.log_softmax(logits[0, 6].float(), -1)[1].item()]
    return run


def merge():
    """mergekit's run_merge: DIR is the configuration, ROWS the folder to write."""
    import yaml
    from mergekit.config import MergeConfiguration
    from mergekit.merge import run_merge
    from mergekit.options import MergeOptions
    plan = MergeConfiguration.model_validate(yaml.safe_load(open(folder)))

    def run():
        run_merge(plan, rows, MergeOptions(lazy_unpickle=True, quiet=True, random_seed=0, copy_tokenizer=False, write_model_card=False))
        return []
    return run


run = {"generate": generate, "score": score, "load": load, "merge": merge}[kind]()
print(json.dumps({"libtorch": torch.__version__}), flush=True)
for _ in sys.stdin:
    begin = time.perf_counter()
    answer = run()
    print(json.dumps({"seconds": time.perf_counter() - begin, "answer": answer}), flush=True)
    if kind == "merge":
        shutil.rmtree(rows)
