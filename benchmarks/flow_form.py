# SPDX-License-Identifier: Apache-2.0
"""The same flows as flowjax builds them, where it is installed."""

from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

import jax
import optax

from benchmarks.case import Work
from jaxml.types import Array


def build(kind: str, form: str, size: Any) -> Any:
    """A distribution of flowjax, its layers under one loop as ours are; None without flowjax."""
    if not find_spec("flowjax"):
        return None
    from flowjax import bijections, distributions, flows
    from jax import numpy as jnp

    make = flows.coupling_flow if kind == "coupling" else flows.masked_autoregressive_flow
    spline = bijections.RationalQuadraticSpline(knots=8, interval=3)
    return make(
        jax.random.key(0),
        base_dist=distributions.Normal(jnp.zeros(size.n)),
        transformer=spline if form == "spline" else bijections.Affine(),
        flow_layers=size.n_layers,
        nn_width=size.widths[0],
        nn_depth=len(size.widths),
    )


def step(flow: Any, x: Array) -> Mapping[str, Work]:
    """One step of Adam on the mean −log p(x)."""
    if flow is None:
        return {}
    import equinox
    import paramax

    params, static = equinox.partition(
        flow, equinox.is_inexact_array, is_leaf=lambda a: isinstance(a, paramax.NonTrainable)
    )
    rule = optax.adam(1e-3)

    def loss(params):
        return -paramax.unwrap(equinox.combine(params, static)).log_prob(x).mean()

    def update(state):
        params, slots = state
        value, slope = jax.value_and_grad(loss)(params)
        change, slots = rule.update(slope, slots, params)
        return (optax.apply_updates(params, change), slots), value

    return {"flowjax": Work(update, ((params, rule.init(params)),), donated=True)}


def sampling(flow: Any, n: int) -> Mapping[str, Work]:
    """n draws."""
    if flow is None:
        return {}
    import equinox
    import paramax

    params, static = equinox.partition(flow, equinox.is_array)

    def draw(params, key):
        return paramax.unwrap(equinox.combine(params, static)).sample(key, (n,))

    return {"flowjax": Work(draw, (params, jax.random.key(1)))}
