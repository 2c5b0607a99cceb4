#!/bin/sh
# Every command once, on the tiny models: results on stdout, exit codes, and errors that name the
# file, the place and the remedy.
set -eu
decant=${DECANT:?}
teacher=examples/tiny-r1/model
base=examples/tiny-base/model
[ -f $teacher/model.safetensors ] && [ -f $base/model.safetensors ] || { echo "no tiny models"; exit 77; }
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
export DECANT_QUIET=1
fail() { echo "FAILED: $*"; exit 1; }
# expect CODE "text that the error must hold" command...
expect() {
    code=$1 text=$2
    shift 2
    set +e
    "$@" >"$dir/out" 2>"$dir/err"
    got=$?
    set -e
    [ $got = "$code" ] || { cat "$dir/err"; fail "exit $got instead of $code: $*"; }
    [ -z "$text" ] || grep -qF -- "$text" "$dir/err" || { cat "$dir/err"; fail "no \"$text\": $*"; }
}

cc -O1 -o "$dir/problems" examples/tiny-r1/problems.c
"$dir/problems" --split train --n 64 --seed 11 >"$dir/train.jsonl"
"$dir/problems" --split test --n 24 --seed 12 >"$dir/test.jsonl"

# usage
expect 2 "usage" $decant
expect 2 "no command" $decant frobnicate
expect 0 "" $decant --help
for c in generate-traces distill quantize-and-export eval chat corpus inspect tokenize logits; do
    expect 0 "" $decant $c --help
    grep -q "decant $c" "$dir/out" || fail "$c --help shows no example"
done
expect 2 "--teacher DIR|GGUF|URL is required" $decant generate-traces
expect 2 "is not an option" $decant eval --modle x
expect 2 "whole number" $decant eval --model x --problems y --samples many
expect 2 "1 to" $decant eval --model x --problems y --samples 0
expect 1 "no such model" $decant eval --model "$dir/nothing" --problems "$dir/test.jsonl"

# generate, corpus
expect 0 "" $decant generate-traces --teacher $teacher --prompts "$dir/train.jsonl" \
    --corpus "$dir/c.db" --max-tokens 200 --json
grep -q '"made":64' "$dir/out" || fail "generate made $(cat "$dir/out")"
expect 0 "" $decant generate-traces --teacher $teacher --prompts "$dir/train.jsonl" \
    --corpus "$dir/c.db" --max-tokens 200 --json
grep -q '"made":0' "$dir/out" || fail "a second run made $(cat "$dir/out")"
[ "$(sqlite3 "$dir/c.db" 'select count(*) from traces')" = 64 ]
expect 0 "" $decant corpus stats --corpus "$dir/c.db"
expect 0 "" $decant corpus verify --corpus "$dir/c.db"
expect 0 "" $decant corpus show --corpus "$dir/c.db"
expect 0 "" $decant corpus export --corpus "$dir/c.db" --out "$dir/c.jsonl"
[ "$(wc -l <"$dir/c.jsonl")" -ge 1 ] || fail "export is empty"
printf '{"prompt": "x"}\n{"prompt": \n' >"$dir/bad.jsonl"
expect 1 "bad.jsonl:2" $decant generate-traces --teacher $teacher --prompts "$dir/bad.jsonl" \
    --corpus "$dir/d.db"

# distill: from the base, a few steps; from a config.json alone
expect 0 "" $decant distill --student $base --corpus "$dir/c.db" --out "$dir/run" --epochs 1 \
    --batch-tokens 1024 --max-length 256
[ -f "$dir/run/final/model.safetensors" ] && [ -f "$dir/run/metrics.jsonl" ] || fail "no final"

# a start that failed leaves nothing behind, and says where a run or a model may be
expect 1 "no-student" $decant distill --student "$dir/no-student" --corpus "$dir/c.db" --out "$dir/new/run2"
expect 1 "no.db" $decant distill --student $base --corpus "$dir/no.db" --out "$dir/run2"
[ ! -e "$dir/new" ] && [ ! -e "$dir/run2" ] || fail "a failed distill left its directory"
mkdir "$dir/mine"
expect 1 "no.db" $decant distill --student $base --corpus "$dir/no.db" --out "$dir/mine"
rmdir "$dir/mine" || fail "a failed distill took or filled the user's directory"
expect 2 "there is no run to continue, and a new one needs --student; did you mean $dir/run?" \
    $decant distill --out "$dir/rum" --resume
[ ! -e "$dir/rum" ] || fail "a mistyped --resume made a directory"
near="did you mean examples/tiny-base/model?"
expect 1 "examples/tiny-base/model?" $decant distill --student examples/tiny-base --corpus "$dir/c.db" --out "$dir/run2"
expect 1 "$near" $decant inspect --model examples/tiny-base
expect 1 "$near" $decant tokenize --model examples/tiny-base --file "$dir/train.jsonl"
expect 1 "$near" $decant chat --model examples/tiny-base --prompt x
expect 1 "$near" $decant quantize-and-export --model examples/tiny-base --out "$dir/x.gguf"
expect 1 "did you mean examples/tiny-r1/model?" $decant generate-traces --teacher examples/tiny-r1 \
    --prompts "$dir/train.jsonl" --corpus "$dir/e.db"
expect 1 "cannot write $dir/nodir/x.gguf: there is no directory $dir/nodir" \
    $decant quantize-and-export --model "$dir/run/final" --out "$dir/nodir/x.gguf"

# export, in every type; eval on a GGUF and on a directory give the same kind of answer
for type in f16 q8_0 q4_0 q4_k_m; do
    expect 0 "" $decant quantize-and-export --model "$dir/run/final" --out "$dir/$type.gguf" --type $type
    expect 0 "" $decant inspect --model "$dir/$type.gguf"
    expect 0 "" $decant eval --model "$dir/$type.gguf" --problems "$dir/test.jsonl" --max-tokens 64 --json
    grep -q '"problems":24' "$dir/out" || fail "eval of $type: $(cat "$dir/out")"
done
expect 2 "q4_k_m" $decant quantize-and-export --model "$dir/run/final" --out "$dir/x.gguf" --type q9
expect 0 "" $decant inspect --model $teacher --json
expect 0 "" $decant chat --model $teacher --prompt "$(sed -n '1s/.*"prompt": *"\([^"]*\)".*/\1/p' "$dir/test.jsonl")"
grep -q '</think>' "$dir/out" && grep -q 'boxed' "$dir/out" || fail "chat said $(cat "$dir/out")"
expect 0 "" $decant logits --model $teacher --tokens 0,5,7 --out "$dir/l.npy"
expect 0 "" $decant logits --model $teacher --tokens 0,5,7 --stepwise --out "$dir/l2.npy"
cmp "$dir/l.npy" "$dir/l2.npy" || fail "prefill and decode give different bits"
expect 2 "vocabulary" $decant logits --model $teacher --tokens 0,999999 --out "$dir/l.npy"

# a pipe is not replaced by a file, and results that get lost are no success
mkfifo "$dir/pipe"
expect 2 "a device or a pipe" $decant logits --model $teacher --tokens 0,5 --out "$dir/pipe"
[ -p "$dir/pipe" ] || fail "the pipe was replaced"
if [ -c /dev/full ]; then
    set +e
    $decant inspect --model $teacher >/dev/full 2>"$dir/err"
    got=$?
    set -e
    [ $got = 1 ] && grep -q "standard output" "$dir/err" || fail "a full disk gave exit $got"
fi

# tokenize: there and back, any bytes
printf 'Mia has 12 apples.\n\377\376 <think> caf\303\251' >"$dir/text"
expect 0 "" $decant tokenize --model $teacher --file "$dir/text"
cp "$dir/out" "$dir/ids"
expect 0 "" $decant tokenize --model $teacher --file "$dir/ids" --decode
cmp "$dir/out" "$dir/text" || fail "tokenize does not come back"
echo "all commands did what they say"
