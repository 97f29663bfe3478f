# SPDX-License-Identifier: Apache-2.0
"""Flows of zuko, normflows and torchdiffeq, each where it is installed."""

from collections.abc import Callable, Sequence
from functools import partial
from importlib.util import find_spec
from typing import Any

import torch
from torch import nn

from benchmarks.peers.variant import Work

ZUKO, ZUKO_COMPILED, NORMFLOWS = "zuko eager", "zuko compiled", "normflows eager"


def built(
    variant: str, kind: str, form: str, n: int, n_layers: int, widths: Sequence[int]
) -> tuple[nn.Module, Callable[[torch.Tensor], torch.Tensor], Callable[[int], Any]]:
    """The flow, its log p(x) and how to draw from it."""
    if variant == NORMFLOWS:
        flow = normflows_coupling(n, n_layers, widths)
        return flow, flow.log_prob, flow.sample
    flow = zuko_flow(kind, form, n, n_layers, widths)
    return flow, lambda x: flow().log_prob(x), lambda batch: flow().sample((batch,))


def zuko_flow(kind: str, form: str, n: int, n_layers: int, widths: Sequence[int]) -> nn.Module:
    """Orders and halves are turned round from layer to layer."""
    from zuko.distributions import DiagNormal
    from zuko.flows import Flow, GeneralCouplingTransform, MaskedAutoregressiveTransform
    from zuko.lazy import UnconditionalDistribution
    from zuko.transforms import MonotonicAffineTransform, MonotonicRQSTransform

    spline = {"univariate": MonotonicRQSTransform, "shapes": [(8,), (8,), (7,)]}
    affine = {"univariate": MonotonicAffineTransform, "shapes": [(), ()]}
    options: dict[str, Any] = {
        **(spline if form == "spline" else affine),
        "hidden_features": tuple(widths),
    }
    layers = []
    for i in range(n_layers):
        order = torch.arange(n) if i % 2 == 0 else torch.arange(n - 1, -1, -1)
        if kind == "autoregressive":
            layers.append(MaskedAutoregressiveTransform(n, order=order, **options))
        else:
            layers.append(GeneralCouplingTransform(n, mask=order < n // 2, **options))
    base = UnconditionalDistribution(DiagNormal, torch.zeros(n), torch.ones(n), buffer=True)
    return Flow(layers, base)


def normflows_coupling(n: int, n_layers: int, widths: Sequence[int]) -> nn.Module:
    """Affine couplings with halves that change places."""
    import normflows

    given, moved = n - n // 2, n // 2
    layers: list[nn.Module] = []
    for _ in range(n_layers):
        network = normflows.nets.MLP([given, *widths, 2 * moved])
        layers.append(normflows.flows.AffineCouplingBlock(network))
        layers.append(normflows.flows.Permute(n, mode="swap"))
    base = normflows.distributions.DiagGaussian(n, trainable=False)
    return normflows.NormalizingFlow(base, layers)


def training(kind: str, form: str, *, variant: str, batch: int, **sizes: Any) -> Callable[[], None]:
    """A step of Adam on the mean −log p(x)."""
    flow, log_prob, _ = built(variant, kind, form, **sizes)
    x = torch.randn(batch, sizes["n"])
    return step(flow, compiled(variant, lambda x: -log_prob(x).mean()), x)


def sampling(kind: str, form: str, *, variant: str, batch: int, **sizes: Any) -> Callable[[], Any]:
    """A batch of draws."""
    _, _, draw = built(variant, kind, form, **sizes)
    function = compiled(variant, torch.no_grad()(draw))
    return lambda: function(batch)


def ffjord(*, variant: str, n: int, n_layers: int, widths: Sequence[int], batch: int):
    """One continuous layer, the adjoint method, Hutchinson's trace with signs."""
    del variant, n_layers
    from torchdiffeq import odeint_adjoint

    field = Augmented(n, widths)
    times = torch.tensor([0.0, 1.0])

    def loss(x: torch.Tensor) -> torch.Tensor:
        field.noise = torch.randint(0, 2, x.shape).to(x) * 2 - 1
        start = (x, torch.zeros(len(x)))
        z, log_det = odeint_adjoint(field, start, times, rtol=1e-5, atol=1e-5, method="dopri5")
        return -(torch.distributions.Normal(0, 1).log_prob(z[-1]).sum(1) + log_det[-1]).mean()

    return step(field, loss, torch.randn(batch, n))


class Augmented(nn.Module):
    """(f, εᵀ ∂f/∂x ε) for a network f of layers whose gain and offset the time sets."""

    def __init__(self, n: int, widths: Sequence[int]):
        super().__init__()
        sizes = list(zip((n, *widths), (*widths, n), strict=True))
        self.linear = nn.ModuleList(nn.Linear(a, b) for a, b in sizes)
        self.gate = nn.ModuleList(nn.Linear(1, b) for _, b in sizes)
        self.offset = nn.ModuleList(nn.Linear(1, b, bias=False) for _, b in sizes)
        self.noise = torch.zeros(0)

    def rate(self, t: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """f(t, x)."""
        t = t.reshape(1, 1)
        for i, (linear, gate, offset) in enumerate(
            zip(self.linear, self.gate, self.offset, strict=True)
        ):
            x = linear(x) * torch.sigmoid(gate(t)) + offset(t)
            if i < len(self.linear) - 1:
                x = torch.tanh(x)
        return x

    def forward(self, t: torch.Tensor, state: tuple[torch.Tensor, ...]) -> tuple:
        """The rates of x and of the log-determinant."""
        x, _ = state
        with torch.enable_grad():
            x = x.requires_grad_(True)
            rate = self.rate(t, x)
            slope = torch.autograd.grad(rate, x, self.noise, create_graph=True)[0]
            return rate, (slope * self.noise).sum(1)


def compiled(variant: str, function: Callable) -> Callable:
    """The function, through torch.compile if the variant says so."""
    return torch.compile(function) if variant == ZUKO_COMPILED else function


def step(model: nn.Module, loss: Callable, x: torch.Tensor) -> Callable[[], None]:
    """An update of Adam."""
    optimizer = torch.optim.Adam(model.parameters(), 1e-3, fused=True)

    def update() -> None:
        optimizer.zero_grad()
        loss(x).backward()
        optimizer.step()

    return update


def present(*variants: str) -> tuple[str, ...]:
    """Those whose library is installed."""
    return tuple(v for v in variants if find_spec(v.split()[0]))


def cases(kind: str, form: str) -> dict[str, Work]:
    """Training and sampling of one kind of flow."""
    both = kind, form
    variants = (ZUKO, ZUKO_COMPILED, *([NORMFLOWS] if both == ("coupling", "affine") else []))
    # Sampling unrolls D passes of every layer; those of splines do not compile in ten minutes.
    long = both == ("autoregressive", "spline")
    return {
        f"step of {form} {kind} flow": Work(partial(training, *both), present(*variants)),
        f"sampling of {form} {kind} flow": Work(
            partial(sampling, *both), present(ZUKO) if long else present(*variants)
        ),
    }


CASES = {
    **cases("coupling", "affine"),
    **cases("coupling", "spline"),
    **cases("autoregressive", "affine"),
    **cases("autoregressive", "spline"),
    "step of FFJORD": Work(ffjord, present("torchdiffeq")),
}
