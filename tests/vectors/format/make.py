#!/usr/bin/env python3
"""Writes the files beside this script with the published writers (safetensors and gguf from PyPI,
torch), for tests/format/test_vectors.c, which computes the same values.

Element i of the tensor number k of a file is ((i * 7 + k * 3) % 31 - 15) / 8: exact in every
floating-point type that is used here. Integers: the same without the division. Raw blocks: byte i is
(i * 7 + k * 3) % 251."""
import json
import os

import gguf
import numpy as np
import torch
from safetensors.torch import save_file

here = os.path.dirname(os.path.abspath(__file__))


def path(*parts):
    p = os.path.join(here, *parts)
    os.makedirs(os.path.dirname(p), exist_ok=True)
    return p


def numbers(shape, k):
    n = int(np.prod(shape, dtype=np.int64))
    return torch.tensor([(i * 7 + k * 3) % 31 - 15 for i in range(n)], dtype=torch.float64).reshape(shape)


def values(shape, k, dtype):
    return (numbers(shape, k) / 8).to(dtype)


# One file with every dtype, a scalar, an empty tensor, 5 dimensions and odd sizes.
save_file(
    {
        "t0.f32": values((2, 3), 0, torch.float32),
        "t1.f16": values((3, 5), 1, torch.float16),
        "t2.bf16": values((7,), 2, torch.bfloat16),
        "t3.f8": values((3, 3), 3, torch.float8_e4m3fn),
        "t4.i64": numbers((2,), 4).to(torch.int64),
        "t5.i32": numbers((2, 1, 2), 5).to(torch.int32),
        "t6.i8": numbers((5,), 6).to(torch.int8),
        "t7.bool": torch.tensor([True, False, True]),
        "t8.f64": values((2,), 8, torch.float64),
        "t9.scalar": values((), 9, torch.float32),
        "t10.empty": torch.zeros((0, 4)),
        "t11.five": values((1, 2, 1, 2, 3), 11, torch.float32),
        'na"me\\ é': values((2,), 12, torch.float32),
    },
    path("mixed.safetensors"),
    metadata={"note": 'quotes " and \\ and\nlines'},  # one key: the writer's order of several is random
)

# An HF directory with FP8 weights and their scales.
save_file(
    {
        "w.weight": values((5, 7), 0, torch.float8_e4m3fn),
        "w.weight_scale_inv": values((2, 2), 1, torch.float32),
        "model.norm.weight": values((5,), 2, torch.bfloat16),
    },
    path("fp8", "model.safetensors"),
    metadata={"format": "pt"},
)
with open(path("fp8", "config.json"), "w") as f:
    json.dump(
        {"model_type": "deepseek_v3", "quantization_config": {"quant_method": "fp8", "weight_block_size": [4, 4]}}, f
    )

# An HF directory of two shards.
shards = {
    "model-00001-of-00002.safetensors": {
        "model.embed_tokens.weight": values((4, 3), 0, torch.float32),
        "model.layers.0.self_attn.q_proj.weight": values((3, 3), 1, torch.bfloat16),
    },
    "model-00002-of-00002.safetensors": {"lm_head.weight": values((4, 3), 2, torch.float16)},
}
for name, tensors in shards.items():
    save_file(tensors, path("sharded", name), metadata={"format": "pt"})
with open(path("sharded", "model.safetensors.index.json"), "w") as f:
    json.dump({"metadata": {"total_size": 90}, "weight_map": {t: s for s, ts in shards.items() for t in ts}}, f)
with open(path("sharded", "config.json"), "w") as f:
    json.dump({"model_type": "llama"}, f)


# GGUF with every kind of metadata.
def write_gguf(name, alignment):
    w = gguf.GGUFWriter(path(name), "qwen2")
    if alignment != 32:
        w.add_custom_alignment(alignment)
    w.add_uint8("k.u8", 200)
    w.add_int8("k.i8", -100)
    w.add_uint16("k.u16", 60000)
    w.add_int16("k.i16", -30000)
    w.add_uint32("k.u32", 4000000000)
    w.add_int32("k.i32", -2000000000)
    w.add_uint64("k.u64", 2**63 + 5)
    w.add_int64("k.i64", -(2**62))
    w.add_float32("k.f32", 1.5)
    w.add_float64("k.f64", -2.25)
    w.add_bool("k.true", True)
    w.add_bool("k.false", False)
    w.add_string("k.str", "héllo")
    w.add_string("k.empty", "")
    w.add_array("k.strs", ["a", "", "ccc"])
    w.add_array("k.ints", [1, -2, 3])
    w.add_array("k.floats", [0.5, -1.5])
    w.add_array("k.bools", [True, False])
    tensors = [
        ("token_embd.weight", (3, 5), torch.float32),
        ("output_norm.weight", (5,), torch.float32),
        ("blk.0.attn_q.weight", (4, 5), torch.float16),
        ("blk.0.attn_q.bias", (4,), torch.float32),
        ("blk.1.ffn_down.weight", (2, 3), torch.float32),
        ("rope_freqs.weight", (2,), torch.float32),
        ("three", (2, 3, 4), torch.float32),
    ]
    for k, (t, shape, dtype) in enumerate(tensors):
        w.add_tensor(t, values(shape, k, dtype).numpy())
    raw = [
        ("q8", (2, 34 * 2), gguf.GGMLQuantizationType.Q8_0),
        ("q4k", (1, 144), gguf.GGMLQuantizationType.Q4_K),
        ("q5k", (1, 176), gguf.GGMLQuantizationType.Q5_K),
    ]
    for k, (t, shape, dtype) in enumerate(raw, len(tensors)):
        data = np.array([(i * 7 + k * 3) % 251 for i in range(shape[0] * shape[1])], dtype=np.uint8).reshape(shape)
        w.add_tensor(t, data, raw_dtype=dtype)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


write_gguf("mixed.gguf", 32)
write_gguf("aligned-64.gguf", 64)

# What decant's writers should produce, byte for byte.
save_file(
    {"a.weight": values((2, 3), 0, torch.float32), "b": values((3,), 1, torch.bfloat16)},
    path("written.safetensors"),
    metadata={"format": "pt"},
)
w = gguf.GGUFWriter(path("written.gguf"), "llama")
w.add_uint32("k.u32", 7)
w.add_float32("k.f32", 1e-5)
w.add_bool("k.bool", True)
w.add_array("k.strs", ["one", "", "drei"])
w.add_array("k.ints", [1, -2])
w.add_array("k.floats", [0.5, -1.5])
w.add_string("k.str", "héllo")
w.add_tensor("a.weight", values((2, 3), 0, torch.float32).numpy())
w.add_tensor("b.weight", values((3,), 1, torch.float16).numpy())
w.add_tensor("q", np.arange(68, dtype=np.uint8).reshape(2, 34), raw_dtype=gguf.GGMLQuantizationType.Q8_0)
w.write_header_to_file()
w.write_kv_data_to_file()
w.write_tensors_to_file()
w.close()
