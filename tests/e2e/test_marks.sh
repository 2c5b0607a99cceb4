#!/bin/sh
# dedup, decontaminate and filter on a corpus: what they mark and why, that marks are replaced and
# taken away, that --select correct passes over the marked, what wrong use says, and that a kill or a
# Ctrl-C leaves all of the old marks or all of the new ones.
set -eu
decant=${DECANT:?}
command -v sqlite3 >/dev/null || { echo "no sqlite3"; exit 77; }
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
export DECANT_QUIET=1
db=$dir/c.db
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
says() { grep -qF -- "$1" "$dir/out" || { cat "$dir/out"; fail "does not say \"$1\""; }; }
is() { [ "$(sqlite3 "$db" "$1")" = "$2" ] || fail "$1 gives $(sqlite3 "$db" "$1"); should be $2"; }

tail="sold clips to 48 of her friends in April, and then she sold half as many in May. How many clips did she sell altogether in April and in May?"
cat >"$dir/p.jsonl" <<END
{"prompt": "Natalia $tail", "answer": "72"}
{"prompt": "NATALIA   $tail", "answer": "72"}
{"prompt": "What is 5 + 3?", "answer": "8"}
{"prompt": "A shop has 12 hats.", "answer": "12"}
END
expect 0 "" $decant corpus import --corpus "$db" --prompts "$dir/p.jsonl"
chain='She sold 48 clips in April. Half of 48 is 24, and so she sold 24 clips in May. Let me add the two: 48 + 24 = 72, and that is the answer.'
sqlite3 "$db" "INSERT INTO requests (teacher, created_at, json) VALUES ('t', '', '{\"teacher\":\"t\"}');
WITH said (p, s, r, a) AS (VALUES
    (1, 0, '$chain', '72'), (1, 1, '$chain', '\\boxed{72}'), (1, 2, '$chain Yes.', '\\boxed{72}'),
    (2, 0, '$chain', '\\boxed{72}'),
    (3, 0, 'Five and three. 所以答案是八，因为五加三等于八。', '\\boxed{8}'),
    (3, 1, 'Let me count: ' || char(10) || '\`\`\`python' || char(10) || '5 + 3' || char(10) || '\`\`\`', '\\boxed{8}'),
    (3, 2, 'Five and three are eight.', '\\boxed{8}'),
    (4, 0, '12, as it says.', '\\boxed{12}'))
INSERT INTO traces (prompt_id, request_id, sample_index, finish_reason, created_at, program, lossy,
    answer, reasoning, n_completion_tokens)
SELECT p, 1, s, 'stop', '', 'test', 0, a, r, length(r) / 4 FROM said"
expect 0 "" $decant corpus verify --corpus "$db"

# dedup
expect 0 "" $decant corpus dedup --corpus "$db"
says "4 prompts: 1 duplicate (1 exact, 0 near)"
says "8 traces: 3 duplicates"
is "SELECT prompt_id || ' ' || reason FROM prompt_verdicts" "2 the same words as prompt 1"
is "SELECT group_concat(trace_id) FROM verdicts WHERE kind = 'duplicate'" "2,3,4"
is "SELECT group_concat(id) FROM v_traces WHERE good" "1,5,6,7,8"
expect 0 "" $decant corpus dedup --corpus "$db" --json
says '"new":0,"cleared":0}'
expect 0 "" $decant corpus export --corpus "$db" --out "$dir/e.jsonl"
[ "$(wc -l <"$dir/e.jsonl")" = 5 ] || fail "export holds $(wc -l <"$dir/e.jsonl")"
expect 0 "" $decant corpus dedup --corpus "$db" --traces --clear
says "3 marks cleared"
is "SELECT count(*) FROM prompt_verdicts" 1
expect 2 "0.5 to 1" $decant corpus dedup --corpus "$db" --threshold 0.2
expect 1 "no such corpus" $decant corpus dedup --corpus "$dir/nothing.db"

# decontaminate
cat >"$dir/bench.jsonl" <<END
{"problem": "Last year Weng $tail"}

{"question": "what IS 5 + 3?"}
END
echo '{"prompt": "A shop has"}' >"$dir/other.jsonl"
expect 0 "" $decant corpus decontaminate --corpus "$db" --against "$dir/bench.jsonl" --against "$dir/other.jsonl"
says "4 prompts: 3 contaminated (3 exact, 2 fuzzy, 2 of them both)"
is "SELECT reason FROM prompt_verdicts WHERE kind = 'contaminated' AND prompt_id = 3" "the whole of $dir/bench.jsonl:3"
is "SELECT count(*) FROM prompt_verdicts WHERE kind = 'contaminated' AND prompt_id = 1 AND reason LIKE '8 words in a row of $dir/bench.jsonl:1 (% such runs): \"sold clips to 48 of her friends in\"; 9_ \\% of $dir/bench.jsonl:1' ESCAPE '\\'" 1
is "SELECT group_concat(id) FROM v_traces WHERE good" 8
expect 0 "" $decant corpus show --corpus "$db" --trace 5
says "marks         contaminated (its prompt): the whole of $dir/bench.jsonl:3"
expect 0 "" $decant corpus show --corpus "$db" --trace 5 --json
says '"marks":"contaminated"'
says '"reasons":[{"on":"prompt","kind":"contaminated","reason":"the whole of '
expect 0 "" $decant corpus decontaminate --corpus "$db" --against "$dir/other.jsonl" --json
says '"marked":0,"new":0,"cleared":3}'
expect 2 "--against" $decant corpus decontaminate --corpus "$db"
expect 1 "none.jsonl" $decant corpus decontaminate --corpus "$db" --against "$dir/none.jsonl"
echo '{"prompt": 3}' >>"$dir/other.jsonl"
expect 1 "other.jsonl:2" $decant corpus decontaminate --corpus "$db" --against "$dir/other.jsonl"

# filter
expect 0 "" $decant corpus dedup --corpus "$db" --clear
expect 0 "" $decant corpus filter --corpus "$db"
is "SELECT group_concat(trace_id || kind) FROM verdicts WHERE kind NOT IN ('answer', 'no_think')" "5mixed_language,6code_block"
expect 0 "" $decant corpus filter --corpus "$db" --where "prompt_id = 4 OR good AND sample_index = 2" --as odd --max-tokens 33 --json
says '"odd":{"marked":2,"new":2,"cleared":0}'
says '"length":{"marked":4,"new":4,"cleared":0}'
is "SELECT group_concat(id) FROM v_traces WHERE good" ""
expect 1 "holds no trace to export: the corpus has 8 traces, 8 of them correct, 8 of these marked; decant corpus stats" $decant corpus export --corpus "$db" --out "$dir/none.out"
[ ! -e "$dir/none.out" ] || fail "an export of nothing left a file"
expect 0 "" $decant corpus filter --corpus "$db" --clear odd
expect 0 "" $decant corpus filter --corpus "$db" --clear length
is "SELECT group_concat(id) FROM v_traces WHERE good" "1,2,3,4,7,8"
expect 0 "" $decant corpus filter --corpus "$db" --clear length
expect 1 "--clear nothere: no trace is marked so; marks there are: code_block, mixed_language" $decant corpus filter --corpus "$db" --clear nothere
expect 2 "--where: selection \"xx > 3\": no such column: xx" $decant corpus filter --corpus "$db" --where "xx > 3" --as odd
expect 2 "go together" $decant corpus filter --corpus "$db" --where good
# a bound beside another rule turns its own rule on
expect 0 "" $decant corpus filter --corpus "$db" --code-blocks --max-paragraph 40 --json
says '"marks":{"long_paragraph":{"marked":5,'
expect 0 "" $decant corpus filter --corpus "$db" --where "0" --as odd --max-foreign 0.5 --json
says '"marks":{"mixed_language":{"marked":'
expect 0 "" $decant corpus filter --corpus "$db"
expect 1 "8 of them correct, 2 of these marked; look at the condition" $decant corpus export --corpus "$db" --select 'id > 99' --out "$dir/none.jsonl"
expect 2 "another name" $decant corpus filter --corpus "$db" --where good --as duplicate
for name in correct wrong unknown good verdict length code_block; do
    expect 2 "another name" $decant corpus filter --corpus "$db" --where good --as $name
done
expect 2 "own" $decant corpus filter --corpus "$db" --where good --as truncated
expect 2 "one condition" $decant corpus filter --corpus "$db" --where "1)); DELETE FROM traces; --" --as x
expect 2 "v_traces" $decant corpus filter --corpus "$db" --where "id IN (DELETE FROM traces RETURNING id)" --as x
is "SELECT count(*) FROM traces" 8

# kills and Ctrl-C: all of the old marks or all of the new ones
sqlite3 "$db" "WITH RECURSIVE n (i) AS (SELECT 10 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
INSERT INTO traces (prompt_id, request_id, sample_index, finish_reason, created_at, program, lossy,
    answer, reasoning)
SELECT 4, 1, i, 'stop', '', 'test', 0, '12', 'chain ' || (i % 5000) || ' ' || replace(hex(zeroblob(60)), '0', (i % 5000 * 7919) || ' word ') FROM n"
stopped=0 whole=0
for signal in INT KILL INT KILL INT KILL; do
    for after in 0.02 0.08 0.2; do
        sqlite3 "$db" "DELETE FROM verdicts WHERE kind = 'duplicate'; INSERT INTO verdicts VALUES (1, 'duplicate', 'yes', 'old', 1, '')"
        $decant corpus dedup --corpus "$db" --traces >"$dir/out" 2>"$dir/err" &
        pid=$!
        sleep $after
        kill -$signal $pid 2>/dev/null || true
        set +e
        wait $pid
        code=$?
        set -e
        marks=$(sqlite3 "$db" "SELECT count(*) || ' ' || sum(reason = 'old') FROM verdicts WHERE kind = 'duplicate'")
        case $code,$marks in
        0,"14994 0" | 137,"14994 0") whole=$((whole + 1)) ;;
        3,"1 1") grep -q "nothing was changed" "$dir/err" && stopped=$((stopped + 1)) ;;
        130,"1 1" | 137,"1 1") stopped=$((stopped + 1)) ;; # 130: before it watches for Ctrl-C
        *) cat "$dir/err"; fail "after $signal: exit $code, marks $marks" ;;
        esac
    done
done
is "PRAGMA integrity_check" ok
echo "marks are what they should be; of 18 runs that were to be broken off $stopped changed nothing, $whole all"
