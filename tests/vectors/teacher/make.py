"""Small random DeepSeek models and what HF transformers computes with them.

    OMP_NUM_THREADS=1 python3 tests/vectors/teacher/make.py [NAME...]

A directory each: config.json and model.safetensors, as a user would have them, and
expected.safetensors: tokens [T], logits [T, V] of transformers' DeepseekV3ForCausalLM or
DeepseekV2ForCausalLM in float32 (prefill; step by step is asserted here to give the same),
hidden [T, C] before the final norm, mtp_logits [T-1, V] where there is an MTP module, and
dequantized FP8 weights. routing.safetensors holds routing alone, with ties. yarn.safetensors holds
rotary frequencies and scales. Made with transformers 5.23 (v3-dense-mtp and v2-norm: 5.24), torch 2.15."""

import json
import math
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import DeepseekV2Config, DeepseekV2ForCausalLM, DeepseekV3Config, DeepseekV3ForCausalLM
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS
from transformers.models.deepseek_v3.modeling_deepseek_v3 import DeepseekV3Model

here = Path(__file__).parent

BASE = dict(
    vocab_size=61, hidden_size=20, intermediate_size=17, moe_intermediate_size=9, num_hidden_layers=3,
    num_attention_heads=3, num_key_value_heads=3, q_lora_rank=14, kv_lora_rank=10, qk_nope_head_dim=6,
    qk_rope_head_dim=4, v_head_dim=5, n_routed_experts=12, n_shared_experts=1, num_experts_per_tok=3, n_group=4,
    topk_group=2, first_k_dense_replace=1, norm_topk_prob=True, routed_scaling_factor=2.5, scoring_func="sigmoid",
    topk_method="noaux_tc", rms_norm_eps=1e-5, rope_theta=10000.0, max_position_embeddings=64, hidden_act="silu",
    attention_bias=False, tie_word_embeddings=False, num_nextn_predict_layers=0, bos_token_id=0, eos_token_id=1,
    model_type="deepseek_v3")
YARN = dict(type="yarn", factor=8.0, original_max_position_embeddings=8, beta_fast=32, beta_slow=1, mscale=0.7,
            mscale_all_dim=1.3)
V2 = dict(model_type="deepseek_v2", hidden_size=21, scoring_func="softmax", norm_topk_prob=False, routed_scaling_factor=1.7)
FP8 = dict(quantization_config=dict(quant_method="fp8", fmt="e4m3", activation_scheme="dynamic",
                                    weight_block_size=[128, 128]))

CASES = {
    # name: (changes to BASE, dtype of the matrices, whether transformers writes config.json)
    "v3-yarn-mtp": (dict(rope_scaling=YARN, first_k_dense_replace=2, num_nextn_predict_layers=1), torch.float32, False),
    "v3-qproj": (dict(q_lora_rank=None, first_k_dense_replace=0, n_shared_experts=2, n_group=1, topk_group=1,
                      num_experts_per_tok=4, num_attention_heads=5, num_key_value_heads=5, rope_theta=500.0,
                      qk_rope_head_dim=6, rms_norm_eps=1e-6), torch.bfloat16, True),
    "v3-fp8": (dict(hidden_size=136, intermediate_size=144, num_attention_heads=2, num_key_value_heads=2,
                    q_lora_rank=24, kv_lora_rank=24, qk_nope_head_dim=40, v_head_dim=36, n_routed_experts=4, n_group=2,
                    topk_group=1, num_experts_per_tok=2, num_hidden_layers=2, num_nextn_predict_layers=1,
                    rope_scaling=dict(YARN, mscale=1.0, mscale_all_dim=1.0), **FP8), torch.float8_e4m3fn, False),
    "v3-ties": (dict(n_routed_experts=16, num_experts_per_tok=4, first_k_dense_replace=0, num_hidden_layers=2),
                torch.float32, False),
    "v2-groups": (dict(V2, topk_method="group_limited_greedy", q_lora_rank=None, n_shared_experts=2,
                       rope_scaling=dict(YARN, mscale=0.707, mscale_all_dim=0.707)), torch.float16, True),
    "v2-greedy": (dict(V2, topk_method="greedy", n_group=1, topk_group=1, first_k_dense_replace=0,
                       tie_word_embeddings=True), torch.float32, False),
    "v3-bias": (dict(attention_bias=True, num_hidden_layers=2, rope_scaling=YARN, num_nextn_predict_layers=1,
                     n_routed_experts=8), torch.bfloat16, False),
    "v3-dense-mtp": (dict(num_hidden_layers=2, first_k_dense_replace=2, num_nextn_predict_layers=1), torch.float32,
                     False),
    "v2-norm": (dict(V2, topk_method="greedy", n_group=1, topk_group=1, norm_topk_prob=True, num_hidden_layers=2),
                torch.float32, False),
}


def random_weight(name, shape, g):
    w = torch.randn(shape, generator=g)
    if name.endswith("norm.weight"):
        return 1 + 0.3 * w
    if name.endswith("e_score_correction_bias"):
        return 0.2 * w
    return w * (1.0 if "embed" in name else 1.5 * shape[-1] ** -0.5)


def fp8_blocks(w, block=128):
    """-> e4m3, scale_inv [ceil(out/block), ceil(in/block)], and the float32 that they stand for."""
    scale = torch.empty(math.ceil(w.shape[0] / block), math.ceil(w.shape[1] / block))
    q = torch.empty(w.shape, dtype=torch.float8_e4m3fn)
    deq = torch.empty_like(w)
    for i in range(scale.shape[0]):
        for j in range(scale.shape[1]):
            at = (slice(i * block, (i + 1) * block), slice(j * block, (j + 1) * block))
            scale[i, j] = w[at].abs().max() / 448
            q[at] = (w[at] / scale[i, j]).to(torch.float8_e4m3fn)
            deq[at] = q[at].float() * scale[i, j]
    return q, scale, deq


def stored(name, w, dtype):
    """Tensors for the file, and the float32 value of the weight."""
    if name.endswith("e_score_correction_bias"):
        return {name: w}, w
    keep = "norm" in name or "embed_tokens" in name or "head" in name or ".gate." in name or "eh_proj" in name
    if dtype == torch.float8_e4m3fn and not keep:
        q, scale, deq = fp8_blocks(w)
        return {name: q, name + "_scale_inv": scale}, deq
    w = w.to(torch.bfloat16 if dtype == torch.float8_e4m3fn else dtype)
    return {name: w.clone()}, w.float()


def hf_params(state):
    """The state dict's tensors under the checkpoint's names: [(name, view)]; experts are fused in transformers."""
    for name, w in state.items():
        if name.endswith("experts.gate_up_proj"):
            for e in range(w.shape[0]):
                half = w.shape[1] // 2
                head = name[: -len("gate_up_proj")]
                yield f"{head}{e}.gate_proj.weight", w[e, :half]
                yield f"{head}{e}.up_proj.weight", w[e, half:]
        elif name.endswith("experts.down_proj"):
            for e in range(w.shape[0]):
                yield f"{name[: -len('down_proj')]}{e}.down_proj.weight", w[e]
        else:
            yield name, w


@torch.no_grad()
def fill(module, prefix, dtype, g, tensors, skip=()):
    """Random weights into a module, and their stored form into tensors."""
    for name, w in hf_params(module.state_dict(keep_vars=True)):
        if name in skip:
            continue
        files, value = stored(prefix + name, random_weight(name, w.shape, g), dtype)
        tensors.update(files)
        w.data.copy_(value) if w.is_leaf else w.copy_(value)


@torch.no_grad()
def make_ties(model, tensors):
    """Expert 2i+1 repeats expert 2i, and group 3 repeats group 1: routing ties that cannot change the logits."""
    twin = [e - e % 2 for e in range(16)]
    twin[12:16] = [twin[e] for e in range(4, 8)]
    for i, layer in enumerate(model.model.layers):
        moe, head = layer.mlp, f"model.layers.{i}.mlp."
        moe.gate.weight.copy_(moe.gate.weight[twin].clone())
        moe.gate.e_score_correction_bias.copy_(moe.gate.e_score_correction_bias[twin].clone())
        moe.experts.gate_up_proj.copy_(moe.experts.gate_up_proj[twin].clone())
        moe.experts.down_proj.copy_(moe.experts.down_proj[twin].clone())
        for name, w in hf_params(moe.state_dict()):
            tensors[head + name] = w.clone().contiguous()


@torch.no_grad()
def mtp(config, model, dtype, g, tensors, tokens, hidden):
    """h' = eh_proj [enorm(embed(next)); hnorm(h)], one MoE layer, norm, head. The layer and norm are a one-layer
    transformers model that is fed h'."""
    L = config.num_hidden_layers
    one = DeepseekV3Model(DeepseekV3Config(**{**config.to_dict(), "num_hidden_layers": 1, "first_k_dense_replace": 0},
                                         attn_implementation="eager", experts_implementation="eager")).eval()
    own = {}
    fill(one, "", dtype, g, own, skip=("embed_tokens.weight",))
    for name, w in own.items():
        name = name.replace("layers.0.", "") if name.startswith("layers.0.") else "shared_head." + name
        tensors[f"model.layers.{L}.{name}"] = w
    extra = {}
    for name, shape in (("enorm", [config.hidden_size]), ("hnorm", [config.hidden_size]),
                        ("eh_proj", [config.hidden_size, 2 * config.hidden_size])):
        files, extra[name] = stored(f"model.layers.{L}.{name}.weight", random_weight(name + ".weight", shape, g), dtype)
        tensors.update(files)

    def norm(x, w):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + config.rms_norm_eps) * w

    embed = model.model.embed_tokens(tokens[1:])
    x = torch.cat((norm(embed, extra["enorm"]), norm(hidden[:-1], extra["hnorm"])), -1) @ extra["eh_proj"].T
    return model.lm_head(one(inputs_embeds=x[None], use_cache=False).last_hidden_state[0])


def normalise(model):
    """transformers passes over norm_topk_prob in deepseek_v2. In DeepSeek's own modeling_deepseek.py (MoEGate) it
    divides the chosen weights by their sum, instead of scaling them."""
    def hook(_, __, out):
        logits, weights, ids = out
        return logits, weights / (weights.sum(-1, keepdim=True) + 1e-20), ids
    for layer in model.model.layers:
        if hasattr(layer.mlp, "gate"):
            layer.mlp.gate.register_forward_hook(hook)


@torch.no_grad()
def make(name, changes, dtype, hf_writes, seed):
    g = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    raw = {k: v for k, v in {**BASE, **changes}.items()}
    v3 = raw["model_type"] == "deepseek_v3"
    kwargs = {k: v for k, v in raw.items() if k not in ("quantization_config", "model_type", "scoring_func")
              and (v3 is False or k != "topk_method")}
    config = (DeepseekV3Config if v3 else DeepseekV2Config)(**kwargs, attn_implementation="eager",
                                                            experts_implementation="eager")
    model = (DeepseekV3ForCausalLM if v3 else DeepseekV2ForCausalLM)(config).eval().float()
    if not v3 and raw["norm_topk_prob"]:
        normalise(model)
    tensors, expected = {}, {}
    fill(model, "", dtype, g, tensors, skip=("lm_head.weight",) if raw["tie_word_embeddings"] else ())
    if name == "v3-ties":
        make_ties(model, tensors)

    T = 27
    tokens = torch.randint(0, raw["vocab_size"], (T,), generator=g)
    states = []
    hook = model.model.norm.register_forward_pre_hook(lambda _, a: states.append(a[0][0].clone()))
    logits = model(tokens[None], use_cache=False).logits[0]
    hook.remove()
    cache, steps = None, []
    for t in range(T):
        out = model(tokens[None, t : t + 1], past_key_values=cache, use_cache=True)
        cache = out.past_key_values
        steps.append(out.logits[0, 0])
    assert (torch.stack(steps) - logits).abs().max() < 2e-5 * logits.abs().max()
    expected.update(tokens=tokens.int(), logits=logits, hidden=states[0])
    if raw["num_nextn_predict_layers"]:
        expected["mtp_logits"] = mtp(config, model, dtype, g, tensors, tokens, states[0])
    if dtype == torch.float8_e4m3fn:
        for short in ("model.layers.0.self_attn.kv_b_proj", "model.layers.0.mlp.down_proj"):
            rows = dict(hf_params(model.state_dict()))[short + ".weight"]
            expected["dequantized." + short] = rows.clone().contiguous()

    out = here / name
    out.mkdir(exist_ok=True)
    text = config.to_json_string() if hf_writes else json.dumps(raw, indent=1)
    (out / "config.json").write_text(text.rstrip() + "\n")
    save_file({k: v.contiguous() for k, v in tensors.items()}, out / "model.safetensors", metadata={"format": "pt"})
    save_file({k: v.contiguous() for k, v in expected.items()}, out / "expected.safetensors")
    print(name, {p.name: p.stat().st_size for p in sorted(out.iterdir())})


def reference_route(logits, bias, top_k, n_group, topk_group, sigmoid, top2, norm, scale):
    """Routing by stable sorts, so that ties choose the lower index."""
    E = logits.shape[1]
    scores = logits.sigmoid() if sigmoid else logits.softmax(-1)
    choice = scores if bias is None else scores + bias
    group = choice.view(-1, n_group, E // n_group).sort(-1, descending=True)[0]
    group = group[..., :2].sum(-1) if top2 else group[..., 0]
    best = group.sort(dim=-1, descending=True, stable=True)[1][:, :topk_group]
    is_open = torch.zeros_like(group, dtype=torch.bool).scatter_(1, best, True).repeat_interleave(E // n_group, 1)
    ids = choice.masked_fill(~is_open, -math.inf).sort(dim=-1, descending=True, stable=True)[1][:, :top_k]
    w = scores.gather(1, ids)
    if norm:
        w = w / (w.sum(-1, keepdim=True) + 1e-20)
    return ids.int(), w * scale


def routing():
    g = torch.Generator().manual_seed(77)
    out = {}
    cases = [(16, 4, 4, 2, 1, 1, 1, 2.5), (12, 3, 4, 2, 1, 1, 1, 2.5), (8, 2, 1, 1, 1, 1, 1, 1.0),
             (12, 4, 3, 2, 0, 0, 0, 1.7), (9, 9, 1, 1, 0, 0, 0, 1.0), (256, 8, 8, 4, 1, 1, 1, 2.5)]
    for i, (E, k, n_group, topk_group, sigmoid, top2, norm, scale) in enumerate(cases):
        # coarse multiples: many exact ties between experts and between groups
        logits = (torch.randn(40, E, generator=g) * 2).round() / 2
        bias = (torch.randn(E, generator=g) * 2).round() / 8 if top2 else None
        if bias is not None and i == 0:
            bias.zero_()
        ids, w = reference_route(logits, bias, k, n_group, topk_group, sigmoid, top2, norm, scale)
        out[f"{i}.params"] = torch.tensor([E, k, n_group, topk_group, sigmoid, top2, norm], dtype=torch.int32)
        out[f"{i}.scale"] = torch.tensor([scale])
        out[f"{i}.logits"], out[f"{i}.ids"], out[f"{i}.weights"] = logits, ids, w
        out[f"{i}.bias"] = torch.zeros(E) if bias is None else bias
    save_file({k: v.contiguous() for k, v in out.items()}, here / "routing.safetensors")


def yarn():
    """inv_freq, the scale of cos and sin, and the scale of the scores, for parameter sets."""
    sets = [dict(theta=10000.0, dim=64, factor=40.0, original=4096, fast=32, slow=1, m=1.0, mall=1.0, attn=0),
            dict(theta=10000.0, dim=64, factor=40.0, original=4096, fast=32, slow=1, m=0.707, mall=0.9, attn=0),
            dict(theta=500.0, dim=6, factor=4.0, original=16, fast=4, slow=2, m=0, mall=0, attn=0),
            dict(theta=1e6, dim=32, factor=2.5, original=1000, fast=32, slow=1, m=1.0, mall=0, attn=1.25)]
    out = {}
    for i, s in enumerate(sets):
        rope = dict(rope_type="yarn", rope_theta=s["theta"], factor=s["factor"],
                    original_max_position_embeddings=s["original"], beta_fast=s["fast"], beta_slow=s["slow"])
        rope.update({k: v for k, v in (("mscale", s["m"]), ("mscale_all_dim", s["mall"]),
                                       ("attention_factor", s["attn"])) if v})
        c = DeepseekV3Config(qk_rope_head_dim=s["dim"], rope_parameters=rope, max_position_embeddings=1 << 17)
        inv_freq, scale = ROPE_INIT_FUNCTIONS["yarn"](c)
        score = (0.1 * s["mall"] * math.log(s["factor"]) + 1) ** 2 if s["mall"] else 1.0
        out[f"{i}.params"] = torch.tensor([s["theta"], s["dim"], s["factor"], s["original"], s["fast"], s["slow"], s["m"],
                                           s["mall"], s["attn"]], dtype=torch.float32)
        out[f"{i}.inv_freq"] = inv_freq
        out[f"{i}.scales"] = torch.tensor([scale, score])
    save_file(out, here / "yarn.safetensors")


if __name__ == "__main__":
    wanted = sys.argv[1:] or [*CASES, "routing", "yarn"]
    for i, (name, (changes, dtype, hf_writes)) in enumerate(CASES.items()):
        if name in wanted:
            make(name, changes, dtype, hf_writes, 1000 + i)
    if "routing" in wanted:
        routing()
    if "yarn" in wanted:
        yarn()
