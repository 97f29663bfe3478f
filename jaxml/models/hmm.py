# SPDX-License-Identifier: Apache-2.0
"""Hidden Markov models under the contract: densities, draws, paths, and Baum-Welch as a rule.

    model = hmm.HiddenMarkov(log_initial, log_transition, hmm.Categorical(log_prob))
    rule = hmm.baum_welch()

A batch is x, sequences of one length along the leading axis, or `{"x": x, "mask": mask}`, the mask
False where nothing was observed.
"""

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Integer, Shaped

from jaxml.probability import gaussian_mixture as gaussians
from jaxml.probability import hmm, markov_chain
from jaxml.types import Batch, Key, Metrics, Model, Rule, State

Sequences = Shaped[Array, "batch t *event"]
Mask = Bool[Array, "_ _"] | None


@runtime_checkable
class Emission(Protocol):
    """What is observed in each of k states."""

    def log_likelihood(self, x: Any) -> Array:
        """log p(x_t | z_t = k) of one sequence, `(t, k)`, in nats."""
        ...

    def maximized(self, x: Any, shares: Any) -> Any:
        """The best emission for observations of which each state has a share, a row each."""
        ...

    def sample(self, states: Any, key: Any) -> Array:
        """An observation in every state of a path."""
        ...


class Categorical(nnx.Module):
    """P(x = v | z = k), a row a state.

    Args:
      log_prob: its logarithm; −inf where a state never shows a symbol.
      pseudocount: added to what is counted when it is learned; see `baum_welch`.

    Raises:
      ValueError: for a negative pseudocount.
    """

    def __init__(self, log_prob: Float[Array, "k n_symbols"], *, pseudocount: float = 0.0):
        _check(pseudocount)
        self.log_prob = nnx.Param(log_prob)
        self.pseudocount = pseudocount

    def log_likelihood(self, x: Integer[Array, "t"]) -> Float[Array, "t k"]:
        """log P(x_t | k) for every state."""
        return jnp.take(self.log_prob[...].T, x, axis=0)

    def maximized(self, x: Integer[Array, "n"], shares: Float[Array, "n k"]) -> "Categorical":
        """Shares of every symbol over their sum; a state without any keeps its row."""
        before = self.log_prob[...]
        seen = jax.nn.one_hot(x, before.shape[1], dtype=shares.dtype)
        alpha = self.pseudocount
        return Categorical(_logs(shares.T @ seen, before, alpha), pseudocount=alpha)

    def sample(self, states: Integer[Array, "t"], key: Key) -> Integer[Array, "t"]:
        """A symbol in every state."""
        return jax.random.categorical(key, self.log_prob[...][states])


class Gaussian(nnx.Module):
    """N(x; μ_k, Σ_k), a state a component.

    Args:
      mean: μ.
      covariance: Σ, of the shape that its kind has.
      kind: see `probability.gaussian_mixture`.
      floor: least variance in any direction when it is learned.

    Raises:
      ValueError: if the floor is not positive.
    """

    def __init__(
        self,
        mean: Float[Array, "k d"],
        covariance: Float[Array, "..."],
        *,
        kind: gaussians.Kind = gaussians.FULL,
        floor: float = 1e-6,
    ):
        if not floor > 0:
            raise ValueError(f"floor: expected a positive variance, got {floor}")
        self.mean, self.covariance = nnx.Param(mean), nnx.Param(covariance)
        self.kind, self.floor = kind, floor

    def log_likelihood(self, x: Float[Array, "t d"]) -> Float[Array, "t k"]:
        """log N(x_t; μ_k, Σ_k) for every state."""
        return self.kind.log_prob(x, self.mean[...], self.covariance[...])

    def maximized(self, x: Float[Array, "n d"], shares: Float[Array, "n k"]) -> "Gaussian":
        """Weighted means and covariances; a state without a share keeps its mean."""
        found = gaussians.maximized(x, shares, self.mean[...], self.kind, floor=self.floor)
        return Gaussian(found.mean, found.covariance, kind=self.kind, floor=self.floor)

    def sample(self, states: Integer[Array, "t"], key: Key) -> Float[Array, "t d"]:
        """A point in every state."""
        return gaussians.placed(self.mean[...], self.covariance[...], states, key, self.kind)


class HiddenMarkov(nnx.Module):
    """p(z, x) = π(z_1) Π P(z_{t+1} | z_t) Π p(x_t | z_t).

    Args:
      log_initial: log π.
      log_transition: log P, a row a state that is left.
      emission: such as `Categorical` or `Gaussian`.

    Raises:
      ValueError: for shapes that do not fit.

    Reference: Rabiner 1989, section II, Proceedings of the IEEE 77(2).
    """

    def __init__(
        self,
        log_initial: Float[Array, "_"],
        log_transition: Float[Array, "_ _"],
        emission: Emission,
    ):
        k = len(log_initial)
        if log_transition.shape != (k, k):
            raise ValueError(f"log_transition: expected {(k, k)}, got {log_transition.shape}")
        self.log_initial = nnx.Param(log_initial)
        self.log_transition = nnx.Param(log_transition)
        self.emission = emission

    def given(self, x: Shaped[Array, "t *event"]) -> tuple[Array, Array, Array]:
        """What the functions of `probability.hmm` take, of one sequence."""
        likelihood = self.emission.log_likelihood(x)
        return self.log_initial[...], self.log_transition[...], likelihood


def baum_welch(*, pseudocount: float = 0.0) -> Rule:
    """One step of expectation maximization on the batch, which should be all of the data.

    The likelihood of the data never falls. The metric `log_prob` is the mean of log p(x) over the
    sequences before the step, in nats.

    Args:
      pseudocount: α, added to the expected number of every start and every step but those that the
        model forbids. Then it is log p(x) + α Σ log θ that never falls, the posterior under
        Dirichlet laws of concentration 1 + α, and no probability becomes 0, whose logarithm no
        checkpoint holds. Give it to a categorical emission as well.

    Raises:
      ValueError: for a negative pseudocount.

    Reference: Baum, Petrie, Soules and Weiss 1970; Rabiner 1989, equations 40 and 52 to 54.
    """
    _check(pseudocount)

    def init(model: Model, key: Key) -> State:
        del model, key
        return ()

    def update(model: Model, state: State, batch: Batch, key: Key) -> tuple[Model, State, Metrics]:
        del key
        x, mask = _unpack(batch)
        x = _shown(x, mask)
        found = posterior(model, x, mask=mask)
        transition = model.log_transition[...]
        steps = jax.vmap(lambda p: hmm.expected_transitions(p, transition))(found).sum(0)
        shares = found.smoothed if mask is None else jnp.where(mask[..., None], found.smoothed, 0)
        event = x.shape[2:]
        emission = model.emission.maximized(
            x.reshape(-1, *event), shares.reshape(-1, shares.shape[-1])
        )
        counts, before = found.smoothed[:, 0].sum(0)[None], model.log_initial[...][None]
        first = _logs(counts, before, pseudocount)[0]
        model = HiddenMarkov(first, _logs(steps, transition, pseudocount), emission)
        return model, state, {"log_prob": found.log_evidence.mean()}

    return Rule(init, update)


def log_prob(model: HiddenMarkov, x: Sequences, *, mask: Mask = None) -> Float[Array, "batch"]:
    """log p(x) of every sequence in nats; exact."""
    return _each(lambda x, m: hmm.log_evidence(*model.given(x), mask=m), x, mask)


def posterior(model: HiddenMarkov, x: Sequences, *, mask: Mask = None) -> hmm.Posterior:
    """What is known of every state of every sequence; see `probability.hmm.posterior`."""
    return _each(lambda x, m: hmm.posterior(*model.given(x), mask=m), x, mask)


def viterbi(model: HiddenMarkov, x: Sequences, *, mask: Mask = None) -> hmm.Path:
    """The likeliest path of every sequence."""
    return _each(lambda x, m: hmm.viterbi(*model.given(x), mask=m), x, mask)


def sample(model: HiddenMarkov, key: Key, n: int, *, length: int) -> Sequences:
    """n sequences of observations x ~ p(x).

    Args:
      model: the model.
      key: for the draws.
      n: how many.
      length: observations of each.

    Raises:
      ValueError: if the length is not positive.
    """

    def one(key: Key) -> Array:
        path_key, key = jax.random.split(key)
        initial, transition = model.log_initial[...], model.log_transition[...]
        states = markov_chain.sample(initial, transition, path_key, length)
        return model.emission.sample(states, key)

    return jax.vmap(one)(jax.random.split(key, n))


def _unpack(batch: Batch) -> tuple[Array, Mask]:
    if isinstance(batch, Mapping):
        return batch["x"], batch.get("mask")
    return batch, None


def _each(function: Any, x: Array, mask: Mask) -> Any:
    if mask is None:
        return jax.vmap(lambda x: function(x, None))(x)
    return jax.vmap(function)(_shown(x, mask), mask)


def _shown(x: Array, mask: Mask) -> Array:
    """x, and 0 where nothing was observed: NaN would pass through weights of 0."""
    if mask is None:
        return x
    if mask.shape != x.shape[:2]:
        raise ValueError(f"mask: expected shape {x.shape[:2]}, got {mask.shape}")
    return jnp.where(mask.reshape(*mask.shape, *(1,) * (x.ndim - 2)), x, 0)


def _check(pseudocount: float) -> None:
    if not pseudocount >= 0:
        raise ValueError(f"pseudocount: expected at least 0, got {pseudocount}")


def _logs(
    weight: Float[Array, "k m"], before: Float[Array, "k m"], pseudocount: float
) -> Float[Array, "k m"]:
    """Logarithms of rows over their sums; a row of zeros keeps what it was."""
    weight = jnp.where(before > -jnp.inf, weight + pseudocount, weight)
    total = weight.sum(1, keepdims=True)
    return jnp.where(total > 0, jnp.log(weight / jnp.where(total > 0, total, 1)), before)


__all__ = [
    "Categorical",
    "Emission",
    "Gaussian",
    "HiddenMarkov",
    "baum_welch",
    "log_prob",
    "posterior",
    "sample",
    "viterbi",
]
