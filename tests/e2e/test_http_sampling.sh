#!/bin/sh
# generate-traces over HTTP: which samples are asked for, and of whom. Adaptive sampling, shards, the
# canary, several endpoints, going on with other numbers, what the summary says.
set -eu
. tests/e2e/http.sh
prompts 120 >"$dir/p.jsonl"
json() { # key of the last summary of a corpus
    tail -n 1 "$dir/$1.out" | sed -n "s/.*\"$2\":\([^,}]*\).*/\1/p"
}

# until two are good, eight at most: no prompt has more than it needed, and none stopped early
start_server wrong --latency-ms 2-20 --share wrong=0.5 --share no_think=0.1
generate until "$dir/p.jsonl" --until-correct 2 --max-samples 8 --json
same "$code" 0 "until 2: $(tail -n 3 "$dir/until.err")"
audit until wrong
stray=$(q until "SELECT count(*) FROM (SELECT sum(good) AS good, count(*) AS n, max(sample_index) AS last
    FROM v_traces GROUP BY prompt_id) WHERE last <> n - 1 OR good > 2 OR (good < 2 AND n < 8) OR n > 8")
same "$stray" 0 "prompts with too many or too few samples"
same "$(q until "SELECT count(*) FROM v_traces t WHERE NOT good AND sample_index < 7 AND sample_index =
    (SELECT max(sample_index) FROM traces WHERE prompt_id = t.prompt_id)")" 0 "prompts that end with a bad sample"
good=$(q until 'SELECT count(*) FROM v_traces WHERE good')
same "$(json until good)" "$good" "good traces in the summary"
enough=$(q until 'SELECT count(*) FROM (SELECT 1 FROM v_traces GROUP BY prompt_id HAVING sum(good) >= 2)')
same "$(json until satisfied)" "$enough" "prompts with enough, in the summary"
[ "$enough" -gt 90 ] || fail "only $enough prompts have two good traces"
rated=$(q until 'SELECT count(*) FROM v_prompts WHERE pass_rate > 0 AND pass_rate < 1')
[ "$rated" -gt 40 ] || fail "pass rates of $rated prompts"
before=$(q until 'SELECT count(*) FROM traces')
generate until "$dir/p.jsonl" --until-correct 2 --max-samples 8 --json
same "$(json until made)" 0 "made by a second run"
generate until "$dir/p.jsonl" --until-correct 3 --max-samples 12 --json
same "$code" 0 "until 3: $(tail -n 3 "$dir/until.err")"
same "$(q until 'SELECT count(*) FROM traces')" $((before + $(json until made))) "traces after until 3"
same "$(json until were_there)" "$before" "traces before until 3"
same "$(q until 'SELECT count(*) FROM v_traces WHERE sample_index > 11')" 0 "samples beyond the twelfth"
stop_server

# without a gold answer nothing can be good: K samples
start_server nogold
printf '{"prompt":"Nobody knows: what is 17 + 4?"}\n' >"$dir/nogold.jsonl"
generate nogold "$dir/nogold.jsonl" --until-correct 3 --max-samples 9
same "$(q nogold 'SELECT count(*) FROM traces')" 3 "samples without a gold answer"

# shards: by the prompt, not by the file's order; together they are the whole
sort -r "$dir/p.jsonl" >"$dir/r.jsonl"
for shard in 1 2 3; do
    file=$dir/p.jsonl
    [ $shard = 2 ] && file=$dir/r.jsonl
    generate shards "$file" --shard $shard/3 --json
    n=$(json shards made)
    [ "$n" -gt 20 ] && [ "$n" -lt 60 ] || fail "shard $shard of 120 prompts: $n"
done
same "$(q shards 'SELECT count(*) FROM traces')" 120 "traces of three shards"
generate shards "$dir/p.jsonl" --json
same "$(json shards made)" 0 "made after all shards"

# other parameters begin anew, and say so
DECANT_QUIET=0 generate shards "$dir/p.jsonl" --temperature 0.7 --limit 5
grep -q 'already holds 120 traces of .* with other parameters (temperature 0.6 there, 0.7 here)' \
    "$dir/shards.err" || fail "other parameters: $(tail -n 3 "$dir/shards.err")"
same "$(q shards 'SELECT count(*) FROM traces')" 125 "traces with other parameters"
stop_server

# the canary: who does not think, or is not there, is named and left out; its answers are traces
start_server dull --share no_think=1 --latency-ms 1-60
dull=$url dull_pid=$server_pid
start_server bright
generate canary "$dir/p.jsonl" --teacher "$dull" --teacher http://127.0.0.1:9/v1 --teacher-model r1 --canary 3
same "$code" 0 "canary: $(tail -n 3 "$dir/canary.err")"
grep -q "$dull is left out: 0 of . answers hold reasoning" "$dir/canary.err" || fail "a thoughtless endpoint stays"
grep -q 'http://127.0.0.1:9/v1 is left out: no answer' "$dir/canary.err" || fail "a missing endpoint stays"
same "$(q canary 'SELECT count(*) FROM traces')" 120 "traces with a canary"
n=$(q canary "SELECT count(*) FROM traces WHERE endpoint = '$dull'")
[ "$n" -ge 2 ] && [ "$n" -le 3 ] || fail "$n traces of the endpoint that was left out"
stop_server
url=$dull
generate none "$dir/p.jsonl" --canary 3
same "$code" 1 "nobody fit: $(tail -n 3 "$dir/none.err")"
same "$(q none 'SELECT count(*) FROM traces')" 3 "traces of a canary that failed"
[ "$(q none 'SELECT sum(cost_usd) > 0.000035 FROM failures')" = 1 ] || fail "the repeats of a canary that failed cost nothing"
[ "$(wc -l <"$dir/dull.ledger")" -le 10 ] || fail "a canary that failed went on asking"
grep -q '^3 traces made.*, 0 were there, 120 wanted' "$dir/none.out" || fail "no summary: $(cat "$dir/none.out")"
start_server unknown --fault 404@1-
generate unknown "$dir/p.jsonl" --canary 3
generate unknown "$dir/p.jsonl" --canary 3 --json
stop_server
same "$code" 1 "a model that is not there: $(tail -n 3 "$dir/unknown.err")"
grep -q "is the model's name right" "$dir/unknown.err" || fail "a 404: $(cat "$dir/unknown.err")"
grep -q '^0 traces made, 0 were there, 120 wanted' "$dir/unknown.out" || fail "a 404 without a summary: $(cat "$dir/unknown.out")"
grep -q '^120 samples are missing; 3 failed' "$dir/unknown.out" || fail "a 404 without what is missing: $(cat "$dir/unknown.out")"
grep -q '^{"teacher":.*"made":0,' "$dir/unknown.out" || fail "a 404 without a summary in JSON: $(cat "$dir/unknown.out")"
url=http://127.0.0.1:9/v1 # a wrong URL is no matter of trying again
generate nobody "$dir/p.jsonl" --teacher-model r1 --canary 3
same "$code" 1 "nobody there: exit code"
# its cause stands in the message, and comes before libcurl's words
mistake() { # URL, exit code, what is said
    rm -f "$dir/mistake.err"
    url=$1
    generate mistake "$dir/p.jsonl" --limit 1
    same "$code" "$2" "$1: exit code"
    grep -q "$3" "$dir/mistake.err" || fail "$1: $(cat "$dir/mistake.err")"
}
host=${dull#http://}
mistake http://127.0.0.1:9/v1 1 "127.0.0.1:9/v1/models: its models can't be listed: connection refused; is the server up"
mistake "${dull%/v1}" 1 "^decant: ${dull%/v1}/models: HTTP 404.*; does the URL lack its /v1?"
mistake "https://$host" 1 "listed: TLS could not begin; http:// instead of https://? ("
mistake "$host" 1 "did you mean $dull?"
mistake api.example/v1 1 "did you mean http://api.example/v1?"
mistake "$host,weight=2" 1 "did you mean $dull,weight=2?"
kill "$dull_pid"
# turned away at first: that is no reason to leave an endpoint out, or to end
start_server busy --fault 429@1-12
DECANT_QUIET=0 generate busy "$dir/p.jsonl" --limit 9 --canary 3
same "$code" 0 "overload at the start: $(tail -n 3 "$dir/busy.err")"
grep -q '3 of 3 answers hold reasoning' "$dir/busy.err" || fail "overload at the start: $(cat "$dir/busy.err")"
stop_server
# who reports no tokens makes none a second, as far as is known; and what is made are traces
start_server uncounted --fault no_usage=1
DECANT_QUIET=0 generate uncounted "$dir/p.jsonl" --limit 9 --canary 3 --until-correct 1 --max-samples 1
same "$code" 0 "no usage: $(tail -n 3 "$dir/uncounted.err")"
grep -q '9 traces made in [0-9.]* s (tokens not reported), 0 were there' "$dir/uncounted.out" || fail "no usage: $(cat "$dir/uncounted.out")"
grep -q 'first byte after [0-9.]* s, tokens not reported, ' "$dir/uncounted.err" || fail "no usage: $(cat "$dir/uncounted.err")"
grep -q '^prompts: 9 traces made, 0 were there' "$dir/uncounted.err" || fail "what was made: $(cat "$dir/uncounted.err")"
! grep -q '[^0-9]0 tokens/s' "$dir/uncounted.err" || fail "no usage: $(cat "$dir/uncounted.err")"
stop_server
start_server unpaid --fault 402@1-
generate unpaid "$dir/p.jsonl" --canary 3
same "$code" 3 "402 at the start: exit code"
stop_server
start_server ignores --ignore-seed
DECANT_QUIET=0 generate seeds "$dir/p.jsonl" --limit 9 --canary 3
grep -q 'seed not honoured' "$dir/seeds.err" || fail "a seed that is not honoured: $(cat "$dir/seeds.err")"
stop_server
start_server honours
honours=$url honours_pid=$server_pid
DECANT_QUIET=0 generate seeds "$dir/p.jsonl" --samples 2 --limit 9 --canary 3
grep -q 'seed honoured' "$dir/seeds.err" || fail "a seed that is honoured: $(cat "$dir/seeds.err")"
# its repeats are no failures, but cost something; and under a budget it says why it asks so little
DECANT_QUIET=0 generate repeats "$dir/p.jsonl" --limit 9 --canary 3
$decant corpus stats --corpus "$dir/repeats.db" >"$dir/stats"
grep -A 1 '^canary$' "$dir/stats" | grep -q '^  2 short repeats, \$0.000' || fail "repeats: $(cat "$dir/stats")"
! grep -q 'fail\|gave no trace' "$dir/stats" || fail "repeats that failed: $(cat "$dir/stats")"
DECANT_QUIET=0 generate dear "$dir/p.jsonl" --limit 9 --canary 3 --max-tokens 1000 --budget 0.0025
grep -q 'up to 1 prompt each: the budget has no room for more' "$dir/dear.err" || fail "dear: $(cat "$dir/dear.err")"
grep -q 'seed not tried: the budget has no room' "$dir/dear.err" || fail "dear: $(cat "$dir/dear.err")"

# log-probabilities that do not come are missed
start_server silent --no-logprobs
generate silent "$dir/p.jsonl" --limit 5 --logprobs 3
grep -q '5 answers came without the log-probabilities' "$dir/silent.err" || fail "log-probabilities: $(cat "$dir/silent.err")"
stop_server
url=$honours server_pid=$honours_pid server_name=honours

# no model's name is needed where one is served; a bad file of prompts leaves no corpus
generate named "$dir/p.jsonl" --limit 1 --json
same "$(json named teacher)" "$(q named "SELECT '\"' || teacher || '\"' FROM requests")" "teacher's name"
printf '{"prompt": 3}\n' >"$dir/bad.jsonl"
generate bad "$dir/bad.jsonl"
[ "$code" = 1 ] && [ ! -e "$dir/bad.db" ] || fail "a bad file of prompts: exit $code, $(ls "$dir/bad.db")"
stop_server
echo "sampling: $before traces for two good ones of each, $enough of 120 prompts have them"
