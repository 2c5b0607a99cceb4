#!/bin/sh
# Do other programs open what decant writes, does decant open what they serve, does it speak HTTP/2
# with a real server, and do others judge answers as decant does? Needs the PyPI packages gguf, numpy
# and llama-cpp-python, for the second llama-cpp-python[server], for the third Debian's nghttp2-proxy,
# for the fourth math-verify; without them it says SKIP. Run by `make check-interop`.
set -u
cd "$(dirname "$0")/../.."
export DECANT="${DECANT:-${BUILD:-build}/decant}"
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-$(nproc)}"
python=${PYTHON:-python3}
failed=0
if "$python" -c 'import numpy, gguf, llama_cpp' 2>/dev/null; then
    "$python" tests/interop/check.py || failed=1
else
    echo "SKIP: llama.cpp is not here; install it with: $python -m pip install numpy gguf llama-cpp-python"
fi
if "$python" -c 'import llama_cpp.server.app, uvicorn' 2>/dev/null; then
    "$python" tests/interop/server.py || failed=1
else
    echo "SKIP: no llama.cpp server; install it with: $python -m pip install 'llama-cpp-python[server]'"
fi
# these say themselves when they skip
sh tests/interop/http2.sh || [ $? = 77 ] || failed=1
"$python" tests/interop/answers.py || [ $? = 77 ] || failed=1
exit $failed
