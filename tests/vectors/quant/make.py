#!/usr/bin/env python3
"""Regenerates the vectors of tests/quant: needs numpy, torch, gguf and llama-cpp-python.

encode_x.f32   weights of several kinds, one kind after the other, 2048 elements each
encode_T.bin   those weights encoded by llama.cpp's ggml_quantize_chunk without importance
decode_T.bin   random blocks of type T;  decode_T.f32  what gguf's dequantize makes of them
f8.f32         all 256 float8_e4m3fn values;  f8_round.f32, f8_round.bin  numbers and torch's rounding
"""
import ctypes
import glob
import importlib.util
import os

import gguf
import numpy as np
import torch

here = os.path.dirname(os.path.abspath(__file__))
lib = glob.glob(os.path.join(os.path.dirname(importlib.util.find_spec("llama_cpp").origin), "lib", "libggml-base.so"))
ggml = ctypes.CDLL(lib[0])
quantize = ggml.ggml_quantize_chunk
quantize.restype = ctypes.c_size_t
quantize.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p]
rng = np.random.default_rng(20261122)
TYPES = {"f16": 1, "q4_0": 2, "q5_0": 6, "q8_0": 8, "q4_k": 12, "q6_k": 14}


def save(name, array):
    array.tofile(os.path.join(here, name))


def kinds(n):
    x = rng.standard_normal(n).astype(np.float32)
    heavy = x * 0.02 * np.exp(rng.standard_normal(n))
    bf16 = (x * np.float32(0.03)).view(np.uint32) & np.uint32(0xFFFF0000)
    scaled = x.reshape(-1, 16) * 10.0 ** rng.integers(-9, 1, (n // 16, 1))
    ends = x.copy()
    ends[::7] = 3.5
    ends[3::7] = -3.5  # ties of magnitude, first plus and first minus
    return [x * 0.02, heavy, bf16.view(np.float32), np.abs(x), -1 - 0.001 * np.abs(x),
            np.where(rng.random(n) < 0.9, 0, x), scaled.ravel(), np.repeat(x[::32], 32),
            np.round(x * 4) / 4, np.where(np.arange(n) % 512 < 300, 0, x), x * 1e-6, ends]


x = np.concatenate([k.astype(np.float32) for k in kinds(2048)])
save("encode_x.f32", x)
for name, number in TYPES.items():
    block, size = gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType(number)]
    out = np.zeros(x.size // block * size, np.uint8)
    assert quantize(number, x.ctypes.data, out.ctypes.data, 0, 1, x.size, None) == out.size
    save(f"encode_{name}.bin", out)
    if name == "f16":
        continue
    n = 2048 // block
    raw = rng.integers(0, 256, (n, size), dtype=np.uint8)
    d = (rng.standard_normal((n, 2)) * 0.01).astype(np.float16).view(np.uint8).reshape(n, 4)
    if name == "q6_k":
        raw[:, -2:] = d[:, :2]
    elif name == "q4_k":
        raw[:, :4] = d
    else:
        raw[:, :2] = d[:, :2]
    save(f"decode_{name}.bin", raw)
    save(f"decode_{name}.f32", gguf.dequantize(raw, gguf.GGMLQuantizationType(number)).astype(np.float32).ravel())

f8 = torch.arange(256, dtype=torch.uint8).view(torch.float8_e4m3fn).to(torch.float32)
save("f8.f32", f8.numpy())
v = torch.sort(f8[:127].clone()).values  # 0 .. 448
mid = (v[1:] + v[:-1]) / 2
near = torch.cat([v, mid, torch.nextafter(mid, torch.tensor(1e9)), torch.nextafter(mid, torch.tensor(-1e9)),
                  torch.rand(300, generator=torch.Generator().manual_seed(1)) * 2, torch.tensor([1e-9, 1e-38, 2.0**-10])])
near = torch.cat([near, -near])
save("f8_round.f32", near.numpy())
save("f8_round.bin", near.to(torch.float8_e4m3fn).view(torch.uint8).numpy())
