"""The R1 architecture, small enough to train on a CPU: MLA, one dense layer,
group-limited sigmoid routing with a correction bias, YaRN, one MTP module.

Weights pass through FP8 (fake_quant) while training, so that the exported
e4m3 blocks are exactly the weights that the model was trained with.
Letters: B sequences, T positions, H hidden, E experts, N = B*T tokens."""

import math

import torch
import torch.nn.functional as F
from torch import nn

BLOCK, FP8_MAX = 128, 448.0  # of e4m3


def blocks(w):
    """[..., out, in] -> zero-padded [..., out/128, 128, in/128, 128]."""
    o, i = w.shape[-2:]
    w = F.pad(w, (0, -i % BLOCK, 0, -o % BLOCK))
    return w.unflatten(-1, (-1, BLOCK)).unflatten(-3, (-1, BLOCK))


def unblocks(b, shape):
    return b.flatten(-4, -3).flatten(-2, -1)[..., : shape[-2], : shape[-1]]


def quantize(w):
    """FP8 blocks and the scale_inv of each: w is about fp8 * scale_inv."""
    b = blocks(w)
    scale_inv = b.abs().amax((-3, -1), keepdim=True).clamp(min=1e-12) / FP8_MAX
    return (b / scale_inv).to(torch.float8_e4m3fn), scale_inv


def fake_quant(w):
    """The weight after FP8, with the gradient of the weight before it."""
    with torch.no_grad():
        q, scale_inv = quantize(w)
        error = unblocks(q.float() * scale_inv, w.shape) - w
    return w + error


class Linear(nn.Module):
    """Without bias; its weight is FP8, or one such weight for each of n experts."""

    def __init__(self, n_in, n_out, n=None):
        super().__init__()
        shape = (n_out, n_in) if n is None else (n, n_out, n_in)
        self.weight = nn.Parameter(torch.randn(shape) * n_in**-0.5)

    def fp8(self):
        return fake_quant(self.weight)

    def forward(self, x):
        return F.linear(x, self.fp8())


class RMSNorm(nn.Module):
    def __init__(self, n, eps):
        super().__init__()
        self.weight, self.eps = nn.Parameter(torch.ones(n)), eps

    def forward(self, x):
        return F.rms_norm(x, self.weight.shape, self.weight, self.eps)


def yarn_mscale(factor, mscale):
    return 1.0 if factor <= 1 else 0.1 * mscale * math.log(factor) + 1.0


def yarn_inv_freq(c):
    """Rotary frequencies: interpolated where slow, kept where fast, a ramp between."""
    dim, base, s = c["qk_rope_head_dim"], c["rope_theta"], c["rope_scaling"]
    freq = base ** (-torch.arange(0, dim, 2).float() / dim)

    def correction_dim(n_rotations):
        return dim * math.log(s["original_max_position_embeddings"] / (n_rotations * 2 * math.pi)) / (2 * math.log(base))

    low = max(math.floor(correction_dim(s["beta_fast"])), 0)
    high = min(math.ceil(correction_dim(s["beta_slow"])), dim - 1)
    ramp = ((torch.arange(dim // 2).float() - low) / max(high - low, 0.001)).clamp(0, 1)
    return freq / s["factor"] * ramp + freq * (1 - ramp)


def rope(x, cos, sin):
    """x [B, heads, T, rope]: pair i is (x[2i], x[2i+1])."""
    a, b = x[..., 0::2], x[..., 1::2]
    return torch.stack((a * cos - b * sin, a * sin + b * cos), -1).flatten(-2)


class Attention(nn.Module):
    """Multi-head latent attention, unabsorbed."""

    def __init__(self, c):
        super().__init__()
        h, eps = c["hidden_size"], c["rms_norm_eps"]
        self.n_heads, self.nope, self.rope = c["num_attention_heads"], c["qk_nope_head_dim"], c["qk_rope_head_dim"]
        self.v, self.kv_rank = c["v_head_dim"], c["kv_lora_rank"]
        self.q_a_proj = Linear(h, c["q_lora_rank"])
        self.q_a_layernorm = RMSNorm(c["q_lora_rank"], eps)
        self.q_b_proj = Linear(c["q_lora_rank"], self.n_heads * (self.nope + self.rope))
        self.kv_a_proj_with_mqa = Linear(h, self.kv_rank + self.rope)
        self.kv_a_layernorm = RMSNorm(self.kv_rank, eps)
        self.kv_b_proj = Linear(self.kv_rank, self.n_heads * (self.nope + self.v))
        self.o_proj = Linear(self.n_heads * self.v, h)
        s = c["rope_scaling"]
        self.scale = (self.nope + self.rope) ** -0.5 * yarn_mscale(s["factor"], s["mscale_all_dim"]) ** 2

    def forward(self, x, cos, sin, cache=None):
        """x [B, T, H]; cache, when decoding, is this layer's [k, v], extended in place."""
        B, T, _ = x.shape
        q = self.q_b_proj(self.q_a_layernorm(self.q_a_proj(x))).view(B, T, self.n_heads, -1).transpose(1, 2)
        c_kv, k_pe = self.kv_a_proj_with_mqa(x).split((self.kv_rank, self.rope), -1)
        kv = self.kv_b_proj(self.kv_a_layernorm(c_kv)).view(B, T, self.n_heads, -1).transpose(1, 2)
        k_nope, v = kv.split((self.nope, self.v), -1)
        q_nope, q_pe = q.split((self.nope, self.rope), -1)
        k_pe = rope(k_pe[:, None], cos, sin).expand(-1, self.n_heads, -1, -1)
        q = torch.cat((q_nope, rope(q_pe, cos, sin)), -1)
        k = torch.cat((k_nope, k_pe), -1)
        if cache is not None:
            if cache:
                k, v = torch.cat((cache[0], k), 2), torch.cat((cache[1], v), 2)
            cache[:] = [k, v]
        v = F.pad(v, (0, k.shape[-1] - self.v))  # one head size: PyTorch's fused kernel
        y = F.scaled_dot_product_attention(q, k, v, is_causal=T > 1, scale=self.scale)[..., : self.v]
        return self.o_proj(y.transpose(1, 2).reshape(B, T, -1))


class MLP(nn.Module):
    def __init__(self, h, i):
        super().__init__()
        self.gate_proj, self.up_proj, self.down_proj = Linear(h, i), Linear(h, i), Linear(i, h)

    def forward(self, x):
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class Gate(nn.Module):
    """noaux_tc: the bias steers the choice of experts, never their weights."""

    def __init__(self, c):
        super().__init__()
        self.c, E = c, c["n_routed_experts"]
        self.weight = nn.Parameter(torch.randn(E, c["hidden_size"]) * c["hidden_size"] ** -0.5)
        self.register_buffer("e_score_correction_bias", torch.zeros(E))
        self.register_buffer("load", torch.zeros(E), persistent=False)  # choices since the last bias update

    def forward(self, x):
        """x [N, H] -> experts [N, k] and their weights [N, k]."""
        c = self.c
        scores = F.linear(x, self.weight).sigmoid()
        with torch.no_grad():
            choice = scores + self.e_score_correction_bias
            group = choice.view(-1, c["n_group"], choice.shape[1] // c["n_group"])
            best = group.topk(2, -1)[0].sum(-1).topk(c["topk_group"], -1)[1]
            closed = torch.ones(group.shape[:2], dtype=torch.bool).scatter_(1, best, False)
            experts = group.masked_fill(closed[..., None], -math.inf).flatten(1).topk(c["num_experts_per_tok"], -1)[1]
            self.load += experts.flatten().bincount(minlength=len(self.load))
        weights = scores.gather(1, experts)
        weights = weights / (weights.sum(-1, keepdim=True) + 1e-20) * c["routed_scaling_factor"]
        return experts, weights

    @torch.no_grad()
    def balance(self, speed):
        """The aux-loss-free rule: raise the bias of an expert below the mean load, lower it above."""
        self.e_score_correction_bias += speed * (self.load.mean() - self.load).sign()
        self.load.zero_()


class MoE(nn.Module):
    def __init__(self, c):
        super().__init__()
        h, i, E = c["hidden_size"], c["moe_intermediate_size"], c["n_routed_experts"]
        self.gate = Gate(c)
        self.gate_proj, self.up_proj, self.down_proj = Linear(h, i, E), Linear(h, i, E), Linear(i, h, E)
        self.shared_experts = MLP(h, i * c["n_shared_experts"])

    def forward(self, x):
        shape, x = x.shape, x.flatten(0, -2)
        experts, weights = self.gate(x)
        order = experts.flatten().argsort()  # (token, choice) pairs, grouped by expert
        tokens = order // experts.shape[1]
        counts = experts.flatten().bincount(minlength=len(self.gate.load)).tolist()
        gate, up, down = self.gate_proj.fp8(), self.up_proj.fp8(), self.down_proj.fp8()
        out = []
        for e, part in enumerate(x[tokens].split(counts)):
            out.append(F.linear(F.silu(F.linear(part, gate[e])) * F.linear(part, up[e]), down[e]))
        y = torch.cat(out) * weights.flatten()[order, None]
        return (torch.zeros_like(x).index_add(0, tokens, y) + self.shared_experts(x)).view(shape)


class Layer(nn.Module):
    def __init__(self, c, i_layer):
        super().__init__()
        h, eps = c["hidden_size"], c["rms_norm_eps"]
        self.input_layernorm, self.post_attention_layernorm = RMSNorm(h, eps), RMSNorm(h, eps)
        self.self_attn = Attention(c)
        self.mlp = MLP(h, c["intermediate_size"]) if i_layer < c["first_k_dense_replace"] else MoE(c)

    def forward(self, x, cos, sin, cache=None):
        x = x + self.self_attn(self.input_layernorm(x), cos, sin, cache)
        return x + self.mlp(self.post_attention_layernorm(x))


class MTP(nn.Module):
    """Predicts the token after the next one from the hidden state and the next token."""

    def __init__(self, c):
        super().__init__()
        h, eps = c["hidden_size"], c["rms_norm_eps"]
        self.enorm, self.hnorm = RMSNorm(h, eps), RMSNorm(h, eps)
        self.eh_proj = nn.Linear(2 * h, h, bias=False)
        self.layer = Layer(c, c["num_hidden_layers"])
        self.norm = RMSNorm(h, eps)

    def forward(self, hidden, next_embed, cos, sin):
        x = self.eh_proj(torch.cat((self.enorm(next_embed), self.hnorm(hidden)), -1))
        return self.norm(self.layer(x, cos, sin))


class Deepseek(nn.Module):
    def __init__(self, c):
        super().__init__()
        h = c["hidden_size"]
        self.c = c
        self.embed_tokens = nn.Embedding(c["vocab_size"], h)
        nn.init.normal_(self.embed_tokens.weight, std=0.5)
        self.layers = nn.ModuleList(Layer(c, i) for i in range(c["num_hidden_layers"]))
        self.norm = RMSNorm(h, c["rms_norm_eps"])
        self.lm_head = nn.Linear(h, c["vocab_size"], bias=False)
        nn.init.normal_(self.lm_head.weight, std=0.5 * h**-0.5)
        self.mtp = MTP(c)
        angle = torch.outer(torch.arange(c["max_position_embeddings"]).float(), yarn_inv_freq(c))
        self.register_buffer("cos", angle.cos(), persistent=False)
        self.register_buffer("sin", angle.sin(), persistent=False)

    def hidden(self, ids, start=0, cache=None):
        """ids [B, T] at positions start... -> the state before the final norm [B, T, H]."""
        x = self.embed_tokens(ids)
        end = start + ids.shape[1]
        for i, layer in enumerate(self.layers):
            x = layer(x, self.cos[start:end], self.sin[start:end], None if cache is None else cache[i])
        return x

    def forward(self, ids, start=0, cache=None):
        return self.lm_head(self.norm(self.hidden(ids, start, cache)))

    def mtp_hidden(self, hidden, ids):
        """hidden [B, T, H] of ids [B, T] -> [B, T-1, H]; position t predicts ids[t+2]."""
        T = ids.shape[1] - 1
        return self.mtp(hidden[:, :T], self.embed_tokens(ids[:, 1:]), self.cos[:T], self.sin[:T])

    def gates(self):
        return [m for m in self.modules() if isinstance(m, Gate)]
