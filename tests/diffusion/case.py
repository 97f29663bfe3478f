# SPDX-License-Identifier: Apache-2.0
"""The registry of solvers, and the data on which their laws are looked at."""

import jax
import jax.numpy as jnp

from jaxml import diffusion as d

MEAN, VARIANCE = 0.3, 0.25
SOLVERS = {
    "ddim": d.ddim(),
    "heun": d.heun(),
    "dpm++ 1": d.dpm_plus_plus(1),
    "dpm++ 2": d.dpm_plus_plus(2),
    "dpm++ 3": d.dpm_plus_plus(3),
    "unipc 1": d.unipc(1),
    "unipc 2": d.unipc(2),
    "unipc 3": d.unipc(3),
    "deis 1": d.deis(1),
    "deis 2": d.deis(2),
    "deis 3": d.deis(3),
    "ddim, noisy": d.ddim(1.0),
    "ancestral": d.ancestral(),
    "ancestral, large": d.ancestral(large=True),
    "dpm++ sde": d.dpm_plus_plus_sde(),
    "ddim, corrected": d.predictor_corrector(d.ddim()),
}
SCHEDULED = {
    "euler-maruyama": lambda schedule, n_steps: d.euler_maruyama(schedule),
    "heun, churned": lambda schedule, n_steps: d.churned(schedule, n_steps),
}
"""Those that have to know the schedule of their grid."""
FIRST_ORDER = ("dpm++ 1", "unipc 1", "deis 1")
"""DDIM by other names, bit for bit or nearly so."""
NAMES = [*(name for name in SOLVERS if name not in FIRST_ORDER), *SCHEDULED]
ORDERS = {
    "ddim": 1,
    "heun": 2,
    "dpm++ 2": 2,
    "dpm++ 3": 3,
    "unipc 2": 2,
    "unipc 3": 3,
    "deis 2": 2,
    "deis 3": 3,
}
SCHEDULES = {"edm": d.edm(), "cosine": d.cosine(), "rectified": d.rectified()}


def denoise(x, point):
    """E[x_0 | x_t] of N(m, v), and the ε that belongs to it."""
    a, s, _ = point.noise
    total = a**2 * VARIANCE + s**2
    return d.Clean(MEAN + a * VARIANCE * (x - a * MEAN) / total, s * (x - a * MEAN) / total)


def exact(x, first, last):
    """m_s + √(V_s/V_t) (x − m_t): the path of the probability-flow equation."""
    total = [p.alpha**2 * VARIANCE + p.sigma**2 for p in (first, last)]
    return last.alpha * MEAN + jnp.sqrt(total[1] / total[0]) * (x - first.alpha * MEAN)


def at(tree, i):
    """One of several points, grids or noises."""
    return jax.tree.map(lambda a: a[i], tree)


def stacked(trees):
    """Several of one shape as one."""
    return jax.tree.map(lambda *a: jnp.stack(a), *trees)


def together(name, schedules, n_steps):
    """The solvers of a name, and the schedules that each of them can run in one program."""
    if name in SOLVERS:
        return [(SOLVERS[name], schedules)]
    return [(SCHEDULED[name](s, n_steps), [s]) for s in schedules]


def runs(solver, grids, starts, denoise=denoise, key=0):
    """What a solver makes of each start on its own grid."""

    def one(place):
        grid, x = place
        return d.integrate(solver, denoise, grid, x, jax.random.key(key))

    return jax.jit(lambda *a: jax.lax.map(one, a))(stacked(grids), jnp.stack(starts))
