# SPDX-License-Identifier: Apache-2.0
"""Elementary functions as bijections: sigmoid, tanh, softplus and leaky ReLU, with their inverses.

Inverses of functions with bounded range are told nothing outside of it: they read the nearest
number inside, with gradient 0. A saturated y has lost its x: keep the log-determinant of the
forward pass, as `sample_and_log_prob` of a flow does.
"""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxml.numerics import log1mexp, log_sigmoid, softplus

Value = Float[Array, "*shape"]


def sigmoid(x: Value, params: tuple[()] = ()) -> tuple[Value, Value]:
    """y = σ(x) with log-slope log σ(x) + log σ(−x)."""
    del params
    return jax.nn.sigmoid(x), log_sigmoid(x) + log_sigmoid(-x)


def logit(y: Value, params: tuple[()] = ()) -> tuple[Value, Value]:
    """x = log y − log(1 − y) with log-slope −log y − log(1 − y), for y in (0, 1)."""
    del params
    info = jnp.finfo(y.dtype)
    y = jnp.clip(y, info.tiny, 1 - info.epsneg)
    low, high = jnp.log(y), jnp.log1p(-y)
    return low - high, -low - high


def tanh(x: Value, params: tuple[()] = ()) -> tuple[Value, Value]:
    """y = tanh x with log-slope 2 (log 2 − x − log(1 + e^−2x)), which keeps its digits far out."""
    del params
    return jnp.tanh(x), 2 * (math.log(2) - jnp.abs(x) - softplus(-2 * jnp.abs(x)))


def arctanh(y: Value, params: tuple[()] = ()) -> tuple[Value, Value]:
    """x = ½ (log(1 + y) − log(1 − y)) with log-slope −log(1 + y) − log(1 − y), for y in (−1, 1)."""
    del params
    edge = 1 - jnp.finfo(y.dtype).epsneg
    y = jnp.clip(y, -edge, edge)
    up, down = jnp.log1p(y), jnp.log1p(-y)
    return 0.5 * (up - down), -up - down


def to_positive(x: Value, params: tuple[()] = ()) -> tuple[Value, Value]:
    """y = log(1 + e^x) with log-slope log σ(x)."""
    del params
    return softplus(x), log_sigmoid(x)


def from_positive(y: Value, params: tuple[()] = ()) -> tuple[Value, Value]:
    """x = log(e^y − 1) with log-slope −log(1 − e^−y), for y > 0."""
    del params
    y = jnp.maximum(y, jnp.finfo(y.dtype).tiny)
    rest = log1mexp(y)
    return y + rest, -rest


def leaky_relu(x: Value, log_slope: Float[Array, "..."]) -> tuple[Value, Value]:
    """y = x for x ≥ 0 and x e^a below, with log-slope 0 or a."""
    below = x < 0
    log_slope = jnp.broadcast_to(log_slope, x.shape)
    return jnp.where(below, x * jnp.exp(log_slope), x), jnp.where(below, log_slope, 0.0)


def leaky_relu_inverse(y: Value, log_slope: Float[Array, "..."]) -> tuple[Value, Value]:
    """x = y for y ≥ 0 and y e^−a below."""
    return leaky_relu(y, -log_slope)
