# SPDX-License-Identifier: Apache-2.0
"""Write `critic_penalty_references.npz`: penalties of a critic and their gradients by PyTorch.

    python tests/losses/critic_penalty_references.py     (any environment with torch and numpy)

D(x) = v · softplus(tanh(x W + b) U) for images x as vectors, in double precision; `in/NAME` enters,
`KIND/value` is the mean penalty and `KIND/NAME` its gradient, a second derivative of D.
"""

from pathlib import Path

import numpy as np
import torch

FILE = Path(__file__).with_suffix(".npz")


def inputs():
    """Images, interpolation weights and parameters."""
    rng = np.random.default_rng(5)
    return {
        "real": rng.normal(size=(6, 3, 4, 2)),
        "fake": 0.5 + 2 * rng.normal(size=(6, 3, 4, 2)),
        "u": rng.uniform(size=6),
        "w": 0.5 * rng.normal(size=(24, 10)),
        "b": rng.normal(size=10),
        "hidden": 0.5 * rng.normal(size=(10, 7)),
        "v": rng.normal(size=7),
    }


def references():
    """Values and gradients of the three penalties."""
    given = inputs()
    tensors = {name: torch.tensor(value) for name, value in given.items()}
    params = {name: tensors[name].requires_grad_() for name in ("w", "b", "hidden", "v")}
    real, fake, u = (tensors[name] for name in ("real", "fake", "u"))

    def critic(x):
        h = torch.tanh(x.reshape(len(x), -1) @ params["w"] + params["b"])
        return torch.nn.functional.softplus(h @ params["hidden"]) @ params["v"]

    def slopes(x):
        x = x.detach().requires_grad_()
        found = torch.autograd.grad(critic(x).sum(), x, create_graph=True)[0]
        return found.reshape(len(x), -1)

    weights = u.reshape(-1, 1, 1, 1)
    penalties = {
        "gradient": (slopes(weights * real + (1 - weights) * fake).norm(dim=1) - 1).square(),
        "r1": 0.5 * slopes(real).square().sum(1),
        "r2": 0.5 * slopes(fake).square().sum(1),
    }
    found = {f"in/{name}": value for name, value in given.items()}
    for kind, each in penalties.items():
        gradients = torch.autograd.grad(
            each.mean(), list(params.values()), retain_graph=True, allow_unused=True
        )
        found[f"{kind}/value"] = each.detach().numpy()
        for name, value in zip(params, gradients, strict=True):
            found[f"{kind}/{name}"] = value.numpy()
    return found


if __name__ == "__main__":
    np.savez_compressed(FILE, **references())
