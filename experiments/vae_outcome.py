# SPDX-License-Identifier: Apache-2.0
"""What every VAE experiment shows and measures of its model."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.experiment import Experiment, Sheet
from jaxml.metrics import Evidence, Kind, from_values
from jaxml.models import vae
from jaxml.types import Array, Batches, Key, Model, Rule

ROWS = 100  # test examples per call: the unit of progress and of interruption


_generate, _reconstruct = jax.jit(vae.generate), jax.jit(vae.reconstruct)


class View(NamedTuple):
    """How the vectors or images that a model sees become pictures.

    Attributes:
      shape: of one image, (H, W).
      low: the intensity shown black; the one shown white is 1.
    """

    shape: tuple[int, int]
    low: float = 0.0

    def show(self, x: Array) -> np.ndarray:
        """Intensities in [0, 1], `(n, H, W)`."""
        shown = (np.asarray(x, np.float32) - self.low) / (1 - self.low)
        return np.clip(shown.reshape(-1, *self.shape), 0, 1)


def experiment(
    model: Model,
    rule: Rule,
    batches: Batches,
    view: View,
    valid: np.ndarray,
    test: np.ndarray,
    protocol: dict[str, Any],
    *,
    n_samples: int,
    extra: Callable[[Model, Key], list[Evidence]] = lambda model, key: [],
) -> Experiment:
    """The experiment of a VAE whose average is what counts; `extra` is more evidence."""
    return Experiment(
        model=model,
        rule=rule,
        batches=batches,
        learned=lambda model, state: state["rule"]["average"]["model"],
        draw=partial(draw, view, valid),
        validate=partial(validate, valid),
        n_test=len(test),
        evaluate=partial(evaluate, protocol, test, n_samples, extra=extra),
        sample=partial(sample, view),
        diagnose=partial(diagnose, valid),
    )


def sample(view: View, model: Model, key: Key, n: int) -> Sheet:
    """Means of p(x|z) at z from the prior."""
    z = jax.random.normal(key, (n, model.n_latent))
    columns = int(np.ceil(np.sqrt(n)))
    return Sheet(view.show(_generate(model, z)), columns, "samples: the mean of p(x|z), z ~ p(z)")


def draw(view: View, held_out: np.ndarray, model: Model, key: Key) -> Mapping[str, Sheet]:
    """Samples, reconstructions of held-out images, and walks between them in latent space."""
    x = jnp.asarray(held_out[:30])
    pairs = np.stack([view.show(x), view.show(_reconstruct(model, x))])
    pairs = np.concatenate([pairs[:, i : i + 10].reshape(20, *view.shape) for i in (0, 10, 20)])
    z = vae.encode(model, x)
    walk = vae.interpolate_spherical(z[:8], z[8:16], 10).swapaxes(0, 1).reshape(80, -1)
    return {
        "samples": sample(view, model, key, 100),
        "reconstructions": Sheet(pairs, 10, "held-out images, and below each its reconstruction"),
        "interpolations": Sheet(
            view.show(_generate(model, walk)), 10, "from one held-out image to another"
        ),
    }


def validate(held_out: np.ndarray, model: Model, key: Key) -> Mapping[str, float]:
    """The ELBO of the validation split, in nats, and the latent dimensions in use."""
    elbo, active = _validation(model, jnp.asarray(held_out), key)
    return {"elbo": float(elbo), "active_units": int(active)}


@jax.jit
def _validation(model: Model, x: Array, key: Key) -> tuple[Array, Array]:
    return jnp.mean(vae.elbo(model, x, key).value), vae.active_units(model, x)


def evaluate(
    protocol: dict[str, Any],
    test: np.ndarray,
    n_samples: int,
    model: Model,
    key: Key,
    progress: Callable[[int], None],
    extra: Callable[[Model, Key], list[Evidence]] = lambda model, key: [],
) -> list[Evidence]:
    """The test split's ELBO and its importance-sampled log-likelihood, per example in nats."""
    bounds, tights = [], []
    for start in range(0, len(test), ROWS):
        x = test[start : start + ROWS]
        full = np.concatenate([x, np.repeat(x[-1:], ROWS - len(x), axis=0)])
        own_key = jax.random.fold_in(key, start // ROWS)
        bound, tight = _evidence(model, jnp.asarray(full), own_key, n_samples=n_samples)
        bounds.append(np.asarray(bound)[: len(x)])
        tights.append(np.asarray(tight)[: len(x)])
        progress(start + len(x))
    about = {"kind": Kind.LOWER_BOUND, "family": "VAE", "dim": int(np.prod(test.shape[1:]))}
    found = [
        from_values(
            np.concatenate(tights),
            samples=n_samples,
            protocol=protocol | {"estimator": "IWAE"},
            **about,
        ),
        from_values(
            np.concatenate(bounds), samples=1, protocol=protocol | {"estimator": "ELBO"}, **about
        ),
    ]
    return found + extra(model, jax.random.fold_in(key, len(test)))


@partial(jax.jit, static_argnames="n_samples")
def _evidence(model: Model, x: Array, key: Key, *, n_samples: int) -> tuple[Array, Array]:
    elbo_key, weight_key = jax.random.split(key)
    bound = vae.elbo(model, x, elbo_key).value
    return bound, vae.log_likelihood(model, x, weight_key, n_samples=n_samples, batch_size=ROWS)


def diagnose(held_out: np.ndarray, model: Model, key: Key) -> Mapping[str, str]:
    """Whether the posterior has collapsed, and by how much."""
    x = jnp.asarray(held_out)
    active = int(vae.active_units(model, x))
    rate = np.asarray(vae.kl_per_dimension(model, x))
    verdict = "no sign of posterior collapse" if active > 1 else "the posterior has collapsed"
    return {
        "active units": f"{active} of {model.n_latent} dimensions vary with the data; {verdict}",
        "rate": f"{rate.sum():.2f} nats in all, {rate.max():.2f} in the busiest dimension",
    }
