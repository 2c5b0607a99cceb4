"""Muon for the matrices, AdamW for embeddings, head, gates, norms and biases."""

import torch


class Muon(torch.optim.Optimizer):
    """Momentum, orthogonalised (Jordan et al. 2024); 3-D parameters are stacks of matrices."""

    def __init__(self, params, lr, momentum=0.95, weight_decay=0.0):
        super().__init__(params, dict(lr=lr, momentum=momentum, weight_decay=weight_decay))

    @staticmethod
    def orthogonalise(g):
        a, b, c = 3.4445, -4.7750, 2.0315
        wide = g.shape[-2] > g.shape[-1]
        x = g.mT if wide else g
        x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
        for _ in range(5):
            xx = x @ x.mT
            x = a * x + (b * xx + c * xx @ xx) @ x
        return x.mT if wide else x

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                m = self.state[p].setdefault("momentum", torch.zeros_like(p))
                m.lerp_(p.grad, 1 - group["momentum"])
                g = p.grad.lerp(m, group["momentum"])
                p.mul_(1 - group["lr"] * group["weight_decay"])
                p.add_(self.orthogonalise(g), alpha=-group["lr"] * max(1, p.shape[-2] / p.shape[-1]) ** 0.5)


def make_optimizers(model, lr_muon, lr_adam):
    matrices, others = [], []
    for name, p in model.named_parameters():
        plain = p.ndim < 2 or "embed" in name or "lm_head" in name or ".gate.weight" in name
        (others if plain else matrices).append(p)
    return [Muon(matrices, lr_muon, weight_decay=0.05), torch.optim.AdamW(others, lr_adam, (0.9, 0.95), weight_decay=0.0)]
