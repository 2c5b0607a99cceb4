#!/bin/sh
# generate-traces killed with SIGKILL at 20 random moments: no stored trace is lost, none doubled, and
# the corpus ends with exactly the traces of an uninterrupted run. Then --samples is raised: only what
# is missing is made.
set -eu
decant=${DECANT:?}
teacher=examples/tiny-r1/model
[ -f $teacher/model.safetensors ] || { echo "no $teacher"; exit 77; }
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
export DECANT_QUIET=1
cc -O1 -o "$dir/problems" examples/tiny-r1/problems.c
"$dir/problems" --split train --n 150 --seed 5 >"$dir/prompts.jsonl"
generate() { # corpus, samples
    $decant generate-traces --teacher $teacher --prompts "$dir/prompts.jsonl" --corpus "$1" \
        --samples "$2" --max-tokens 200 --concurrency "$3" --seed 3
}
dump() {
    sqlite3 "$1" "SELECT p.text, t.sample_index, t.reasoning, t.answer, t.finish_reason,
        t.n_completion_tokens FROM traces t JOIN prompts p ON p.id = t.prompt_id
        ORDER BY p.text, t.sample_index"
}
count() { sqlite3 "$1" "SELECT count(*) FROM traces" 2>/dev/null || echo 0; }

generate "$dir/whole.db" 2 64 >/dev/null
dump "$dir/whole.db" >"$dir/whole.txt"
[ "$(wc -l <"$dir/whole.txt")" -ge 300 ]

seen=0
i=0
while [ $i -lt 20 ]; do
    i=$((i + 1))
    generate "$dir/killed.db" 2 $((1 + i * 3)) >/dev/null 2>&1 &
    pid=$!
    # a random moment of up to 0.6 s, from the process id and the clock
    sleep "0.$(awk -v s="$i$pid" 'BEGIN { srand(s); printf "%03d", 20 + int(580 * rand()) }')"
    kill -9 $pid 2>/dev/null || true
    wait $pid 2>/dev/null || true
    now=$(count "$dir/killed.db")
    [ "$now" -ge "$seen" ] || { echo "kill $i: $seen traces became $now"; exit 1; }
    seen=$now
done
echo "after 20 kills: $seen of 300 traces"
generate "$dir/killed.db" 2 64 >/dev/null
dump "$dir/killed.db" >"$dir/killed.txt"
cmp "$dir/whole.txt" "$dir/killed.txt"
[ "$(sqlite3 "$dir/killed.db" 'PRAGMA integrity_check')" = ok ]

# a second run makes nothing; three samples make 150 more and leave the others alone
generate "$dir/killed.db" 2 64 | grep -q '^0 traces made'
generate "$dir/killed.db" 3 64 | grep -q '^150 traces made'
dump "$dir/killed.db" | grep -v '|2|' >/dev/null
[ "$(count "$dir/killed.db")" = 450 ]
