#!/bin/sh
# Holds build/demo/result.json against what the demo promises. Run after make demo.
set -eu
cd "$(dirname "$0")/.."
f=${BUILD:-build}/demo/result.json
[ -f "$f" ] || { echo "$f is not there: run make demo first"; exit 1; }
field() { sed -n "s/.*\"$1\": \([-0-9.e]*\).*/\1/p" "$f" | head -n 1; }
LC_ALL=C awk -v teacher="$(field teacher)" -v before="$(field before)" -v answers="$(field answers_only)" \
    -v traces="$(field traces)" -v four="$(field four_bit)" -v seconds="$(field seconds)" '
    function hold(ok, what) { print (ok ? "ok   " : "MISS ") what; if (!ok) bad = 1 }
    BEGIN {
        hold(teacher >= 0.95, "teacher " teacher " >= 0.95")
        hold(traces >= 0.80, "student on traces " traces " >= 0.80")
        hold(traces - answers >= 0.20, "student on answers alone " answers ": at least 0.2 below")
        hold(traces - four <= 0.02, "4-bit student " four ": at most 0.02 below")
        hold(before <= answers, "before " before ": no better than on answers alone")
        print "     " seconds " s (360 are promised on two quiet cores)"
        exit bad
    }'
