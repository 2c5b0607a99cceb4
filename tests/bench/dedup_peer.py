"""The peer of bench_dedup: datasketch's MinHash and MinHashLSH on the same texts, one a line.

The same rules: sets of 5-word runs, 128 permutations, the first of those alike is kept. It compares
signatures' estimates; the texts are not compared again. Prints: CPU seconds for the signatures and
for the index, duplicates found."""
import sys
import time

from datasketch import MinHash, MinHashLSH

path, threshold = sys.argv[1], float(sys.argv[2])
texts = open(path, encoding="utf-8").read().splitlines()
t0 = time.process_time()
signatures = []
for text in texts:
    words = text.lower().split()
    m = MinHash(num_perm=128)
    m.update_batch([" ".join(words[i : i + 5]).encode() for i in range(max(1, len(words) - 4))])
    signatures.append(m)
t1 = time.process_time()
lsh = MinHashLSH(threshold=threshold, num_perm=128)
kept, found = {}, 0
for i, m in enumerate(signatures):
    if any(m.jaccard(kept[k]) >= threshold for k in lsh.query(m)):
        found += 1
    else:
        lsh.insert(i, m)
        kept[i] = m
t2 = time.process_time()
print(t1 - t0, t2 - t1, found)
