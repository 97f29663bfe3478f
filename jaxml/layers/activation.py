# SPDX-License-Identifier: Apache-2.0
"""What stands between two linear maps, elementwise; and softmax, along an axis."""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Float

from jaxml.numerics import widen
from jaxml.types import Array


def sigmoid(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """σ(x) = 1/(1 + e^−x): gates, and probabilities of two classes."""
    return jax.nn.sigmoid(x)


def tanh(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Tanh x = 2σ(2x) − 1."""
    return jnp.tanh(x)


def relu(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """max(0, x), with gradient 0 at 0 and NaN where x is."""
    return jax.nn.relu(x)


def leaky_relu(x: Float[Array, "*shape"], *, slope: float = 0.01) -> Float[Array, "*shape"]:
    """X where x ≥ 0 and αx elsewhere; max(αx, x) says the same only for α ≤ 1.

    Args:
      x: any numbers.
      slope: α.

    Reference: Maas, Hannun and Ng 2013, equation 2.
    """
    return jnp.where(x >= 0, x, slope * x)


def swish(x: Float[Array, "*shape"], *, beta: float = 1.0) -> Float[Array, "*shape"]:
    """X σ(βx); with β = 1 it is SiLU, with large β it tends to ReLU, with β = 0 it is x/2.

    Args:
      x: any numbers.
      beta: β.

    Reference: Ramachandran, Zoph and Le 2017, equation 1, arXiv:1710.05941.
    """
    return x * jax.nn.sigmoid(beta * x)


def silu(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """X σ(x)."""
    return swish(x)


def gelu(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """X Φ(x), Φ the distribution function of N(0, 1), through erfc so that its tail keeps digits.

    Reference: Hendrycks and Gimpel 2016, section 2, arXiv:1606.08415.
    """
    return 0.5 * x * jax.lax.erfc(-x * math.sqrt(0.5))


def gelu_by_tanh(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """½x(1 + tanh(√(2/π)(x + 0.044715x³))), within 5e-4 of `gelu`; what GPT-2's weights expect.

    Reference: Hendrycks and Gimpel 2016, section 2, arXiv:1606.08415.
    """
    # ½(1 + tanh u) = σ(2u), which does not cancel in the tail.
    return x * jax.nn.sigmoid(math.sqrt(8 / math.pi) * (x + 0.044715 * x**3))


def softmax(
    x: Float[Array, "*shape"], *, axis: int = -1, temperature: float = 1.0
) -> Float[Array, "*shape"]:
    """e^{x/T}/Σe^{x/T} along an axis, in single precision at least: sums to 1.

    T → 0 picks the largest, T → ∞ makes all alike. A slice of −inf alone gives NaN: nothing was
    left to choose from.

    Args:
      x: logits; −inf excludes an entry.
      axis: along which they compete.
      temperature: T.

    Raises:
      ValueError: if T is not positive.
    """
    if not temperature > 0:
        raise ValueError(f"temperature: expected a positive number, got {temperature}")
    return jax.nn.softmax(widen(x) / temperature, axis=axis).astype(x.dtype)
