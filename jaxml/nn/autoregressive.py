# SPDX-License-Identifier: Apache-2.0
"""Masked autoregressive layers: every element moves by what a network makes of those before it."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from jaxml.nn.elementwise import Elementwise
from jaxml.nn.masked import MADE, Context, groups

Vector = Float[Array, "*batch n"]
LogDet = Float[Array, "*batch"]


class Autoregressive(nnx.Module):
    """y_i = f(x_i; network(x_<i)): all at once forward, one after another backward.

    Forward from data to noise it is a MAF; its inverse in that place an IAF, which samples in one
    pass. The way back costs about one more pass of the network whatever D is: a hidden unit is
    worked out once, as soon as all that it may see is known, where repeating the whole network
    would cost D passes.

    Args:
      network: a MADE with `elementwise.n_raw` outputs an input.
      elementwise: f.

    Raises:
      ValueError: if the network has another number of outputs, several numbers an input, or a
        direct map, which the way back does not know.

    Reference: Papamakarios, Pavlakou and Murray 2017, section 3, arXiv:1705.07057; Kingma et al.
    2016, arXiv:1606.04934.
    """

    def __init__(self, network: MADE, elementwise: Elementwise):
        if network.n_raw != elementwise.n_raw:
            raise ValueError(
                f"network: expected {elementwise.n_raw} outputs an input, got {network.n_raw}"
            )
        if network.n_features != 1 or network.direct is not None:
            raise ValueError("network: expected one number an input, and no direct map")
        self.network, self.elementwise = network, elementwise

    def forward(self, x: Vector, context: Context = None) -> tuple[Vector, LogDet]:
        """y and log |det ∂y/∂x|."""
        y, log_slope = self.elementwise.forward(x, self.network(x, context))
        return y, log_slope.sum(-1)

    def inverse(self, y: Vector, context: Context = None) -> tuple[Vector, LogDet]:
        """x and log |det ∂x/∂y|."""
        self.network.check(context)
        batch = y.shape[:-1]
        context = None if context is None else context.reshape(-1, context.shape[-1])
        x, log_slope = self._solve(y.reshape(-1, y.shape[-1]), context)
        return x.reshape(y.shape), log_slope.sum(-1).reshape(batch)

    def _solve(self, y: Array, context: Context) -> tuple[Array, Array]:
        net, f = self.network, self.elementwise.inverse
        sequence = np.argsort(net.order)
        by_place = y.T[sequence]  # (D, batch)
        kernels, biases = _by_degree(net)
        first = jnp.broadcast_to(net.first(context, 2), (len(y), net.widths[0]))
        first = _gather(first.T, groups(net.order, net.widths[0])).swapaxes(-1, -2)
        outer = jnp.broadcast_to(net.outermost(context, 3), (len(y), net.n, net.n_raw))
        outer = outer[:, sequence].swapaxes(0, 1)  # (D, batch, raw)
        start = f(by_place[0], outer[0])
        if net.n == 1:
            return start[0][:, None], start[1][:, None]

        def step(known, given):
            x, hidden = known
            i, y, kernel, bias, first, outer = given
            new, before = [], x
            for layer, (rows, full) in enumerate(zip(kernel[:-1], hidden, strict=True)):
                h = before @ rows + (first if layer == 0 else bias[layer - 1][None])
                if net.residual and layer > 0:
                    h = h + _part(hidden[layer - 1], i, h.shape[-1])
                full = jax.lax.dynamic_update_slice(full, h, (0, i * h.shape[-1]))
                new.append(full)
                before = net.activation(full)
                hidden = [*new, *hidden[len(new) :]]
            raw = (before @ kernel[-1]).reshape(outer.shape) + outer
            value, log_slope = f(y, raw)
            x = jax.lax.dynamic_update_slice(x, value[:, None], (0, i + 1))
            return (x, hidden), log_slope

        x = jnp.zeros_like(y).at[:, 0].set(start[0])
        hidden = [jnp.zeros((len(y), k.shape[0] * k.shape[2]), y.dtype) for k in kernels[:-1]]
        given = jnp.arange(net.n - 1), by_place[1:], kernels, biases, first, outer[1:]
        (x, _), log_slopes = jax.lax.scan(step, (x, hidden), given)
        log_slope = jnp.concatenate([start[1][None], log_slopes]).T
        back = np.asarray(net.order) - 1
        return x[:, back], log_slope[:, back]


def _part(full: Array, i: Array, size: int) -> Array:
    return jax.lax.dynamic_slice_in_dim(full, i * size, size, 1)


def _by_degree(net: MADE) -> tuple[list[Array], list[Array]]:
    """Masked kernels cut by degree: `(D − 1, rows, units of a degree)`, rows in the same order."""
    *kernels, last = net.masked()
    tables = [groups(net.order, width) for width in net.widths]
    rows = np.argsort(net.order)[None]
    cut = []
    for kernel, table in zip(kernels, tables, strict=True):
        cut.append(_gather(_gather(kernel, rows)[0].T, table).swapaxes(-1, -2))
        rows = table.reshape(1, -1)
    of_outputs = _gather(last, rows)[0][:, np.argsort(net.order)[1:]]
    biases = [_gather(b[...], t) for b, t in zip(net.biases[1:], tables[1:], strict=True)]
    return [*cut, of_outputs.swapaxes(0, 1)], biases


def _gather(x: Array, table: np.ndarray) -> Array:
    """Rows of x by index; the index one past the last reads zeros."""
    padded = jnp.concatenate([x, jnp.zeros((1, *x.shape[1:]), x.dtype)])
    return padded[table]
