"""Writes core/text/tok_unicode_data.h: where HF tokenizers' Unicode differs from the oldest that
decant builds with (Unicode 14: PCRE2 10.39, utf8proc 2.8). Run with a Python whose unicodedata is
14.0.0 (3.11) and the tokenizers package; from the repository's root.

    python3 tests/vectors/text/make_unicode.py > core/text/tok_unicode_data.h
"""
import unicodedata as u

import tokenizers
from tokenizers import Regex, normalizers, pre_tokenizers

assert u.unidata_version == "14.0.0", u.unidata_version
CPS = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
ALL = "".join(map(chr, CPS))
CATEGORIES = "Lu Ll Lt Lm Lo Mn Mc Me Nd Nl No Pc Pd Ps Pe Pi Pf Po Sm Sc Sk So Zs Zl Zp Cc Cf Co"
# a code point of the same category, known since Unicode 8 or so, of 3 bytes and of 4
STAND_IN = {
    "Lu": (0x1E00, 0x10400), "Ll": (0x1E01, 0x10428), "Lm": (0x0E46, 0x16B40),
    "Lo": (0x0E01, 0x10000), "Mn": (0x0E31, 0x10A01), "Mc": (0x0903, 0x11000),
    "Nd": (0x0E50, 0x104A0), "No": (0x2070, 0x10107), "Pd": (0x2010, 0x10EAD),
    "Po": (0x0E4F, 0x10100), "Sm": (0x2200, 0x1D6C1), "So": (0x2600, 0x1F300),
    "Cf": (0x2060, 0x110BD),
}


def ranges(cps, key):
    out = []
    for c in cps:
        if out and out[-1][1] == c - 1 and out[-1][2] == key(c):
            out[-1][1] = c
        else:
            out.append([c, c, key(c)])
    return out


category = {}
for k in CATEGORIES.split():
    split = pre_tokenizers.Split(Regex("\\p{%s}+" % k), "removed", invert=True)
    for _, (a, b) in split.pre_tokenize_str(ALL):
        for c in CPS[a:b]:
            category[c] = k
newer = [c for c in CPS if category.get(c, "Cn") != u.category(chr(c))]
for k, (three, four) in STAND_IN.items():
    assert u.category(chr(three)) == u.category(chr(four)) == k, k

nfc = normalizers.NFC()
probes = ["a\u0345{}", "a\u0345{}\u0334", "a{}\u0334", "{}\u0301", "a\u0316{}\u0323",
          "a\u05b0{}\u0304", "{}\u0338", "a\u3099{}", "a\u0334{}\u3099"]
inert = {c for c in CPS for p in probes
         if nfc.normalize_str(p.format(chr(c))) != u.normalize("NFC", p.format(chr(c)))}
inert |= {0x11930, 0x11935, 0x11938}  # a composition of Unicode 13
for c in CPS:
    d = u.normalize("NFD", chr(c))
    for s in (d, chr(c) + "\u0301", "x" + d, d[::-1]):
        if nfc.normalize_str(s) != u.normalize("NFC", s):
            assert set(map(ord, s)) & inert, hex(c)

print("/* Made by tests/vectors/text/make_unicode.py against HF tokenizers %s. */" %
      tokenizers.__version__)
print("static const struct range { uint32_t lo, hi, stand_in; } newer[] = {")
for lo, hi, k in ranges(newer, lambda c: (category[c], c > 0xFFFF)):
    print("    {0x%X, 0x%X, 0x%X}," % (lo, hi, STAND_IN[k[0]][k[1]]))
print("};\nstatic const struct range inert[] = {")
for lo, hi, _ in ranges(sorted(inert), lambda c: 0):
    print("    {0x%X, 0x%X, 0}," % (lo, hi))
print("};")
