"""Makes the vectors beside this file with HF tokenizers (pip install tokenizers==0.23.3):

    python3 tests/vectors/text/make.py [SHARED]

  NAME/tokenizer.json   small byte-level BPE tokenizers of each pre-tokenizer, trained on text made here
  NAME/cases.json       [{"text", "special", "ids"}]: what HF's encode gives
  parts.json            pieces that test_tokenizer.c and this script put together to one torture text
  hashes.json           {tokenizer: {text: {"n", "hash"}}}; the hash is fnv() below over the ids.
                        With SHARED (which has tokenizers/ and data/gsm8k/): the real ones, too.
"""
import json
import os
import random
import sys

from tokenizers import (AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers,
                        processors, trainers)

HERE = os.path.dirname(os.path.abspath(__file__))
QWEN2 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
         r"|\s*[\r\n]+|\s+(?!\S)|\s+")
DEEPSEEK = ["\\p{N}{1,3}", "[一-龥\u3040-ゟ゠-ヿ]+",
            "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?"
            "[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+"]


def corpus(rng):
    names = "Anna Ben Carla Dmitri Élodie Jürgen Mei Noor".split()
    things = "apples books marbles tickets cookies pencils".split()
    for _ in range(3000):
        a, b = rng.choice(names), rng.choice(names)
        n, m, t = rng.randint(2, 99), rng.randint(2, 2000), rng.choice(things)
        yield f"{a} has {n} {t} and {b} gives them {m} more. How many {t} does {a} have now?\n"
        yield f"Let's see: {n} + {m} = {n + m}, so it's \\boxed{{{n + m}}}.\n\n"
        if rng.random() < 0.1:
            yield rng.choice(["中文字符和漢字", "ひらがなカタカナ", "한국어 문장", "Привет, мир! ", "café déjà-vu ",
                              "    if (x == 10) {\n\t\treturn y[i];\n    }\n", "👍🏽 👩‍👩‍👧 🏳️‍🌈"])


def isolated(patterns):
    splits = [pre_tokenizers.Split(Regex(p), "isolated") for p in patterns]
    return pre_tokenizers.Sequence(splits + [pre_tokenizers.ByteLevel(False, use_regex=False)])


def special(texts):
    return [AddedToken(t, special=True, normalized=False) for t in texts]


def plain(texts):
    return [AddedToken(t, special=False, normalized=False) for t in texts]


R1 = ["<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜▁pad▁｜>"]
KINDS = {
    "gpt2": dict(pre=pre_tokenizers.ByteLevel(False), added=special(["<|endoftext|>"])),
    "qwen2": dict(pre=isolated([QWEN2]), norm=normalizers.NFC(),
                  added=special(["<|endoftext|>", "<|im_start|>", "<|im_end|>"]) +
                  plain(["<tool_call>", "</tool_call>"])),
    "deepseek-v3": dict(pre=isolated(DEEPSEEK), norm=normalizers.Sequence([]),
                        added=special(R1) + [AddedToken(t, special=False, normalized=True) for t in
                                             ["<｜User｜>", "<｜Assistant｜>", "<think>", "</think>"]]),
    "r1-qwen": dict(pre=isolated([QWEN2]), norm=normalizers.NFC(),
                    added=special(R1) + plain(["<｜User｜>", "<｜Assistant｜>", "<think>", "</think>"])),
    "llama3": dict(pre=isolated([QWEN2.replace(r"|\p{N}|", r"|\p{N}{1,3}|")]), ignore_merges=True,
                   added=special(["<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>",
                                  "<|end_header_id|>", "<|eot_id|>"])),
    # everything else that tokenizer.json may ask for
    "odd": dict(pre=pre_tokenizers.Sequence([
        pre_tokenizers.Split("++", "removed"), pre_tokenizers.Split(" ", "merged_with_next"),
        pre_tokenizers.Split(Regex(r"[.,;]\s?"), "merged_with_previous"),
        pre_tokenizers.Split(Regex("(?=[A-Z])"), "isolated"),
        pre_tokenizers.Split(Regex("[a-zé]+"), "contiguous", invert=True),
        pre_tokenizers.Split(Regex("x(?!y)|(?<=y)z"), "merged_with_next"),
        pre_tokenizers.Digits(True), pre_tokenizers.ByteLevel(True)]),
        norm=normalizers.Sequence([normalizers.NFC()]),
        added=[AddedToken("<left>", lstrip=True, normalized=False),
               AddedToken("<right>", rstrip=True, normalized=False),
               AddedToken("<both>", lstrip=True, rstrip=True, special=True),
               AddedToken("word", single_word=True, normalized=False),
               AddedToken("wo", normalized=False), AddedToken("caf\u00e9!", normalized=True),
               AddedToken("e\u0301e\u0301", normalized=True), AddedToken("<l", normalized=True)]),
}
PARTS = [" ", "  ", "   ", "\n", "\r\n", "\t", " \n ", "\n\n\n", "\u00a0", "\u3000", "\u0085", "\u180e",
         "   \n\n  ", " \r", "\u2028", "\ufeff", "'s", "'S", "'\u017f", "'LL", "'re", " 've", "don't",
         "I'M", "'d", "it's ", "1", "12", "123", "1234567", "3.14", "-5", "1,000", "½", "Ⅷ", "٣", "१२३४",
         "𝟘𝟙", "👩\u200d👩\u200d👧", "🏳️\u200d🌈", "👍🏽", "🇩🇪", "中文字", "漢", "ひらがな", "カタカナ", "한국어",
         "각", "e\u0301\u0327", "a\u0345\u0898\u0334", "a\u0316\u0301\u0323", "\u0b92\u0bd7",
         "q\U000113b8\u0334", "\U00031350字", "\U00016121x", "ﬁ", "ß", "İ", "ǅ", "Σς", "العربية", "עִבְרִית",
         "ไทย", "हिन्दी", "Ελληνικά", "русский", "the", " the", "Hello", " world", "foo_bar", "x=y+z",
         "\\boxed{42}", "$x^2$", "```", "...", "!!!", "#!/bin", "a.b@c.de", "https://", "<|", "<｜", "｜>",
         "<", ">", "/", "++", "a++b", "word", "words", " word ", "aword", "ABC", "xyz", "xy", "yz", "café!",
         "cafe\u0301!", "e\u0301e\u0301", ";", ", ", ". ", "\u0000", "\u0007", "\u001b[0m", "\u007f"]


class Lcg:  # Knuth's MMIX
    def __init__(self, seed):
        self.x = seed

    def below(self, n):
        self.x = (self.x * 6364136223846793005 + 1442695040888963407) % 2**64
        return (self.x >> 33) % n


def surrogate(c):
    return 0xD800 <= c < 0xE000


def planes():
    """Every assigned plane: all code points up to the end of the CJK extensions and of the tags, then
    one of 256."""
    out = []
    for c in range(0x110000):
        if not surrogate(c) and (c < 0x33480 or 0xE0000 <= c < 0xE0200 or c % 256 == 77):
            out.append(chr(c))
            if c % 64 == 63:
                out.append("\n")
    return "".join(out)


def torture(seed, n, added):
    rng, out = Lcg(seed), []
    for _ in range(n):
        k = rng.below(8)
        if k <= 1:
            c = rng.below(0x3200 if k else 0x110000)
            out.append("" if surrogate(c) else chr(c))
        elif k == 2:
            out.append(chr(0x300 + rng.below(0x70)))
        elif k == 3:
            out.append(added[rng.below(len(added))])
        else:
            out.append(PARTS[rng.below(len(PARTS))])
    runs = [" " * 1000, "a" * 3000, "\n" * 500, "7" * 1000, " \n" * 300, "\u0301\u0316" * 500]
    return "".join(out + runs)


def fnv(ids):
    h = 0xCBF29CE484222325
    for i in ids:
        h = (h ^ i) * 0x100000001B3 % 2**64
    return "%016x" % h


def encode(tok, text, with_added=True):
    if with_added:
        return tok.encode(text, add_special_tokens=False).ids
    bare = json.loads(tok.to_str())
    bare["added_tokens"] = []
    return Tokenizer.from_str(json.dumps(bare)).encode(text, add_special_tokens=False).ids


def hashes(tok, extra=()):
    added = [t.content for _, t in sorted(tok.get_added_tokens_decoder().items())]
    texts = [("planes", planes()), ("torture", torture(1, 20000, added))] + list(extra)
    out = {}
    for name, text in texts:
        ids = encode(tok, text)
        out[name] = {"n": len(ids), "hash": fnv(ids)}
    return out


def make_small(name, kind):
    rng = random.Random(name)
    tok = Tokenizer(models.BPE(ignore_merges=kind.get("ignore_merges", False)))
    if "norm" in kind:
        tok.normalizer = kind["norm"]
    tok.pre_tokenizer = kind["pre"]
    tok.decoder = decoders.ByteLevel()
    tok.train_from_iterator(corpus(rng), trainers.BpeTrainer(
        vocab_size=700, show_progress=False, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    if kind.get("ignore_merges"):  # words that no merges make: only ignore_merges finds them
        d = json.loads(tok.to_str())
        for word in ("Ġunmergeable", "Ġ12345"):
            d["model"]["vocab"][word] = len(d["model"]["vocab"])
        tok = Tokenizer.from_str(json.dumps(d))
    tok.add_tokens(kind["added"])
    if name == "llama3":
        bos = "<|begin_of_text|>"
        tok.post_processor = processors.TemplateProcessing(
            single=bos + " $A", special_tokens=[(bos, tok.token_to_id(bos))])
    folder = os.path.join(HERE, name)
    os.makedirs(folder, exist_ok=True)
    d = json.loads(tok.to_str())
    if name in ("gpt2", "deepseek-v3"):  # the older form of merges
        d["model"]["merges"] = [" ".join(m) for m in d["model"]["merges"]]
    with open(os.path.join(folder, "tokenizer.json"), "w", encoding="utf-8") as f:
        json.dump(d, f, ensure_ascii=False, separators=(",", ":"))
    tok = Tokenizer.from_str(json.dumps(d))
    write_cases(name, tok, rng)
    return hashes(tok)


def write_cases(name, tok, rng):
    parts = [p for p in PARTS if "\0" not in p]
    added = [t.content for _, t in sorted(tok.get_added_tokens_decoder().items())]
    texts = ["", " ", "Hello world", "  two  spaces  ", "a" * 100, "it's IT'S it\u2019s", "unmergeable unmergeable",
             " 12345 12345", "\n\n \n", "a\r\nb\rc", "".join(added), " ".join(added), "x" + " <left> <right> <both> y",
             "word wordy aword _word word1 word. wo", "Anna has 12 apples, and Ben's 3.\n"]
    for _ in range(60):
        texts.append("".join(rng.choice(parts if rng.random() < 0.85 else added)
                             for _ in range(rng.randint(1, 12))))
    cases = []
    for text in texts:
        for flag in (True, False):
            ids = encode(tok, text, flag)
            cases.append({"text": text, "special": flag, "ids": ids})
            decoded = tok.decode(ids, skip_special_tokens=False)
            if name in ("gpt2", "llama3"):
                assert decoded == text, (text, decoded)
    with open(os.path.join(HERE, name, "cases.json"), "w", encoding="utf-8") as f:
        f.write("[" + ",\n".join(json.dumps(c, separators=(",", ":")) for c in cases) + "]\n")


def main():
    with open(os.path.join(HERE, "parts.json"), "w") as f:
        json.dump(PARTS, f)
    path = os.path.join(HERE, "hashes.json")
    out = json.load(open(path)) if os.path.exists(path) else {}
    for name, kind in KINDS.items():
        out[name] = make_small(name, kind)
    shared = sys.argv[1] if len(sys.argv) > 1 else None
    for name in ("deepseek-v3", "qwen2.5") if shared else ():
        tok = Tokenizer.from_file(os.path.join(shared, "tokenizers", name, "tokenizer.json"))
        gsm = [("gsm8k/" + f, open(os.path.join(shared, "data/gsm8k", f), encoding="utf-8",
                                   newline="").read()) for f in ("test.jsonl", "train.jsonl")]
        out["real/" + name] = hashes(tok, gsm)
    with open(path, "w") as f:
        json.dump(out, f, indent=1)


main()
