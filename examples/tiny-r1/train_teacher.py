"""Trains tiny-r1 on generated problems with their chains.

Muon for the matrices, AdamW for embeddings, head, gates and norms; the learning
rate rises for 50 steps and falls linearly to zero over the last part."""

import argparse
import json
import time
from pathlib import Path

import torch
import torch.nn.functional as F

import data
from deepseek import Deepseek
from muon import make_optimizers


def losses(model, ids, weight, with_mtp):
    """Mean loss of the next token, and of the one after it by MTP."""
    hidden = model.hidden(ids)

    def cross_entropy(states, shift):
        target, w = ids[:, shift:], weight[:, shift:]
        kept = w > 0
        loss = F.cross_entropy(model.lm_head(states[kept]), target[kept], reduction="none")
        return (loss * w[kept]).sum() / w[kept].sum()

    loss = cross_entropy(model.norm(hidden[:, :-1]), 1)
    mtp_loss = cross_entropy(model.mtp_hidden(hidden[:, :-1], ids[:, :-1]), 2) if with_mtp else torch.zeros(())
    return loss, mtp_loss


def main():
    here = Path(__file__).parent
    a = argparse.ArgumentParser(description=__doc__)
    a.add_argument("--problems", default="problems", help="the compiled problems.c")
    a.add_argument("--model", type=Path, default=here / "model", help="with config.json and tokenizer.json")
    a.add_argument("--checkpoint", type=Path, default=Path("teacher.pt"))
    a.add_argument("--resume", action="store_true", help="go on from the checkpoint")
    a.add_argument("--steps", type=int, default=1500)
    a.add_argument("--decay", type=float, default=0.9, help="the share of steps in which the learning rate falls")
    a.add_argument("--batch-tokens", type=int, default=4096)
    a.add_argument("--lr-muon", type=float, default=0.008)
    a.add_argument("--lr-adam", type=float, default=0.002)
    a.add_argument("--mtp-weight", type=float, default=0.3)
    a.add_argument("--mtp-every", type=int, default=5, help="train MTP in one step of so many: it costs a third")
    a.add_argument("--bias-speed", type=float, default=0.001)
    a.add_argument("--n", type=int, default=100000, help="different training problems")
    a.add_argument("--sums", type=float, default=0.25, help="rows of sums for each problem")
    a.add_argument("--seed", type=int, default=1)
    a.add_argument("--threads", type=int, default=1)
    a.add_argument("--device", default="cpu", help="or cuda")
    a = a.parse_args()

    torch.set_default_device(a.device)
    torch.set_num_threads(a.threads)
    torch.set_flush_denormal(True)
    torch.manual_seed(a.seed)
    model = Deepseek(json.loads((a.model / "config.json").read_text()))
    optimizers = make_optimizers(model, a.lr_muon, a.lr_adam)
    step = 0
    if a.resume:
        state = torch.load(a.checkpoint, map_location=a.device)
        model.load_state_dict(state["model"])
        for o, s in zip(optimizers, state["optimizers"]):
            o.load_state_dict(s)
        step = state["step"]
    base_lr = [[g["lr"] for g in o.param_groups] for o in make_optimizers(model, a.lr_muon, a.lr_adam)]
    tok = data.load_tokenizer(a.model)
    samples = data.encode(tok, data.problems(a.problems, "train", a.n, a.seed))
    samples += data.encode_sums(tok, int(a.n * a.sums), a.seed)
    print(f"{sum(p.numel() for p in model.parameters())} parameters, {len(samples)} sequences", flush=True)

    start, n_tokens, epoch = time.time(), 0, 0
    while step < a.steps:
        for ids, weight in data.batches(samples, a.batch_tokens, hash((a.seed, epoch, step))):
            factor = min(1.0, (step + 1) / 50, (a.steps - step) / (a.decay * a.steps))
            for o, lrs in zip(optimizers, base_lr):
                for group, lr in zip(o.param_groups, lrs):
                    group["lr"] = lr * factor
            loss, mtp_loss = losses(model, ids, weight, step % a.mtp_every == a.mtp_every - 1)
            (loss + a.mtp_weight * mtp_loss).backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            for o in optimizers:
                o.step()
                o.zero_grad()
            for gate in model.gates():
                # The balance holds still at the end, as the biases that are exported must.
                spread = (gate.load.max() / gate.load.mean()).item()
                gate.balance(a.bias_speed if factor > 0.1 else 0.0)
            step += 1
            n_tokens += ids.numel()
            if step % 10 == 0:
                rate = n_tokens / (time.time() - start)
                print(f"step {step} loss {loss.item():.4f} mtp {mtp_loss.item():.4f} lr {factor:.3f} "
                      f"load max/mean {spread:.2f} tokens/s {rate:.0f}", flush=True)
            if step % 50 == 0 or step == a.steps:
                state = {"model": model.state_dict(), "optimizers": [o.state_dict() for o in optimizers], "step": step}
                torch.save(state, a.checkpoint.with_suffix(".tmp"))
                a.checkpoint.with_suffix(".tmp").replace(a.checkpoint)
            if step == a.steps:
                break
        epoch += 1


if __name__ == "__main__":
    main()
