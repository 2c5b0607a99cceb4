#!/usr/bin/env python3
"""Regenerates rope_llama3.f32: what transformers' llama3 rope scaling divides the 32 frequencies of a
64-wide head by (theta 500000, factor 8, low 1, high 4, original context 8192). Needs transformers."""
import os

import numpy as np
from transformers import LlamaConfig
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

config = LlamaConfig(hidden_size=256, num_attention_heads=4, head_dim=64, max_position_embeddings=131072,
                     rope_parameters=dict(rope_type="llama3", rope_theta=500000.0, factor=8.0, low_freq_factor=1.0,
                                          high_freq_factor=4.0, original_max_position_embeddings=8192))
scaled, attention = ROPE_INIT_FUNCTIONS["llama3"](config, "cpu")
plain = 500000.0 ** (-np.arange(0, 64, 2) / 64)
assert attention == 1.0
(plain / scaled.double().numpy()).astype(np.float32).tofile(os.path.join(os.path.dirname(os.path.abspath(__file__)), "rope_llama3.f32"))
