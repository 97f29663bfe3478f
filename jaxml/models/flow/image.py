# SPDX-License-Identifier: Apache-2.0
"""Flows over images: multi-scale RealNVP, Glow, and the learned noise of dequantization."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
from flax import nnx

from jaxml import bijections
from jaxml.bijections import Affine, Bijection, independent
from jaxml.layers.masking import Mask, checkerboard
from jaxml.models.flow.distribution import Normal
from jaxml.models.flow.model import Flow
from jaxml.nn.composed import Chain, Learned, Stack
from jaxml.nn.coupling import Coupling, MaskedCoupling
from jaxml.nn.data_dependent import ActNorm
from jaxml.nn.elementwise import Elementwise, affine
from jaxml.nn.image_network import PointwiseNet, ResidualNet
from jaxml.nn.scales import MultiScale, Squeezed

Shape = tuple[int, int, int]
LOGIT = independent(Bijection(bijections.logit, bijections.sigmoid), 3)
LU = independent(Bijection(bijections.lu_linear, bijections.lu_linear_inverse, 1), 2)
SQUASH = independent(Bijection(bijections.affine, bijections.affine_inverse), 3)
SQUEEZE = bijections.squeeze(2)


def even(shape: Sequence[int]) -> Mask:
    """The pixels that a checkerboard coupling keeps."""
    return checkerboard(shape[:2])[..., None]


def odd(shape: Sequence[int]) -> Mask:
    """The pixels that the next one keeps."""
    return checkerboard(shape[:2], odd=True)[..., None]


def glow(
    shape: Shape,
    n_steps: int = 32,
    n_levels: int = 3,
    *,
    width: int = 512,
    elementwise: Elementwise | None = None,
    margin: float | None = 1e-6,
    last: int = 3,
    n_context: int = 0,
    unroll: int = 1,
    rngs: nnx.Rngs,
) -> Flow:
    """Levels of [squeeze, K × (actnorm, 1 × 1 convolution, coupling), split with learned prior].

    The defaults are the paper's sizes. The steps of a level run under one loop. Begin with
    `flow.start(model, x)`, which gives the actnorms their numbers.

    Args:
      shape: (height, width, channels) of images in [0, 1].
      n_steps: K.
      n_levels: L; both sizes must be multiples of 2^L.
      width: channels of the hidden layers of each network.
      elementwise: what couplings do; None is affine. Splines follow the edges that dequantized
        pixels have.
      margin: see `from_unit_interval`; None leaves out the logit, as the paper does.
      last: taps a side of the last convolution of the networks of the steps.
      n_context: features of a context.
      unroll: steps a turn of the loop.
      rngs: keys for initialization.

    Raises:
      ValueError: if the sizes do not halve that often, or a number is not positive.

    Reference: Kingma and Dhariwal 2018, figure 2, arXiv:1807.03039.
    """
    _check(shape, n_levels, n_levels=n_levels, n_steps=n_steps, width=width)
    kind = affine() if elementwise is None else elementwise

    def level(n: int, is_last: bool) -> Chain:
        def step(rngs: nnx.Rngs) -> Chain:
            return glow_step(n, width, kind, last=last, n_context=n_context, rngs=rngs)

        network = PointwiseNet(n // 2, width, 2 * (n // 2), n_context=n_context, rngs=rngs)
        prior = Coupling(network, affine(), event=3)
        steps = Stack(step, n_steps, unroll=unroll, rngs=rngs)
        end = ActNorm(n, event=3) if is_last else prior
        return Chain([Learned(SQUEEZE), steps, end])

    channels = [shape[-1] * 2 ** (i + 2) for i in range(n_levels)]
    levels = [level(n, i == n_levels - 1) for i, n in enumerate(channels)]
    return _flow(shape, levels, margin, n_context)


def glow_step(
    n: int,
    width: int,
    elementwise: Elementwise,
    *,
    last: int = 3,
    n_context: int = 0,
    rngs: nnx.Rngs,
) -> Chain:
    """Actnorm, a 1 × 1 convolution that begins as a rotation, and a coupling of the halves.

    Reference: Kingma and Dhariwal 2018, table 1, arXiv:1807.03039.
    """
    kept, moved = n - n // 2, n // 2
    start = bijections.lu_rotation(rngs.params(), n)
    n_out = moved * elementwise.n_raw
    network = PointwiseNet(kept, width, n_out, n_context=n_context, last=last, rngs=rngs)
    return Chain(
        [
            ActNorm(n, event=3),
            Learned(LU, start, constant=("sign",)),
            Coupling(network, elementwise, event=3),
        ]
    )


def multiscale_real_nvp(
    shape: Shape,
    n_levels: int = 2,
    *,
    width: int = 64,
    n_blocks: int = 8,
    elementwise: Elementwise | None = None,
    margin: float | None = 0.05,
    n_context: int = 0,
    rngs: nnx.Rngs,
) -> Flow:
    """Levels of [3 checkerboard couplings, squeeze, 3 channel couplings, split]; 4 at the last.

    As in the paper but for two things: weights are normalized in place of batches inside of the
    residual networks, and `ActNorm` stands where batch normalization stood between couplings, so
    that a density depends on its own example alone.

    Args:
      shape: (height, width, channels) of images in [0, 1].
      n_levels: the last one does not squeeze; both sizes must be multiples of 2^(levels − 1).
      width: channels of the residual networks at the finest level; they double with each.
      n_blocks: residual blocks of each network.
      elementwise: what couplings do; None is affine.
      margin: see `from_unit_interval`.
      n_context: features of a context.
      rngs: keys for initialization.

    Raises:
      ValueError: if the sizes do not halve that often, or a number is not positive.

    Reference: Dinh, Sohl-Dickstein and Bengio 2017, sections 3.6 and 4.1, arXiv:1605.08803.
    """
    _check(shape, n_levels - 1, n_levels=n_levels, n_blocks=n_blocks, width=width)
    kind = affine() if elementwise is None else elementwise

    def network(n_in: int, n_moved: int, width: int) -> ResidualNet:
        return ResidualNet(
            n_in, width, n_moved * kind.n_raw, n_blocks=n_blocks, n_context=n_context, rngs=rngs
        )

    def checkerboards(n: int, width: int, count: int) -> list[Any]:
        layers = []
        for i in range(count):
            mask = odd if i % 2 else even
            layers += [MaskedCoupling(network(n, n, width), kind, mask=mask), ActNorm(n, event=3)]
        return layers

    def channels(n: int, width: int) -> list[Any]:
        layers = []
        for i in range(3):
            half = network(n // 2, n // 2, width)
            layers += [Coupling(half, kind, flip=i % 2 == 1, event=3), ActNorm(n, event=3)]
        return layers

    levels, n = [], shape[-1]
    for i in range(n_levels):
        own = width * 2**i
        if i == n_levels - 1:
            levels.append(Chain(checkerboards(n, own, 4)))
            break
        finer, coarser = checkerboards(n, own, 3), channels(4 * n, 2 * own)
        levels.append(Chain([*finer, Learned(SQUEEZE), *coarser]))
        n = 2 * n
    return _flow(shape, levels, margin, n_context)


def noise(
    shape: Shape, n_steps: int = 4, *, width: int = 32, n_context: int, rngs: nnx.Rngs
) -> Flow:
    """q(u | x) over [0, 1) for every pixel, given the image: Glow steps at half the resolution.

    The noise of variational dequantization. Its context is an image of the same size.

    Args:
      shape: (height, width, channels) of images.
      n_steps: Glow steps.
      width: channels of the hidden layers of each network.
      n_context: channels of the context.
      rngs: keys for initialization.

    Raises:
      ValueError: if a size is odd or a number is not positive.

    Reference: Ho et al. 2019, section 3.1, arXiv:1902.00275.
    """
    _check(shape, 1, n_steps=n_steps, width=width)
    n = 4 * shape[-1]

    def step(rngs: nnx.Rngs) -> Chain:
        return glow_step(n, width, affine(), n_context=4 * n_context, rngs=rngs)

    inner = Squeezed(Stack(step, n_steps, rngs=rngs))
    return Flow(Chain([from_unit_interval(0.0), inner]), Normal(*shape))


def from_unit_interval(margin: float) -> Chain:
    """y = logit(α + (1 − 2α) x): images in [0, 1] as real numbers, finite for α > 0.

    Args:
      margin: α, in [0, ½).

    Raises:
      ValueError: if it lies outside.

    Reference: Dinh, Sohl-Dickstein and Bengio 2017, section 4.1, arXiv:1605.08803.
    """
    if not 0 <= margin < 0.5:
        raise ValueError(f"margin: expected a number in [0, 0.5), got {margin}")
    squash = Affine(jnp.asarray(margin), jnp.log1p(-2.0 * margin))
    return Chain([Learned(SQUASH, squash, constant=True), Learned(LOGIT)])


def _flow(shape: Shape, levels: list[Any], margin: float | None, n_context: int) -> Flow:
    first = [] if margin is None else [from_unit_interval(margin)]
    n = shape[0] * shape[1] * shape[2]
    return Flow(Chain([*first, MultiScale(shape, levels, n_context=n_context)]), Normal(n))


def _check(shape: Shape, n_halvings: int, **counts: int) -> None:
    for name, count in counts.items():
        if count < 1:
            raise ValueError(f"{name}: expected at least 1, got {count}")
    height, width, _ = shape
    if height % 2**n_halvings or width % 2**n_halvings:
        raise ValueError(f"shape: {height} × {width} pixels do not halve {n_halvings} times")
