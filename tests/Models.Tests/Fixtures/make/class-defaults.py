"""Writes ../class-defaults.json: what transformers 5.23 makes of configurations that say nothing but sizes, or null, or rotary positions in
odd places: the shapes of the weights, and the numbers that no weight shows. Usage: python class-defaults.py"""
import json
import pathlib

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSequenceClassification, logging

logging.set_verbosity_error()

LAYERS = 8
SIZES = {"vocab_size": 128256, "hidden_size": 64, "intermediate_size": 48, "num_hidden_layers": LAYERS, "num_attention_heads": 32}
OWN = {
    "gpt2": {"vocab_size": 300, "n_embd": 64, "n_layer": LAYERS, "n_head": 32},
    "gpt_neo": {"vocab_size": 300, "hidden_size": 64, "num_layers": 24, "num_heads": 32},
    "gpt_neox": {"vocab_size": 300, "hidden_size": 256, "num_hidden_layers": LAYERS, "num_attention_heads": 16},
    "opt": {"vocab_size": 300, "hidden_size": 64, "num_hidden_layers": LAYERS, "num_attention_heads": 32},
    "stablelm": SIZES | {"hidden_size": 512},
    "phi3": SIZES | {"hidden_size": 512},
    "phi": SIZES | {"hidden_size": 512},
    "gptj": {"vocab_size": 300, "n_embd": 2048, "n_layer": LAYERS, "n_head": 32},
    "falcon": {"vocab_size": 300, "hidden_size": 128, "num_hidden_layers": LAYERS, "num_attention_heads": 32},
    "cohere": SIZES | {"vocab_size": 300},
}
DECODERS = ["llama", "mistral", "qwen2", "qwen3", "gemma", "gemma2", "gemma3_text", "granite", "olmo2", "olmo3", "smollm3", "phi3", "phi", "cohere", "stablelm", "gpt2", "gpt_neo", "gpt_neox", "gptj", "falcon", "opt"]
NULLS = ["num_key_value_heads", "head_dim", "sliding_window", "pad_token_id", "attn_logit_softcapping", "final_logit_softcapping", "layer_types", "word_embed_proj_dim", "n_inner", "attention_types"]
LINEAR = {"rope_type": "linear", "factor": 4.0}
LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
YARN = {"rope_type": "yarn", "factor": 4.0}
MORE = [
    ("qwen2", {"use_sliding_window": True, "max_window_layers": 3}),
    ("qwen3", {"use_sliding_window": True, "max_window_layers": 3}),
    ("smollm3", {"use_sliding_window": True, "sliding_window": 7}),
    ("smollm3", {"use_sliding_window": True}),
    ("llama", {"rope_scaling": {}, "rope_parameters": LINEAR}),
    ("llama", {"rope_scaling": LINEAR, "rope_parameters": {"rope_type": "default", "rope_theta": 7.0}}),
    ("llama", {"rope_theta": 50.0, "rope_scaling": LLAMA3}),
    ("llama", {"rope_scaling": YARN, "original_max_position_embeddings": 64}),
    ("llama", {"rope_scaling": YARN | {"original_max_position_embeddings": 32}, "original_max_position_embeddings": 64}),
    ("mistral", {"rope_scaling": YARN}),
    ("llama", {"rotary_emb_base": 7.0, "rotary_pct": 0.5}),
    ("gpt_neox", {"rope_theta": 7.0, "partial_rotary_factor": 0.5}),
    ("gpt_neox", {"rotary_emb_base": 7.0, "rotary_pct": 0.5}),
    ("gpt_neox", {"rope_parameters": {}, "rotary_emb_base": 7.0}),
    ("gpt_neox", {"rope_scaling": LINEAR, "rotary_emb_base": 7.0}),
    ("gpt_neox", {"rope_parameters": {"rope_type": "default", "rope_theta": 9.0, "partial_rotary_factor": 0.75}, "rotary_emb_base": 7.0}),
    ("stablelm", {"partial_rotary_factor": 0.5}),
    ("stablelm", {"rope_parameters": {"rope_type": "default", "rope_theta": 9.0}}),
    ("stablelm", {"rope_scaling": {}, "rope_parameters": {"rope_type": "default", "partial_rotary_factor": 0.75}}),
    ("stablelm", {"rope_scaling": LINEAR, "rope_parameters": {"rope_type": "default", "partial_rotary_factor": 0.75}}),
    ("phi3", {"rope_parameters": {"rope_type": "default", "partial_rotary_factor": 0.5}}),
    ("olmo2", {"rms_norm_eps": 1e-3, "head_dim": 4}),
]


def one(values):
    """The only value."""
    found = set(values)
    assert len(found) == 1, found
    return found.pop()


def windows(config):
    kind, window = config.model_type, getattr(config, "sliding_window", None)
    if kind == "gpt_neo":
        return [config.window_size if layer == "local" else None for layer in config.attention_layers]
    if kind in ("mistral", "phi3"):
        return [window] * config.num_hidden_layers
    return [window if layer == "sliding_attention" else None for layer in getattr(config, "layer_types", None) or [None] * config.num_hidden_layers]


def frequencies(model, layer_types):
    """Angles per position of each kind of layer, and the factor of cosines and sines."""
    for module in model.modules():
        if hasattr(module, "compute_default_rope_parameters"):
            found = {}
            for kind in layer_types:
                name = "inv_freq" if hasattr(module, "inv_freq") else kind + "_inv_freq"
                scale = "attention_scaling" if hasattr(module, "attention_scaling") else kind + "_attention_scaling"
                found[kind] = {"angles": getattr(module, name).double().tolist(), "scale": float(getattr(module, scale))}
            return found
    return None


def facts(kind, config):
    if kind not in DECODERS and config.get("pad_token_id", 0) is None or kind in ("gemma2", "gemma3_text", "olmo3") and config.get("sliding_window", 0) is None:
        raise ValueError("such a model is built and cannot be computed")
    config = AutoConfig.for_model(**json.loads(json.dumps(config)))  # which writes into nested objects
    is_encoder = kind not in DECODERS
    with torch.device("meta"):
        model = (AutoModelForSequenceClassification if is_encoder else AutoModelForCausalLM).from_config(config)
    shapes = {name: list(p.shape) for name, p in model.state_dict().items() if not any(f".{k}." in name for k in range(1, 24)) and not name.endswith((".attn.bias", "masked_bias", "inv_freq", "position_ids", "token_type_ids"))}
    tied = not is_encoder and model.get_output_embeddings().weight is model.get_input_embeddings().weight
    if tied:
        shapes = {name: shape for name, shape in shapes.items() if not name.startswith(("lm_head", "embed_out"))}
    eps = one(getattr(m, "variance_epsilon", None) or getattr(m, "eps") for m in model.modules() if "Norm" in type(m).__name__)
    told = {"shapes": shapes, "eps": eps, "positions": config.max_position_embeddings, "pad": model.get_input_embeddings().padding_idx}
    if is_encoder:
        return told
    first = next(m for name, m in model.named_modules() if name.endswith(("layers.0.self_attn", "h.0.attn.attention", "h.0.attn", "h.0.self_attention", "layers.0.attention")))
    scale = getattr(first, "scaling", None)
    if kind in ("gpt2", "gpt_neo", "gptj"):
        scale = 1.0 if kind == "gpt_neo" else first.head_dim**-0.5
    if kind == "falcon":
        scale = first.inv_norm_factor
    told |= {"tied": tied, "windows": windows(config), "scale": scale, "activation": next(getattr(config, key) for key in ("hidden_activation", "hidden_act", "activation_function", "activation") if hasattr(config, key))}
    if kind in ("gemma2", "gemma3_text"):
        told |= {"scoreCap": config.attn_logit_softcapping, "logitCap": config.final_logit_softcapping}
    if kind == "granite":
        told["factors"] = [config.embedding_multiplier, config.residual_multiplier, config.logits_scaling]
    if hasattr(config, "rope_parameters"):
        kinds = ["full_attention", "sliding_attention"] if kind in ("gemma3_text", "olmo3") else ["full_attention"]
        real = AutoConfig.for_model(**json.loads(json.dumps(SOURCE)) | {"num_hidden_layers": LAYERS, "vocab_size": 300, "pad_token_id": 0, "layer_types": None})
        told["ropes"] = frequencies(AutoModelForCausalLM.from_config(real), kinds)
    return told


cases = []
for kind in [*DECODERS, "roberta", "deberta-v2"]:
    sizes = OWN.get(kind, SIZES)
    given = [{}, *({key: None} for key in NULLS), *(more for name, more in MORE if name == kind)]
    for more in given:
        SOURCE = {"model_type": kind} | sizes | more
        try:
            told = facts(kind, SOURCE)
        except Exception as error:  # noqa: BLE001
            if not more or more in [m for _, m in MORE]:
                print("refused", kind, more, repr(error)[:200])
            continue
        # A null that changes nothing says nothing.
        if not (more and list(more.values()) == [None] and told == next(c["facts"] for c in cases if c["config"]["model_type"] == kind)):
            cases.append({"config": SOURCE, "facts": told})

text = ",\n".join(json.dumps(c, separators=(",", ":")) for c in cases)
(pathlib.Path(__file__).parent.parent / "class-defaults.json").write_text(f"[\n{text}\n]\n")
print(len(cases), "cases")
