"""Runs decant's bench_quant and llama.cpp's ggml_quantize_chunk in turn, three times, and prints the
medians and their ratio. Weights: Gaussian, 2048 rows of 4096; the errors are relative (RMS)."""
import concurrent.futures
import ctypes
import glob
import os
import statistics
import subprocess
import sys
import time

import llama_cpp
import numpy as np

TYPES = {"f16": (1, 1, 2), "q8_0": (8, 32, 34), "q4_0": (2, 32, 18), "q5_0": (6, 32, 22), "q4_k": (12, 256, 144), "q6_k": (14, 256, 210)}
ROWS, COLS = 2048, 4096
threads = int(os.environ.get("OMP_NUM_THREADS", os.cpu_count()))
ggml = ctypes.CDLL(glob.glob(os.path.join(os.path.dirname(llama_cpp.__file__), "lib", "libggml-base.so"))[0])
quantize = ggml.ggml_quantize_chunk
quantize.restype = ctypes.c_size_t
quantize.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p]
x = (np.random.default_rng(1).standard_normal((ROWS, COLS)) * 0.02).astype(np.float32)


def llama(name, rows):
    """Million weights a second, and the relative error."""
    number, block, size = TYPES[name]
    out = np.zeros(rows * COLS // block * size, np.uint8)
    step = (rows + threads - 1) // threads
    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        t0 = time.perf_counter()
        done = [pool.submit(quantize, number, x.ctypes.data, out.ctypes.data, r * COLS, min(step, rows - r), COLS, None) for r in range(0, rows, step)]
        concurrent.futures.wait(done)
        rate = rows * COLS / (time.perf_counter() - t0) * 1e-6
    back = np.zeros(64 * COLS, np.float32)
    to_float = {"q8_0": "q8_0", "q4_0": "q4_0", "q5_0": "q5_0", "q4_k": "q4_K", "q6_k": "q6_K"}.get(name)
    if to_float:
        getattr(ggml, "dequantize_row_" + to_float)(ctypes.c_void_p(out.ctypes.data), ctypes.c_void_p(back.ctypes.data), ctypes.c_int64(back.size))
    else:
        back = out.view(np.float16)[: back.size].astype(np.float32)
    ref = x.ravel()[: back.size].astype(np.float64)
    return rate, float(np.sqrt(((back - ref) ** 2).sum() / (ref**2).sum()))


ours, theirs = {t: [] for t in TYPES}, {t: [] for t in TYPES}
for _ in range(3):
    for line in subprocess.run([sys.argv[1], "--tsv"], capture_output=True, text=True, check=True).stdout.splitlines():
        name, rate, err = line.split("\t")
        ours[name].append((float(rate), float(err)))
    for name in TYPES:
        theirs[name].append(llama(name, 256 if name in ("q4_k", "q6_k") else ROWS))
print(f"{threads} threads         decant                llama.cpp {llama_cpp.__version__}")
for name in TYPES:
    a, b = statistics.median(r for r, _ in ours[name]), statistics.median(r for r, _ in theirs[name])
    print(f"  {name:5} {a:8.1f} Mweights/s {100 * ours[name][0][1]:6.3f} %   {b:8.1f} Mweights/s {100 * theirs[name][0][1]:6.3f} %   {a / b:5.1f} times as fast")
