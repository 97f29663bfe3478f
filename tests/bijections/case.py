# SPDX-License-Identifier: Apache-2.0
"""The registry of bijections: one line each, and how its arguments are drawn."""

import math
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxml import bijections as b
from jaxml.layers import spectral_bound

N, D, K, M = 1000, 4, 8, 3
REALS = (-math.inf, math.inf)


class Case(NamedTuple):
    """A bijection of one event, its raw parameters for one draw, and where it is one.

    Attributes:
      bijection: f.
      draw: `rng -> params` of unit size; `()` where there are none.
      shape: of an event.
      domain: the interval of every element; its edges are drawn too.
      range: that of the image.
      wrapped: whether x is read modulo the domain.
    """

    bijection: b.Bijection
    draw: Callable = lambda rng: ()
    shape: tuple[int, ...] = ()
    domain: tuple[float, float] = REALS
    range: tuple[float, float] = REALS
    wrapped: bool = False


def normals(kind, *shapes):
    return lambda rng: kind(*(rng.normal(size=shape) for shape in shapes))


def triangular(rng):
    return b.Triangular(
        *(rng.normal(size=shape) for shape in ((D, D), (D, D), (D,))),
        np.where(rng.random(D) < 0.5, -1.0, 1.0),
        rng.permutation(D),
    )


def layers(*draws):
    return lambda rng: tuple(draw(rng) for draw in draws)


def stacked(draw, n):
    return lambda rng: jax.tree.map(lambda *a: np.stack(a), *(draw(rng) for _ in range(n)))


def spline(function, inverse, limit):
    return b.Bijection(partial(function, limit=limit), partial(inverse, limit=limit))


def contraction(x, raw, _):
    return 0.9 * (raw @ jnp.tanh(x)) / spectral_bound(raw)


RESIDUAL = (b.residual, b.residual_inverse)
AFFINE = b.Bijection(b.affine, b.affine_inverse)
TAILS, UNIT, CIRCLE = b.Limit(), b.Limit(0.0, 1.0), b.Limit(-math.pi, math.pi)
SPLINE = spline(b.spline, b.spline_inverse, TAILS)
PLANAR = b.Bijection(b.planar, b.planar_inverse, 1)
LU = b.Bijection(b.lu_linear, b.lu_linear_inverse, 1)
AN_AFFINE = normals(b.Affine, (), ())
A_SPLINE = normals(b.Spline, K, K, K - 1)
A_PLANAR = normals(b.Planar, D, D, ())
CASES = {
    "affine": Case(AFFINE, AN_AFFINE),
    "sigmoid": Case(b.Bijection(b.sigmoid, b.logit), range=(0, 1)),
    "logit": Case(b.Bijection(b.logit, b.sigmoid), domain=(0, 1)),
    "tanh": Case(b.Bijection(b.tanh, b.arctanh), range=(-1, 1)),
    "arctanh": Case(b.Bijection(b.arctanh, b.tanh), domain=(-1, 1)),
    "to_positive": Case(b.Bijection(b.to_positive, b.from_positive), range=(0, math.inf)),
    "from_positive": Case(b.Bijection(b.from_positive, b.to_positive), domain=(0, math.inf)),
    "leaky_relu": Case(b.Bijection(b.leaky_relu, b.leaky_relu_inverse), lambda rng: rng.normal()),
    "spline": Case(SPLINE, A_SPLINE, domain=(-3, 3), range=(-3, 3)),
    "interval_spline": Case(
        spline(b.interval_spline, b.interval_spline_inverse, UNIT),
        normals(b.Spline, K, K, K + 1),
        domain=(0, 1),
        range=(0, 1),
    ),
    "circular_spline": Case(
        spline(b.circular_spline, b.circular_spline_inverse, CIRCLE),
        normals(b.Spline, K, K, K),
        domain=(-math.pi, math.pi),
        range=(-math.pi, math.pi),
        wrapped=True,
    ),
    "rotate": Case(
        b.Bijection(b.rotate, b.rotate_inverse),
        lambda rng: rng.normal(),
        domain=(-math.pi, math.pi),
        range=(-math.pi, math.pi),
        wrapped=True,
    ),
    "sigmoids": Case(b.Bijection(b.sigmoids, b.sigmoids_inverse), normals(b.Sigmoids, K, K, K)),
    "permutation": Case(b.permutation((2, 0, 3, 1)), shape=(D,)),
    "reverse": Case(b.Bijection(b.reverse, b.reverse, 1), shape=(D,)),
    "linear": Case(
        b.Bijection(b.linear, b.linear_inverse, 1), lambda rng: rng.normal(size=(D, D)), (D,)
    ),
    "lu_linear": Case(LU, triangular, (D,)),
    "planar": Case(PLANAR, A_PLANAR, (D,)),
    "radial": Case(b.Bijection(b.radial, b.radial_inverse, 1), normals(b.Radial, D, (), ()), (D,)),
    "sylvester": Case(
        b.Bijection(b.sylvester, b.sylvester_inverse, 1),
        normals(b.Sylvester, (D, D), (M, M), (M, M), M, M, M),
        (D,),
    ),
    "residual": Case(
        b.Bijection(*(partial(f, g=contraction, lipschitz=0.9) for f in RESIDUAL), 1),
        lambda rng: rng.normal(size=(D, D)),
        (D,),
    ),
    "squeeze": Case(b.squeeze(2), shape=(2, 4, 4)),
    "invert": Case(b.invert(SPLINE), A_SPLINE, domain=(-3, 3), range=(-3, 3)),
    "independent": Case(b.independent(AFFINE, 2), normals(b.Affine, (), D), (2, D)),
    "chain": Case(
        b.chain(LU, SPLINE, b.permutation((2, 0, 3, 1)), PLANAR),
        layers(triangular, A_SPLINE, lambda rng: (), A_PLANAR),
        (D,),
    ),
    "scan": Case(b.scan(PLANAR), stacked(A_PLANAR, 3), (D,)),
    "conditional": Case(
        b.conditional(AFFINE, lambda own, c: b.Affine(own[0] + own[1] * c, jnp.tanh(own[2] * c))),
        lambda rng: (tuple(rng.normal(size=3)), rng.normal()),
    ),
    "side_by_side": Case(b.side_by_side(PLANAR), stacked(A_PLANAR, 3), (3, D)),
}


def draws(case: Case, dtype: str, size: float = 1.0):
    """1000 events and parameters: N(0, 1) times 1 and 10, and edges, far out, out of interval."""
    rng = np.random.default_rng(0)
    x = (
        rng.normal(size=(N, *case.shape)) * rng.choice([1, 10], (N,) + (1,) * len(case.shape))
    ).astype(dtype)
    special = [0.0, 1e4, -1e4, 1.0, -1.0]
    for edge in (e for e in case.domain if math.isfinite(e)):
        at = low = high = np.asarray(edge, dtype)
        for _ in range(2):
            low, high = (
                np.nextafter(low, np.asarray(-np.inf, dtype)),
                np.nextafter(high, np.asarray(np.inf, dtype)),
            )
            special += [low, high]
        special += [at, edge - 0.5, edge + 0.5]
    x[: len(special)] = np.reshape(special, (-1,) + (1,) * len(case.shape))
    low, high = case.domain
    if math.isfinite(low) and math.isfinite(high):
        inner = rng.uniform(low, high, (N // 2, *case.shape))
        x[-len(inner) :] = inner
    elif math.isfinite(low):
        x[N // 2 :] = low + np.abs(x[N // 2 :])
    one = [case.draw(rng) for _ in range(N)]
    params = jax.tree.map(lambda *a: np.stack(a), *one)

    def cast(p):
        if not np.issubdtype(p.dtype, np.floating):
            return jnp.asarray(p)
        return jnp.asarray(p * (1 if set(np.unique(p)) <= {-1.0, 1.0} else size), dtype)

    return jnp.asarray(x, dtype), jax.tree.map(cast, params)
