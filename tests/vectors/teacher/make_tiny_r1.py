"""What HF transformers computes with examples/tiny-r1/model: run again whenever that model changes.

    OMP_NUM_THREADS=1 python3 tests/vectors/teacher/make_tiny_r1.py

Writes tiny-r1.safetensors: tokens [T] (a chat-formed problem), logits [T, V] in float32 over the dequantized
FP8 weights, mtp_logits [N, V] of the first N positions, and the sum of the model file's bytes, by which the
test knows that both belong together."""

import json
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from transformers import DeepseekV3Config, DeepseekV3ForCausalLM
from transformers.models.deepseek_v3.modeling_deepseek_v3 import DeepseekV3Model

from make import hf_params

here = Path(__file__).parent
model_dir = here.parents[2] / "examples" / "tiny-r1" / "model"
TEXT = ("<｜begin▁of▁sentence｜><｜User｜>Tom has 12 apples. He buys 3 bags with 4 apples each and gives 7 away. "
        "How many apples does he have?<｜Assistant｜><think>\n")


def dequantized(files):
    out = {}
    for name, w in files.items():
        scale = files.get(name + "_scale_inv")
        if scale is not None:
            full = scale.repeat_interleave(128, 0).repeat_interleave(128, 1)
            w = w.float() * full[: w.shape[0], : w.shape[1]]
        out[name] = w.float()
    return out


@torch.no_grad()
def fill(module, prefix, weights):
    for name, w in hf_params(module.state_dict(keep_vars=True)):
        value = weights[prefix + name]
        w.data.copy_(value) if w.is_leaf else w.copy_(value)


@torch.no_grad()
def main():
    raw = json.loads((model_dir / "config.json").read_text())
    raw = {k: v for k, v in raw.items() if k not in ("quantization_config", "torch_dtype", "architectures")}
    eager = dict(attn_implementation="eager", experts_implementation="eager")
    config = DeepseekV3Config(**raw, **eager)
    weights = dequantized(load_file(model_dir / "model.safetensors"))
    model = DeepseekV3ForCausalLM(config).eval().float()
    fill(model, "", weights)

    ids = Tokenizer.from_file(str(model_dir / "tokenizer.json")).encode(TEXT, add_special_tokens=False).ids
    tokens = torch.tensor(ids)
    states = []
    hook = model.model.norm.register_forward_pre_hook(lambda _, a: states.append(a[0][0].clone()))
    logits = model(tokens[None], use_cache=False).logits[0]
    hook.remove()

    L, eps = config.num_hidden_layers, config.rms_norm_eps
    one = DeepseekV3Model(DeepseekV3Config(**{**raw, "num_hidden_layers": 1, "first_k_dense_replace": 0}, **eager)).eval()
    head = f"model.layers.{L}."
    own = {"layers.0." + k[len(head):]: v for k, v in weights.items() if k.startswith(head)}
    own["norm.weight"], own["embed_tokens.weight"] = weights[head + "shared_head.norm.weight"], weights[head + "embed_tokens.weight"]
    fill(one, "", own)

    def norm(x, name):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + eps) * weights[head + name + ".weight"]

    x = torch.cat((norm(own["embed_tokens.weight"][tokens[1:]], "enorm"), norm(states[0][:-1], "hnorm")), -1)
    x = x @ weights[head + "eh_proj.weight"].T
    mtp = one(inputs_embeds=x[None], use_cache=False).last_hidden_state[0] @ weights[head + "shared_head.head.weight"].T
    file_sum = torch.frombuffer(bytearray((model_dir / "model.safetensors").read_bytes()), dtype=torch.uint8).long().sum()
    save_file({"tokens": tokens.int(), "logits": logits, "mtp_logits": mtp[:20].clone(), "file_sum": file_sum[None]}, here / "tiny-r1.safetensors")
    print(f"{len(ids)} tokens, {(here / 'tiny-r1.safetensors').stat().st_size} bytes")


if __name__ == "__main__":
    main()
