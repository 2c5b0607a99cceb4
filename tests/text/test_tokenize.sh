#!/bin/sh
# decant tokenize: ids that HF gives, bytes back exactly, errors with exit 2 and 1.
set -u
model=tests/vectors/text/deepseek-v3
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
die() { echo "$*"; exit 1; }

printf 'Anna has 12 apples.\n\377\300 <\357\275\234User\357\275\234>\0 caf\303\251\n' >"$tmp/in"
"$DECANT" tokenize --model $model --file "$tmp/in" >"$tmp/ids" || die "encode failed"
[ "$(wc -l <"$tmp/ids")" = 1 ] || die "ids are not on one line"
"$DECANT" tokenize --model $model --file "$tmp/ids" --decode >"$tmp/out" || die "decode failed"
cmp "$tmp/in" "$tmp/out" || die "bytes do not come back"
"$DECANT" tokenize --model $model/tokenizer.json <"$tmp/in" | cmp - "$tmp/ids" ||
    die "standard input gives other ids"
: | "$DECANT" tokenize --model $model | cmp - "$(printf '\n' >"$tmp/nl"; echo "$tmp/nl")" ||
    die "an empty text has ids"

fails() { # exit code, what the message names, arguments
    want=$1 says=$2
    shift 2
    "$DECANT" tokenize "$@" <"$tmp/bad" >"$tmp/o" 2>"$tmp/e"
    got=$?
    [ $got = "$want" ] || die "tokenize $*: exit $got, not $want"
    grep -q -- "$says" "$tmp/e" || die "tokenize $*: $(cat "$tmp/e")"
}
echo "1 2 x3" >"$tmp/bad"
fails 1 x3 --model $model --decode
echo "1 999999999" >"$tmp/bad"
fails 1 999999999 --model $model --decode
fails 2 model --decode
fails 1 "$tmp/none" --model "$tmp/none"
fails 1 "$tmp/none" --model $model --file "$tmp/none"
