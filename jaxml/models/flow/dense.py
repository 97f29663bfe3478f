# SPDX-License-Identifier: Apache-2.0
"""Flows over vectors, ready made: NICE, RealNVP, neural splines, MAF, IAF, planar, residual."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from jaxml import bijections
from jaxml.bijections import Affine, Bijection, Planar
from jaxml.models.flow.distribution import Base, Normal
from jaxml.models.flow.model import Flow
from jaxml.nn.autoregressive import Autoregressive
from jaxml.nn.composed import Chain, Inverted, Learned, Stack
from jaxml.nn.coupling import Coupling
from jaxml.nn.data_dependent import ActNorm
from jaxml.nn.elementwise import Elementwise, additive, affine, spline
from jaxml.nn.invertible_residual import InvertibleResidual, LipschitzMLP
from jaxml.nn.masked import MADE
from jaxml.nn.mlp import MLP

AFFINE = Bijection(bijections.affine, bijections.affine_inverse)
LU = Bijection(bijections.lu_linear, bijections.lu_linear_inverse, 1)
PLANAR = Bijection(bijections.planar, bijections.planar_inverse, 1)
REVERSE = Bijection(bijections.reverse, bijections.reverse, 1)


def coupling(
    n: int,
    n_blocks: int,
    elementwise: Elementwise,
    *,
    widths: Sequence[int] = (64, 64),
    mix: bool = True,
    n_context: int = 0,
    base: Base | None = None,
    unroll: int = 1,
    rngs: nnx.Rngs,
) -> Flow:
    """Blocks of two couplings, each half moved by the other, begun as the identity.

    Args:
      n: D.
      n_blocks: blocks, under one loop.
      elementwise: what moves: see `jaxml.nn.elementwise`.
      widths: hidden features of the networks.
      mix: whether a learned linear map, begun as a rotation, stands before every block.
      n_context: features of a context.
      base: law of z; None is N(0, I).
      unroll: blocks a turn of the loop.
      rngs: keys for initialization.

    Raises:
      ValueError: if D is below 2.
    """
    if n < 2:
        raise ValueError(f"n: a coupling layer needs at least 2 dimensions, got {n}")
    first, second = n - n // 2, n // 2

    def network(n_in: int, n_moved: int, rngs: nnx.Rngs) -> MLP:
        zeros = nnx.initializers.zeros_init()
        return MLP(
            n_in,
            widths,
            n_moved * elementwise.n_raw,
            n_context=n_context,
            activation=jax.nn.relu,
            last_init=zeros,
            rngs=rngs,
        )

    def block(rngs: nnx.Rngs) -> Chain:
        return Chain(
            [
                *([mixing(n, rngs)] if mix else []),
                Coupling(network(first, second, rngs), elementwise),
                Coupling(network(second, first, rngs), elementwise, flip=True),
            ]
        )

    return Flow(Stack(block, n_blocks, unroll=unroll, rngs=rngs), base or Normal(n))


def autoregressive(
    n: int,
    n_blocks: int,
    elementwise: Elementwise,
    *,
    widths: Sequence[int] = (64, 64),
    residual: bool = False,
    mix: bool = False,
    inverse: bool = False,
    n_context: int = 0,
    base: Base | None = None,
    unroll: int = 1,
    rngs: nnx.Rngs,
) -> Flow:
    """Masked autoregressive layers, the order turned round from one to the next.

    Args:
      n: D.
      n_blocks: layers, under one loop.
      elementwise: what moves.
      widths: hidden features of the networks.
      residual: whether their layers are added to what came before.
      mix: whether a learned linear map stands between the layers in place of the reversal.
      inverse: whether the layers sample in one pass and take D steps for a density.
      n_context: features of a context.
      base: law of z; None is N(0, I).
      unroll: layers a turn of the loop.
      rngs: keys for initialization.
    """

    def block(rngs: nnx.Rngs) -> Chain:
        network = MADE(
            n, widths, elementwise.n_raw, n_context=n_context, residual=residual, rngs=rngs
        )
        layer: Any = Autoregressive(network, elementwise)
        turn = mixing(n, rngs) if mix else Learned(REVERSE)
        return Chain([turn, Inverted(layer) if inverse else layer])

    return Flow(Stack(block, n_blocks, unroll=unroll, rngs=rngs), base or Normal(n))


def mixing(n: int, rngs: nnx.Rngs) -> Learned:
    """A factored linear map that begins as a random rotation."""
    start = bijections.lu_rotation(rngs.params(), n)
    return Learned(LU, start, constant=("sign",))


def nice(n: int, n_blocks: int = 2, *, rngs: nnx.Rngs, **options: Any) -> Flow:
    """Additive couplings, and one scale a dimension at the end.

    Reference: Dinh, Krueger and Bengio 2015, arXiv:1410.8516.
    """
    flow = coupling(n, n_blocks, additive(), mix=False, rngs=rngs, **options)
    flow.layers = Chain([flow.layers, scale(n)])
    return flow


def scale(n: int) -> Learned:
    """y = x e^s + t with learned numbers, a vector as one event."""
    params = Affine(jnp.zeros(n), jnp.zeros(n))
    return Learned(bijections.independent(AFFINE, 1), params)


def real_nvp(n: int, n_blocks: int = 4, *, rngs: nnx.Rngs, **options: Any) -> Flow:
    """Affine couplings.

    Reference: Dinh, Sohl-Dickstein and Bengio 2017, arXiv:1605.08803.
    """
    return coupling(n, n_blocks, affine(), rngs=rngs, **options)


def neural_spline(n: int, n_blocks: int = 4, *, rngs: nnx.Rngs, **options: Any) -> Flow:
    """Spline couplings.

    Reference: Durkan et al. 2019, arXiv:1906.04032.
    """
    return coupling(n, n_blocks, spline(), rngs=rngs, **options)


def maf(n: int, n_blocks: int = 5, *, rngs: nnx.Rngs, **options: Any) -> Flow:
    """Affine autoregressive layers: one pass for a density, D steps for a sample.

    Reference: Papamakarios, Pavlakou and Murray 2017, arXiv:1705.07057.
    """
    return autoregressive(n, n_blocks, affine(), rngs=rngs, **options)


def iaf(n: int, n_blocks: int = 5, *, rngs: nnx.Rngs, **options: Any) -> Flow:
    """Affine autoregressive layers: one pass for a sample, D steps for a density.

    Reference: Kingma et al. 2016, arXiv:1606.04934.
    """
    return autoregressive(n, n_blocks, affine(), inverse=True, rngs=rngs, **options)


def planar(n: int, n_layers: int = 16, *, base: Base | None = None, rngs: nnx.Rngs) -> Flow:
    """Planar layers, fast from noise to data; a density takes a root a layer.

    Reference: Rezende and Mohamed 2015, section 4.1, arXiv:1505.05770.
    """

    def layer(rngs: nnx.Rngs) -> Inverted:
        w, u = 0.5 * jax.random.normal(rngs.params(), (2, n))
        return Inverted(Learned(PLANAR, Planar(w, 0.1 * u, jnp.zeros(()))))

    return Flow(Stack(layer, n_layers, rngs=rngs), base or Normal(n))


def residual(
    n: int,
    n_blocks: int = 8,
    *,
    widths: Sequence[int] = (64, 64),
    lipschitz: float = 0.9,
    n_context: int = 0,
    base: Base | None = None,
    rngs: nnx.Rngs,
) -> Flow:
    """Invertible residual layers, begun as the identity, an activation normalization before each.

    All dimensions move at once, freely but for the constant; a density costs D passes a layer.

    Args:
      n: D.
      n_blocks: layers, under one loop.
      widths: hidden features of the contractions.
      lipschitz: their constant; nearer to 1 a layer bends more and its inverse takes longer.
      n_context: features of a context.
      base: law of z; None is N(0, I).
      rngs: keys for initialization.

    Reference: Behrmann et al. 2019, arXiv:1811.00995; Chen et al. 2019, arXiv:1906.02735.
    """

    def block(rngs: nnx.Rngs) -> Chain:
        network = LipschitzMLP(n, widths, n_context=n_context, lipschitz=lipschitz, rngs=rngs)
        return Chain([ActNorm(n), InvertibleResidual(network)])

    return Flow(Stack(block, n_blocks, rngs=rngs), base or Normal(n))
