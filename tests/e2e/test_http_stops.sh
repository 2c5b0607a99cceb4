#!/bin/sh
# generate-traces over HTTP stops: at a 402 in the middle, at Ctrl-C, before a budget is passed. Each
# time with exit code 3, with nothing lost, and the same command goes on from there.
set -eu
. tests/e2e/http.sh
prompts 150 >"$dir/p.jsonl"

# 402 from the 200th request on; then the account is filled up
start_server paid --latency-ms 10-30 --fault 402@200-
generate m "$dir/p.jsonl" --samples 4 --concurrency 32
stop_server
same "$code" 3 "402: exit code; $(tail -n 3 "$dir/m.err")"
audit m paid
n=$(q m 'SELECT count(*) FROM traces')
same "$n" "$(a "SELECT count(*) FROM ledger WHERE state = 'sent'")" "answers kept at a 402"
same "$n" 199 "answers before the 402"
refused=$(a "SELECT count(*) FROM ledger WHERE status = 402")
[ "$refused" -le 64 ] || fail "$refused requests after the first 402"
start_server filled --latency-ms 10-30
generate m "$dir/p.jsonl" --samples 4 --concurrency 32
stop_server
same "$code" 0 "after the 402: $(tail -n 3 "$dir/m.err")"
audit m paid filled
same "$(q m 'SELECT count(*) FROM traces')" 600 "traces after the 402"
same "$(a "SELECT count(*) FROM ledger WHERE state = 'sent'")" 600 "answers paid"

# Ctrl-C: with a grace, what is in flight ends; without, it is dropped. Nothing that came is lost
for grace in 5 0; do
    start_server "int$grace" --latency-ms 200-300
    generate_int() {
        # shellcheck disable=SC2086
        $decant generate-traces --teacher "$url" --prompts "$dir/p.jsonl" --corpus "$dir/i$grace.db" $prices \
            --seed 3 --canary 0 --samples 4 --concurrency 64 --grace $grace --json >"$dir/i.out" 2>"$dir/i.err" &
        pid=$!
        sleep 0.9
        kill -INT $pid
        code=0
        wait $pid || code=$?
    }
    # a shell without job control lets background programs ignore SIGINT
    trap '' INT
    trap - INT
    generate_int
    stop_server
    same "$code" 3 "Ctrl-C with a grace of $grace s: $(cat "$dir/i.err")"
    audit "i$grace" "int$grace"
    n=$(q "i$grace" 'SELECT count(*) FROM traces')
    [ "$n" -ge 64 ] && [ "$n" -lt 600 ] || fail "Ctrl-C with a grace of $grace s: $n traces"
    sent=$(a "SELECT count(*) FROM ledger WHERE state = 'sent'")
    gone=$(a "SELECT count(*) FROM ledger WHERE state = 'gone'")
    # what waited for a place was never asked: nothing of it is abandoned
    abandoned=$(sed 's/.*"abandoned":\([0-9]*\).*/\1/' "$dir/i.out")
    if [ $grace = 0 ]; then # one may be on its way at that moment
        [ "$n" -le "$sent" ] && [ "$sent" -le $((n + 4)) ] || fail "Ctrl-C: $n answers kept of $sent"
        [ "$abandoned" -ge 1 ] && [ "$abandoned" -le 64 ] || fail "Ctrl-C: $abandoned of 64 on their way abandoned"
    else
        same "$abandoned" 0 "abandoned with a grace in which all ended"
        same "$gone" 0 "answers dropped with a grace"
        same "$n" "$sent" "Ctrl-C with a grace: answers kept"
    fi
    start_server "more$grace"
    generate "i$grace" "$dir/p.jsonl" --samples 4
    stop_server
    same "$code" 0 "after Ctrl-C: $(tail -n 3 "$dir/i$grace.err")"
    audit "i$grace" "int$grace" "more$grace"
    same "$(q "i$grace" 'SELECT count(*) FROM traces')" 600 "traces after Ctrl-C"
done

# stopped like a suspended laptop for longer than the idle timeout: what has come meanwhile is read first
start_server suspended --tokens 120 --chunk-tokens 4 --chunk-ms 50
# shellcheck disable=SC2086
$decant generate-traces --teacher "$url" --prompts "$dir/p.jsonl" --corpus "$dir/suspended.db" --seed 3 \
    --canary 0 --concurrency 150 --idle-timeout 1 $prices >"$dir/i.out" 2>"$dir/i.err" &
pid=$!
sleep 0.8
kill -STOP $pid
sleep 2.5
kill -CONT $pid
wait $pid || fail "stopped and continued: $(cat "$dir/i.err")"
stop_server
audit suspended suspended
same "$(a 'SELECT count(*) FROM ledger')" 150 "requests of a run that was stopped and continued"

# a budget, by the server's own count: also when a fifth of the requests breaks, and over two runs
for rule in retry=0 retry=0.2; do
    name=budget$rule
    start_server "$name" --latency-ms 5-20 --fault $rule
    for run in 1 2; do
        generate "$name" "$dir/p.jsonl" --samples 4 --max-tokens 100 --budget 0.03 --concurrency 32
        same "$code" 3 "$name, run $run: $(tail -n 3 "$dir/$name.err")"
        grep -q 'raise --budget to \$0\.03[0-9]* or more' "$dir/$name.err" || fail "$name: $(cat "$dir/$name.err")"
    done
    stop_server
    audit "$name" "$name"
    spent=$(a "SELECT sum(cost) FROM ledger WHERE state IN ('sent', 'gone')")
    awk -v s="$spent" 'BEGIN { exit !(s > 0.015 && s <= 0.03) }' || fail "$name of 0.03: the server counts $spent"
    n=$(q "$name" 'SELECT count(*) FROM traces')
    echo "$name: $n traces for \$$spent of 0.03"
done

# a run with a budget is alone in its corpus: what another has on its way it could not know. A run
# that was killed leaves no claim
start_server claims --latency-ms 300-400
# shellcheck disable=SC2086
$decant generate-traces --teacher "$url" --prompts "$dir/p.jsonl" --corpus "$dir/claims.db" $prices --seed 3 \
    --canary 0 --shard 1/2 --concurrency 4 --max-tokens 100 --budget 1 >"$dir/i.out" 2>"$dir/i.err" &
pid=$!
all="$all $pid"
while ! [ -s "$dir/claims.db" ] || [ "$(q claims 'SELECT count(*) FROM traces' 2>/dev/null || echo 0)" = 0 ]; do
    kill -0 $pid || fail "a run with a budget: $(cat "$dir/i.err")"
    sleep 0.1
done
for budget in '--budget 1' ''; do
    # shellcheck disable=SC2086
    generate claims "$dir/p.jsonl" --shard 2/2 --max-tokens 100 $budget
    same "$code" 1 "another run beside one with a budget: exit code"
done
grep -q 'could not know what that one spends' "$dir/claims.err" || fail "two budgets: $(cat "$dir/claims.err")"
grep -q 'could not know what this one spends' "$dir/claims.err" || fail "beside a budget: $(cat "$dir/claims.err")"
kill -9 $pid
wait $pid 2>/dev/null || true
generate claims "$dir/p.jsonl" --limit 8 --max-tokens 100 --budget 1
same "$code" 0 "after a run with a budget was killed: $(tail -n 3 "$dir/claims.err")"
stop_server

# answers whose tokens the server does not report count as the most that they can have cost, whatever
# way the endpoint's URL is written
start_server uncounted --fault no_usage=1
url=$url/
generate uncounted "$dir/p.jsonl" --max-tokens 100 --budget 0.02
stop_server
same "$code" 3 "tokens that are not reported: $(tail -n 3 "$dir/uncounted.err")"
audit uncounted uncounted

# what --extra says of an answer's length counts, not --max-tokens
start_server longer
generate longer "$dir/p.jsonl" --max-tokens 5 --extra '{"max_tokens":null,"max_completion_tokens":100}' \
    --budget 0.01 --concurrency 64
stop_server
same "$code" 3 "a limit in --extra: $(tail -n 3 "$dir/longer.err")"
audit longer longer
spent=$(a "SELECT sum(cost) FROM ledger")
awk -v s="$spent" 'BEGIN { exit !(s <= 0.01) }' || fail "a limit in --extra, budget 0.01: the server counts $spent"
generate unbound "$dir/p.jsonl" --extra '{"max_tokens":null}' --budget 1
[ "$code" = 2 ] || fail "a budget without a limit of tokens: exit code $code"

# under a budget, too, a try that failed is made again elsewhere, and a 429 costs none
start_server broken --fault error_first=1
broken=$url
start_server whole --latency-ms 50-100
generate elsewhere "$dir/p.jsonl" --teacher "$broken" --max-tokens 100 --budget 10 --tries 3 --concurrency 16
stop_server
same "$code" 0 "another try elsewhere, under a budget: $(tail -n 3 "$dir/elsewhere.err")"
audit elsewhere whole
prompts 3 >"$dir/few.jsonl"
start_server limited --fault 429@1-9 --fault 500@10-12
generate limited "$dir/few.jsonl" --max-tokens 100 --budget 10 --tries 4
stop_server
same "$code" 0 "429 under a budget: $(tail -n 3 "$dir/limited.err")"

# prompts that are refused, all samples of each in a row and at once, do not stop the others; nothing
# but refusals does
(prompts 4 Refused; prompts 4) >"$dir/refused.jsonl"
start_server refused --latency-ms 200-300 --fault 400~Refused
generate refused "$dir/refused.jsonl" --samples 64
same "$code" 3 "refused prompts: exit code"
same "$(q refused 'SELECT count(*) FROM traces')" 256 "traces beside refused prompts"
(prompts 10 Refused; prompts 4) >"$dir/refused.jsonl"
generate head "$dir/refused.jsonl" --samples 64 --concurrency 256
same "$(q head 'SELECT count(*) FROM traces')" 256 "traces after ten refused prompts"
prompts 200 Refused >"$dir/refused.jsonl"
generate storm "$dir/refused.jsonl" --samples 8 --concurrency 32
stop_server
grep -q 'requests in a row failed' "$dir/storm.err" || fail "nothing but refusals: $(cat "$dir/storm.err")"

# two runs that make the same samples notice it, and count what both have paid
start_server twice --latency-ms 50-100
for run in 1 2; do
    # shellcheck disable=SC2086
    $decant generate-traces --teacher "$url" --prompts "$dir/p.jsonl" --corpus "$dir/twice.db" $prices \
        --seed 3 --canary 0 --concurrency 4 >"$dir/twice.out" 2>>"$dir/twice.err" &
    echo $! >"$dir/pid$run"
done
codes=
for run in 1 2; do
    code=0
    wait "$(cat "$dir/pid$run")" || code=$?
    codes="$codes $code"
done
stop_server
case $codes in
*3*) ;;
*) fail "two runs of the same samples: exit codes$codes" ;;
esac
grep -q 'another process makes the same samples' "$dir/twice.err" || fail "two runs: $(cat "$dir/twice.err")"
audit twice twice
same "$(a 'SELECT count(*) FROM ledger')" "$(q twice 'SELECT (SELECT count(*) FROM traces) + (SELECT count(*) FROM failures)')" \
    "answers of two runs that are accounted for"
off=$(a "SELECT abs((SELECT sum(cost) FROM ledger) - (SELECT sum(cost_usd) FROM c.traces) -
    (SELECT sum(cost_usd) FROM c.failures)) > 1e-9")
same "$off" 0 "what two runs cost"

# whoever reads what it prints may go away
start_server pipe --latency-ms 20-40
{ DECANT_QUIET=0 $decant generate-traces --teacher "$url" --prompts "$dir/p.jsonl" --corpus "$dir/pipe.db" \
    --canary 0 2>&1 >/dev/null; echo $? >"$dir/pipe.code"; } | true
stop_server
same "$(cat "$dir/pipe.code")" 0 "exit code without a reader"
same "$(q pipe 'SELECT count(*) FROM traces')" 150 "traces without a reader"

# more in flight than files may be open: the limit is raised by what the connections need, also when
# those of three endpoints stand beside each other
teachers='' pids=
for i in 1 2 3; do
    start_server "many$i" --latency-ms 100-300
    teachers="$teachers --teacher $url" pids="$pids $server_pid"
done
prompts 400 >"$dir/p400.jsonl"
code=0
# shellcheck disable=SC2086
(
    ulimit -S -n 300
    exec $decant generate-traces $teachers --prompts "$dir/p400.jsonl" --corpus "$dir/many.db" $prices --seed 3 \
        --canary 0 --samples 10 --concurrency 1000
) >"$dir/many.out" 2>&1 || code=$?
same "$code" 0 "1,000 in flight where 300 files may be open: $(tail -n 3 "$dir/many.out")"
same "$(q many 'SELECT count(*) FROM traces')" 4000 "its traces"
for server_pid in $pids; do stop_server; done
same "$(q many 'SELECT count(*) FROM failures')" 0 "its failures: $(q many 'SELECT message FROM failures LIMIT 1')"
audit many many1 many2 many3
