# SPDX-License-Identifier: Apache-2.0
"""What do training and sampling of flows cost, beside flowjax, zuko, normflows and torchdiffeq?

Command: python -m benchmarks --only flows
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from benchmarks import flow_form
from benchmarks.case import Case, Effort, Work, rows
from benchmarks.families import steps
from benchmarks.limits import Limits
from benchmarks.peers.client import Peer
from jaxml.models import flow
from jaxml.nn import elementwise


class Size(NamedTuple):
    """What all libraries build alike.

    Attributes:
      n: D.
      n_layers: couplings, or autoregressive layers.
      widths: hidden features of every network.
      batch: examples a step, and draws.
    """

    n: int
    n_layers: int
    widths: tuple[int, ...]
    batch: int


FORMS = {"affine": elementwise.affine(), "spline": elementwise.spline()}


def lines(effort: Effort, limits: Limits, peer: Peer | None) -> Iterator[dict[str, Any]]:
    """Rows of all flows."""
    return rows(cases(effort.tiny), effort, limits, peer)


def cases(tiny: bool) -> Iterator[Case]:
    """Couplings and autoregressive layers in 2 and 43 dimensions, and a continuous flow in 2."""
    small, large = Size(2, 8, (64, 64), 256), Size(43, 8, (128, 128), 256)
    for size in (Size(3, 2, (4,), 4),) if tiny else (small, large):
        for kind in ("coupling", "autoregressive"):
            for form in FORMS:
                yield from discrete(kind, form, size)
    yield from continuous(Size(2, 1, (4,), 4) if tiny else small._replace(n_layers=1))


def discrete(kind: str, form: str, size: Size) -> Iterator[Case]:
    """A training step of Adam, and a batch of samples."""
    n, n_layers, widths, batch = size
    build = flow.coupling if kind == "coupling" else flow.autoregressive
    blocks = n_layers // 2 if kind == "coupling" else n_layers
    options = {"mix": False, "widths": widths, "rngs": nnx.Rngs(0)}
    ours = build(n, blocks, FORMS[form], **options)
    theirs = flow_form.build(kind, form, size)
    data = jax.random.normal(jax.random.key(0), (4 * batch, n))
    title = f"{form} {kind} flow, {n}-D, {n_layers} layers of {widths}"
    for part, forms in {
        "step": {
            **steps(flow.loss, ours, data, batch, name="ours"),
            **flow_form.step(theirs, data[:batch]),
        },
        "sampling": {
            "ours": Work(lambda m, key: flow.sample(m, key, batch), (ours, jax.random.key(1))),
            **flow_form.sampling(theirs, batch),
        },
    }.items():
        name = f"{part} of {title}, {'batch' if part == 'step' else 'draws'} {batch}"
        yield Case(name, forms, (f"{part} of {form} {kind} flow", size._asdict()))


def continuous(size: Size) -> Iterator[Case]:
    """FFJORD: one equation for the batch, Hutchinson's trace, tolerances of 1e-5."""
    model = flow.ffjord(size.n, widths=size.widths, joint=True, rngs=nnx.Rngs(0))
    # A field that begins at 0 would be solved in one step.
    model = jax.tree.map(lambda a, b: a + 0.1 * b, model, _noise(model))
    data = jax.random.normal(jax.random.key(0), (4 * size.batch, size.n))
    name = f"step of FFJORD, {size.n}-D, field of {size.widths}, batch {size.batch}"
    forms = steps(flow.ffjord_loss(), model, data, size.batch, name="ours")
    yield Case(name, forms, ("step of FFJORD", size._asdict()))


def _noise(model: flow.Flow) -> flow.Flow:
    leaves, structure = jax.tree.flatten(model)
    keys = jax.random.split(jax.random.key(1), len(leaves))
    draws = [jax.random.normal(k, jnp.shape(a)) for k, a in zip(keys, leaves, strict=True)]
    return jax.tree.unflatten(structure, draws)
