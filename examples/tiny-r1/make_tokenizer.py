"""Trains a small byte-level BPE on generated problems and writes tokenizer.json,
tokenizer_config.json and generation_config.json: R1's form (deepseek-v3) for the
teacher, R1-Distill-Qwen's (qwen2.5) for the student."""

import argparse
import json
import subprocess
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

BOS, EOS, PAD = "<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜▁pad▁｜>"
USER, ASSISTANT, THINK, END_THINK = "<｜User｜>", "<｜Assistant｜>", "<think>", "</think>"

# A user's turn opens with <｜User｜>; the prompt for an answer ends with "<think>\n",
# so that the model always reasons; of earlier answers only the part after
# </think> is shown again, as R1's own form does.
CHAT_TEMPLATE = (
    "{{ bos_token }}"
    "{% for message in messages %}"
    "{% if message['role'] == 'system' %}{{ message['content'] }}"
    "{% elif message['role'] == 'user' %}{{ '<｜User｜>' + message['content'] }}"
    "{% elif message['role'] == 'assistant' %}"
    "{{ '<｜Assistant｜>' + message['content'] + '<｜end▁of▁sentence｜>' }}"
    "{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<｜Assistant｜><think>\\n' }}{% endif %}"
)

DEEPSEEK_SPLITS = [
    r"\p{N}{1,3}",
    "[一-龥\u3040-ゟ゠-ヿ]+",
    "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+"
    "| ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+",
]
QWEN_SPLITS = [
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
]


def byte_level(splits):
    """The pre-tokenizer of the form: its Split regexes, then bytes."""
    return [pre_tokenizers.Split(Regex(s), "isolated") for s in splits] + [
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    ]


def texts(problems, n, seed):
    out = subprocess.run([problems, "--split", "train", "--n", str(n), "--seed", str(seed), "--solutions"],
                         check=True, capture_output=True, text=True).stdout
    for line in out.splitlines():
        p = json.loads(line)
        yield p["prompt"]
        yield f"\n{p['reasoning']}\n"
        yield f"\n\n{p['response']}"


def train(form, corpus, vocab_size):
    deepseek = form == "deepseek-v3"
    splits = DEEPSEEK_SPLITS if deepseek else QWEN_SPLITS
    tok = Tokenizer(models.BPE())
    tok.normalizer = normalizers.Sequence([]) if deepseek else normalizers.NFC()
    # While training, digits stand alone: no merge of digits is ever learned.
    tok.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), *byte_level(splits)])
    first = [BOS, EOS, PAD] if deepseek else []
    last = [USER, ASSISTANT, THINK, END_THINK] if deepseek else [EOS, USER, ASSISTANT, BOS, PAD, THINK, END_THINK]
    tok.train_from_iterator(corpus, trainers.BpeTrainer(
        vocab_size=vocab_size - len(last), special_tokens=first, show_progress=False,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet())))
    tok.pre_tokenizer = pre_tokenizers.Sequence(byte_level(splits))
    tok.decoder = decoders.ByteLevel()
    tok.post_processor = processors.ByteLevel(trim_offsets=False)
    for content in last:
        plain = content in (USER, ASSISTANT, THINK, END_THINK)  # kept when special tokens are skipped
        tok.add_tokens([AddedToken(content, normalized=False, special=not plain)])
    return tok


def main():
    here = Path(__file__).parent
    a = argparse.ArgumentParser(description=__doc__)
    a.add_argument("--problems", default="problems", help="the compiled problems.c")
    a.add_argument("--form", choices=["deepseek-v3", "qwen2.5"], default="deepseek-v3")
    a.add_argument("--vocab-size", type=int, default=704)
    a.add_argument("--n", type=int, default=20000, help="problems to learn merges from")
    a.add_argument("--seed", type=int, default=1)
    a.add_argument("--out", type=Path, default=here / "model")
    a = a.parse_args()

    tok = train(a.form, texts(a.problems, a.n, a.seed), a.vocab_size)
    a.out.mkdir(parents=True, exist_ok=True)
    tok.save(str(a.out / "tokenizer.json"))
    config = {
        "add_bos_token": True, "add_eos_token": False, "bos_token": BOS, "eos_token": EOS, "pad_token": PAD,
        "unk_token": None, "clean_up_tokenization_spaces": False, "model_max_length": 256,
        "tokenizer_class": "PreTrainedTokenizerFast", "chat_template": CHAT_TEMPLATE,
    }
    generation = {"bos_token_id": tok.token_to_id(BOS), "eos_token_id": tok.token_to_id(EOS),
                  "do_sample": True, "temperature": 0.6, "top_p": 0.95}
    for name, value in (("tokenizer_config.json", config), ("generation_config.json", generation)):
        (a.out / name).write_text(json.dumps(value, ensure_ascii=False, indent=2) + "\n")
    print(f"{a.out}: {tok.get_vocab_size()} tokens")


if __name__ == "__main__":
    main()
