"""Opens HF directories that decant wrote and compares logits; see test_student_interop.c.

    python3 tests/student/open_in_transformers.py DIR TOKENS LOGITS.f32 [DIR TOKENS LOGITS.f32 ...]

Exits 77 when torch or transformers is absent, 1 when something is missing, new or different.
"""
import sys

try:
    import numpy as np
    import torch
    from transformers import AutoModelForCausalLM
except ImportError as e:
    print("absent:", e)
    sys.exit(77)



def compare(folder, tokens, path):
    model, info = AutoModelForCausalLM.from_pretrained(folder, output_loading_info=True)
    for key in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        if info[key]:
            sys.exit(f"{folder}: {key}: {info[key]}")
    with torch.no_grad():
        want = model.float()(torch.tensor([tokens])).logits[0].numpy()
    got = np.fromfile(path, dtype=np.float32).reshape(want.shape)
    worst = float(np.abs(got - want).max() / np.abs(want).max())
    print(f"{folder}: {type(model).__name__}: logits differ by {worst:.2g} of the largest")
    if not worst <= 1e-5:
        sys.exit(1)


for i in range(1, len(sys.argv), 3):
    compare(sys.argv[i], [int(t) for t in sys.argv[i + 1].split(",")], sys.argv[i + 2])
