"""The peers' side of `peftalign bench`: KIND DIR ROWS THREADS. Answers each line of standard input with one measured run, as BenchWorker does."""
import contextlib
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


def train():
    """TRL's DPOTrainer and SFTTrainer over rows that are tokens, in file order, fp32 or bf16 autocast, no checkpointing, logging or saving; SFT without
    padding. A run's seconds are its own: those of the steps behind the warm-up."""
    import datasets
    import gc
    import peft
    import tempfile
    import transformers
    import trl
    spec = json.load(open(rows))
    steps, lines, longest = len(spec["rows"]) // spec["batch"], spec["rows"], spec["max_length"]
    common = dict(output_dir=tempfile.mkdtemp(prefix="peers-"), per_device_train_batch_size=spec["batch"], max_steps=steps, learning_rate=1e-4, lr_scheduler_type="constant",
                  gradient_checkpointing=False, bf16=spec.get("dtype") == "bfloat16", use_cpu=True, logging_strategy="no", save_strategy="no", eval_strategy="no", report_to=[], disable_tqdm=True,
                  dataloader_pin_memory=False, dataloader_num_workers=0, train_sampling_strategy="sequential", seed=0)

    class Clock(transformers.TrainerCallback):
        ends = []

        def on_step_end(self, args, state, control, **kwargs):
            self.ends.append(time.perf_counter())

    class Prepared(trl.DPOTrainer):
        def _prepare_dataset(self, dataset, *args, **kwargs):
            return dataset

    def run():
        gc.collect()
        Clock.ends = []
        lora = spec["adapter"]["options"]
        adapter = peft.LoraConfig(r=lora["rank"], lora_alpha=lora["alpha"], lora_dropout=0.0, target_modules=lora["targets"], task_type="CAUSAL_LM")
        if spec["method"] == "dpo":
            config = trl.DPOConfig(beta=0.1, max_length=longest, **common)
            trainer = Prepared(model=model_of(), args=config, train_dataset=datasets.Dataset.from_list(lines), processing_class=tokenizer(), peft_config=adapter, callbacks=[Clock()])
        else:
            data = [{"input_ids": r["prompt_ids"] + r["completion_ids"], "completion_mask": [0] * len(r["prompt_ids"]) + [1] * len(r["completion_ids"])} for r in lines]
            config = trl.SFTConfig(completion_only_loss=True, padding_free=True, packing=False, max_length=None, **common)
            trainer = trl.SFTTrainer(model=model_of(), args=config, train_dataset=datasets.Dataset.from_list(data), processing_class=tokenizer(), peft_config=adapter, callbacks=[Clock()])
        losses, inner = [], trainer.training_step

        def step(*a, **k):
            losses.append(inner(*a, **k).item())
            return torch.tensor(losses[-1])
        trainer.training_step = step
        with contextlib.redirect_stdout(sys.stderr):
            trainer.train()
        run.seconds = Clock.ends[-1] - Clock.ends[spec["warmup"] - 1]
        return losses
    return run


run = {"train": train, "generate": generate, "score": score, "load": load, "merge": merge}[kind]()
print(json.dumps({"libtorch": torch.__version__}), flush=True)
for _ in sys.stdin:
    begin = time.perf_counter()
    answer = run()
    print(json.dumps({"seconds": getattr(run, "seconds", time.perf_counter() - begin), "answer": answer}), flush=True)
    if kind == "merge":
        shutil.rmtree(rows)
