# What the tests with an HTTP teacher share; read by ". tests/e2e/http.sh".
# The teacher is tests/server (its --help tells what it can); its ledger says what each answer was.
decant=${DECANT:?}
server=${BUILD:-build}/tests/server/teacher
[ -x "$server" ] || { echo "no $server: make test builds it"; exit 77; }
dir=$(mktemp -d)
: >"$dir/servers"
all= # what runs in the background
trap 'kill -9 $all 2>/dev/null || true; kill -9 $(cat "$dir/servers") 2>/dev/null || true; rm -rf "$dir"' EXIT
trap 'exit 1' INT TERM
export DECANT_QUIET=1
unset DECANT_API_KEY

fail() {
    echo "FAIL: $*"
    exit 1
}
same() { # is, should be, what
    [ "$1" = "$2" ] || fail "$3: $1, should be $2"
}

start_server() { # name, options: sets url and server_pid; its ledger is $dir/NAME.ledger
    server_name=$1
    shift
    rm -f "$dir/$server_name.url"
    "$server" --ledger "$dir/$server_name.ledger" "$@" >"$dir/$server_name.url" 2>>"$dir/$server_name.err" &
    server_pid=$!
    echo "$server_pid" >>"$dir/servers"
    while ! [ -s "$dir/$server_name.url" ]; do
        kill -0 $server_pid 2>/dev/null || fail "the server: $(cat "$dir/$server_name.err")"
        sleep 0.02
    done
    url=$(cat "$dir/$server_name.url")
}
stop_server() { # it writes the rest of its ledger
    kill "$server_pid"
    wait "$server_pid" 2>/dev/null || true
    sed -i "/^$server_pid$/d" "$dir/servers" # the number may be another's soon
}

prompts() { # how many, a word to begin with: problems whose sums the server works out
    awk -v n="$1" -v word="${2:-Problem}" 'BEGIN {
        for (i = 1; i <= n; i++) {
            a = (i * 7919) % 9000 + 100; b = (i * 104729) % 9000 + 100
            printf "{\"prompt\":\"%s %d: what is %d + %d?\",\"answer\":\"%d\"}\n", word, i, a, b, a + b
        }
    }'
}

prices="--price-input 0.55 --price-cached 0.14 --price-output 2.19" # the server's own
generate() { # corpus (without .db), prompts, options: exit code in $code, output in CORPUS.out, .err
    corpus=$1 file=$2
    shift 2
    code=0
    first="--seed 3 --canary 0" # unless the options say otherwise
    case " $* " in *" --canary "*) first="--seed 3" ;; esac
    # shellcheck disable=SC2086
    $decant generate-traces --teacher "$url" --prompts "$file" --corpus "$dir/$corpus.db" $prices \
        $first "$@" >>"$dir/$corpus.out" 2>>"$dir/$corpus.err" || code=$?
}
q() { # corpus, SQL
    sqlite3 "$dir/$1.db" "$2"
}

# audit CORPUS LEDGER...: loads ledgers beside the corpus; views t (a trace and its line), then
# checks what always holds: each trace is one answer that the server gave, word by word, with its
# tokens and its cost; good are those alone that are right, whole and thought about.
audit() {
    corpus=$1
    shift
    audited=$dir/$corpus.audit
    rm -f "$audited"
    for name in "$@"; do
        cat "$dir/$name.ledger"
    done >"$audited.tsv"
    sqlite3 "$audited" "
        CREATE TABLE ledger (id TEXT PRIMARY KEY, state TEXT, fault TEXT, kind TEXT, status INT, seed TEXT,
            prompt_tokens INT, cached INT, completion INT, reasoning_tokens INT, finish INT, usage INT,
            cost REAL, prompt TEXT, reasoning TEXT, answer TEXT)" \
        ".mode tabs" ".import $audited.tsv ledger"
    a "CREATE TABLE t AS SELECT v.id AS trace_id, v.prompt_id, v.sample_index, v.reasoning, v.answer,
            v.finish_reason, v.n_completion_tokens, v.n_prompt_tokens, v.cost_usd, v.verdict, v.good,
            v.think_rule, v.truncated, v.no_think, v.repetition, json_extract(v.extra, '\$.id') AS id,
            l.state, l.fault, l.kind, l.cost AS l_cost, l.completion AS l_completion,
            l.prompt_tokens AS l_prompt, l.reasoning AS l_reasoning, l.answer AS l_answer,
            v.prompt AS prompt, l.prompt AS l_line
        FROM v_traces v LEFT JOIN ledger l ON l.id = json_extract(v.extra, '\$.id')"
    none "l_line IS NULL" "the server never gave it"
    same "$(a 'SELECT count(*) - count(DISTINCT id) FROM t')" 0 "answers stored twice"
    none "instr(l_line, substr(prompt, 1, 40)) = 0" "another prompt's answer"
    # cut before its only tag, nothing tells reasoning from answer: then all is in answer
    none "think_rule = 'none' AND kind = 'truncated' AND replace(answer, char(10), '\n') <> l_reasoning" \
        "not the text that was said"
    whole="l_answer <> '-' AND NOT (think_rule = 'none' AND kind = 'truncated') AND finish_reason NOT IN ('loop', 'no_think') AND fault NOT IN ('dup_text', 'bad_utf8', 'big_line')"
    none "$whole AND replace(reasoning, char(10), '\\n') <> l_reasoning" "not the reasoning that was said"
    none "$whole AND answer <> l_answer" "not the answer that was said"
    none "good AND (kind <> 'correct' OR finish_reason <> 'stop')" "wrongly called good"
    none "NOT good AND kind = 'correct' AND fault NOT IN ('dup_text', 'bad_utf8', 'big_line')" "wrongly called bad"
    none "n_completion_tokens IS NOT NULL AND abs(cost_usd - l_cost) > 1e-12" "cost"
    none "n_completion_tokens IS NULL AND cost_usd < l_cost" "less than it cost, where the tokens are not known"
    none "n_completion_tokens <> l_completion OR n_prompt_tokens <> l_prompt" "tokens"
    same "$(q "$corpus" 'PRAGMA integrity_check')" ok integrity
}
a() { # SQL with corpus and ledger
    sqlite3 "$audited" "ATTACH 'file:$dir/$corpus.db' AS c" "$1"
}
none() { # condition on t, what is wrong with such a trace
    found=$(a "SELECT count(*) FROM t WHERE $1")
    [ "$found" = 0 ] && return
    a "SELECT * FROM t WHERE $1 LIMIT 3" | cut -c 1-400
    fail "$found traces: $2"
}
