#!/bin/sh
# Do other programs open what decant writes? Needs the PyPI packages gguf, numpy and
# llama-cpp-python; without them it says SKIP. Run by `make check-interop`.
set -u
cd "$(dirname "$0")/../.."
export DECANT="${DECANT:-${BUILD:-build}/decant}"
python=${PYTHON:-python3}
if ! "$python" -c 'import numpy, gguf, llama_cpp' 2>/dev/null; then
    echo "SKIP: llama.cpp is not here; install it with: $python -m pip install numpy gguf llama-cpp-python"
    exit 0
fi
OMP_NUM_THREADS="${OMP_NUM_THREADS:-$(nproc)}" exec "$python" tests/interop/check.py
