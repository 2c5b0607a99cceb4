#!/bin/sh
# generate-traces over HTTP: against the ideal of a server that takes 200 ms (also with thousands in
# flight), against a Python asyncio client of open-r1's logic on a server that answers at once (short
# answers, and streams of 2,000 tokens), and its memory with 1,000 streams of 30,000 tokens, which come
# at 300 tokens a second each.
# PART=latency, short, long or memory runs one. OPEN_R1=.../scripts/generate_reasoning.py runs that
# program itself too (it needs datasets, aiofiles and uvloop), with whole answers, which is all it can.
set -eu
cd "$(dirname "$0")/../.."
export DECANT="${DECANT:-build/decant}" BUILD="${BUILD:-build}"
. tests/e2e/http.sh
python=${PYTHON:-python3}
have_python=1
$python -c 'import aiohttp' 2>/dev/null || {
    have_python=
    echo "Python's half skipped: $python -m pip install aiohttp"
}
part() {
    [ "${PART:-$1}" = "$1" ]
}
timed() { # a program: $took seconds of wall clock, $cpu of its processors' time
    begin=$(date +%s.%N)
    sh -c '"$@" >"$0.out" 2>"$0.err" || { tail -n 3 "$0.err" >&2; exit 1; }; times >"$0.times"' "$dir/timed" "$@" ||
        fail "$*"
    took=$(awk -v a="$begin" -v b="$(date +%s.%N)" 'BEGIN { print b - a }')
    cpu=$(awk 'NR == 2 { for (i = 1; i <= 2; i++) { split($i, t, /[ms]/); s += 60 * t[1] + t[2] } print s }' "$dir/timed.times")
}
ours() { # corpus, prompts, options
    corpus=$1 file=$2
    shift 2
    # shellcheck disable=SC2086
    timed $decant generate-traces --teacher "$url" --prompts "$file" --corpus "$dir/$corpus.db" $prices --seed 3 \
        --canary 0 --teacher-model r1 "$@"
    n=$(q "$corpus" 'SELECT count(*) FROM traces')
}
say() { # what
    awk -v w="$1" -v n="$n" -v t="$took" -v c="$cpu" 'BEGIN {
        printf "%-42s %6d in %6.2f s, %6.0f/s; %6.1f us of processor each\n", w, n, t, n / t, c / n * 1e6 }'
}
against() { # the peer's seconds, traces and processor seconds beside ours
    awk -v n="$n" -v t="$took" -v c="$cpu" -v t2="$1" -v n2="$2" -v c2="$3" 'BEGIN {
        printf "    decant is %.1f times as fast, with %.1f times less processor (goal 10)\n",
            n / t * t2 / n2, c2 / n2 / (c / n) }'
}
peers() { # prompts, samples, forms: decant's numbers stand in $took, $cpu, $n
    [ "$have_python" ] || return 0
    our_took=$took our_cpu=$cpu our_n=$n
    file=$1 samples=$2
    shift 2
    for out in "$@"; do
        form=${out%.*}
        # shellcheck disable=SC2046
        timed "$python" tests/bench/http_peer.py "$url" "$file" "$dir/peer-$out" "$samples" 1000 \
            $([ "$form" = stream ] && echo stream)
        read -r took n <"$dir/timed.out" # without Python's start
        say "  Python asyncio, $out"
        t=$took c=$cpu m=$n
        took=$our_took cpu=$our_cpu n=$our_n
        against "$t" "$m" "$c"
    done
}

open_r1() { # decant's numbers stand in $took, $cpu, $n
    our_took=$took our_cpu=$cpu our_n=$n
    mkdir "$dir/dataset"
    cp "$dir/p.jsonl" "$dir/dataset/train.jsonl"
    address=${url#http://}
    timed env HF_HUB_OFFLINE=1 "$python" "$OPEN_R1" --dataset-name "$dir/dataset" --prompt-column prompt \
        --uuid-column prompt --output-file "$dir/open-r1.jsonl" --num-generations 4 --max-concurrent 1000 \
        --prompt-template '{prompt}' --api-addr "${address%/v1}"
    n=$((4 * $(wc -l <"$dir/open-r1.jsonl")))
    say "  open-r1's generate_reasoning.py"
    t=$took c=$cpu m=$n
    took=$our_took cpu=$our_cpu n=$our_n
    against "$t" "$m" "$c"
}

if part latency; then
    prompts 25000 >"$dir/p.jsonl"
    start_server latency --latency-ms 195-205
    ours latency "$dir/p.jsonl" --samples 4 --concurrency 1000
    say "200 ms, 1,000 in flight"
    # of the time between the first and the last twentieth of the traces, when there was enough to be
    # asked; and of the run, from program start to its end
    full=$(q latency "SELECT sum(t) FROM (SELECT (julianday(created_at) * 86400) * iif(place < n / 2, -1, 1) AS t FROM
        (SELECT created_at, row_number() OVER (ORDER BY created_at) AS place, count(*) OVER () AS n FROM traces)
        WHERE place IN (n / 20, n - n / 20))")
    awk -v n="$n" -v t="$took" -v full="$full" 'BEGIN {
        printf "    %.3f of the ideal 5,000/s while all 1,000 are in flight (goal 0.95), %.3f from start to end\n",
            0.9 * n / full / 5000, n / t / 5000 }'
    stop_server
    prompts 10000 >"$dir/p.jsonl"
    start_server many --latency-ms 800
    ours many "$dir/p.jsonl" --samples 4 --concurrency 4000
    say "800 ms, 4,000 in flight"
    stop_server
fi

if part short; then
    prompts 5000 >"$dir/p.jsonl"
    prompts 1000 >"$dir/p1000.jsonl"
    start_server short
    ours whole "$dir/p.jsonl" --samples 4 --concurrency 1000 --no-stream
    say "short answers, whole (goal 2,000/s)"
    peers "$dir/p1000.jsonl" 4 whole.jsonl whole.db
    [ -z "${OPEN_R1:-}" ] || open_r1
    ours stream "$dir/p.jsonl" --samples 4 --concurrency 1000
    say "short answers, streamed (goal 2,000/s)"
    peers "$dir/p1000.jsonl" 4 stream.jsonl stream.db
    stop_server
fi

if part long; then
    prompts 500 >"$dir/p.jsonl"
    prompts 200 >"$dir/p200.jsonl"
    start_server long --tokens 2000 --chunk-tokens 1
    ours long "$dir/p.jsonl" --samples 2 --concurrency 1000
    say "streams of 2,000 tokens, a chunk each"
    peers "$dir/p200.jsonl" 1 stream.db
    stop_server
fi

if part memory; then
    prompts 1000 >"$dir/p.jsonl"
    start_server memory --tokens 30000 --chunk-tokens 1 --chunk-ms 100 --burst 30 --latency-ms 0-100
    begin=$(date +%s.%N)
    # shellcheck disable=SC2086
    $decant generate-traces --teacher "$url" --prompts "$dir/p.jsonl" --corpus "$dir/memory.db" $prices --seed 3 \
        --canary 0 --concurrency 1000 --teacher-model r1 >"$dir/memory.out" 2>"$dir/memory.err" &
    pid=$!
    peak=0
    while now=$(awk '/VmHWM/ { print $2 }' "/proc/$pid/status" 2>/dev/null) && [ -n "$now" ]; do
        peak=$now
        sleep 0.2
    done
    wait $pid || fail "memory: $(tail -n 3 "$dir/memory.err")"
    bytes=$(q memory 'SELECT avg(length(CAST(reasoning AS BLOB)) + length(CAST(answer AS BLOB))) FROM traces')
    awk -v k="$peak" -v s="$begin" -v e="$(date +%s.%N)" -v b="$bytes" 'BEGIN {
        printf "1,000 streams of 30,000 tokens (%.0f bytes of text each): peak %.0f MB (goal under 200), %.0f s\n",
            b, k * 1024 / 1e6, e - s }'
    same "$(q memory 'SELECT count(*) FROM traces')" 1000 "memory: traces"
    same "$(wc -l <"$dir/memory.ledger")" 1000 "memory: requests"
    stop_server
fi
