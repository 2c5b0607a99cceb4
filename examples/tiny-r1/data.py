"""Problems as token ids, and batches of them."""

import json
import random
import subprocess

import torch
from tokenizers import Tokenizer

BOS, EOS = "<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>"


def problems(binary, split, n, seed, solutions=True):
    """n generated problems as dicts."""
    args = [binary, "--split", split, "--n", str(n), "--seed", str(seed)] + ["--solutions"] * solutions
    out = subprocess.run(args, check=True, capture_output=True, text=True).stdout
    return [json.loads(line) for line in out.splitlines()]


def load_tokenizer(model_dir):
    return Tokenizer.from_file(f"{model_dir}/tokenizer.json")


def prompt_text(p):
    return f"{BOS}<｜User｜>{p['prompt']}<｜Assistant｜><think>\n"


def completion_text(p, reasoning=True):
    """With its chain; or, for the student on answers alone, with an empty one."""
    return f"{p['reasoning'] if reasoning else ''}\n</think>\n\n{p['response']}{EOS}"


def encode(tok, ps, reasoning=True):
    """(ids, learned) of each problem: of every id, whether it belongs to the completion.
    Prompt and completion are encoded apart, as they are when a model answers."""
    heads = tok.encode_batch([prompt_text(p) for p in ps])
    tails = tok.encode_batch([completion_text(p, reasoning) for p in ps])
    return [(h.ids + t.ids, [False] * len(h.ids) + [True] * len(t.ids)) for h, t in zip(heads, tails)]


def easy_sum(rng):
    """One step as problems.c has them: (left side, result)."""
    op = rng.choice("++--*/")
    if op in "*/":
        a, b = rng.randint(2, 12), rng.randint(2, 12)
        return (f"{a} * {b}", a * b) if op == "*" else (f"{a * b} / {b}", a)
    while True:
        a, b = rng.randint(2, 97), rng.randint(2, 97)
        if a + b < 100 and (a % 10 + b % 10 < 10 or (a < 10 and b < 10)):
            return (f"{a} + {b}", a + b) if op == "+" else (f"{a + b} - {a}", b)


def encode_sums(tok, n, seed, n_sums=10):
    """n rows of unrelated sums; of each only the result is learned."""
    rng = random.Random(seed)
    pieces = [(f" {left} =", f" {right}.") for left, right in (easy_sum(rng) for _ in range(n * n_sums))]
    lefts = tok.encode_batch([left for left, _ in pieces])
    rights = tok.encode_batch([right for _, right in pieces])
    rows = []
    for start in range(0, len(pieces), n_sums):
        ids, learned = [], []
        for l, r in zip(lefts[start : start + n_sums], rights[start : start + n_sums]):
            ids += l.ids + r.ids
            learned += [False] * len(l.ids) + [True] * len(r.ids)
        rows.append((ids, learned))
    return rows


def batches(samples, batch_tokens, seed):
    """Shuffled batches of similar lengths: ids [B, T] and the loss weight of each as a target."""
    rng = random.Random(seed)
    samples = samples[:]
    rng.shuffle(samples)
    pool = max(1, 8 * batch_tokens // 100)
    for start in range(0, len(samples), pool):
        part = sorted(samples[start : start + pool], key=lambda s: len(s[0]))
        made, batch, longest = [], [], 0
        for s in part:
            longest = len(s[0])
            if batch and (len(batch) + 1) * longest > batch_tokens:
                made.append(batch)
                batch = []
            batch.append(s)
        made.append(batch)
        rng.shuffle(made)
        for batch in made:
            T = max(len(ids) for ids, _ in batch)
            ids = torch.zeros(len(batch), T, dtype=torch.long)
            weight = torch.zeros(len(batch), T)
            for i, (s, learned) in enumerate(batch):
                ids[i, : len(s)] = torch.tensor(s)
                weight[i, : len(s)] = torch.tensor(learned)
            yield ids, weight
