#!/bin/sh
# make demo: the whole pipeline, small and real. A trained teacher of R1's architecture answers
# problems; its chains go to a corpus; a small dense student learns from them (and, to compare, from
# the answers alone); the student becomes a 4-bit GGUF; all are tested on problems nobody trained on.
set -eu
cd "$(dirname "$0")/.."
export LC_ALL=C # awk reads and prints numbers with a point
build=${BUILD:-build}
decant=$build/decant
out=$build/demo
here=examples
n_train=${DEMO_TRAIN:-4000} n_test=${DEMO_TEST:-500}
teacher=$here/tiny-r1/model base=$here/tiny-base/model
start=$(date +%s.%N)

say() { printf '\n== %s\n' "$*"; }
run() { # a command, shown as one would type it
    echo "\$ $*"
    "$@"
}
field() { # JSON file, name: a number out of one flat object
    sed -n "s/.*\"$2\":\([-0-9.e]*\).*/\1/p" "$1"
}

rm -rf "$out"
mkdir -p "$out"
${CC:-cc} -O2 -o "$out/problems" $here/tiny-r1/problems.c
"$out/problems" --split train --n "$n_train" --seed 1 >"$out/train.jsonl"
"$out/problems" --split test --n "$n_test" --seed 2 >"$out/test.jsonl"

say "1. the teacher answers $n_train training problems"
run $decant generate-traces --teacher $teacher --prompts "$out/train.jsonl" --corpus "$out/traces.db" \
    --teacher-model tiny-r1 --max-tokens 256
run $decant corpus verify --corpus "$out/traces.db"

say "2. a student learns from the traces"
run $decant distill --student $base --corpus "$out/traces.db" --out "$out/on-traces" \
    --config $here/demo.json --target traces
say "   another, from the answers alone"
run $decant distill --student $base --corpus "$out/traces.db" --out "$out/on-answers" \
    --config $here/demo.json --target answers

say "3. the student becomes a 4-bit GGUF"
run $decant quantize-and-export --model "$out/on-traces/final" --out "$out/student-q4_k_m.gguf" \
    --type q4_k_m

say "4. $n_test problems that nobody trained on, two answers each"
evaluate() { # name, model
    set -- "$1" $decant eval --model "$2" --problems "$out/test.jsonl" --samples 2 --max-tokens 256 --json
    result=$out/eval-$1.json
    shift
    echo "\$ $* >$result"
    "$@" >"$result"
}
evaluate teacher $teacher
evaluate before $base
evaluate answers_only "$out/on-answers/final"
evaluate traces "$out/on-traces/final"
evaluate four_bit "$out/student-q4_k_m.gguf"

seconds=$(awk -v a="$start" -v b="$(date +%s.%N)" 'BEGIN { printf "%.0f", b - a }')
row() { # label, name
    f=$out/eval-$2.json
    awk -v label="$1" -v a="$(field "$f" accuracy)" -v se="$(field "$f" standard_error)" \
        -v p="$(field "$f" params)" -v b="$(field "$f" bytes)" \
        -v s="$(field "$f" tokens_per_second)" \
        'BEGIN { printf "%-34s %5.1f %% +- %.1f  %6.2f M  %6.2f MB  %7.0f\n", label, 100 * a, 100 * se,
                 p / 1e6, b / 1e6, s }'
}
echo
printf '%-34s %-15s  %-8s  %-9s  %s\n' '' 'accuracy' ' params' '  size' ' tokens/s'
row 'teacher (R1 architecture, FP8)' teacher
row 'student before' before
row 'student, trained on answers alone' answers_only
row 'student, trained on traces' traces
row 'the same in 4 bits (q4_k_m GGUF)' four_bit
accuracy() { field "$out/eval-$1.json" accuracy; }
bytes() { field "$out/eval-$1.json" bytes; }
cat >"$out/result.json.tmp" <<JSON
{"accuracy": {"teacher": $(accuracy teacher), "before": $(accuracy before), "answers_only": $(accuracy answers_only), "traces": $(accuracy traces), "four_bit": $(accuracy four_bit)},
 "seconds": $seconds,
 "bytes": {"teacher": $(bytes teacher), "student": $(bytes traces), "four_bit": $(bytes four_bit)}}
JSON
mv "$out/result.json.tmp" "$out/result.json"
cat <<TEXT

$seconds s in all, with $n_train training and $n_test test problems. What was made is in $out:
  traces.db               the corpus: every chain of thought, with its verdict (any SQLite tool opens it)
  on-traces/final         the student as an HF directory (transformers and vLLM open it)
  student-q4_k_m.gguf     the student in 4 bits (llama.cpp, Ollama and LM Studio open it)
  result.json             the figures above

Try next:
  $decant chat --model $out/student-q4_k_m.gguf --prompt "$(sed -n '1s/.*"prompt": *"\([^"]*\)".*/\1/p' "$out/test.jsonl")"
  $decant corpus show --corpus $out/traces.db
  $decant --help
TEXT
