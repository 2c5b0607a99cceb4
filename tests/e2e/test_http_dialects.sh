#!/bin/sh
# generate-traces over HTTP: each server's dialect, streamed and whole, chat and plain completions, the
# reasoning in its field or inside tags, with log-probabilities. Each stored trace is held against what
# the server says that it said.
set -eu
. tests/e2e/http.sh
prompts 20 >"$dir/p.jsonl"
mix="--share wrong=0.1 --share no_think=0.1 --share truncated=0.1 --share filtered=0.1 --share answerless=0.1"
# shellcheck disable=SC2086
one() { # name, expected rule, model, server options, -- decant options
    name=$1 rule=$2 model=$3
    shift 3
    opts=
    while [ "$1" != -- ]; do
        opts="$opts $1"
        shift
    done
    shift
    start_server "$name" $mix $opts
    generate "$name" "$dir/p.jsonl" --samples 2 --teacher-model r1 "$@"
    stop_server
    same "$code" 0 "$name: exit code; $(cat "$dir/$name.err")"
    audit "$name" "$name"
    same "$(q "$name" 'SELECT count(*) FROM traces')" 40 "$name: traces"
    none "kind <> 'no_think' AND think_rule <> '$rule' AND NOT ('$name' LIKE 'tags%' AND kind = 'truncated')" "$name: where the reasoning was found"
    none "kind = 'no_think' AND NOT no_think" "$name: thoughtless, and not marked"
    none "kind = 'truncated' AND NOT truncated" "$name: truncated, and not marked"
    none "cost_usd IS NULL OR n_completion_tokens IS NULL" "$name: not counted"
    same "$(q "$name" "SELECT DISTINCT served_model FROM traces")" "$model" "$name: served model"
    [ "$(a "SELECT count(*) FROM t WHERE good")" -gt 10 ] || fail "$name: hardly any is good"
}
r1=deepseek-ai/DeepSeek-R1
for form in "" --no-stream; do
    # shellcheck disable=SC2086
    {
        one "deepseek$form" reasoning_content deepseek-reasoner --dialect deepseek -- $form
        one "vllm-old$form" reasoning_content $r1 --dialect vllm-old -- $form
        one "vllm$form" reasoning $r1-0528 --dialect vllm -- $form
        one "sglang$form" reasoning_content $r1 --dialect sglang -- $form
        one "llama$form" reasoning_content DeepSeek-R1-Distill-Qwen-7B-Q4_K_M.gguf --dialect llama-server -- $form
        one "openrouter$form" reasoning deepseek/deepseek-r1-0528 --dialect openrouter -- $form
        one "tags$form" tag $r1-0528 --dialect vllm --tags -- $form
        one "open-tag$form" tag $r1-0528 --dialect vllm --open-tag -- $form
        one "raw$form" tag $r1-0528 --dialect vllm -- --raw --prompt-template r1 $form
    }
done

# log-probabilities: one entry a token, as many candidates as asked for
for d in deepseek vllm sglang openrouter; do
    start_server "lp-$d" --dialect $d
    generate "lp-$d" "$dir/p.jsonl" --logprobs 3
    stop_server
    same "$code" 0 "$d with logprobs: $(cat "$dir/lp-$d.err")"
    audit "lp-$d" "lp-$d"
    same "$(q "lp-$d" "SELECT count(*) FROM logprobs l JOIN traces t ON t.id = l.trace_id
        WHERE l.k = 3 AND l.n_tokens = t.n_completion_tokens")" 20 "$d: traces with log-probabilities"
    same "$("$decant" corpus show --corpus "$dir/lp-$d.db" --trace 1 --logprobs | grep -c '" -[0-9.]*   "')" \
        "$(q "lp-$d" "SELECT n_completion_tokens FROM traces WHERE id = 1")" "$d: tokens shown"
done
start_server lp-raw --dialect vllm
generate lp-raw "$dir/p.jsonl" --raw --prompt-template r1 --logprobs 2
stop_server
same "$code" 0 "plain completions with logprobs: $(cat "$dir/lp-raw.err")"
same "$(q lp-raw "SELECT count(*) FROM logprobs WHERE k = 2")" 20 "plain: traces with log-probabilities"

# two models behind one teacher's name: said once, with and without a canary, unless each endpoint has
# its model named; and one endpoint is not two
start_server two --dialect vllm
other=$url
start_server one --dialect deepseek
for canary in 0 3; do
    generate "mixed$canary" "$dir/p.jsonl" --teacher "$other" --teacher-model r1 --canary $canary
    same "$code" 0 "two models: $(cat "$dir/mixed$canary.err")"
    same "$(grep -c "serves .*, but .*the corpus will call both \"r1\".*,model=NAME.*a run for each" "$dir/mixed$canary.err")" 1 \
        "how often two models are told, --canary $canary"
    for said in "$url serves deepseek-reasoner" "$other serves $r1-0528"; do
        grep -qF "$said" "$dir/mixed$canary.err" || fail "no \"$said\": $(cat "$dir/mixed$canary.err")"
    done
done
one=$url
url=$one,model=deepseek-reasoner
generate named "$dir/p.jsonl" --teacher "$other,model=x" --teacher-model r1
same "$code $(cat "$dir/named.err")" "0 " "endpoints whose models are named"
url=$other # a longer form of the name, a path before it and other capitals are no other model
generate alias "$dir/p.jsonl" --teacher-model models/deepseek-r1
same "$code $(cat "$dir/alias.err")" "0 " "a form of the name that was asked for"
url=$one
generate alias "$dir/p.jsonl" --teacher-model r2
same "$(grep -c "$one was asked for \"r2\" and answers as \"deepseek-reasoner\"" "$dir/alias.err")" 1 \
    "how often another name is told"
generate again "$dir/p.jsonl" --teacher "$url/" --teacher-model r1
same "$code" 2 "one URL twice"
grep -q "$url/ is given twice" "$dir/again.err" || fail "one URL twice: $(cat "$dir/again.err")"
stop_server
echo "dialects: $(ls "$dir"/*.ledger | wc -l) ways of answering, all traces as they were said"
