#!/bin/sh
# generate-traces killed with SIGKILL at 20 random moments: no stored trace is lost, none doubled, and
# the corpus ends with exactly the traces of an uninterrupted run. Then --samples is raised: only what
# is missing is made.
set -eu
decant=${DECANT:?}
teacher=examples/tiny-r1/model
n=150 kills=20
[ -z "${DECANT_TEST_SLOW:-}" ] || n=50 kills=14
[ -f $teacher/model.safetensors ] || { echo "no $teacher"; exit 77; }
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
export DECANT_QUIET=1
cc -O1 -o "$dir/problems" examples/tiny-r1/problems.c
"$dir/problems" --split train --n $n --seed 5 >"$dir/prompts.jsonl"
generate() { # corpus, samples, concurrency
    $decant generate-traces --teacher $teacher --prompts "$dir/prompts.jsonl" --corpus "$1" \
        --samples "$2" --max-tokens 200 --concurrency "$3" --seed 3
}
dump() {
    sqlite3 "$1" "SELECT p.text, t.sample_index, t.reasoning, t.answer, t.finish_reason,
        t.n_completion_tokens FROM traces t JOIN prompts p ON p.id = t.prompt_id
        ORDER BY p.text, t.sample_index"
}
count() { sqlite3 "$1" "SELECT count(*) FROM traces" 2>/dev/null || echo 0; }

start=$(date +%s.%N)
generate "$dir/whole.db" 2 64 >/dev/null
whole=$(awk -v a="$start" -v b="$(date +%s.%N)" 'BEGIN { print b - a }')
dump "$dir/whole.db" >"$dir/whole.txt"
[ "$(wc -l <"$dir/whole.txt")" -ge $((2 * n)) ]

seen=0
partial=0
i=0
while [ $i -lt $kills ]; do
    i=$((i + 1))
    # not through generate: $! would be a shell's, and decant would live on behind it
    $decant generate-traces --teacher $teacher --prompts "$dir/prompts.jsonl" --corpus "$dir/killed.db" \
        --samples 2 --max-tokens 200 --concurrency $((1 + i * 3)) --seed 3 >/dev/null 2>&1 &
    pid=$!
    # a random moment; work is committed twice a second
    sleep "$(awk -v s="$i$pid" -v t="$whole" 'BEGIN { srand(s); printf "%.3f", rand() * (1 + t / 4) }')"
    kill -9 $pid 2>/dev/null || true
    wait $pid 2>/dev/null || true
    now=$(count "$dir/killed.db")
    [ "$now" -ge "$seen" ] || { echo "kill $i: $seen traces became $now"; exit 1; }
    [ "$now" = "$seen" ] || [ "$now" -ge $((2 * n)) ] || partial=$((partial + 1))
    seen=$now
    if [ "$seen" = $((2 * n)) ]; then # finished in spite of the kills: the rest of them meet a new corpus
        dump "$dir/killed.db" | cmp - "$dir/whole.txt"
        rm -f "$dir/killed.db" "$dir/killed.db-wal" "$dir/killed.db-shm"
        seen=0
    fi
done
echo "after $kills kills: $seen of $((2 * n)) traces; $partial kills came between commits"
[ $partial -gt 0 ]
generate "$dir/killed.db" 2 64 >/dev/null
dump "$dir/killed.db" >"$dir/killed.txt"
cmp "$dir/whole.txt" "$dir/killed.txt"
[ "$(sqlite3 "$dir/killed.db" 'PRAGMA integrity_check')" = ok ]

# a second run makes nothing; three samples make one more of each and leave the others alone
generate "$dir/killed.db" 2 64 | grep -q '^0 traces made'
generate "$dir/killed.db" 3 64 | grep -q "^$n traces made"
[ "$(count "$dir/killed.db")" = $((3 * n)) ]
sqlite3 "$dir/killed.db" "DELETE FROM traces WHERE sample_index = 2"
dump "$dir/killed.db" | cmp - "$dir/whole.txt"
