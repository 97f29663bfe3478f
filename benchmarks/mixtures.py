# SPDX-License-Identifier: Apache-2.0
"""What do steps of expectation maximization cost for mixtures of Gaussians?

Command: python -m benchmarks --only mixtures

Ten steps from given parameters; scikit-learn does the same in single precision, and shares of the
points once more at the end. The plain form holds all differences x_i − μ_k at once.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from benchmarks.case import Case, Effort, Work, rows
from benchmarks.limits import Limits
from benchmarks.peers.client import Peer
from jaxml.probability import gaussian_mixture as gaussians
from jaxml.types import Array

FLOOR = 1e-6  # as scikit-learn's


def lines(effort: Effort, limits: Limits, peer: Peer | None) -> Iterator[dict[str, Any]]:
    """Rows of both kinds of covariance."""
    return rows(cases(effort.tiny), effort, limits, peer)


def cases(tiny: bool) -> Iterator[Case]:
    """Normal points; as many components as a clustering would have."""
    sizes = [(30, 2, 2)] if tiny else [(10_000, 2, 8), (20_000, 8, 8), (50_000, 32, 16)]
    n_steps = 2 if tiny else 10
    for n, d, k in sizes:
        x = jax.random.normal(jax.random.key(d), (n, d))
        for name, kind in (("diag", gaussians.DIAGONAL), ("full", gaussians.FULL)):
            shape = (k, d) if name == "diag" else (k, d, d)
            covariance = jnp.broadcast_to(jnp.ones(d) if name == "diag" else jnp.eye(d), shape)
            begin = gaussians.Mixture(jnp.full(k, -jnp.log(float(k))), x[:k], covariance)

            def ours(
                mixture: gaussians.Mixture, x: Array, kind: gaussians.Kind = kind
            ) -> gaussians.Mixture:
                def step(mixture: gaussians.Mixture, _: None) -> tuple:
                    return gaussians.em_step(mixture, x, kind, floor=FLOOR)

                return jax.lax.scan(step, mixture, length=n_steps)[0]

            def plain(
                mixture: gaussians.Mixture, x: Array, full: bool = name == "full"
            ) -> gaussians.Mixture:
                return jax.lax.fori_loop(0, n_steps, lambda _, m: _at_once(m, x, full), mixture)

            yield Case(
                f"{n_steps} steps, {name} covariances, {n} x {d}, {k} components",
                {"ours": Work(ours, (begin, x)), "plain": Work(plain, (begin, x))},
                ("mixture", {"kind": name, "n": n, "d": d, "k": k, "n_steps": n_steps}),
            )


def _at_once(mixture: gaussians.Mixture, x: Array, full: bool) -> gaussians.Mixture:
    """One step with an array of n · k · d differences."""
    gap = x[:, None] - mixture.mean[None]
    if full:
        factor = jnp.linalg.cholesky(mixture.covariance)
        solve = partial(jax.scipy.linalg.solve_triangular, lower=True)
        white = jax.vmap(lambda a, b: solve(a, b.T).T, (0, 1), 1)(factor, gap)
        log_det = jnp.log(jnp.diagonal(factor, axis1=1, axis2=2)).sum(1)
    else:
        white = gap / jnp.sqrt(mixture.covariance)[None]
        log_det = 0.5 * jnp.log(mixture.covariance).sum(1)
    joint = (mixture.log_weight - log_det)[None] - 0.5 * jnp.square(white).sum(2)
    shares = jax.nn.softmax(joint, axis=1)
    total = shares.sum(0)
    mean = jnp.einsum("nk,nd->kd", shares, x) / total[:, None]
    gap = x[:, None] - mean[None]
    if full:
        covariance = jnp.einsum("nk,nki,nkj->kij", shares, gap, gap) / total[:, None, None]
        covariance = covariance + FLOOR * jnp.eye(x.shape[1])[None]
    else:
        covariance = jnp.einsum("nk,nkd->kd", shares, jnp.square(gap)) / total[:, None] + FLOOR
    return gaussians.Mixture(jnp.log(total / len(x)), mean, covariance)
