#!/bin/sh
# Every SQL statement of docs/corpus.md runs on a corpus, and every command on it answers.
set -eu
command -v sqlite3 >/dev/null || { echo "no sqlite3"; exit 77; }
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
printf '%s\n' '{"question": "1+1?", "answer": "1+1=2\n#### 2"}' '{"prompt": "2+2?", "answer": 4}' >"$dir/p.jsonl"
db=$dir/c.db
"$DECANT" corpus import --corpus "$db" --prompts "$dir/p.jsonl" | grep -q '2 records read, 2 new prompts'
sqlite3 "$db" "PRAGMA foreign_keys = ON;
INSERT INTO requests VALUES (1, 'deepseek-reasoner', '2026',
                             '{\"teacher\":\"deepseek-reasoner\",\"temperature\":0.6}');
INSERT INTO traces (prompt_id, request_id, sample_index, finish_reason, n_completion_tokens, created_at,
                    program, lossy, answer, reasoning)
VALUES (1, 1, 0, 'stop', 9, '2026', 'x', 0, '\\boxed{2}', 'one and one'),
       (1, 1, 1, 'length', 9, '2026', 'x', 0, '', 'one and'),
       (2, 1, 0, 'stop', 9, '2026', 'x', 0, '\\boxed{5}', 'look: \`\`\`2+2\`\`\`');"

"$DECANT" corpus verify --corpus "$db" --json >"$dir/verify"
grep -q '"traces":3,"changed":3,"correct":1,"wrong":1,"unknown":1,"truncated":1' "$dir/verify"
"$DECANT" corpus stats --corpus "$db" --json | grep -q '"correct":1,"wrong":1,"unknown":1,"unverified":0'
"$DECANT" corpus stats --corpus "$db" | grep -q 'correct  *1  *33.3 %'
"$DECANT" corpus show --corpus "$db" --trace 1 | grep -q 'one and one'
"$DECANT" corpus show --corpus "$db" --select "verdict = 'wrong'" --json | grep -q '"gold":"4"'
"$DECANT" corpus export --corpus "$db" --out - |
    grep -q '"content":"<think>\\none and one\\n</think>\\n\\n\\\\boxed{2}"'
[ "$("$DECANT" corpus export --corpus "$db" --select all --out - | wc -l)" = 3 ]

# log-probabilities: "one" and " and one" of the first trace, laid out as is documented
"$DECANT" corpus show --corpus "$db" --logprobs | grep -q '^none; generate-traces --logprobs'
sqlite3 "$db" "INSERT INTO logprobs VALUES (1, 'dlp1', 2, 2, x'444c5001030202130400046f6e6506032061000920616e64206f6e65010301080000b801010100c00200b40000');"
"$DECANT" corpus show --corpus "$db" --trace 1 --logprobs >"$dir/show"
grep -qx '"one" -0.5000   "one" -0.5000  " a" -2.0000' "$dir/show"
grep -qx '" and one" -0.2500' "$dir/show"
"$DECANT" corpus show --corpus "$db" --trace 1 --logprobs --json | grep -qF '"logprobs":[{"token":"one","logprob":-0.5000,"part":"reasoning","top":[{"token":"one","logprob":-0.5000},{"token":" a","id":5,"logprob":-2.0000}]},{"token":" and one",'

# wrong usage is 2, what fails is 1; both say why
code=0; "$DECANT" corpus >/dev/null 2>&1 || code=$?; [ $code = 2 ]
code=0; "$DECANT" corpus frobnicate >/dev/null 2>&1 || code=$?; [ $code = 2 ]
code=0; "$DECANT" corpus stats --corpus "$dir/none.db" 2>"$dir/e" || code=$?
[ $code = 1 ] && grep -q 'no such corpus' "$dir/e" && [ ! -e "$dir/none.db" ]
code=0; "$DECANT" corpus show --corpus "$db" --select 'x = 1' 2>"$dir/e" || code=$?
[ $code = 2 ] && grep -q 'no such column' "$dir/e"
printf '{"prompt": 3}\n' >"$dir/bad.jsonl"
code=0; "$DECANT" corpus import --corpus "$db" --prompts "$dir/bad.jsonl" 2>"$dir/e" || code=$?
[ $code = 1 ] && grep -q 'bad.jsonl:1: "prompt" should be a string' "$dir/e"

awk '/^```sql/ {on = 1; next} /^```$/ {on = 0} on' docs/corpus.md >"$dir/all.sql"
[ "$(grep -c ';$' "$dir/all.sql")" -ge 6 ]
sqlite3 -bail "$db" <"$dir/all.sql" >/dev/null
[ "$(sqlite3 "$db" "SELECT count(*) FROM verdicts WHERE kind = 'code'")" = 1 ]
# the documented selections
sed -n 's/^    --select "\(good AND pass_rate[^"]*\|verdict = [^"]*\|teacher = [^"]*\)"$/\1/p' docs/corpus.md |
while read -r selection; do
    "$DECANT" corpus export --corpus "$db" --select "$selection" --out "$dir/x" >/dev/null
done
# a corpus where nothing can be written is read all the same, and its index searched; root can write
# everywhere, so it becomes someone else
as=
[ "$(id -u)" != 0 ] || as="setpriv --reuid 65534 --regid 65534 --clear-groups"
chmod 755 "$dir"
if $as "$DECANT" --help >/dev/null 2>&1; then
    mkdir "$dir/ro"
    cp "$db" "$dir/ro/c.db"
    ro_db=$dir/ro/c.db
    ro="--corpus $ro_db"
    chmod 444 "$dir/ro/c.db"
    chmod 555 "$dir/ro"
    code=0; $as "$DECANT" corpus search $ro --query one 2>"$dir/e" || code=$?
    [ $code = 1 ]
    grep -q 'has no index to search, and cannot be written' "$dir/e"
    chmod 755 "$dir/ro"
    chmod 644 "$dir/ro/c.db"
    "$DECANT" corpus search $ro --query one >/dev/null
    for mode in 444 644; do
        chmod $mode "$dir/ro/c.db"
        chmod 555 "$dir/ro"
        $as "$DECANT" corpus stats $ro | grep -q 'correct  *1  *33.3 %'
        $as "$DECANT" corpus show $ro --trace 1 | grep -q 'one and one'
        [ "$($as "$DECANT" corpus export $ro --select all --out - | wc -l)" = 3 ]
        $as "$DECANT" corpus search $ro --query '"one and one"' | grep -q '1 hit$'
        $as "$DECANT" corpus check $ro | grep -q 'integrity     ok'
        code=0; $as "$DECANT" corpus verify $ro 2>"$dir/e" || code=$?
        [ $code = 1 ]
        grep -q 'cannot be written.*; work on a copy' "$dir/e"
        chmod 755 "$dir/ro"
    done
    # but not beside what a killed writer left in a log, be it reached by a link from elsewhere
    sqlite3 "$ro_db" "UPDATE prompts SET gold = '3' WHERE id = 1" ".shell cp $ro_db-wal $dir/wal"
    [ -s "$dir/wal" ]
    mkdir "$dir/link"
    ln -s ../ro/c.db "$dir/link/c.db"
    rm -f "$ro_db-wal" "$ro_db-shm"
    cp "$dir/wal" "$ro_db-wal"
    chmod 555 "$dir/ro"
    for path in "$ro_db" "$dir/link/c.db"; do
        code=0; $as "$DECANT" corpus stats --corpus "$path" >/dev/null 2>"$dir/e" || code=$?
        [ $code = 1 ]
        grep -q 'cannot be opened' "$dir/e"
    done
    chmod 755 "$dir/ro"
fi
echo "the documentation's SQL runs"
