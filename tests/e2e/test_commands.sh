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
commands="generate-traces distill quantize-and-export eval chat corpus inspect tokenize logits"
for c in $commands; do
    expect 0 "" $decant $c --help
    grep -q "decant $c" "$dir/out" || fail "$c --help shows no example"
done
# examples stand two spaces in; what is required says so
for c in $commands; do
    $decant $c --help >"$dir/out"
    sed -n '/^examples*:/,$p' "$dir/out" | grep decant | grep -qv '^  decant' && fail "$c --help: examples"
    awk '/^example/ { exit } length > 100 { bad = 1; exit } END { exit bad }' "$dir/out" || fail "$c --help has a line of more than 100 characters"
done
$decant distill --help >"$dir/out"
[ "$(grep -c '(required' "$dir/out")" = 3 ] || fail "distill --help does not mark what it requires"
expect 2 "--teacher DIR|GGUF|URL is required" $decant generate-traces
expect 2 "is not an option" $decant eval --modle x
expect 2 "whole number" $decant eval --model x --problems y --samples many
expect 2 "1 to" $decant eval --model x --problems y --samples 0
expect 2 "--prompt is given twice" $decant chat --model $teacher --prompt a --prompt b
expect 2 "--json is given twice" $decant eval --json --json
# 2 is for the command line alone; a file that is missing, of another kind or without what was chosen
# is 1, everywhere
no=$dir/none
mkdir "$dir/folder"
for c in "generate-traces --teacher $no --prompts $dir/train.jsonl --corpus $dir/n.db" \
    "generate-traces --teacher localhost:8000/v1 --prompts $dir/train.jsonl --corpus $dir/n.db" \
    "generate-traces --teacher $teacher --prompts $no --corpus $dir/n.db" \
    "generate-traces --teacher $teacher --prompts $dir/folder --corpus $dir/n.db" \
    "generate-traces --teacher $teacher --prompts $dir/train.jsonl --corpus $dir/folder" \
    "generate-traces --teacher http://127.0.0.1:9/v1 --teacher-model m --prompts $no --corpus $dir/n.db" \
    "generate-traces --teacher http://127.0.0.1:9/v1 --teacher-model m --prompts $dir/train.jsonl --corpus $dir/n.db --prices $no" \
    "generate-traces --teacher http://127.0.0.1:9/v1 --teacher-model m --prompts $dir/train.jsonl --corpus $dir/n.db --api-key-file $no" \
    "generate-traces --teacher http://127.0.0.1:9/v1 --teacher-model m --prompts $dir/train.jsonl --corpus $dir/n.db --api-key-env NOT_SET" \
    "generate-traces --teacher http://127.0.0.1:9/v1 --teacher-model m --prompts $dir/train.jsonl --corpus $dir/n.db --raw --prompt-template $no" \
    "distill --student $no --corpus $no --out $dir/r" "distill --student $base --corpus $no --out $dir/r" \
    "distill --student $dir/train.jsonl --corpus $no --out $dir/r" "distill --config $no --out $dir/r" \
    "distill --out $no --resume" \
    "quantize-and-export --model $no --out $dir/x.gguf" "quantize-and-export --model $base --out $dir/folder" \
    "quantize-and-export --model $base --out $dir/train.jsonl" "quantize-and-export --model $base --out $no/x.gguf" \
    "eval --model $no --problems $dir/test.jsonl" "eval --model $base --problems $no" \
    "eval --model $base --problems $dir/folder" "chat --model $no --prompt a" "inspect --model $no" \
    "tokenize --model $no --file $dir/train.jsonl" "tokenize --model $base --file $no" \
    "tokenize --model $base --file $dir/train.jsonl --decode" "logits --model $no --tokens 1 --out $dir/l.npy" \
    "logits --model $base --tokens 1 --out $dir/folder" "corpus import --corpus $dir/n.db --prompts $no" \
    "corpus import --corpus $dir/folder --prompts $dir/train.jsonl" "corpus import --corpus $dir/n.db --prompts $dir/folder" \
    "corpus merge --corpus $dir/n.db --from $no" "corpus stats --corpus $no" "corpus show --corpus $no" \
    "corpus search --corpus $no --query a" "corpus verify --corpus $no" "corpus check --corpus $no" \
    "corpus export --corpus $no --out $dir/x" "corpus dedup --corpus $no" "corpus filter --corpus $no --min-tokens 5" \
    "corpus decontaminate --corpus $no --against $dir/test.jsonl" "corpus stats --corpus $dir/folder"; do
    expect 1 "" $decant $c
done
rm -rf "$dir/n.db"* "$dir/folder"
$decant corpus import --corpus "$dir/n.db" --prompts "$dir/train.jsonl" >"$dir/out"
for c in "show" "export --out $dir/x" "decontaminate --against $no" "filter --clear odd"; do
    expect 1 "" $decant corpus $c --corpus "$dir/n.db"
done
expect 1 "" $decant distill --student $base --corpus "$dir/n.db" --out "$dir/r"
rm -rf "$dir/n.db"* "$dir/r"
# a slip in a word, and the beginning of one
expect 2 'no command "corpos"; did you mean "corpus"?' $decant corpos
expect 2 'did you mean "generate-traces"? decant --help' $decant generate
expect 2 "is not an option of this command; did you mean --prompts?" $decant generate-traces --promts=x
expect 2 "did you mean --samples? see decant" $decant eval --sampels 3
expect 2 "did you mean --type?" $decant quantize-and-export --typ q4_0
expect 2 "did you mean --temperature?" $decant chat --temp 1
expect 2 "is not an option of this command; see decant chat" $decant chat --quux 1
expect 2 'there is no command "quux"; decant --help' $decant quux
for c in distill "corpus stats"; do
    expect 0 "" $decant $c --help
    cp "$dir/out" "$dir/help"
    expect 0 "" $decant help $c
    cmp "$dir/out" "$dir/help" || fail "help $c"
done
expect 2 "no command" $decant help frobnicate
for c in "eval --problems $dir/test.jsonl" "chat --prompt x" inspect "quantize-and-export --out $dir/x.gguf" "logits --tokens 0 --out $dir/l.npy"; do
    expect 1 "$dir/nothing: no such model; it should be an HF directory or a .gguf file" $decant $c --model "$dir/nothing"
    expect 1 "a model is an HF directory or a .gguf file; did you mean $teacher?" $decant $c --model $teacher/config.json
done
expect 1 "a model is an HF directory or a .gguf file" $decant inspect --model "$dir/train.jsonl"
expect 1 "no tokenizer.json: \"model\" should be an object there; did you mean $teacher?" \
    $decant tokenize --model $teacher/config.json --file "$dir/train.jsonl"

expect 0 "" $decant corpus --help
grep -q '^  decontaminate  *mark' "$dir/out" || fail "corpus --help: $(cat "$dir/out")"

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
expect 0 "" $decant corpus check --corpus "$dir/c.db"
grep -q 'integrity     ok' "$dir/out" || fail "check said $(cat "$dir/out")"
expect 0 "" $decant corpus search --corpus "$dir/c.db" --query boxed --limit 3
$decant corpus search --corpus "$dir/c.db" --query 'boxed AND (quux' | grep -qF 'as a query it has a mistake (syntax error near ""), so its words' || fail "how a query was read"
grep -q '\[boxed\]' "$dir/out" || fail "search found $(cat "$dir/out")"
expect 0 "" $decant corpus search --corpus "$dir/c.db" --query '"boxed'
grep -qF '(unterminated string), so its words were looked for, all of them; words in quotes ("...") are looked for as they stand' "$dir/out" ||
    fail "an unterminated string: $(cat "$dir/out")"
expect 0 "" $decant corpus search --corpus "$dir/c.db" --query 'odd:boxed' --json
grep -qF '"mistake":"no such column: odd"}' "$dir/out" || fail "a query's mistake in JSON: $(cat "$dir/out")"
expect 0 "" $decant corpus search --corpus "$dir/c.db" --query '"boxed"' --json
! grep -q mistake "$dir/out" || fail "a mistake in a query without one: $(cat "$dir/out")"
# out and in again, in every form: the same traces, and nothing twice
for form in messages sharegpt prompt-completion; do
    expect 0 "" $decant corpus export --corpus "$dir/c.db" --select all --format $form --out "$dir/$form.jsonl"
    expect 0 "" $decant corpus import --corpus "$dir/again.db" --traces "$dir/$form.jsonl" --json
done
grep -q '"traces":0,"traces_there":64' "$dir/out" || fail "imported $(cat "$dir/out")"
q="select group_concat(prompt || sample_index || request || reasoning || answer || verdict) from (select * from v_traces order by prompt)"
[ "$(sqlite3 "$dir/again.db" "$q")" = "$(sqlite3 "$dir/c.db" "$q")" ] || fail "export and import differ"
expect 0 "" $decant corpus merge --corpus "$dir/again.db" --from "$dir/c.db" --json
grep -q '"traces":0,"there":64' "$dir/out" || fail "merged $(cat "$dir/out")"
expect 0 "" $decant corpus merge --corpus "$dir/all.db" --from "$dir/c.db" --from "$dir/again.db"
[ "$(sqlite3 "$dir/all.db" 'select count(*), sum(good) from v_traces')" = \
    "$(sqlite3 "$dir/c.db" 'select count(*), sum(good) from v_traces')" ] || fail "merge differs"
expect 2 'did you mean "stats"? decant corpus --help' $decant corpus stat --corpus "$dir/c.db"
# what is no export stays, whatever it is; an older export goes
cp "$dir/c.db" "$dir/kept.db"
for out in kept.db train.jsonl; do
    expect 1 "$dir/$out: the file that is there is not an export of traces" \
        $decant corpus export --corpus "$dir/c.db" --out "$dir/$out"
done
cmp "$dir/c.db" "$dir/kept.db"
for form in messages sharegpt prompt-completion; do
    expect 0 "" $decant corpus export --corpus "$dir/c.db" --select all --format sharegpt --out "$dir/$form.jsonl"
done
expect 2 "--format x" $decant corpus export --corpus "$dir/c.db" --format x --out "$dir/x"
expect 2 "--prompts FILE or --traces FILE" $decant corpus import --corpus "$dir/c.db"
printf 'prompt,answer\n"a, b",1\n' >"$dir/p.csv"
expect 0 "" $decant corpus import --corpus "$dir/csv.db" --prompts "$dir/p.csv"
expect 0 "import: 1 record of" env -u DECANT_QUIET $decant corpus import --corpus "$dir/csv.db" --prompts "$dir/p.csv"
expect 1 "" env -u DECANT_QUIET $decant corpus export --corpus "$dir/csv.db" --out "$dir/nodir/x"
! grep -q '^export:' "$dir/err" || fail "export counts before an error: $(cat "$dir/err")"
printf '{"prompt": 3}\n' >"$dir/wrong.jsonl"
expect 1 'wrong.jsonl:1: "prompt" should be a string' $decant corpus import --corpus "$dir/none.db" \
    --prompts "$dir/wrong.jsonl"
grep -q -- '--skip-bad' "$dir/err" || fail "import does not name --skip-bad"
printf 'x\ny\n' >"$dir/nothing.jsonl"
expect 1 "none of the 2 records could be read; the first: $dir/nothing.jsonl:1: not valid JSON" \
    $decant corpus import --corpus "$dir/nothing.db" --prompts "$dir/nothing.jsonl" --skip-bad
[ ! -e "$dir/nothing.db" ] || fail "an import of nothing left a corpus"
expect 1 'wrong.jsonl:1: "prompt" should be a string' $decant generate-traces --teacher $teacher \
    --prompts "$dir/wrong.jsonl" --corpus "$dir/none.db"
! grep -q -- '--skip-bad' "$dir/err" || fail "generate-traces names an option that it lacks"
expect 1 "there is no directory $dir/nodir; make it first" $decant corpus import --corpus "$dir/nodir/x.db" \
    --prompts "$dir/train.jsonl"
[ ! -e "$dir/none.db" ] || fail "a failed import left a corpus behind"
! $decant corpus stats --corpus "$dir/c.db" | grep -qF '$0' || fail "stats print money of a free teacher"
printf '{"prompt": "x"}\n{"prompt": \n' >"$dir/bad.jsonl"
expect 1 "bad.jsonl:2" $decant generate-traces --teacher $teacher --prompts "$dir/bad.jsonl" \
    --corpus "$dir/d.db"
[ ! -e "$dir/d.db" ] || fail "a failed run left an empty corpus behind"
for name in models/r1:8 ./v1 r1:latest; do # none of them looks like a URL without its http://
    expect 1 "$name: no such model; it should be" $decant generate-traces --teacher $name --prompts "$dir/train.jsonl" --corpus "$dir/d.db"
done

# distill: from the base, a few steps; from a config.json alone
expect 0 "" $decant distill --student $base --corpus "$dir/c.db" --out "$dir/run" --epochs 1 \
    --batch-tokens 1024 --max-length 256
grep -q '^loss .* in training, mean of the last [0-9]* step' "$dir/out" || fail "which loss? $(cat "$dir/out")"
! grep -q skipped "$dir/out" || fail "nothing is longer: $(cat "$dir/out")"
expect 0 "" $decant distill --student $base --corpus "$dir/c.db" --out "$dir/shorter" --epochs 1 \
    --batch-tokens 128
grep -q '^skipped  *[1-9][0-9]*, longer than 128 tokens (--max-length, --batch-tokens;' "$dir/out" || fail "why skipped? $(cat "$dir/out")"
rm -r "$dir/shorter"
[ -f "$dir/run/final/model.safetensors" ] && [ -f "$dir/run/metrics.jsonl" ] || fail "no final"

printf '{"epochs": 1}\n{"lr": 1e-4}\n' >"$dir/lines.jsonl"
expect 1 "--config wants one JSON object of settings" $decant distill --student $base --corpus "$dir/c.db" \
    --config "$dir/lines.jsonl" --out "$dir/run2"
expect 2 'device "cuda" is not known here; known: cpu' $decant distill --student $base --corpus "$dir/c.db" \
    --device cuda --out "$dir/run2"

# a start that failed leaves nothing behind, and says where a run or a model may be
expect 1 "no-student" $decant distill --student "$dir/no-student" --corpus "$dir/c.db" --out "$dir/new/run2"
expect 1 "no.db" $decant distill --student $base --corpus "$dir/no.db" --out "$dir/run2"
expect 1 "holds no trace to train on: the corpus has 64 traces, " $decant distill --student $base --corpus "$dir/c.db" \
    --select "id < 0" --out "$dir/run2"
[ ! -e "$dir/new" ] && [ ! -e "$dir/run2" ] || fail "a failed distill left its directory"
mkdir "$dir/mine"
expect 1 "no.db" $decant distill --student $base --corpus "$dir/no.db" --out "$dir/mine"
rmdir "$dir/mine" || fail "a failed distill took or filled the user's directory"
expect 1 "there is no run to continue, and a new one needs --student; did you mean $dir/run?" \
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
# the directory of a run is no model; one in which runs stand, neither
mkdir "$dir/runs"
ln -s "$dir/run" "$dir/runs/a"
for c in "chat --prompt x --model" "eval --problems $dir/test.jsonl --model" "inspect --model" "tokenize --file $dir/train.jsonl --model" \
    "quantize-and-export --out $dir/x.gguf --model" "distill --corpus $dir/c.db --out $dir/run2 --student"; do
    expect 1 "did you mean $dir/run/final?" $decant $c "$dir/run"
    expect 1 "did you mean $dir/runs/a/final?" $decant $c "$dir/runs"
done
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
cp "$dir/run/final/model.safetensors" "$dir/kept"
expect 1 "is not a GGUF file, so it is not replaced" \
    $decant quantize-and-export --model "$dir/run/final" --out "$dir/run/final/model.safetensors"
expect 1 "is not a NumPy file, so it is not replaced" \
    $decant logits --model "$dir/run/final" --tokens 0,5,7 --out "$dir/run/final/model.safetensors"
cmp "$dir/run/final/model.safetensors" "$dir/kept"
expect 0 "" $decant inspect --model $teacher --json
grep -q '"parameters": 5197280, "mtp_parameters": 1390704,' "$dir/out" || fail "inspect counts $(head -c 200 "$dir/out")"
expect 0 "" $decant inspect --model $teacher
grep -q '1.39 M (1390704), .*: multi-token prediction' "$dir/out" || fail "inspect counts $(head "$dir/out")"
expect 0 "" $decant eval --model $teacher --problems "$dir/test.jsonl" --limit 1 --max-tokens 1 --json
grep -q "\"params\":$((5197280 - 1390704))," "$dir/out" || fail "eval counts $(cat "$dir/out")"
# what cut an answer: --max-tokens, or the model's context
mkdir "$dir/short"
cp $base/* "$dir/short"
sed 's/"max_position_embeddings": *[0-9]*/"max_position_embeddings": 72/' $base/config.json >"$dir/short/config.json"
expect 0 "" $decant eval --model "$dir/short" --problems "$dir/test.jsonl" --max-tokens 2 --json
grep -q '"truncated":24,"cut_at_max_tokens":24,"cut_by_context":0,' "$dir/out" || fail "eval: $(cat "$dir/out")"
expect 0 "" $decant eval --model "$dir/short" --problems "$dir/test.jsonl" --max-tokens 500 --temperature 10 --json
grep -q '"cut_at_max_tokens":0,"cut_by_context":[1-9]' "$dir/out" || fail "eval: $(cat "$dir/out")"
expect 0 "" $decant eval --model "$dir/short" --problems "$dir/test.jsonl" --max-tokens 500 --temperature 10
grep -q 'by the model.s context of 72 tokens' "$dir/out" || fail "eval: $(cat "$dir/out")"
expect 2 "--prompt is empty" $decant chat --model $teacher --prompt ""
expect 2 "--prompt is empty" $decant chat --model $teacher --prompt "  "
expect 0 "" $decant chat --model $base --prompt x --top-k 1 --max-tokens 8
cp "$dir/out" "$dir/greedy"
expect 0 "" $decant chat --model $base --prompt x --temperature 0 --max-tokens 8
cmp "$dir/out" "$dir/greedy" || fail "chat --top-k 1 is not greedy"
# a student whose form does not force reasoning opens it itself: told apart all the same
mkdir "$dir/chatml"
v=tests/vectors/train
sed 's/<｜User｜>/<|im_start|>/; s/<｜Assistant｜>/<|im_end|>/' $v/tokenizer.json >"$dir/chatml/tokenizer.json"
sed 's/: 16,/: 64,/; s/: 24,/: 128,/' $v/config.json >"$dir/chatml/config.json"
printf '%s\n' '{"prompt":"2 + 2?","completion":"<think>\nI add.\n</think>\n\nIt is 4."}' >"$dir/one.jsonl"
expect 0 "" $decant corpus import --corpus "$dir/one.db" --traces "$dir/one.jsonl" --teacher test
expect 0 "" $decant distill --student "$dir/chatml/config.json" --corpus "$dir/one.db" --select all \
    --out "$dir/chatml/run" --epochs 150 --lr 0.01 --batch-tokens 256
got=$(tr -d ' \t\n' <"$dir/chatml/run/final/generation_config.json")
[ "$got" = '{"eos_token_id":[257,260]}' ] || fail "other programs would stop at $got"
expect 0 "" $decant chat --model "$dir/chatml/run/final" --prompt "2 + 2?" --temperature 0
printf '<think>\nI add.\n</think>\n\nIt is 4.\n' | cmp - "$dir/out" || fail "chat said $(cat "$dir/out")"
expect 0 "" $decant chat --model "$dir/chatml/run/final" --prompt "2 + 2?" --temperature 0 --hide-reasoning
[ "$(cat "$dir/out")" = "It is 4." ] || fail "chat --hide-reasoning said $(cat "$dir/out")"

long=$(cut -c1-100 "$dir/train.jsonl" | head -n 20)
expect 2 "context of 256: there is no room" $decant chat --model $base --prompt "$long"
expect 0 "" $decant chat --model $teacher --prompt "$(sed -n '1s/.*"prompt": *"\([^"]*\)".*/\1/p' "$dir/test.jsonl")"
grep -q '</think>' "$dir/out" && grep -q 'boxed' "$dir/out" || fail "chat said $(cat "$dir/out")"
expect 0 "" $decant logits --model $teacher --tokens 0,5,7 --out "$dir/l.npy"
expect 0 "" $decant logits --model $teacher --tokens 0,5,7 --stepwise --out "$dir/l2.npy"
cmp "$dir/l.npy" "$dir/l2.npy" || fail "prefill and decode give different bits"
expect 2 "vocabulary" $decant logits --model $teacher --tokens 0,999999 --out "$dir/l.npy"

# a pipe is not replaced by a file, and results that get lost are no success
mkfifo "$dir/pipe"
expect 1 "a device or a pipe" $decant logits --model $teacher --tokens 0,5 --out "$dir/pipe"
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
# a terminal gets no control characters out of a model or a file; a file gets every byte
if command -v script >/dev/null; then
    printf 'a\033[31mb\tc\302\233d\303\251\177' >"$dir/text"
    $decant tokenize --model $teacher --file "$dir/text" >"$dir/ids"
    $decant tokenize --model $teacher --file "$dir/ids" --decode | cmp - "$dir/text" || fail "decode"
    script -qec "$decant tokenize --model $teacher --file $dir/ids --decode" /dev/null >"$dir/out" </dev/null
    printf 'a[31mb\tcd\303\251' | cmp - "$dir/out" || fail "a terminal got $(od -c "$dir/out")"
fi
echo "all commands did what they say"
