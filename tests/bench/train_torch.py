"""One training step of PyTorch (transformers, float32, AdamW) at a given shape; see bench_train.c.

    python3 tests/bench/train_torch.py CONFIG.json N_TOKENS N_STEPS N_THREADS

Prints the medians of the steps after the first, in seconds and in processor seconds of all threads,
and the process's peak memory in bytes.
"""
import json, resource, statistics, sys, time

try:
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM
except ImportError as e:
    print("absent:", e)
    sys.exit(77)

path, n_tokens, n_steps, n_threads = sys.argv[1], *map(int, sys.argv[2:5])
torch.set_num_threads(n_threads)
torch.manual_seed(0)
model = Qwen2ForCausalLM(Qwen2Config(**json.load(open(path)))).float().train()
opt = torch.optim.AdamW(model.parameters(), lr=1e-5, weight_decay=0.0)
ids = torch.randint(0, model.config.vocab_size, (1, n_tokens))
times, cpu = [], []
for i in range(n_steps + 1):
    t, c = time.time(), time.process_time()
    opt.zero_grad()
    loss = model(input_ids=ids, labels=ids, use_cache=False).loss
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    opt.step()
    times.append(time.time() - t)
    cpu.append(time.process_time() - c)
    print(f"pytorch step {i}: {times[-1]:.2f} s, loss {float(loss.detach()):.4f}", file=sys.stderr)
print(statistics.median(times[1:]), statistics.median(cpu[1:]),
      resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
