#!/bin/sh
# A fifth of all requests meets a fault, and decant is killed with SIGKILL ten times: the corpus ends
# with exactly the traces that were asked for, none twice, none lost, none wrongly called good, and
# what they cost is what the server says. HTTP_PROMPTS=10000 for the full size.
set -eu
. tests/e2e/http.sh
n=${HTTP_PROMPTS:-2000}
kills=10
prompts "$n" >"$dir/p.jsonl"
start_server s --fault any=0.2 --latency-ms 1-20 --slow-ms 50 --retry-after 0 --share wrong=0.1 \
    --share no_think=0.03 --share truncated=0.04 --share filtered=0.02 --share answerless=0.02
ask="--teacher $url --prompts $dir/p.jsonl --corpus $dir/k.db --samples 4 --seed 3 --canary 0
    --concurrency 128 --tries 8 $prices"
count() {
    sqlite3 "$dir/k.db" "PRAGMA busy_timeout = 5000; SELECT count(*) FROM traces" 2>/dev/null | tail -n 1
}
i=0 seen=0 between=0 pause=0.4
while [ $i -lt $kills ]; do
    i=$((i + 1))
    # shellcheck disable=SC2086
    $decant generate-traces $ask >>"$dir/k.out" 2>>"$dir/k.err" &
    pid=$!
    sleep "$(awk -v s="$i$pid" -v p=$pause 'BEGIN { srand(s); printf "%.3f", p * (0.5 + rand()) }')"
    kill -9 $pid 2>/dev/null || true
    wait $pid 2>/dev/null || true
    now=$(count) now=${now:-0}
    [ "$now" -ge "$seen" ] || fail "kill $i: $seen traces became $now"
    # random moments, such that ten of them come while most of the traces are made
    by=1
    if [ "$now" = "$seen" ]; then
        by=1.5
    elif [ "$now" -lt $((4 * n)) ]; then
        between=$((between + 1))
        [ $((now - seen)) -lt $((4 * n / 8)) ] || by=0.6
    fi
    pause=$(awk -v p=$pause -v b=$by 'BEGIN { print p * b }')
    seen=$now
done
echo "after $kills kills: $seen of $((4 * n)) traces; $between kills came while traces were made"
[ $between -ge 3 ] || fail "the kills missed the work"
asked=$(wc -l <"$dir/s.ledger")
i=0
code=1
while [ $code != 0 ]; do # samples whose tries are used up end a run with 3
    i=$((i + 1))
    [ $i -le 5 ] || fail "does not end: $(tail -n 3 "$dir/k.err")"
    code=0
    # shellcheck disable=SC2086
    $decant generate-traces $ask >>"$dir/k.out" 2>>"$dir/k.err" || code=$?
    [ $code = 0 ] || [ $code = 3 ] || fail "exit $code: $(tail -n 3 "$dir/k.err")"
done
stop_server
audit k s
same "$(a 'SELECT count(*) FROM c.traces')" $((4 * n)) traces
same "$(a 'SELECT count(*) FROM (SELECT 1 FROM c.traces GROUP BY prompt_id HAVING count(*) = 4)')" "$n" \
    "prompts with four traces"
none "cost_usd IS NULL AND state = 'sent'" "cost not known"
# what decant says that it cost, against the sum of the server's lines for the same answers
a "SELECT printf('%.9f %.9f', sum(cost_usd), sum(l_cost)) FROM t" >"$dir/cost"
read -r ours theirs <"$dir/cost"
same "$ours" "$theirs" "cost of all traces"
# whole answers that the server gave and the corpus lacks: only those that a kill caught
lost=$(a "SELECT count(*) FROM ledger WHERE state = 'sent' AND finish AND fault NOT IN
    ('insufficient', 'aborted', 'bad_json') AND id NOT IN (SELECT id FROM t)")
late=$(a "SELECT count(*) FROM ledger WHERE rowid > $asked + 128 AND state = 'sent' AND finish AND fault NOT IN
    ('insufficient', 'aborted', 'bad_json') AND id NOT IN (SELECT id FROM t)")
# a kill takes what is in flight and what shares the open commit (half a second, 1,024 traces)
[ "$lost" -le $((kills * (128 + 1024 + 16))) ] || fail "$lost whole answers lost to $kills kills"
same "$late" 0 "whole answers lost after the last kill"
echo "$((4 * n)) traces for \$$ours, as the server counts; $(a 'SELECT count(*) FROM ledger') requests," \
    "$(a "SELECT count(*) FROM ledger WHERE fault <> 'none'") with a fault; $lost answers lost to $kills kills;" \
    "$(a 'SELECT count(*) FROM t WHERE good') good"
