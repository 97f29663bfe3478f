# SPDX-License-Identifier: Apache-2.0
"""Living in latent space: sampling, reconstruction, interpolation, arithmetic."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Shaped

from jaxml.models.condition import Context
from jaxml.models.vae.model import VAE, decode, posterior
from jaxml.numerics import norm
from jaxml.types import Key


def sample(model: VAE, key: Key, n: int, *, context: Context = None) -> Float[Array, "n *event"]:
    """n draws from p(x): z from N(0, I), then x from p(x|z)."""
    z_key, x_key = jax.random.split(key)
    z = jax.random.normal(z_key, (n, model.n_latent))
    return model.likelihood.sample(decode(model, z, context=context), x_key)


def generate(
    model: VAE, z: Float[Array, "batch latent"], *, context: Context = None
) -> Float[Array, "batch *event"]:
    """The location of p(x|z): what z looks like, without the noise of the likelihood."""
    return model.likelihood.location(decode(model, z, context=context))


def encode(
    model: VAE, x: Shaped[Array, "batch *event"], *, context: Context = None
) -> Float[Array, "batch latent"]:
    """E_q[z|x], the posterior mean."""
    return posterior(model, x, context=context).mean


def reconstruct(
    model: VAE, x: Shaped[Array, "batch *event"], *, context: Context = None
) -> Float[Array, "batch *event"]:
    """The location of p(x|z) at the posterior mean."""
    return generate(model, encode(model, x, context=context), context=context)


def direction(
    model: VAE, x: Shaped[Array, "batch *event"], other: Shaped[Array, "others *event"]
) -> Float[Array, "latent"]:
    """Δ = mean z of `x` − mean z of `other`: the attribute that tells the two groups apart.

    z + αΔ has more of the attribute of `x` for α > 0 and less for α < 0.
    """
    return jnp.mean(encode(model, x), axis=0) - jnp.mean(encode(model, other), axis=0)


def interpolate_linear(
    z: Float[Array, "*batch latent"], other: Float[Array, "*batch latent"], n: int
) -> Float[Array, "n *batch latent"]:
    """(1 − t)z + t·z' at n times from 0 to 1."""
    t = _times(n, z)
    return (1 - t) * z[None] + t * other[None]


def interpolate_spherical(
    z: Float[Array, "*batch latent"], other: Float[Array, "*batch latent"], n: int
) -> Float[Array, "n *batch latent"]:
    """(sin((1 − t)ω)z + sin(tω)z')/sin ω at n times from 0 to 1, ω the angle between z and z'.

    In many dimensions the prior's mass lies near a sphere; the straight line cuts through its
    empty middle. Between equal or opposite directions, and from the origin, it
    is the straight line.

    Reference: Shoemake 1985, Animating rotation with quaternion curves; White 2016, section 2,
    arXiv:1609.04468.
    """
    t = _times(n, z)
    lengths = [norm(a, axis=-1, keepdims=True) for a in (z, other)]
    u, v = (a / jnp.where(r > 0, r, 1.0) for a, r in zip((z, other), lengths, strict=True))
    # atan2 keeps the digits that arccos loses for nearly parallel and nearly opposite vectors.
    apart, along = (norm(a, axis=-1, keepdims=True) for a in (u - v, u + v))
    angle = 2 * jnp.arctan2(apart, along)
    straight = (jnp.sin(angle) < 1e-6) | (lengths[0] == 0) | (lengths[1] == 0)
    safe = jnp.where(straight, 1.0, angle)[None]
    left = jnp.where(straight[None], 1 - t, jnp.sin((1 - t) * safe) / jnp.sin(safe))
    right = jnp.where(straight[None], t, jnp.sin(t * safe) / jnp.sin(safe))
    return left * z[None] + right * other[None]


def _times(n: int, z: Array) -> Array:
    if n < 2:
        raise ValueError(f"n: interpolation needs at least its 2 ends, got {n}")
    return jnp.linspace(0, 1, n, dtype=z.dtype).reshape(n, *(1,) * z.ndim)
