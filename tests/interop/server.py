"""decant generate-traces against a real llama.cpp server (llama-cpp-python[server]) that serves a GGUF
which decant exported: streams and whole answers, chat and plain completions, with log-probabilities.
Each stored trace of a greedy request must be the very text that the server gives a plain HTTP client."""
import json
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.request

DECANT = os.environ["DECANT"]
MODEL = "examples/tiny-base/model"
counts = {"ok": 0, "FAIL": 0}


def check(good, what, detail=""):
    result = "ok" if good else "FAIL"
    counts[result] += 1
    print(f"{result:4}  {what}{': ' + detail if detail else ''}", flush=True)


def post(url, body):
    r = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(r, timeout=60) as f:
        return json.load(f)


def start(gguf, tmp):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    log = open(os.path.join(tmp, "server.log"), "w")
    server = subprocess.Popen([sys.executable, "-m", "llama_cpp.server", "--model", gguf, "--model_alias", "tiny", "--host", "127.0.0.1",
                               "--port", str(port), "--n_ctx", "512", "--n_gpu_layers", "0", "--interrupt_requests", "False",
                               "--logits_all", "True"], stdout=log, stderr=log)
    url = f"http://127.0.0.1:{port}/v1"
    for _ in range(300):
        try:
            urllib.request.urlopen(url + "/models", timeout=5).read()
            return server, url
        except OSError:
            if server.poll() is not None:
                break
            time.sleep(0.2)
    server.kill()
    with open(log.name) as f:
        raise RuntimeError("llama_cpp.server does not start:\n" + f.read()[-2000:])


def trace(url, prompts, corpus, *options):
    p = subprocess.run([DECANT, "generate-traces", "--teacher", url, "--prompts", prompts, "--corpus", corpus, "--temperature", "0",
                        "--max-tokens", "48", "--concurrency", "4", "--canary", "0", *options], capture_output=True)
    if p.returncode:
        raise RuntimeError(f"generate-traces {' '.join(options)}: exit {p.returncode}: {p.stderr.decode().strip()}")
    with sqlite3.connect(corpus) as db:
        return db.execute("SELECT p.text, t.reasoning, t.answer, t.finish_reason, t.served_model, t.n_completion_tokens,"
                          " (SELECT n_tokens FROM logprobs l WHERE l.trace_id = t.id)"
                          " FROM traces t JOIN prompts p ON p.id = t.prompt_id ORDER BY p.text").fetchall()


def wanted(url, prompt, raw):
    common = {"model": "tiny", "temperature": 0, "top_p": 0.95, "max_tokens": 48, "seed": 1}
    if raw:
        return post(url + "/completions", {**common, "prompt": prompt})["choices"][0]["text"]
    return post(url + "/chat/completions", {**common, "messages": [{"role": "user", "content": prompt}]})["choices"][0]["message"]["content"]


def main():
    tmp = tempfile.mkdtemp(prefix="decant-server-")
    server = None
    try:
        gguf = os.path.join(tmp, "tiny.gguf")
        subprocess.run([DECANT, "quantize-and-export", "--model", MODEL, "--out", gguf, "--type", "f16"], check=True, capture_output=True)
        server, url = start(gguf, tmp)
        prompts = os.path.join(tmp, "prompts.jsonl")
        questions = [f"{a} + {a + 3} =" for a in range(11, 23)]
        with open(prompts, "w") as f:
            for q in questions:
                f.write(json.dumps({"prompt": q, "answer": "1"}) + "\n")
        template = os.path.join(tmp, "template.txt")
        with open(template, "w") as f:
            f.write("Question: {prompt}")
        for name, raw, options in (("chat, streamed", False, []), ("chat, whole", False, ["--no-stream"]),
                                   ("plain, streamed", True, ["--raw", "--prompt-template", template]),
                                   ("plain, whole", True, ["--raw", "--prompt-template", template, "--no-stream"]),
                                   ("plain with log-probabilities", True, ["--raw", "--prompt-template", template, "--logprobs", "2"])):
            rows = trace(url, prompts, os.path.join(tmp, name + ".db"), *options)
            check(len(rows) == len(questions), f"{name}: {len(rows)} traces")
            other = []
            for text, reasoning, answer, finish, served, n, n_logprobs in rows:
                want = wanted(url, "Question: " + text if raw else text, raw)
                if (reasoning + answer).strip() != want.strip() and "</think>" not in want:
                    other.append((text, answer, want))
            check(not other, f"{name}: texts as the server's", str(other[:1]) if other else "")
            check({r[4] for r in rows} == {"tiny"}, f"{name}: served model")
            check({r[3] for r in rows} <= {"stop", "length"}, f"{name}: finish reasons {sorted({r[3] for r in rows})}")
            if "--logprobs" in options:
                check(all(r[6] for r in rows), f"{name}: {sum(r[6] or 0 for r in rows)} tokens' log-probabilities")
    except (RuntimeError, OSError, subprocess.CalledProcessError) as e:
        check(False, str(e))
    finally:
        if server:
            server.terminate()
            server.wait()
        shutil.rmtree(tmp)
    print(f"{counts['ok']} ok, {counts['FAIL']} failed")
    return 1 if counts["FAIL"] else 0


sys.exit(main())
