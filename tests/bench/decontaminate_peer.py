"""The peer of bench_dedup's decontamination: open-r1's rule in Python, a set of the problems' runs of
8 words, asked for each run of each text. Texts and problems one a line. Prints: CPU seconds to look
at the texts, texts that hold a run."""
import sys
import time


def runs(text):
    words = text.lower().split()
    return {" ".join(words[i : i + 8]) for i in range(len(words) - 7)}


texts = open(sys.argv[1], encoding="utf-8").read().splitlines()
known = set()
for problem in open(sys.argv[2], encoding="utf-8").read().splitlines():
    known |= runs(problem)
t0 = time.process_time()
found = sum(any(run in known for run in runs(text)) for text in texts)
print(time.process_time() - t0, found)
