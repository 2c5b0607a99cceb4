#!/bin/sh
# Runs every test binary and test script; the last line is "N passed, N failed".
# A test that exits 77 is skipped (what it needs is absent). ONLY=pattern runs a part.
# SAN=1 (make asan): programs are slow, so tests that take long ask less of them (DECANT_TEST_SLOW).
set -u
cd "$(dirname "$0")/.."
build=${BUILD:-build}
passed=0 failed=0 skipped=0 names=
log=$(mktemp)
trap 'rm -f "$log"' EXIT
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-$(nproc)}" DECANT="$build/decant" BUILD="$build"
[ "${SAN:-}" = 1 ] && export DECANT_TEST_SLOW=1
for t in $(find tests -name 'test_*.c' -o -name 'test_*.sh' | LC_ALL=C sort) tests/layers.sh; do
    case $t in *"${ONLY:-}"*) ;; *) continue ;; esac
    case $t in
    *.c) run="$build/${t%.c}" ;;
    *) run="sh $t" ;;
    esac
    start=$(date +%s)
    $run >"$log" 2>&1
    code=$?
    took=$(($(date +%s) - start))
    case $code in
    0)
        passed=$((passed + 1))
        echo "ok    $t (${took} s)"
        # a program passes when only some of its tests could run: say which did not
        sed -n 's/^\[  SKIPPED \] \([a-z].*\)/      but skipped: \1/p' "$log" | sort -u
        ;;
    77) skipped=$((skipped + 1)); echo "SKIP  $t: $(tail -n 1 "$log")" ;;
    *) failed=$((failed + 1)); names="$names $t"; echo "FAIL  $t (exit $code)"; cat "$log" ;;
    esac
done
[ -z "$names" ] || echo "failed:$names"
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
