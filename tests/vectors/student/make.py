#!/usr/bin/env python3
"""Reference vectors for the dense student, from HF transformers (5.23, torch 2.15, float32).

    OMP_NUM_THREADS=1 python3 tests/vectors/student/make.py

For each small random model of odd shape: an HF directory (config.json, model.safetensors) and
vectors.safetensors with
  doc0, doc1          token ids of two documents
  prompt              [2] tokens of each that carry no loss
  logits0, logits1    logits of each document by itself
  loss                sum of losses over both / number of targets
  grad.NAME           gradient of that loss
  adam.NAME           parameters after ten AdamW steps on that loss (see STEPS below)
  adam_loss, adam_norm, adam_lr   [10] each
and for one Llama a GGUF file (rows of q and k permuted, rope_freqs) with the same numbers.
"""
import json, math, os, shutil
import numpy as np, torch, gguf
from safetensors.torch import save_file
from transformers import (LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM,
                          Qwen3Config, Qwen3ForCausalLM)

HERE = os.path.dirname(os.path.abspath(__file__))
STEPS, LR, WARMUP, FLOOR, CLIP, WD, BETAS = 10, 1e-2, 3, 0.1, 0.5, 0.1, (0.9, 0.95)

MODELS = {
    "qwen2-tied-yarn": (Qwen2Config, Qwen2ForCausalLM, dict(
        hidden_size=24, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
        intermediate_size=40, vocab_size=53, tie_word_embeddings=True, rms_norm_eps=1e-6,
        max_position_embeddings=64,
        rope_parameters={"rope_type": "yarn", "factor": 4.0, "rope_theta": 10000.0,
                         "original_max_position_embeddings": 16})),
    "qwen2-untied": (Qwen2Config, Qwen2ForCausalLM, dict(
        hidden_size=20, num_hidden_layers=3, num_attention_heads=5, num_key_value_heads=1,
        intermediate_size=28, vocab_size=41, tie_word_embeddings=False, rms_norm_eps=1e-5,
        max_position_embeddings=64, rope_parameters={"rope_type": "default", "rope_theta": 1e6})),
    "llama-headdim-llama3": (LlamaConfig, LlamaForCausalLM, dict(
        hidden_size=24, num_hidden_layers=2, num_attention_heads=6, num_key_value_heads=3,
        head_dim=10, intermediate_size=36, vocab_size=47, tie_word_embeddings=False,
        attention_bias=True, mlp_bias=True, rms_norm_eps=1e-5, max_position_embeddings=64,
        rope_parameters={"rope_type": "llama3", "factor": 8.0, "rope_theta": 500.0,
                         "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                         "original_max_position_embeddings": 32})),
    "llama-linear": (LlamaConfig, LlamaForCausalLM, dict(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=4,
        intermediate_size=24, vocab_size=50, tie_word_embeddings=True, rms_norm_eps=1e-6,
        max_position_embeddings=64,
        rope_parameters={"rope_type": "linear", "factor": 2.5, "rope_theta": 10000.0})),
    "qwen3": (Qwen3Config, Qwen3ForCausalLM, dict(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
        head_dim=8, intermediate_size=24, vocab_size=43, tie_word_embeddings=True,
        rms_norm_eps=1e-6, max_position_embeddings=64,
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0})),
}
# how older files say the same: the reader must take both
OLD_STYLE = {"llama-headdim-llama3", "qwen2-untied"}


def randomise(model, seed):
    g = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, p in model.named_parameters():
            r = torch.randn(p.shape, generator=g)
            if name.endswith("bias"):
                p.copy_(0.3 * r)
            elif p.dim() == 1:
                p.copy_(1 + 0.2 * r)
            else:
                p.copy_(r * (1.2 / math.sqrt(p.shape[1])))


def loss_of(model, docs, prompts):
    total, n = 0.0, 0
    for ids, n_prompt in zip(docs, prompts):
        logits = model(torch.tensor([ids])).logits[0]
        targets = torch.tensor(ids[1:])
        keep = torch.arange(1, len(ids)) >= n_prompt
        losses = torch.nn.functional.cross_entropy(logits[:-1], targets, reduction="none")
        total = total + (losses * keep).sum()
        n += int(keep.sum())
    return total / n


def lr_at(step):  # 1 .. STEPS: linear warm-up, then a cosine that ends at the floor
    if step <= WARMUP:
        return LR * step / WARMUP
    t = (step - WARMUP) / (STEPS - WARMUP)
    return LR * (FLOOR + (1 - FLOOR) * 0.5 * (1 + math.cos(math.pi * t)))


def ten_steps(model, docs, prompts, out):
    decay = [p for p in model.parameters() if p.dim() > 1]
    plain = [p for p in model.parameters() if p.dim() == 1]
    opt = torch.optim.AdamW([{"params": decay, "weight_decay": WD},
                             {"params": plain, "weight_decay": 0.0}], lr=LR, betas=BETAS, eps=1e-8)
    losses, norms, lrs = [], [], []
    for step in range(1, STEPS + 1):
        for group in opt.param_groups:
            group["lr"] = lr_at(step)
        opt.zero_grad()
        loss = loss_of(model, docs, prompts)
        loss.backward()
        norms.append(float(torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)))
        losses.append(float(loss))
        lrs.append(lr_at(step))
        opt.step()
    out["adam_loss"] = torch.tensor(losses)
    out["adam_norm"] = torch.tensor(norms)
    out["adam_lr"] = torch.tensor(lrs)
    for name, p in model.named_parameters():
        out["adam." + name] = p.detach().clone()


def old_style(config):
    rope = config.pop("rope_parameters")
    config["rope_theta"] = rope.pop("rope_theta")
    config["rope_scaling"] = rope if rope["rope_type"] != "default" else None
    return config


def write_gguf(path, cfg, sd):
    """As llama.cpp's converter writes a Llama."""
    w = gguf.GGUFWriter(path, "llama")
    H, G, D, C, L = (cfg["num_attention_heads"], cfg["num_key_value_heads"], cfg["head_dim"],
                     cfg["hidden_size"], cfg["num_hidden_layers"])
    w.add_context_length(cfg["max_position_embeddings"])
    w.add_embedding_length(C)
    w.add_block_count(L)
    w.add_feed_forward_length(cfg["intermediate_size"])
    w.add_head_count(H)
    w.add_head_count_kv(G)
    w.add_layer_norm_rms_eps(cfg["rms_norm_eps"])
    rope = cfg["rope_parameters"]
    w.add_rope_freq_base(rope["rope_theta"])
    w.add_rope_dimension_count(D)
    w.add_key_length(D)
    w.add_value_length(D)
    w.add_vocab_size(cfg["vocab_size"])
    w.add_file_type(0)

    def permute(t, n):
        return t.reshape(n, 2, t.shape[0] // n // 2, *t.shape[1:]).swapaxes(1, 2).reshape(t.shape)

    freqs = rope["rope_theta"] ** -(np.arange(0, D, 2) / D)
    low, high, old = rope["low_freq_factor"], rope["high_freq_factor"], rope["original_max_position_embeddings"]
    factors = []
    for f in freqs:
        wl = 2 * math.pi / f
        smooth = (old / wl - low) / (high - low)
        factors.append(1.0 if wl < old / high else rope["factor"] if wl > old / low
                       else 1 / ((1 - smooth) / rope["factor"] + smooth))
    w.add_tensor("rope_freqs.weight", np.array(factors, dtype=np.float32))
    names = {"self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
             "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
             "mlp.down_proj": "ffn_down", "input_layernorm": "attn_norm",
             "post_attention_layernorm": "ffn_norm"}
    for name, t in sd.items():
        a = t.numpy()
        if "q_proj" in name:
            a = permute(a, H)
        if "k_proj" in name:
            a = permute(a, G)
        if name.startswith("model.layers."):
            _, _, n, rest = name.split(".", 3)
            base, kind = rest.rsplit(".", 1)
            out = f"blk.{n}.{names[base]}.{kind}"
        else:
            out = {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight",
                   "lm_head.weight": "output.weight"}[name]
        w.add_tensor(out, np.ascontiguousarray(a.astype(np.float32)))
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


for i, (name, (Config, Model, kw)) in enumerate(MODELS.items()):
    torch.manual_seed(i)
    cfg = Config(**kw, bos_token_id=1, eos_token_id=2)
    cfg._attn_implementation = "eager"
    model = Model(cfg).float()
    randomise(model, 100 + i)
    folder = os.path.join(HERE, name)
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder)
    for extra in ("generation_config.json",):
        if os.path.exists(os.path.join(folder, extra)):
            os.remove(os.path.join(folder, extra))
    if name in OLD_STYLE:
        path = os.path.join(folder, "config.json")
        text = old_style(json.load(open(path)))
        json.dump(text, open(path, "w"), indent=2)
    g = torch.Generator().manual_seed(200 + i)
    docs = [torch.randint(0, kw["vocab_size"], (n,), generator=g).tolist() for n in (23, 9)]
    prompts = [4, 3]
    out = {"prompt": torch.tensor(prompts, dtype=torch.int32)}
    for j, ids in enumerate(docs):
        out[f"doc{j}"] = torch.tensor(ids, dtype=torch.int32)
        with torch.no_grad():
            out[f"logits{j}"] = model(torch.tensor([ids])).logits[0].clone()
    if name == "llama-headdim-llama3":
        write_gguf(os.path.join(folder, "model.gguf"), kw,
                   {k: v.clone() for k, v in model.state_dict().items()})
    loss = loss_of(model, docs, prompts)
    loss.backward()
    out["loss"] = loss.detach().reshape(1).clone()
    for pname, p in model.named_parameters():
        out["grad." + pname] = p.grad.clone()
    ten_steps(model, docs, prompts, out)
    save_file(out, os.path.join(folder, "vectors.safetensors"))
    print(name, float(out["loss"]), out["adam_norm"].tolist()[:3], out["adam_loss"].tolist()[-1])
