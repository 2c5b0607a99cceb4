#!/bin/sh
# The API key is nowhere: not in what decant prints, not in the corpus, its log or any other file, not in
# its arguments; under every fault, also from servers that repeat it, and no redirect carries it away.
set -eu
. tests/e2e/http.sh
key=sk-canary-0123456789-abcdefghij-KEY
(umask 077 && printf '%s\n' "$key" >"$dir/key")
prompts 12 >"$dir/p.jsonl"
leak() {
    hits=$(grep -rlaF "canary-0123456789" "$dir" | grep -v "^$dir/key$" || true)
    [ -z "$hits" ] || fail "$1: the key stands in $hits: $(grep -ahoF -m 1 "canary-0123456789" $hits | head -n 1)"
}

# the server that a redirect points to must never be asked
start_server other
other=$url other_pid=$server_pid
faults=$("$server" --list | tail -n 1)
every_third() { # from the Nth fault on
    for fault in $(echo "$faults" | tr ' ' '\n' | awk -v n="$1" 'NR % 3 == n'); do
        start_server "$fault" --key-file "$dir/key" --fault "$fault@3-8" --redirect "$other" --slow-ms 20 \
            --retry-after 0 --big-bytes 1000000
        generate "$fault" "$dir/p.jsonl" --api-key-file "$dir/key" --tries 2 --concurrency 8 --idle-timeout 1
        # nobody but the fault says 401: the key did arrive
        refused=$(awk -F '\t' '$5 == 401' "$dir/$fault.ledger" | wc -l)
        case $fault in
        401*) [ "$refused" -gt 0 ] || fail "$fault: nothing was refused" ;;
        *) same "$refused" 0 "$fault: refused requests" ;;
        esac
        stop_server
    done
}
for i in 0 1 2; do
    every_third $i &
    all="$all $!"
done
for pid in $all; do
    wait "$pid"
done
leak "some fault"
kill "$other_pid"
wait "$other_pid" 2>/dev/null || true
[ ! -s "$dir/other.ledger" ] || fail "a redirect was followed: $(head -n 1 "$dir/other.ledger")"

# from the environment; while it runs it is not in its arguments, and killed it leaves none in the log
start_server slow --key-file "$dir/key" --latency-ms 100-400 --fault any=0.3
for from in env file; do
    if [ $from = env ]; then
        option="--api-key-env A_KEY"
    else
        option="--api-key-file $dir/key"
    fi
    # shellcheck disable=SC2086
    A_KEY=$key $decant generate-traces --teacher "$url" --prompts "$dir/p.jsonl" --corpus "$dir/$from.db" \
        $option --samples 20 --concurrency 8 --canary 2 >"$dir/$from.out" 2>"$dir/$from.err" &
    pid=$!
    sleep 1.2
    tr '\0' ' ' <"/proc/$pid/cmdline" >"$dir/$from.cmdline"
    kill -9 $pid || fail "from $from: ended early: $(cat "$dir/$from.err")"
    wait $pid 2>/dev/null || true
    [ -s "$dir/$from.cmdline" ] || fail "no command line"
    [ "$(sqlite3 "$dir/$from.db" 'SELECT count(*) FROM traces')" -gt 0 ] || fail "from $from: no traces"
    leak "$from"
done
stop_server

# a wrong key, and keys where they do not belong
printf 'sk-canary-0123456789-wrong\n' >"$dir/key2"
chmod 600 "$dir/key2"
start_server strict --key-file "$dir/key"
generate wrong "$dir/p.jsonl" --api-key-file "$dir/key2"
same "$code" 3 "a wrong key: $(cat "$dir/wrong.err")"
rm "$dir/key2"
leak "a wrong key"
chmod 644 "$dir/key"
generate open "$dir/p.jsonl" --api-key-file "$dir/key"
same "$code" 1 "a key file that others may read: $(cat "$dir/open.err")"
chmod 600 "$dir/key"
export DECANT_QUIET=0 DECANT_API_KEY=another-key-0123456789
url=$url,api_key=$key
generate member "$dir/p.jsonl"
same "$code" 2 "a key behind the URL: $(cat "$dir/member.err")"
url=$(echo "${url%,*}" | sed "s|//|//user:$key@|")
generate inurl "$dir/p.jsonl"
unset DECANT_API_KEY
same "$code" 2 "a key in the URL: $(cat "$dir/inurl.err")"
leak "a key in the URL"
stop_server
echo "no key in any output: $(echo "$faults" | wc -w) faults, $(find "$dir" -type f | wc -l) files searched"
