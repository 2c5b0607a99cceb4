"""Small HF directories with random weights, of every kind that the export knows."""
import json
import os
import shutil

import numpy as np


def to_bf16(x):
    u = x.astype(np.float32).view(np.uint32)
    return ((u + 0x7FFF + (u >> 16 & 1)) >> 16).astype(np.uint16)


def save_safetensors(path, tensors, dtype):
    """tensors: {name: float32 array}; dtype F32, F16 or BF16."""
    header, blobs, at = {}, [], 0
    for name, x in tensors.items():
        data = {"F32": lambda: x.astype(np.float32), "F16": lambda: x.astype(np.float16), "BF16": lambda: to_bf16(x)}[dtype]()
        blob = np.ascontiguousarray(data).tobytes()
        header[name] = {"dtype": dtype, "shape": list(x.shape), "data_offsets": [at, at + len(blob)]}
        at += len(blob)
        blobs.append(blob)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(len(text).to_bytes(8, "little") + text + b"".join(blobs))


KINDS = {
    # name: (model_type, config, dtype)
    "qwen2-tied": ("qwen2", dict(hidden_size=256, intermediate_size=512, num_attention_heads=4, num_key_value_heads=2, num_hidden_layers=9, tie_word_embeddings=True), "BF16"),
    "qwen2-narrow": ("qwen2", dict(hidden_size=224, intermediate_size=480, num_attention_heads=7, num_key_value_heads=1, num_hidden_layers=4, tie_word_embeddings=True), "F32"),
    "qwen2-untied": ("qwen2", dict(hidden_size=256, intermediate_size=608, num_attention_heads=8, num_key_value_heads=4, num_hidden_layers=16, tie_word_embeddings=False, rope_scaling=dict(type="yarn", factor=4.0, original_max_position_embeddings=512), max_position_embeddings=2048), "F16"),
    "qwen3": ("qwen3", dict(hidden_size=256, intermediate_size=768, num_attention_heads=4, num_key_value_heads=2, head_dim=96, num_hidden_layers=5, tie_word_embeddings=False), "BF16"),
    "llama3": ("llama", dict(hidden_size=256, intermediate_size=512, num_attention_heads=8, num_key_value_heads=2, num_hidden_layers=6, tie_word_embeddings=False, rope_theta=500000.0, max_position_embeddings=4096, rope_scaling=dict(rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=256)), "BF16"),
    "qwen2-thin": ("qwen2", dict(hidden_size=64, intermediate_size=64, num_attention_heads=2, num_key_value_heads=1, num_hidden_layers=1, tie_word_embeddings=True), "BF16"),
    "llama-linear": ("llama", dict(hidden_size=512, intermediate_size=512, num_attention_heads=8, num_key_value_heads=8, num_hidden_layers=3, tie_word_embeddings=True, rope_scaling=dict(type="linear", factor=2.0)), "F32"),
}


def make(kind, directory, tokenizer_from, n_vocab=704, seed=1):
    model_type, config, dtype = KINDS[kind]
    config = dict(config, model_type=model_type, rms_norm_eps=1e-6, hidden_act="silu", vocab_size=n_vocab)
    config.setdefault("rope_theta", 10000.0)
    config.setdefault("max_position_embeddings", 512)
    config["architectures"] = [{"qwen2": "Qwen2ForCausalLM", "qwen3": "Qwen3ForCausalLM", "llama": "LlamaForCausalLM"}[model_type]]
    rng = np.random.default_rng(seed)
    C, F, V = config["hidden_size"], config["intermediate_size"], config["vocab_size"]
    H, G = config["num_attention_heads"], config["num_key_value_heads"]
    D = config.get("head_dim", C // H)

    def w(rows, cols):
        return (rng.standard_normal((rows, cols)) * 1.2 / np.sqrt(cols)).astype(np.float32)

    def norm(n):
        return (1 + 0.2 * rng.standard_normal(n)).astype(np.float32)

    t = {"model.embed_tokens.weight": w(V, C) * np.float32(np.sqrt(C) * 0.7)}
    for i in range(config["num_hidden_layers"]):
        p = f"model.layers.{i}."
        t[p + "input_layernorm.weight"] = norm(C)
        t[p + "post_attention_layernorm.weight"] = norm(C)
        for name, rows in ("q", H * D), ("k", G * D), ("v", G * D):
            t[f"{p}self_attn.{name}_proj.weight"] = w(rows, C)
            if model_type == "qwen2":
                t[f"{p}self_attn.{name}_proj.bias"] = (0.3 * rng.standard_normal(rows)).astype(np.float32)
        t[p + "self_attn.o_proj.weight"] = w(C, H * D)
        if model_type == "qwen3":
            t[p + "self_attn.q_norm.weight"] = norm(D)
            t[p + "self_attn.k_norm.weight"] = norm(D)
        t[p + "mlp.gate_proj.weight"] = w(F, C)
        t[p + "mlp.up_proj.weight"] = w(F, C)
        t[p + "mlp.down_proj.weight"] = w(C, F)
    t["model.norm.weight"] = norm(C)
    if not config["tie_word_embeddings"]:
        t["lm_head.weight"] = w(V, C)
    os.makedirs(directory, exist_ok=True)
    save_safetensors(os.path.join(directory, "model.safetensors"), t, dtype)
    with open(os.path.join(directory, "config.json"), "w") as f:
        json.dump(config, f, indent=1)
    for name in "tokenizer.json", "tokenizer_config.json", "generation_config.json":
        path = os.path.join(tokenizer_from, name)
        if os.path.exists(path):
            shutil.copy(path, directory)
