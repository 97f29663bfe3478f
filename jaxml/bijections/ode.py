# SPDX-License-Identifier: Apache-2.0
"""How an ordinary differential equation is solved: by diffrax, which `jaxml[ode]` installs."""

from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, PyTree

from jaxml.types import Scalar

Rate = Callable[[Scalar, PyTree, PyTree], PyTree]
"""`(t, state, args) -> d state/dt`; what is differentiated comes through `args`."""


class Carried(NamedTuple):
    """A part of a state that is integrated along and has no say in the size of the steps."""

    value: PyTree


@dataclass(frozen=True)
class Solver:
    """A method, its steps and its derivatives; made by `adaptive` or `fixed`.

    Two solvers with equal options are equal, so that models built alike share a compiled program.

    Attributes:
      method: a diffrax solver.
      controller: a diffrax step size controller.
      adjoint: a diffrax adjoint.
      n_steps: how many steps, all of one size, or None where the controller says.
      max_steps: after which a solve is given up.
    """

    method: Any
    controller: Any
    adjoint: Any
    n_steps: int | None
    max_steps: int

    def __hash__(self) -> int:
        # By kind, because diffrax's adjoints hold a dict, which has no hash.
        kinds = (type(self.method), type(self.controller), type(self.adjoint))
        return hash((*kinds, self.n_steps, self.max_steps))

    def solve(
        self, rate: Rate, state: PyTree, args: PyTree, start: float, end: float
    ) -> tuple[PyTree, Int[Array, ""]]:
        """The state at `end`, from the state at `start`, and the number of evaluations of the rate.

        A solve that does not reach its end gives NaN, and NaN for its gradient.

        Args:
          rate: a function of the module's level, since diffrax compiles once for each.
          state: arrays of one floating dtype, in which time runs too.
          args: what `rate` needs.
          start: the time of `state`.
          end: another time, before or after it.
        """
        diffrax = _diffrax()
        dtype = jnp.result_type(*jax.tree.leaves(state))
        # Python's numbers are static: diffrax then checks the step in tracing and not on the host.
        number = float if dtype == jnp.result_type(float) else np.dtype(dtype).type
        step = None if self.n_steps is None else number((end - start) / self.n_steps)
        found = diffrax.diffeqsolve(
            diffrax.ODETerm(rate),
            self.method,
            number(start),
            number(end),
            step,
            state,
            args,
            stepsize_controller=self.controller,
            adjoint=self.adjoint,
            max_steps=self.max_steps,
            throw=False,
        )
        arrived = jnp.where(found.result == diffrax.RESULTS.successful, 1.0, jnp.nan)
        last = jax.tree.map(lambda a: a[-1] * arrived.astype(a.dtype), found.ys)
        return last, self._evaluations(found.stats["num_steps"].astype(jnp.int32))

    def _evaluations(self, n_steps):
        tableau = getattr(self.method, "tableau", None)
        if tableau is None:  # Euler and the two-step methods look at the field once a step
            return n_steps
        again = int(tableau.fsal)  # the first stage is the last one of the step before
        return n_steps * (tableau.num_stages - again) + again


def adaptive(
    rtol: float = 1e-5,
    atol: float = 1e-5,
    *,
    method: Any = None,
    adjoint: Any = None,
    max_steps: int = 1000,
) -> Solver:
    """Steps of the size at which the estimated error of a step is below atol + rtol |state|.

    Every array of the state keeps that bound in the root mean square of its own elements: a
    log-determinant is one number beside D others, and a mean over all would lose it among them.

    Args:
      rtol: relative tolerance; in float32 nothing is gained below 1e-6.
      atol: absolute tolerance.
      method: an explicit diffrax solver with an error estimate; None is `Tsit5()`.
      adjoint: how the solve is differentiated; None is `RecursiveCheckpointAdjoint()`, which
        differentiates the steps taken, exactly. `BacksolveAdjoint()` solves the adjoint equation
        backwards instead: less memory, and gradients that are exact up to the tolerances only.
      max_steps: after which the solve is given up, with NaN.

    Raises:
      ImportError: without diffrax.
      ValueError: for a tolerance or a number of steps below its range, a method that estimates no
        error or is implicit, and an adjoint that is none.
    """
    diffrax = _diffrax()
    for name, value in {"rtol": rtol, "atol": atol}.items():
        if not value > 0:
            raise ValueError(f"{name}: expected a positive tolerance, got {value}")
    method = diffrax.Tsit5() if method is None else method
    _check_method(method, diffrax.AbstractAdaptiveSolver, "with an estimate of its error")
    controller = diffrax.PIDController(rtol=rtol, atol=atol, norm=_largest_part)
    return Solver(method, controller, _adjoint(adjoint), None, _count("max_steps", max_steps))


def fixed(n_steps: int, *, method: Any = None, adjoint: Any = None) -> Solver:
    """n steps of one size: one program and one cost for every x, and no bound on the error.

    Args:
      n_steps: n.
      method: an explicit diffrax solver; None is `Tsit5()`.
      adjoint: as for `adaptive`.

    Raises:
      ImportError: without diffrax.
      ValueError: for less than one step, an implicit method, and an adjoint that is none.
    """
    diffrax = _diffrax()
    method = diffrax.Tsit5() if method is None else method
    _check_method(method, diffrax.AbstractSolver, "")
    n_steps = _count("n_steps", n_steps)
    return Solver(method, diffrax.ConstantStepSize(), _adjoint(adjoint), n_steps, n_steps)


def _largest_part(error: PyTree) -> Scalar:
    """The largest root mean square among the arrays of a state; carried ones do not count."""
    parts = jax.tree.leaves(error, is_leaf=lambda part: isinstance(part, Carried))
    squares = [jnp.mean(jnp.square(a)) for a in parts if not isinstance(a, Carried)]
    # The root has an infinite slope at 0, and step sizes are not differentiated.
    return jnp.sqrt(jax.lax.stop_gradient(jnp.max(jnp.stack(squares))))


def _diffrax() -> ModuleType:
    try:
        import diffrax
    except ImportError:
        raise ImportError("continuous flows need diffrax: pip install 'jaxml[ode]'") from None
    return diffrax


def _check_method(method: Any, kind: type, quality: str) -> None:
    implicit = _diffrax().AbstractImplicitSolver
    if not isinstance(method, kind) or isinstance(method, implicit):
        wanted = f"an explicit solver of diffrax {quality}".strip()
        raise ValueError(f"method: expected {wanted}, got {method!r}")


def _adjoint(adjoint: Any) -> Any:
    diffrax = _diffrax()
    adjoint = diffrax.RecursiveCheckpointAdjoint() if adjoint is None else adjoint
    if not isinstance(adjoint, diffrax.AbstractAdjoint):
        raise ValueError(
            f"adjoint: expected one of diffrax, such as BacksolveAdjoint(), got {adjoint!r}"
        )
    return adjoint


def _count(name: str, n: int) -> int:
    if n < 1:
        raise ValueError(f"{name}: expected at least 1, got {n}")
    return n
