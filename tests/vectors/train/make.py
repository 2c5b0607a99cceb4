#!/usr/bin/env python3
"""A byte-level tokenizer of 263 ids without merges, with R1's special tokens, and the config of a
student of some thousand parameters: what the tests of the training job train.

    python3 tests/vectors/train/make.py
"""
import json, os
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

HERE = os.path.dirname(os.path.abspath(__file__))
alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
tok = Tokenizer(models.BPE(vocab={c: i for i, c in enumerate(alphabet)}, merges=[]))
tok.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
tok.decoder = decoders.ByteLevel()
special = ["<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜▁pad▁｜>"]
tok.add_special_tokens([AddedToken(s, special=True, normalized=False) for s in special])
tok.add_tokens([AddedToken(s, special=False, normalized=False)
                for s in ("<｜User｜>", "<｜Assistant｜>", "<think>", "</think>")])
tok.save(os.path.join(HERE, "tokenizer.json"))
json.dump({"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": special[0],
           "eos_token": special[1], "pad_token": special[2], "add_bos_token": True},
          open(os.path.join(HERE, "tokenizer_config.json"), "w"), indent=1, ensure_ascii=False)
json.dump({"architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2", "hidden_size": 16,
           "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
           "intermediate_size": 24, "vocab_size": 264, "tie_word_embeddings": True,
           "max_position_embeddings": 256, "rms_norm_eps": 1e-6, "rope_theta": 10000.0,
           "hidden_act": "silu", "initializer_range": 0.1, "bos_token_id": 256,
           "eos_token_id": 257},
          open(os.path.join(HERE, "config.json"), "w"), indent=1)
