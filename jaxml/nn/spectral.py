# SPDX-License-Identifier: Apache-2.0
"""Spectral normalization of modules that own a kernel: every W as W/σ, σ its largest gain."""

from typing import Any

import jax
from flax import nnx
from jaxtyping import Array

from jaxml.layers import spectral_norm
from jaxml.nn.convolution import Conv, ConvTranspose


class Singular(nnx.Variable):
    """A singular vector on its way: no parameter, changed by `refresh` alone."""


class Spectral(nnx.Module):
    """A layer with its kernel divided by uᵀWv, the estimate of its largest singular value.

    A call changes nothing, so that a critic may be differentiated in its input; the vectors make a
    step of the power iteration where `refresh` says so, once a step of training.

    Args:
      layer: a module with a `kernel` whose last axis counts outputs; that of a transposed
        convolution counts inputs, and has the gain of the convolution that it transposes.
      n_steps: of the power iteration to begin with.
      rngs: keys for the vectors' start.

    Raises:
      ValueError: for a module without a kernel.

    Reference: Miyato et al. 2018, algorithm 1, arXiv:1802.05957.
    """

    def __init__(self, layer: Any, *, n_steps: int = 15, rngs: nnx.Rngs):
        if not isinstance(getattr(layer, "kernel", None), nnx.Param):
            raise ValueError(f"layer: expected one with a kernel, got {type(layer).__name__}")
        self.layer = layer
        n_out = layer.kernel.shape[-1]
        n_in = layer.kernel[...].size // n_out
        u, v = (jax.random.normal(rngs.params(), (n,)) for n in (n_out, n_in))
        found = spectral_norm(layer.kernel[...], u, v, n_steps=n_steps)
        self.u, self.v = Singular(found.u), Singular(found.v)

    def __call__(self, x: Array) -> Array:
        """What the layer with W/σ makes of x."""
        kernel = self.layer.kernel[...]
        layer = jax.tree.map(lambda a: a, self.layer)  # a copy
        layer.kernel = nnx.Param(spectral_norm(kernel, self.u[...], self.v[...], n_steps=0).kernel)
        return layer(x)

    def refresh(self) -> None:
        """One step of the power iteration."""
        found = spectral_norm(self.layer.kernel[...], self.u[...], self.v[...])
        self.u[...], self.v[...] = found.u, found.v


def spectral(module: Any, *, rngs: nnx.Rngs) -> Any:
    """The module with every linear map and convolution in it wrapped as `Spectral`, in place.

    Args:
      module: of any depth; not one of the kinds that are wrapped.
      rngs: keys for the vectors' start.
    """
    kinds = (nnx.Linear, Conv, ConvTranspose)
    for _, part in list(nnx.iter_modules(module)):
        if isinstance(part, (*kinds, Spectral)):
            continue
        if isinstance(part, nnx.List):
            for i, child in enumerate(part):
                if isinstance(child, kinds):
                    part[i] = Spectral(child, rngs=rngs)
            continue
        for name, child in list(vars(part).items()):
            if isinstance(child, kinds):
                setattr(part, name, Spectral(child, rngs=rngs))
    return module


def refresh(module: Any) -> None:
    """One step of the power iteration of every `Spectral` in a module, in place: within a loss."""
    if isinstance(module, nnx.Module):
        for _, part in nnx.iter_modules(module):
            if isinstance(part, Spectral):
                part.refresh()
