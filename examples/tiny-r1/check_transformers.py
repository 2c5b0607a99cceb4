"""Compares our logits with transformers' DeepseekV3ForCausalLM on the exported
weights, dequantized; and looks at the parts that transformers leaves out."""

import argparse
import json
import tempfile
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import AutoTokenizer, DeepseekV3ForCausalLM

import data
from checkpoint import dequantized, load


def main():
    here = Path(__file__).parent
    a = argparse.ArgumentParser(description=__doc__)
    a.add_argument("--problems", default="problems", help="the compiled problems.c")
    a.add_argument("--model", type=Path, default=here / "model")
    a = a.parse_args()

    config = json.loads((a.model / "config.json").read_text())
    del config["quantization_config"]
    tensors = dequantized(a.model)
    with tempfile.TemporaryDirectory() as d:
        (Path(d) / "config.json").write_text(json.dumps(config))
        save_file(tensors, Path(d) / "model.safetensors", metadata={"format": "pt"})
        theirs = DeepseekV3ForCausalLM.from_pretrained(d, dtype=torch.float32).eval()
    ours, tok = load(a.model), data.load_tokenizer(a.model)
    hf_tok = AutoTokenizer.from_pretrained(a.model)
    worst = biggest = 0.0
    mtp_right = mtp_all = 0
    for p in data.problems(a.problems, "test", 50, 3):
        ids, learned = data.encode(tok, [p])[0]
        n_prompt = learned.index(True)
        chat = hf_tok.apply_chat_template([{"role": "user", "content": p["prompt"]}], add_generation_prompt=True,
                                          return_dict=False)
        assert chat == ids[:n_prompt], "chat template"
        ids = torch.tensor([ids])
        with torch.inference_mode():
            x, y = ours(ids), theirs(ids).logits
            mtp = ours.lm_head(ours.mtp_hidden(ours.hidden(ids), ids))[0, n_prompt - 1 : -1].argmax(-1)
        worst, biggest = max(worst, (x - y).abs().max().item()), max(biggest, y.abs().max().item())
        mtp_right += (mtp == ids[0, n_prompt + 1 :]).sum().item()
        mtp_all += len(mtp)
    biases = [g.e_score_correction_bias for g in ours.gates()]
    print(f"largest difference of logits {worst:.2e} (largest logit {biggest:.1f})")
    print(f"MTP names the token after the next in {mtp_right / mtp_all:.4f} of the gold chains' positions")
    print(f"correction biases from {min(b.min() for b in biases):.3f} to {max(b.max() for b in biases):.3f}")
    assert worst < 1e-3


if __name__ == "__main__":
    main()
