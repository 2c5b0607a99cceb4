"""The demo's fine-tuning in PyTorch: the tiny base on some thousand chains (or on
the answers alone), and its accuracy on held-out problems. decant does the same
with the teacher's own traces."""

import argparse
import math
import sys
import time
from collections import defaultdict
from pathlib import Path

import torch
import torch.nn.functional as F
from tokenizers import Tokenizer
from transformers import Qwen2ForCausalLM

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "tiny-r1"))
import data  # noqa: E402
from evaluate import is_correct, sample  # noqa: E402


@torch.inference_mode()
def generate(model, prompts, eos, max_tokens, temperature, rng):
    """Prompts of one length -> the tokens after each; an unfinished one keeps all."""
    ids, cache, out = torch.tensor(prompts), None, []
    done = torch.zeros(len(prompts), dtype=torch.bool)
    while len(out) < max_tokens and not done.all():
        r = model(input_ids=ids, past_key_values=cache, use_cache=True)
        cache = r.past_key_values
        ids = sample(r.logits[:, -1], temperature, 0.95, rng)[:, None]
        out.append(ids[:, 0])
        done |= ids[:, 0] == eos
    rows = torch.stack(out, 1).tolist()
    return [row[: row.index(eos)] if eos in row else row for row in rows]


def accuracy(model, tok, ps, temperature, max_tokens=128, seed=1, show=0):
    model.eval()
    by_length = defaultdict(list)
    for p in ps:
        ids = tok.encode(data.prompt_text(p)).ids
        by_length[len(ids)].append((ids, p))
    rng, n_correct = torch.Generator().manual_seed(seed), 0
    for group in by_length.values():
        outs = generate(model, [ids for ids, _ in group], tok.token_to_id(data.EOS), max_tokens, temperature, rng)
        for out, (_, p) in zip(outs, group):
            good = is_correct(tok.decode(out, skip_special_tokens=False), p["answer"])
            n_correct += good
            if not good and show > 0:
                show -= 1
                print(f"{p['prompt']}\n  wanted {p['answer']}: {tok.decode(out, skip_special_tokens=False)}")
    return n_correct / len(ps)


def main():
    a = argparse.ArgumentParser(description=__doc__)
    a.add_argument("--problems", default="problems", help="the compiled problems.c")
    a.add_argument("--model", type=Path, default=HERE / "model")
    a.add_argument("--out", type=Path, default=None, help="save the student there")
    a.add_argument("--answers-only", action="store_true")
    a.add_argument("--n", type=int, default=2500, help="training problems")
    a.add_argument("--epochs", type=int, default=3)
    a.add_argument("--batch-tokens", type=int, default=2048)
    a.add_argument("--lr", type=float, default=7e-4)
    a.add_argument("--weight-decay", type=float, default=0.01)
    a.add_argument("--n-test", type=int, default=300)
    a.add_argument("--seed", type=int, default=11)
    a.add_argument("--show", type=int, default=0)
    a.add_argument("--threads", type=int, default=2)
    a = a.parse_args()

    torch.set_num_threads(a.threads)
    torch.manual_seed(a.seed)
    model = Qwen2ForCausalLM.from_pretrained(a.model, dtype=torch.float32)
    tok = Tokenizer.from_file(str(a.model / "tokenizer.json"))
    samples = data.encode(tok, data.problems(a.problems, "train", a.n, a.seed), reasoning=not a.answers_only)
    test = data.problems(a.problems, "test", a.n_test, a.seed, solutions=False)
    plan = [b for epoch in range(a.epochs) for b in data.batches(samples, a.batch_tokens, a.seed + epoch)]
    print(f"before: {accuracy(model, tok, test[:100], 0.6):.3f}; {len(plan)} steps, "
          f"{a.epochs * sum(len(ids) for ids, _ in samples)} tokens", flush=True)

    decayed = [p for p in model.parameters() if p.ndim > 1]
    plain = [p for p in model.parameters() if p.ndim == 1]
    optimizer = torch.optim.AdamW([{"params": decayed}, {"params": plain, "weight_decay": 0.0}], a.lr, (0.9, 0.95),
                                  weight_decay=a.weight_decay)
    warmup, start = max(1, len(plan) // 20), time.time()
    model.train()
    for step, (ids, weight) in enumerate(plan, 1):
        cosine = 0.5 * (1 + math.cos(math.pi * max(0, step - warmup) / max(1, len(plan) - warmup)))
        for group in optimizer.param_groups:
            group["lr"] = a.lr * min(step / warmup, 0.1 + 0.9 * cosine)
        logits = model(input_ids=ids).logits[:, :-1]
        kept = weight[:, 1:] > 0
        loss = F.cross_entropy(logits[kept], ids[:, 1:][kept])
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        if step % 50 == 0:
            print(f"step {step} loss {loss.item():.4f} ({time.time() - start:.0f} s)", flush=True)
    for temperature in (0.0, 0.6):
        result = accuracy(model, tok, test, temperature, show=a.show if temperature else 0)
        print(f"accuracy at temperature {temperature}: {result:.3f} of {len(test)}", flush=True)
    if a.out:
        model.save_pretrained(a.out)


if __name__ == "__main__":
    main()
