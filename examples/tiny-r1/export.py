"""Writes a checkpoint as an HF directory in R1's form: FP8 e4m3 linear layers
with a float32 weight_scale_inv for each 128x128 block, BF16 elsewhere."""

import argparse
import json
from pathlib import Path

import torch
from safetensors.torch import save_file

from deepseek import Deepseek, Linear, quantize, unblocks


def hf_name(name, n_layers):
    """Our parameter names -> DeepSeek's; the MTP module is layer n_layers."""
    mtp = f"model.layers.{n_layers}."
    for ours, theirs in (("mtp.layer.", mtp), ("mtp.norm.", mtp + "shared_head.norm."), ("mtp.", mtp),
                         ("lm_head.", "lm_head."), ("", "model.")):
        if name.startswith(ours):
            return theirs + name[len(ours):]


def fp8_tensors(name, weight):
    """A Linear's weight as FP8 and its scale_inv; a stack of experts as one of each."""
    if weight.ndim == 3:
        head, _, proj = name[: -len(".weight")].rpartition(".")
        return {k: v for e, w in enumerate(weight)
                for k, v in fp8_tensors(f"{head}.experts.{e}.{proj}.weight", w).items()}
    q, scale_inv = quantize(weight)
    return {name: unblocks(q, weight.shape).contiguous(), name + "_scale_inv": scale_inv[:, 0, :, 0].contiguous()}


def hf_tensors(model):
    n_layers = model.c["num_hidden_layers"]
    fp8 = {name + ".weight" for name, m in model.named_modules() if isinstance(m, Linear)}
    out = {}
    for name, w in model.state_dict().items():
        if name in fp8:
            out.update(fp8_tensors(hf_name(name, n_layers), w))
        elif name.endswith("e_score_correction_bias"):
            out[hf_name(name, n_layers)] = w.clone()
        else:
            out[hf_name(name, n_layers)] = w.to(torch.bfloat16)
    mtp = f"model.layers.{n_layers}."
    out[mtp + "embed_tokens.weight"] = out["model.embed_tokens.weight"].clone()
    out[mtp + "shared_head.head.weight"] = out["lm_head.weight"].clone()
    return out


def main():
    here = Path(__file__).parent
    a = argparse.ArgumentParser(description=__doc__)
    a.add_argument("--checkpoint", type=Path, default=Path("teacher.pt"))
    a.add_argument("--model", type=Path, default=here / "model", help="with config.json; model.safetensors goes there")
    a = a.parse_args()

    model = Deepseek(json.loads((a.model / "config.json").read_text()))
    state = torch.load(a.checkpoint, map_location="cpu")
    model.load_state_dict(state["model"])
    path = a.model / "model.safetensors"
    temporary = path.with_suffix(".tmp")
    with torch.no_grad():
        save_file(hf_tensors(model), temporary, metadata={"format": "pt"})
    temporary.replace(path)
    print(f"{path}: step {state['step']}, {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
