"""Reads an exported directory back: into our model, or dequantized for transformers."""

import json
from pathlib import Path

import torch
from safetensors import safe_open

from deepseek import Deepseek, Linear, blocks, unblocks
from export import hf_name


def dequantized(model_dir):
    """Every tensor in float32 by its HF name, the scales multiplied in."""
    with safe_open(Path(model_dir) / "model.safetensors", "pt") as f:
        raw = {name: f.get_tensor(name) for name in f.keys()}
    out = {}
    for name, w in raw.items():
        if name.endswith("_scale_inv"):
            continue
        w = w.float()
        if name + "_scale_inv" in raw:
            w = unblocks(blocks(w) * raw[name + "_scale_inv"][:, None, :, None], w.shape).contiguous()
        out[name] = w
    return out


def load(model_dir):
    """The exported weights in our own model, without a second trip through FP8."""
    config = json.loads((Path(model_dir) / "config.json").read_text())
    model, hf, state = Deepseek(config), dequantized(model_dir), {}
    for name, w in model.state_dict().items():
        theirs = hf_name(name, config["num_hidden_layers"])
        if w.ndim == 3:
            head, _, proj = theirs[: -len(".weight")].rpartition(".")
            state[name] = torch.stack([hf[f"{head}.experts.{e}.{proj}.weight"] for e in range(len(w))])
        else:
            state[name] = hf[theirs]
    model.load_state_dict(state)
    for m in model.modules():
        if isinstance(m, Linear):
            m.fp8 = lambda m=m: m.weight
    return model.eval()
