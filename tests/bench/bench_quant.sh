#!/bin/sh
# Encoding speed beside llama.cpp's own encoders (ggml_quantize_chunk of PyPI llama-cpp-python), same
# number of threads, one after the other in the same run. The goal for q4_k_m's types is a ratio of 4.
set -u
cd "$(dirname "$0")/../.."
python=${PYTHON:-python3}
if ! "$python" -c 'import numpy, llama_cpp' 2>/dev/null; then
    echo "llama.cpp's half skipped: $python -m pip install numpy llama-cpp-python"
    exit 77
fi
exec "$python" tests/bench/quant_peer.py "${BUILD:-build}/tests/bench/bench_quant"
