"""The files of decant quantize-and-export against llama.cpp (llama-cpp-python) and gguf.

For small random models of every architecture, and for the models of examples/ when they are there:
  layout     gguf reads the file; metadata complete; tensors contiguous
  mix        llama.cpp's own llama_model_quantize, given decant's f16 file, chooses the same types
             and, where decant's source had no more precision than f16, writes the same bytes
  tokens     decant tokenize and llama.cpp agree over a torture text
  greedy     100 greedy tokens of llama.cpp from the f16 file are decant's too, token by token (but
             for ties: llama.cpp rounds activations to f16)
  logits     from a q8_0, q4_0 or q4_k_m file decant is at most as far as llama.cpp, and a third, from
             what the same weights give in float32 (both round activations to 8 bits)

ONLY=word runs the models whose name holds the word.
"""
import ctypes
import os
import shutil
import subprocess
import sys
import tempfile
import unicodedata

import gguf
import llama_cpp
import numpy as np

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import models  # noqa: E402

DECANT = os.environ["DECANT"]
SHARED = os.environ.get("DECANT_SHARED", "../shared")
TYPES = {"f16": 1, "q8_0": 7, "q4_0": 2, "q4_k_m": 15}
THREADS = int(os.environ.get("OMP_NUM_THREADS", "2"))
counts = {"ok": 0, "FAIL": 0, "SKIP": 0}


def say(result, what, detail=""):
    counts[result] += 1
    print(f"{result:4}  {what}{': ' + detail if detail else ''}", flush=True)


def check(good, what, detail=""):
    say("ok" if good else "FAIL", what, detail)


def decant(*args, text=None):
    return subprocess.run([DECANT, *args], input=text, capture_output=True)


def has_command(name):
    return name.encode() in decant("--help").stdout


def read(path):
    reader = gguf.GGUFReader(path)
    return reader, {t.name: t for t in reader.tensors}


def quiet():
    return llama_cpp.llama_log_callback(lambda level, text, data: None)


LOG = quiet()
llama_cpp.llama_log_set(LOG, ctypes.c_void_p(0))


def check_layout(path, kind, kv_wanted):
    reader, tensors = read(path)
    missing = [k for k in kv_wanted if k not in reader.fields]
    check(not missing, f"{kind}: metadata", f"missing {missing}" if missing else "")
    at, gaps = None, 0
    for t in reader.tensors:
        if at is not None and t.data_offset != at:
            gaps += 1
        at = (t.data_offset + t.n_bytes + 31) // 32 * 32
    check(not gaps and reader.tensors[0].data_offset % 32 == 0, f"{kind}: tensors contiguous and aligned")


def check_mix(f16, ours, kind, ftype, exact):
    theirs = ours + ".llama"
    params = llama_cpp.llama_model_quantize_default_params()
    params.ftype, params.nthread = ftype, THREADS
    if llama_cpp.llama_model_quantize(f16.encode(), theirs.encode(), ctypes.byref(params)):
        say("FAIL", f"{kind}: llama_model_quantize refused decant's f16 file")
        return
    _, a = read(ours)
    _, b = read(theirs)
    wrong = [f"{n}: {a[n].tensor_type.name}, llama.cpp {b[n].tensor_type.name}" for n in a if n in b and a[n].tensor_type != b[n].tensor_type]
    check(set(a) == set(b) and not wrong, f"{kind}: types of {len(a)} tensors", "; ".join(wrong[:3]))
    equal = sum(np.array_equal(a[n].data, b[n].data) for n in a if n in b)
    if exact:
        check(equal == len(a), f"{kind}: bytes as llama-quantize's", f"{equal} of {len(a)} tensors")
    os.remove(theirs)


class Model:
    """llama.cpp's view of a file."""

    def __init__(self, path, n_ctx=512):
        params = llama_cpp.llama_model_default_params()
        params.n_gpu_layers = 0
        self.model = llama_cpp.llama_model_load_from_file(path.encode(), params)
        if not self.model:
            raise RuntimeError("llama.cpp does not open " + path)
        c = llama_cpp.llama_context_default_params()
        c.n_ctx = c.n_batch = c.n_ubatch = n_ctx
        c.n_threads = c.n_threads_batch = THREADS
        c.type_k = c.type_v = 0  # float32 cache: the weights are what is compared
        c.flash_attn_type = 0
        self.ctx = llama_cpp.llama_init_from_model(self.model, c)
        self.vocab = llama_cpp.llama_model_get_vocab(self.model)
        self.n_vocab = llama_cpp.llama_vocab_n_tokens(self.vocab)
        self.n_past = 0

    def close(self):
        llama_cpp.llama_free(self.ctx)
        llama_cpp.llama_model_free(self.model)

    def feed(self, ids):
        """Logits after each of the ids."""
        n = len(ids)
        batch = llama_cpp.llama_batch_init(n, 0, 1)
        batch.n_tokens = n
        for i, t in enumerate(ids):
            batch.token[i], batch.pos[i], batch.n_seq_id[i], batch.seq_id[i][0], batch.logits[i] = t, self.n_past + i, 1, 0, 1
        if llama_cpp.llama_decode(self.ctx, batch):
            raise RuntimeError("llama_decode failed")
        out = [np.ctypeslib.as_array(llama_cpp.llama_get_logits_ith(self.ctx, i), (self.n_vocab,)).copy() for i in range(n)]
        llama_cpp.llama_batch_free(batch)
        self.n_past += n
        return np.stack(out)

    def tokenize(self, data):
        room = (llama_cpp.llama_token * (len(data) + 8))()
        n = llama_cpp.llama_tokenize(self.vocab, data, len(data), room, len(room), False, True)
        return list(room[:n])


def decant_logits(path, ids, tmp):
    out = os.path.join(tmp, "logits.npy")
    p = decant("logits", "--model", path, "--tokens", ",".join(map(str, ids)), "--out", out, "--threads", str(THREADS))
    if p.returncode:
        raise RuntimeError(p.stderr.decode().strip())
    return np.load(out)


def check_greedy(f16, source, kind, tmp):
    m = Model(f16)
    rng = np.random.default_rng(5)
    ids = [int(t) for t in rng.integers(0, min(m.n_vocab, 600), 12)]
    row = m.feed(ids)[-1]
    while len(ids) < 112:
        ids.append(int(row.argmax()))
        row = m.feed(ids[-1:])[-1]
    m.close()
    for name, path in ("file", f16), ("source", source):
        logits = decant_logits(path, ids[:-1], tmp)[11:]
        chosen = np.take_along_axis(logits, np.array(ids[12:])[:, None], 1)[:, 0]
        gap = (logits.max(1) - chosen) / logits.std(1)
        ties = int((gap > 0).sum())
        i = int(gap.argmax())
        detail = f"{ties} ties" if ties else ""
        if gap.max() > 2e-3:
            detail = f"token {i}: llama.cpp's choice is {gap[i]:.3g} standard deviations below decant's"
        check(gap.max() <= 2e-3, f"{kind}: 100 greedy tokens from the {name}", detail)


def llama_logits(path, ids):
    m = Model(path)
    out = m.feed(ids)
    m.close()
    return out


def check_logits(path, kind, tmp):
    exact = path + ".f32"
    params = llama_cpp.llama_model_quantize_default_params()
    params.ftype, params.nthread, params.allow_requantize = 0, THREADS, True
    if llama_cpp.llama_model_quantize(path.encode(), exact.encode(), ctypes.byref(params)):
        say("FAIL", f"{kind}: llama.cpp does not decode the file")
        return
    rng = np.random.default_rng(6)
    ids = [int(t) for t in rng.integers(0, 600, 64)]
    want, theirs = llama_logits(exact, ids), llama_logits(path, ids)
    ours, ours_exact = decant_logits(path, ids, tmp), decant_logits(exact, ids, tmp)
    os.remove(exact)
    size = np.sqrt(((want - want.mean(1, keepdims=True)) ** 2).sum())

    def apart(a, b):
        return float(np.sqrt(((a - b) ** 2).sum()) / size)

    same = apart(ours_exact, want)
    check(same < 1e-4, f"{kind}: logits in float32", f"{same:.1e} apart")
    mine, other = apart(ours, want), apart(theirs, want)
    agree = float((ours.argmax(1) == theirs.argmax(1)).mean())
    check(mine < 1.33 * other + 0.002, f"{kind}: logits", f"decant {100 * mine:.2f} %, llama.cpp {100 * other:.2f} % from exact; best token equal in {100 * agree:.0f} %")


TORTURE = ("The quick brown fox; it's 12345678 + 3.14159 = x²!\r\n\r\n\t  tabs   and    spaces     \n\n\n"
           "ÀÉÎõü ñ ﬁ Å Å é e\u0301 a\u0308\u0323 한국어 日本語テスト 中文字符，标点。 עברית العربية हिन्दी ไทย "
           "👩‍👩‍👧‍👦🏳️‍🌈👍🏽 𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𐍈 \u200b\u00a0\u3000 don't we'LL I'M 'tis "
           + "a" * 50 + " " * 70 + "x" + "\n" * 30 + "0" * 41 + "١٢٣ Ⅷ ½ <think>\n</think> \\boxed{42} <｜User｜>hi<｜Assistant｜> "
           "<|im_start|>user<|im_end|><|endoftext|>__init__(self) -> /* c */ //\x00\x01\x7f end ")


def check_tokens(path, kind, tmp):
    if not has_command("tokenize"):
        say("SKIP", f"{kind}: tokens", "decant has no tokenize command")
        return
    data = unicodedata.normalize("NFC", TORTURE).encode()  # HF normalizes for qwen2, llama.cpp never does
    text = os.path.join(tmp, "torture.txt")
    with open(text, "wb") as f:
        f.write(data)
    p = decant("tokenize", "--model", path, "--file", text)
    if p.returncode:
        say("FAIL", f"{kind}: tokens", p.stderr.decode().strip())
        return
    ours = [int(t) for t in p.stdout.split()]
    m = Model(path)
    theirs = m.tokenize(data)
    m.close()
    at = next((i for i, (x, y) in enumerate(zip(ours, theirs)) if x != y), min(len(ours), len(theirs)))
    check(ours == theirs, f"{kind}: {len(ours)} tokens of the torture text", "" if ours == theirs else f"apart at {at}: {ours[at:at+5]}, llama.cpp {theirs[at:at+5]}")


GENERAL = ["general.architecture", "general.name", "general.size_label", "general.file_type", "general.quantization_version",
           "tokenizer.ggml.model", "tokenizer.ggml.pre", "tokenizer.ggml.tokens", "tokenizer.ggml.token_type",
           "tokenizer.ggml.merges", "tokenizer.ggml.eos_token_id", "tokenizer.ggml.add_bos_token"]
OF_ARCH = ["context_length", "embedding_length", "block_count", "feed_forward_length", "attention.head_count",
           "attention.head_count_kv", "attention.layer_norm_rms_epsilon", "rope.freq_base"]


def run_model(kind, source, arch, exact, tmp, compute=True):
    if os.environ.get("ONLY", "") not in kind:
        return
    files = {}
    for t in TYPES:
        files[t] = os.path.join(tmp, f"{kind.replace(chr(47), chr(45))}-{t}.gguf")
        p = decant("quantize-and-export", "--model", source, "--out", files[t], "--type", t, "--threads", str(THREADS))
        if p.returncode:
            say("FAIL", f"{kind}: export as {t}", p.stderr.decode().strip())
            return
    check_layout(files["q4_k_m"], kind, GENERAL + [f"{arch}.{k}" for k in OF_ARCH])
    for t, ftype in TYPES.items():
        if t != "f16":
            check_mix(files["f16"], files[t], f"{kind} {t}", ftype, exact)
    check_tokens(files["q4_k_m"], kind, tmp)
    if compute:
        check_greedy(files["f16"], source, kind, tmp)
        for t in "q8_0", "q4_0", "q4_k_m":
            check_logits(files[t], f"{kind} {t}", tmp)
    for f in files.values():
        os.remove(f)


def main():
    tokenizer = next((d for d in ("examples/tiny-base/model", "examples/tiny-r1/model") if os.path.exists(d + "/tokenizer.json")), None)
    if not tokenizer:
        print("SKIP: examples/ has no tokenizer.json to build models with")
        return 0
    tmp = tempfile.mkdtemp(prefix="decant-interop-")
    try:
        for kind, (arch, _, dtype) in models.KINDS.items():
            if kind == "qwen2-thin":
                continue
            models.make(kind, os.path.join(tmp, kind), tokenizer)
            run_model(kind, os.path.join(tmp, kind), arch, dtype == "F16", tmp)
        for name, n_vocab in ("qwen2.5", 151936), ("deepseek-v3", 129280):
            real = os.path.join(SHARED, "tokenizers", name)
            if not os.path.exists(real):
                say("SKIP", f"{name}'s tokenizer", f"not in {SHARED}/tokenizers")
                continue
            models.make("qwen2-thin", os.path.join(tmp, name), real, n_vocab)
            run_model(name, os.path.join(tmp, name), "qwen2", False, tmp, compute=False)
        for d in "examples/tiny-base/model", "build/demo/on-traces/final":
            if os.path.exists(d + "/model.safetensors"):
                run_model(d, d, "qwen2", False, tmp)
    except (RuntimeError, OSError) as e:
        say("FAIL", str(e))
    finally:
        shutil.rmtree(tmp)
    print(f"{counts['ok']} ok, {counts['FAIL']} failed, {counts['SKIP']} skipped")
    return 1 if counts["FAIL"] else 0


sys.exit(main())
