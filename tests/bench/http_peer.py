"""What users of HTTP teachers write in Python: the logic of open-r1's generate_reasoning.py (asyncio,
aiohttp, a semaphore, one JSON line a generation under a lock), beside decant generate-traces.

    http_peer.py URL PROMPTS.jsonl OUT N CONCURRENCY [stream]

N samples a prompt. OUT ending in .db: rows in SQLite, committed by the hundred, else JSON lines. With
"stream" the answers are read as server-sent events. Prints the seconds and the number of generations.
"""
import asyncio
import json
import sqlite3
import sys
import time

import aiohttp

url, prompts, out, n_samples, concurrency = sys.argv[1:6]
stream = "stream" in sys.argv[6:]
n_samples, concurrency = int(n_samples), int(concurrency)


class Lines:
    def __init__(self, path):
        self.file = open(path, "w")

    def add(self, row):
        self.file.write(json.dumps(row) + "\n")

    def close(self):
        self.file.close()


class Rows:
    def __init__(self, path):
        self.db = sqlite3.connect(path, isolation_level=None)
        self.db.execute("PRAGMA journal_mode = WAL")
        self.db.execute("CREATE TABLE traces (prompt TEXT, sample INT, reasoning TEXT, answer TEXT, finish TEXT, usage TEXT)")
        self.waiting = []

    def add(self, row):
        r = row["generation"]
        self.waiting.append((row["prompt"], row["sample"], r["reasoning"], r["answer"], r["finish_reason"], json.dumps(r["usage"])))
        if len(self.waiting) >= 256:
            self.flush()

    def flush(self):
        self.db.execute("BEGIN")
        self.db.executemany("INSERT INTO traces VALUES (?, ?, ?, ?, ?, ?)", self.waiting)
        self.db.execute("COMMIT")
        self.waiting = []

    def close(self):
        self.flush()
        self.db.close()


async def read_stream(response):
    reasoning, answer, finish, usage = [], [], None, None
    async for line in response.content:
        if not line.startswith(b"data: ") or line.startswith(b"data: [DONE]"):
            continue
        chunk = json.loads(line[6:])
        usage = chunk.get("usage") or usage
        for choice in chunk["choices"]:
            delta = choice["delta"]
            reasoning.append(delta.get("reasoning_content") or "")
            answer.append(delta.get("content") or "")
            finish = choice.get("finish_reason") or finish
    return {"reasoning": "".join(reasoning), "answer": "".join(answer), "finish_reason": finish, "usage": usage}


async def ask(session, prompt, sample):
    body = {"model": "r1", "messages": [{"role": "user", "content": prompt}], "temperature": 0.6, "top_p": 0.95,
            "max_tokens": 32768, "seed": sample}
    if stream:
        body.update(stream=True, stream_options={"include_usage": True})
    while True:
        try:
            async with session.post(url + "/chat/completions", json=body, headers={"Authorization": "Bearer EMPTY"}) as response:
                if stream:
                    return await read_stream(response)
                r = await response.json(content_type=None)
                message = r["choices"][0]["message"]
                return {"reasoning": message.get("reasoning_content"), "answer": message["content"],
                        "finish_reason": r["choices"][0]["finish_reason"], "usage": r["usage"]}
        except (aiohttp.ClientError, KeyError, ValueError):
            await asyncio.sleep(10)


async def main():
    sink = (Rows if out.endswith(".db") else Lines)(out)
    lock = asyncio.Lock()
    gate = asyncio.Semaphore(concurrency)
    count = 0

    async def one(prompt, gold, sample):
        nonlocal count
        async with gate:
            generation = await ask(session, prompt, sample)
        async with lock:
            sink.add({"prompt": prompt, "gold": gold, "sample": sample, "generation": generation})
            count += 1

    timeout = aiohttp.ClientTimeout(total=3600)
    connector = aiohttp.TCPConnector(limit=concurrency, ttl_dns_cache=300, keepalive_timeout=3600)
    async with aiohttp.ClientSession(timeout=timeout, connector=connector) as session:
        pending = set()
        with open(prompts) as f:
            for line in f:
                p = json.loads(line)
                for sample in range(n_samples):
                    if len(pending) >= concurrency:
                        _, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
                    pending.add(asyncio.create_task(one(p["prompt"], p.get("answer"), sample)))
        if pending:
            await asyncio.wait(pending)
    sink.close()
    return count


start = time.time()
made = asyncio.run(main())
print(f"{time.time() - start:.3f} {made}")
