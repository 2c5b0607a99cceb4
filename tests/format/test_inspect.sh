#!/bin/sh
# decant inspect on the committed vectors: what it prints, JSON that SQLite's parser takes, exit codes.
set -eu
cd "$(dirname "$0")/../.."
dir=tests/vectors/format
out=$(mktemp)
trap 'rm -f "$out"' EXIT
fail() { echo "inspect: $*"; cat "$out"; exit 1; }
has() { grep -qF -- "$1" "$out" || fail "no \"$1\""; }
json() { # path, expected
    got=$(printf "SELECT json_extract(readfile('%s'), '%s');" "$out" "$1" | sqlite3)
    [ "$got" = "$2" ] || fail "$1 is \"$got\", expected \"$2\""
}

"$DECANT" inspect --model $dir/fp8 >"$out"
has '"deepseek_v3"'
has 'parameters    40 (40)'
has '[5, 7]'
"$DECANT" inspect --model $dir/mixed.gguf >"$out"
has '"qwen2"'
has 'q5_k'
has 'blk.0.attn_q.weight'
has '9223372036854775813'

for model in fp8 sharded mixed.safetensors mixed.gguf aligned-64.gguf; do
    "$DECANT" inspect --json --model $dir/$model >"$out"
    [ "$(printf "SELECT json_valid(readfile('%s'));" "$out" | sqlite3)" = 1 ] || fail "$model: no valid JSON"
done
json '$.format' gguf
json '$.architecture' qwen2
json '$.parameters' 716
json '$.metadata."general.alignment"' 64
json '$.tensors[0].name' token_embd.weight
json '$.tensors[0].shape[1]' 5
json '$.by_dtype.q8_0.bytes' 136

# a name that would steer the terminal: ESC and the one-character CSI
header='{"a\u001b[2J\u009b2J":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}'
{ printf "\\$(printf %o ${#header})\000\000\000\000\000\000\000"; printf %s "$header"; } >"$out.safetensors"
trap 'rm -f "$out" "$out.safetensors"' EXIT
"$DECANT" inspect --model "$out.safetensors" >"$out"
has 'a?[2J??2J '

expect() { # exit code, words of the message, arguments
    code=$1 words=$2
    shift 2
    set +e
    "$DECANT" inspect "$@" >"$out" 2>&1
    got=$?
    set -e
    [ $got = "$code" ] || fail "$*: exit $got, expected $code"
    has "$words"
}
expect 2 --model
expect 2 --nonsense --model x --nonsense
expect 1 absent --model absent
expect 1 tests/vectors/format --model $dir
expect 1 'not a GGUF file' --model $dir/make.py
echo "inspect holds"
