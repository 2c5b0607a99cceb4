"""Trains the tiny base from random weights on what steps.py gives: it learns to
read the problems and to do single steps, and sees no chain of reasoning."""

import argparse

import random
import sys
import time
from pathlib import Path

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer
from transformers import AutoConfig, Qwen2ForCausalLM

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "tiny-r1"))
import data  # noqa: E402
from muon import make_optimizers  # noqa: E402
from steps import document  # noqa: E402


def packed(r, tok, prompts, n_sequences, length):
    """Documents one after another, an end token after each: ids and the targets
    among them (-100: not learned), [n_sequences, length]."""
    ids, labels = [], []
    while len(ids) < n_sequences * length:
        pieces = [piece for _ in range(64) for piece in [*document(r, prompts), (data.EOS, True)]]
        for e, (_, learn) in zip(tok.encode_batch([text for text, _ in pieces]), pieces):
            ids += e.ids
            labels += e.ids if learn else [-100] * len(e.ids)
    n = n_sequences * length
    return torch.tensor(ids[:n]).view(-1, length), torch.tensor(labels[:n]).view(-1, length)


def save(model, model_dir, out):
    """BF16 weights under the names of Qwen2, beside our own config.json."""
    out.mkdir(parents=True, exist_ok=True)
    tensors = {k: v.detach().to(torch.bfloat16) for k, v in model.state_dict().items() if k != "lm_head.weight"}
    save_file(tensors, out / "model.tmp", metadata={"format": "pt"})
    (out / "model.tmp").replace(out / "model.safetensors")
    if out != model_dir:
        for name in ("config.json", "tokenizer.json", "tokenizer_config.json", "generation_config.json"):
            (out / name).write_text((model_dir / name).read_text())


def main():
    a = argparse.ArgumentParser(description=__doc__)
    a.add_argument("--problems", default="problems", help="the compiled problems.c")
    a.add_argument("--model", type=Path, default=HERE / "model", help="with config.json and tokenizer.json")
    a.add_argument("--out", type=Path, default=None, help="where model.safetensors goes (default: --model)")
    a.add_argument("--go-on", action="store_true", help="start from the weights in --model, not from random ones")
    a.add_argument("--steps", type=int, default=1750)
    a.add_argument("--sequences", type=int, default=32, help="a batch")
    a.add_argument("--length", type=int, default=144)
    a.add_argument("--lr-muon", type=float, default=0.008)
    a.add_argument("--lr-adam", type=float, default=0.002)
    a.add_argument("--n", type=int, default=50000, help="problem texts to read")
    a.add_argument("--seed", type=int, default=1)
    a.add_argument("--threads", type=int, default=1)
    a = a.parse_args()

    torch.set_num_threads(a.threads)
    torch.set_flush_denormal(True)
    torch.manual_seed(a.seed)
    r = random.Random(a.seed)
    if a.go_on:
        model = Qwen2ForCausalLM.from_pretrained(a.model, dtype=torch.float32)
    else:
        model = Qwen2ForCausalLM(AutoConfig.from_pretrained(a.model)).float()
    tok = Tokenizer.from_file(str(a.model / "tokenizer.json"))
    prompts = [p["prompt"] for p in data.problems(a.problems, "train", a.n, a.seed, solutions=False)]
    optimizers = make_optimizers(model, a.lr_muon, a.lr_adam)
    base_lr = [[g["lr"] for g in o.param_groups] for o in optimizers]
    out = a.out or a.model
    print(f"{sum(p.numel() for p in model.parameters())} parameters", flush=True)

    start = time.time()
    for step in range(1, a.steps + 1):
        factor = min(1.0, step / 50, (a.steps + 1 - step) / (0.9 * a.steps))
        for o, lrs in zip(optimizers, base_lr):
            for group, lr in zip(o.param_groups, lrs):
                group["lr"] = lr * factor
        ids, labels = packed(r, tok, prompts, a.sequences, a.length)
        loss = model(input_ids=ids, labels=labels).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for o in optimizers:
            o.step()
            o.zero_grad()
        if step % 25 == 0:
            rate = step * ids.numel() / (time.time() - start)
            print(f"step {step} loss {loss.item():.4f} lr {factor:.3f} tokens/s {rate:.0f}", flush=True)
        if step % 100 == 0 or step == a.steps:
            save(model, a.model, out)


if __name__ == "__main__":
    main()
