"""The accuracy of an exported teacher on held-out problems, sampled as R1 is
(temperature 0.6, top_p 0.95)."""

import argparse
import re
import time
from collections import defaultdict
from pathlib import Path

import torch

import data
from checkpoint import load


def sample(logits, temperature, top_p, rng):
    """logits [B, V] -> one token each; temperature 0 is greedy."""
    if temperature == 0:
        return logits.argmax(-1)
    p, order = (logits / temperature).softmax(-1).sort(-1, descending=True)
    p[p.cumsum(-1) - p >= top_p] = 0.0  # keep the smallest set that reaches top_p
    return order.gather(1, p.multinomial(1, generator=rng))[:, 0]


@torch.inference_mode()
def generate(model, prompts, eos, max_tokens, temperature, top_p, rng):
    """Prompts of one length -> the tokens after each, without eos; None if it never came."""
    ids, cache = torch.tensor(prompts), [[] for _ in model.layers]
    out, done, start = [], torch.zeros(len(prompts), dtype=torch.bool), 0
    while len(out) < max_tokens and not done.all():
        logits = model(ids, start, cache)[:, -1]
        start += ids.shape[1]
        ids = sample(logits, temperature, top_p, rng)[:, None]
        out.append(ids[:, 0])
        done |= ids[:, 0] == eos
    rows = torch.stack(out, 1).tolist()
    return [row[: row.index(eos)] if eos in row else None for row in rows]


def is_correct(text, answer):
    """The number in the last box of the answer part."""
    boxed = re.findall(r"\\boxed\{(\d+)\}", text.partition("</think>")[2])
    return bool(boxed) and boxed[-1] == answer


def main():
    here = Path(__file__).parent
    a = argparse.ArgumentParser(description=__doc__)
    a.add_argument("--problems", default="problems", help="the compiled problems.c")
    a.add_argument("--model", type=Path, default=here / "model")
    a.add_argument("--split", default="test")
    a.add_argument("--n", type=int, default=1000)
    a.add_argument("--seed", type=int, default=7)
    a.add_argument("--temperature", type=float, default=0.6)
    a.add_argument("--top-p", type=float, default=0.95)
    a.add_argument("--max-tokens", type=int, default=128)
    a.add_argument("--show", type=int, default=0, help="print so many wrong answers")
    a.add_argument("--threads", type=int, default=2)
    a = a.parse_args()

    torch.set_num_threads(a.threads)
    model, tok = load(a.model), data.load_tokenizer(a.model)
    ps = data.problems(a.problems, a.split, a.n, a.seed, solutions=False)
    by_length = defaultdict(list)
    for p in ps:
        ids = tok.encode(data.prompt_text(p)).ids
        by_length[len(ids)].append((ids, p))
    rng = torch.Generator().manual_seed(a.seed)
    n_correct = n_cut = n_tokens = 0
    start = time.time()
    for group in by_length.values():
        outs = generate(model, [ids for ids, _ in group], tok.token_to_id(data.EOS), a.max_tokens, a.temperature,
                        a.top_p, rng)
        for out, (_, p) in zip(outs, group):
            text = tok.decode(out) if out else ""
            n_cut += out is None
            n_tokens += len(out or [])
            n_correct += is_correct(text, p["answer"])
            if not is_correct(text, p["answer"]) and a.show > 0:
                a.show -= 1
                print(f"{p['prompt']}\n  wanted {p['answer']}: {text}")
    print(f"{n_correct} of {len(ps)} correct: {n_correct / len(ps):.4f}; {n_cut} cut off; "
          f"{n_tokens / len(ps):.1f} tokens an answer; {n_tokens / (time.time() - start):.0f} tokens/s")


if __name__ == "__main__":
    main()
