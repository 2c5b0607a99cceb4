#!/bin/sh
# HTTP/2 over TLS from a real server of it: nghttpx (nghttp2-proxy) in front of the tests' teacher.
# Many requests share few connections, each answer is stored once and whole, and that stays so when
# the proxy is told to end its connections (GOAWAY), or is killed. Exits 77 without nghttpx.
set -eu
cd "$(dirname "$0")/../.."
. tests/e2e/http.sh
PATH=$PATH:/usr/sbin
command -v nghttpx >/dev/null || { echo "SKIP: no HTTP/2 server; apt-get install nghttp2-proxy"; exit 77; }
openssl req -x509 -newkey rsa:2048 -nodes -keyout "$dir/key.pem" -out "$dir/cert.pem" -days 2 \
    -subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1 2>/dev/null
port=$(awk -v seed=$$ 'BEGIN { srand(seed); print 20000 + int(rand() * 20000) }')
decant="timeout 200 $decant" # a proxy that does not come back should not be waited for
listens() {
    [ -n "$(ss -Hltn "( sport = :$port )")" ]
}
proxy() { # a backend's URL: sets proxy_pid
    back=${1#http://127.0.0.1:}
    while listens; do sleep 0.02; done
    nghttpx "-f127.0.0.1,$port" "-b127.0.0.1,${back%/v1}" -n1 --conf=/dev/null --no-ocsp -LERROR --errorlog-file="$dir/nghttpx.log" \
        "$dir/key.pem" "$dir/cert.pem" >/dev/null 2>&1 &
    proxy_pid=$!
    all="$all $proxy_pid"
    echo "$proxy_pid" >"$dir/proxy"
    until openssl s_client -connect "127.0.0.1:$port" -alpn h2 </dev/null 2>/dev/null | grep -q 'ALPN protocol: h2'; do
        kill -0 $proxy_pid 2>/dev/null || fail "nghttpx: $(cat "$dir/nghttpx.log")"
        sleep 0.05
    done
}
end_proxy() { # a signal: KILL for its worker too; on QUIT that one says GOAWAY, and ends
    workers=
    [ "$1" = QUIT ] || workers=$(pgrep -P "$proxy_pid" || true)
    # shellcheck disable=SC2086
    kill "-$1" "$proxy_pid" $workers 2>/dev/null || true
}
connections() { # the most that stand at once until a file is there
    most=0
    until [ -e "$1" ]; do
        n=$(ss -Htn state established "( dport = :$port )" | wc -l)
        [ "$n" -le "$most" ] || most=$n
        sleep 0.05
    done
    echo "$most"
}
prompts 300 >"$dir/p.jsonl"
start_server plain --latency-ms 100-300 --chunk-ms 5
proxy "$url"
teacher=$url url=https://127.0.0.1:$port/v1
connections "$dir/over" >"$dir/most" &
generate plain "$dir/p.jsonl" --samples 4 --concurrency 256 --ca-file "$dir/cert.pem" --teacher-model deepseek-reasoner
: >"$dir/over"
wait $!
most=$(cat "$dir/most")
same "$code" 0 "exit code ($(tail -n 3 "$dir/plain.err"))"
same "$(q plain 'SELECT count(*) FROM traces')" 1200 "traces over HTTP/2"
[ "$most" -ge 1 ] && [ "$most" -le 6 ] || fail "256 requests in flight had $most connections; over HTTP/2 three are enough"
echo "ok: 1,200 traces with 256 in flight on $most connections"
end_proxy KILL
stop_server
audit plain plain

for how in QUIT KILL; do # QUIT: nghttpx says GOAWAY and lets what is on its way end
    start_server "$how" --latency-ms 100-300 --chunk-ms 5 --fault retry=0.1
    teacher=$url
    proxy "$teacher"
    url=https://127.0.0.1:$port/v1
    (
        for i in 1 2 3; do
            sleep 0.8
            end_proxy "$how"
            sleep 0.1
            proxy "$teacher"
        done
    ) &
    breaker=$!
    generate "$how" "$dir/p.jsonl" --samples 8 --concurrency 90 --ca-file "$dir/cert.pem" --idle-timeout 5 \
        --teacher-model deepseek-reasoner
    wait $breaker || fail "$how: the proxy did not come back"
    same "$code" 0 "$how: exit code ($(tail -n 3 "$dir/$how.err"))"
    same "$(q "$how" 'SELECT count(*) FROM traces')" 2400 "$how: traces"
    proxy_pid=$(cat "$dir/proxy")
    end_proxy KILL
    stop_server
    audit "$how" "$how"
    echo "ok: 2,400 traces while the proxy was ended three times ($how)"
done
