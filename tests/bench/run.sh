#!/bin/sh
# Runs every benchmark: programs bench_*.c and scripts bench_*.sh. Each prints ratios against a peer or
# a limit measured in the same run. ONLY=pattern runs a part.
set -u
cd "$(dirname "$0")/../.."
build=${BUILD:-build}
export DECANT="$build/decant" BUILD="$build"
failed=0
for b in tests/bench/bench_*.c tests/bench/bench_*.sh; do
    case $b in *"${ONLY:-}"*) ;; *) continue ;; esac
    [ -e "$b" ] || continue
    echo "== $b"
    case $b in
    *.c) "$build/${b%.c}" ;;
    *) sh "$b" ;;
    esac
    code=$?
    [ $code = 0 ] || [ $code = 77 ] || { echo "FAILED: $b (exit $code)"; failed=1; }
done
exit $failed
