#!/bin/sh
# generate-traces with a teacher on disk: the request that corpora of earlier versions hold, adaptive
# sampling, shards, what is told; and wrong usage, which makes nothing.
set -eu
decant=${DECANT:?}
teacher=examples/tiny-r1/model
[ -f $teacher/model.safetensors ] || { echo "no $teacher"; exit 77; }
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
export DECANT_QUIET=1
cc -O1 -o "$dir/problems" examples/tiny-r1/problems.c
"$dir/problems" --split train --n 40 --seed 5 >"$dir/p.jsonl"
fail() {
    echo "FAIL: $*"
    exit 1
}
generate() { # corpus, options
    corpus=$1
    shift
    $decant generate-traces --teacher $teacher --prompts "$dir/p.jsonl" --corpus "$dir/$corpus.db" \
        --max-tokens 200 --concurrency 8 "$@"
}
q() {
    sqlite3 "$dir/$1.db" "$2"
}

# a request that changed its form would make everything anew
generate old --limit 2 --seed 3 >/dev/null
q old "SELECT json FROM requests" >"$dir/json"
echo '{"chat":"r1","fingerprint":"7e842a59b5e53ff5","max_tokens":200,"seed":3,"teacher":"model","temperature":0.6,"top_k":0,"top_p":0.95}' |
    cmp - "$dir/json" || fail "another request: $(cat "$dir/json")"
generate old --limit 2 --seed 3 | grep -q '^0 traces made, 2 were there, 2 wanted' || fail "made anew"
DECANT_QUIET=0 generate old --limit 2 --seed 3 --temperature 0.7 --instruction 'Think.' >/dev/null 2>"$dir/e"
grep -q 'temperature 0.6 there, 0.7 here; instruction not set there, "Think." here' "$dir/e" ||
    fail "other parameters: $(cat "$dir/e")"

# each sample has a seed of its own, which is kept
generate seeds --limit 4 --samples 3 >/dev/null
[ "$(q seeds "SELECT count(DISTINCT seed) FROM traces")" = 12 ] || fail "seeds: $(q seeds "SELECT DISTINCT seed FROM traces")"

# a prompt that fills the context gives an empty trace: said once, with both numbers
head -n 1 "$dir/p.jsonl" >"$dir/long.jsonl"
awk 'BEGIN { printf "{\"prompt\":\""; for (i = 0; i < 300; i++) printf "%d ", i; print "\"}" }' >>"$dir/long.jsonl"
$decant generate-traces --teacher $teacher --prompts "$dir/long.jsonl" --corpus "$dir/long.db" --samples 2 \
    --max-tokens 50 >"$dir/out" 2>"$dir/e"
[ "$(grep -c 'prompts of 2 samples leave no room .* context of 256 tokens' "$dir/e")" = 1 ] ||
    fail "a prompt without room: $(cat "$dir/e")"
[ "$(q long "SELECT count(*) FROM v_traces WHERE truncated AND n_completion_tokens = 0")" = 2 ] ||
    fail "a prompt without room: $(cat "$dir/out")"

# one good trace of at most three; hot, so that some are wrong
generate until --until-correct 1 --max-samples 3 --temperature 1.5 >/dev/null
stray=$(q until "SELECT count(*) FROM (SELECT sum(good) AS good, count(*) AS n FROM v_traces GROUP BY prompt_id)
    WHERE good > 1 OR n > 3 OR (good = 0 AND n < 3)")
[ "$stray" = 0 ] || fail "$stray prompts with too many or too few samples"
[ "$(q until 'SELECT count(DISTINCT prompt_id) FROM traces')" = 40 ] || fail "prompts without a trace"
n=$(q until 'SELECT count(*) FROM traces')
[ "$n" -gt 40 ] && [ "$n" -lt 120 ] || fail "$n traces until one is good"

# a name of the right answer's field that no record has is no "unknown" for every trace
rc=0
generate nofield --gold-field nope >"$dir/out" 2>"$dir/e" || rc=$?
[ $rc = 1 ] && grep -q 'p.jsonl: no record has the field "nope"' "$dir/e" || fail "no gold field: $rc, $(cat "$dir/e")"
[ ! -e "$dir/nofield.db" ] || fail "a corpus was left"

# the corpus cannot grow: what the summary counts is what is there
rc=0
(trap '' XFSZ && ulimit -f 800 && generate full --samples 50 --json) >"$dir/out" 2>"$dir/e" || rc=$?
[ $rc = 1 ] || fail "a corpus that cannot grow: $rc, $(cat "$dir/e")"
made=$(sed -n 's/.*"made":\([0-9]*\).*/\1/p' "$dir/out")
good=$(sed -n 's/.*"good":\([0-9]*\).*/\1/p' "$dir/out")
missing=$(sed -n 's/.*"missing":\([0-9]*\).*/\1/p' "$dir/out")
[ "$made" -gt 0 ] && [ "$made $good" = "$(q full 'SELECT count(*), sum(good) FROM v_traces' | tr '|' ' ')" ] &&
    [ $((made + missing)) = 2000 ] || fail "a corpus that cannot grow: $(cat "$dir/out")"

# who waits to write the same corpus gets its turn
$decant generate-traces --teacher $teacher --prompts "$dir/p.jsonl" --corpus "$dir/busy.db" --samples 2000 >/dev/null 2>&1 &
run=$!
trap 'kill $run 2>/dev/null || true; rm -rf "$dir"' EXIT
until [ -e "$dir/busy.db" ] && [ "$(q busy 'SELECT count(*) FROM traces' 2>/dev/null || echo 0)" -gt 0 ]; do sleep 0.1; done
for i in 1 2 3 4 5 6; do
    echo "{\"prompt\":\"p$i\"}" >"$dir/one.jsonl"
    $decant corpus import --corpus "$dir/busy.db" --prompts "$dir/one.jsonl" >/dev/null 2>"$dir/e" ||
        fail "import $i beside a run: $(cat "$dir/e")"
done
kill $run
wait $run || true
trap 'rm -rf "$dir"' EXIT
[ "$(q busy "SELECT count(*) FROM prompts WHERE text LIKE 'p_'")" = 6 ] || fail "imports beside a run are lost"

# shards make the traces of an undivided run
generate whole >/dev/null
for shard in 2/2 1/2; do
    generate parts --shard $shard >/dev/null
done
for corpus in whole parts; do
    q $corpus "SELECT prompt, sample_index, reasoning, answer FROM v_traces ORDER BY prompt" >"$dir/$corpus"
done
cmp "$dir/whole" "$dir/parts" || fail "shards differ from the whole"
[ "$(wc -l <"$dir/whole")" -ge 40 ] || fail "traces are missing"

# wrong usage: exit 2, a word that names it, and no corpus
usage() { # word, options
    refused 2 "$@"
}
refused() { # exit code, word, options
    want=$1 word=$2
    shift 2
    code=0
    $decant generate-traces --prompts "$dir/p.jsonl" --corpus "$dir/wrong.db" "$@" >/dev/null 2>"$dir/e" || code=$?
    [ $code = "$want" ] || fail "$*: exit $code"
    grep -q -- "$word" "$dir/e" || fail "$*: $(cat "$dir/e")"
    [ ! -e "$dir/wrong.db" ] || fail "$*: left a corpus"
}
usage 'is required'
usage '--budget is for HTTP teachers' --teacher $teacher --budget 3
usage 'not both' --teacher $teacher --teacher http://127.0.0.1:9/v1
usage 'several times' --teacher $teacher --teacher $teacher
usage 'given together' --teacher $teacher --until-correct 2
usage 'less than' --teacher $teacher --until-correct 2 --max-samples 1
usage '1/4 to 4/4' --teacher $teacher --shard 0/4
usage '1/4 to 4/4' --teacher $teacher --shard 5/4
http="--teacher-model m --teacher http://127.0.0.1:9/v1"
# shellcheck disable=SC2086
{
    usage 'needs prices' $http --budget 3
    usage 'weight=0' $http,weight=0
    usage 'there is no "wait"' $http,wait=3
    usage 'key-env= or key-file=' $http,key-env=A,key-file=B
    refused 1 'NOT_SET' $http,key-env=NOT_SET
    usage 'prompt-template' $http --raw
    usage 'for --raw prompts' $http --prompt-template r1
    refused 1 'no {prompt}' $http --raw --prompt-template "$dir/p.jsonl"
    usage '--extra' $http --extra '[1]'
    usage 'given together' $http --price-input 3
    usage '--threads' $http --threads 3
    usage 'http:// or https://' --teacher-model m --teacher ftp://127.0.0.1/v1
}
echo "local teachers: $n traces until one is good of 40 prompts"
