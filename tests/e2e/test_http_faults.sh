#!/bin/sh
# generate-traces over HTTP: every fault that servers are known for, one at a time. The harmless ones
# are read through, the passing ones tried again, the others end the sample or the run as they must.
# Whatever happens, a stored trace is what the server said, and its cost is the server's.
set -eu
. tests/e2e/http.sh
prompts 12 >"$dir/p.jsonl"
"$server" --list | tail -n 1 >"$dir/faults"
fast="--idle-timeout 1 --tries 4"

case_of() {
    case $1 in
    slow_first | comments | cut_chunks | usage_early | no_done | dup | gzip | crlf | close | split_data) echo benign ;;
    stall | 429_after | 429_date) echo wait ;;
    400 | 404 | 422 | 400_echo) echo sample ;;
    401 | 402 | 403 | 401_echo | redirect) echo fatal ;;
    dup_text | bad_utf8 | no_usage | bad_usage | big_line) echo odd ;;
    *) echo retry ;;
    esac
}

every_third() { # from the Nth fault on, with this form
    form=$2
    for fault in $(tr ' ' '\n' <"$dir/faults" | awk -v n="$1" 'NR % 3 == n'); do
        name=$fault$form
        kind=$(case_of "$fault")
        case $kind in
        benign | odd) rule="$fault=1" ;;
        retry) rule="$fault=0.5 --fault-tries 1" ;; # once at most for the same request
        wait) rule="$fault@5-7" ;;
        sample) rule="$fault@4-6" ;;
        fatal) rule="$fault@5-" ;;
        esac
        [ "$fault$form" != stall--no-stream ] || continue # an answer in one piece has no middle
        # shellcheck disable=SC2086
        start_server "$name" --slow-ms 50 --fault $rule --big-bytes 3000000
        # shellcheck disable=SC2086
        generate "$name" "$dir/p.jsonl" --samples 2 --concurrency 4 $fast $form
        n=$(q "$name" 'SELECT count(*) FROM traces' 2>/dev/null || echo 0)
        told="$name: exit $code, $n traces; $(tail -n 2 "$dir/$name.err")"
        case $kind in
        benign | retry | wait)
            same "$code" 0 "$told"
            same "$n" 24 "$told"
            ;;
        sample) # what could be answered is there; the rest is told, and made by the next run
            same "$code" 3 "$told"
            same "$n" 21 "$told"
            same "$(q "$name" 'SELECT count(*) FROM failures WHERE status IS NOT NULL')" 3 "$name: failures kept"
            generate "$name" "$dir/p.jsonl" --samples 2 --concurrency 4 $form
            same "$(q "$name" 'SELECT count(*) FROM traces')" 24 "$name: after a second run"
            ;;
        fatal)
            same "$code" 3 "$told"
            [ "$n" -ge 1 ] && [ "$n" -le 4 ] || fail "$told"
            asked=$(wc -l <"$dir/$name.ledger")
            [ "$asked" -le 12 ] || fail "$name: $asked requests, and the fifth was refused"
            ;;
        odd)
            [ "$code" = 0 ] || [ "$code" = 3 ] || fail "$told"
            ;;
        esac
        stop_server
        [ "$n" = 0 ] || audit "$name" "$name"
        case $fault in
        insufficient | aborted | error_mid | bad_json | html_200 | empty | cut_clean)
            none "fault = '$fault' AND state = 'sent' AND '$fault' NOT IN ('bad_json', 'cut_clean')" "$name: stored" ;;
        no_usage | bad_usage) none "n_completion_tokens IS NOT NULL AND n_completion_tokens <> l_completion OR cost_usd < 0" \
            "$name: counts that nobody gave" ;;
        esac
    done
}
for i in 0 1 2; do # most of the time is spent waiting before the next try
    every_third $i "" &
    all="$all $!"
    every_third $i --no-stream &
    all="$all $!"
done
for pid in $all; do
    wait "$pid"
done

# a line of 50 MB: read or refused, in bounded memory, and the run goes on
start_server big --fault big_line@2
generate big "$dir/p.jsonl" $fast
stop_server
[ "$code" = 0 ] || [ "$code" = 3 ] || fail "a line of 50 MB: exit $code; $(tail -n 2 "$dir/big.err")"
[ "$(q big 'SELECT count(*) FROM traces')" -ge 11 ] || fail "a line of 50 MB took others with it"

# loops and thoughtless answers are stopped early, kept and marked
start_server loop --share loop=0.5 --share no_think=0.5 --chunk-ms 1 --loop-tokens 30000
generate loop "$dir/p.jsonl" --no-think-limit 20
stop_server
same "$code" 0 "looping answers: $(tail -n 2 "$dir/loop.err")"
audit loop loop
none "kind = 'loop' AND (NOT repetition OR l_completion > 8000)" "a loop that went on, or is not marked"
none "kind = 'no_think' AND NOT no_think" "thoughtless, and not marked"
echo "faults: all of $(wc -w <"$dir/faults"), streamed and whole"
