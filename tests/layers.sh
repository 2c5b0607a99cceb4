#!/bin/sh
# The house (CONTRIBUTING.md): a floor includes only lower floors, rooms of one floor do not know each
# other, and SQLite, cJSON, libcurl, PCRE2 and BLAS are each used in one place. Checked by includes,
# and by the symbols that each room's objects leave undefined.
set -u
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cd "$(dirname "$0")/.."
build=${BUILD:-build}
bad=0
say() { echo "layers: $*"; bad=1; }

# room: the rooms it may include
allowed() {
    case $1 in
    core) echo "core" ;;
    teacher) echo "core teacher" ;;
    student) echo "core student" ;;
    dataset) echo "core dataset" ;;
    quant) echo "core quant" ;;
    distill) echo "core teacher student dataset quant distill" ;;
    cli) echo "core teacher student dataset quant distill cli" ;;
    esac
}
rooms="core teacher student dataset quant distill cli"
for room in $rooms; do
    [ -d "$room" ] || continue
    ok=$(allowed "$room")
    grep -rn --include='*.[ch]' '#include "' "$room" | sed 's/^\([^:]*\):[0-9]*:.*"\(.*\)".*/\1 \2/' |
    while read -r file inc; do
        to=${inc%%/*}
        case " $ok " in *" $to "*) ;; *) echo "$file includes $inc" ;; esac
    done >"$tmp/found"
    [ -s "$tmp/found" ] && { cat "$tmp/found"; bad=1; }
done

# inside core: base < tensor < format < text < lm
rank() {
    case $1 in base) echo 1 ;; tensor) echo 2 ;; format) echo 3 ;; text) echo 4 ;; lm) echo 5 ;; *) echo 9 ;; esac
}
for sub in base tensor format text lm; do
    for to in $(grep -rhn --include='*.[ch]' '#include "core/' "core/$sub" | sed 's/.*"core\/\([a-z]*\)\/.*/\1/' | sort -u); do
        [ "$(rank "$to")" -le "$(rank "$sub")" ] || say "core/$sub includes core/$to"
    done
done

only() { # header pattern, where it may be included
    hits=$(grep -rlE --include='*.[ch]' "#include <$1" core teacher student dataset quant distill cli | grep -vE "$2")
    [ -z "$hits" ] || say "<$1> is included outside $2: $hits"
}
only 'sqlite3' '^dataset/'
only 'curl/' '^teacher/'
only 'pcre2' '^core/text/'
only 'utf8proc' '^core/text/'
only 'cjson' '^core/base/'
only 'cblas|openblas' '^core/tensor/cpu/'

# printing and exiting belong to cli/ (messages and progress: core/base/log.c)
hits=$(grep -rnE --include='*.c' '(^|[^a-z_])(printf|puts|putchar|exit)\(|fprintf\(std(out|err)' core teacher student dataset quant distill | grep -v '^core/base/log.c')
[ -z "$hits" ] || say "prints or exits outside cli/: $hits"

# symbols: no room may need a symbol that only a forbidden room defines
if [ -d "$build/core" ]; then
    for room in $rooms; do
        objs=$(find "$build/$room" -name '*.o' 2>/dev/null)
        [ -n "$objs" ] || continue
        # shellcheck disable=SC2086
        nm -g --defined-only $objs 2>/dev/null | awk 'NF==3{print $3}' | sort -u >"$tmp/$room.def"
        # shellcheck disable=SC2086
        nm -g --undefined-only $objs 2>/dev/null | awk 'NF==2{print $2}' | sort -u >"$tmp/$room.und"
    done
    for room in $rooms; do
        [ -f "$tmp/$room.und" ] || continue
        ok=" $(allowed "$room") "
        for other in $rooms; do
            case "$ok" in *" $other "*) continue ;; esac
            [ -f "$tmp/$other.def" ] || continue
            both=$(comm -12 "$tmp/$room.und" "$tmp/$other.def" | grep -v '^main$' | head -5)
            [ -z "$both" ] || say "$room links against $other: $both"
        done
    done
fi
[ $bad = 0 ] && echo "layers hold"
exit $bad
