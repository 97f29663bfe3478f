# SPDX-License-Identifier: Apache-2.0
"""Which noise meets which data in a batch: any, or that to which the way is short."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

Event = Float[Array, "n *event"]
Coupling = Callable[[Event, Event], Event]
"""`(x_0, ε) -> ε` in another order, a row for every x_0; both laws stay what they are."""


def independent(x0: Event, eps: Event) -> Event:
    """ε as it was drawn."""
    del x0
    return eps


def optimal_transport(x0: Event, eps: Event) -> Event:
    """The order of ε that makes Σ |x_0 − ε|² over the batch least, up to a thousandth of its mean.

    Reference: Tong et al. 2024, section 3.2.3, arXiv:2302.00482; Pooladian et al. 2023,
    arXiv:2304.14772.
    """
    a, b = (x.reshape(x.shape[0], -1) for x in (x0, eps))
    # Only −2 a·b differs between orders.
    cost = jax.lax.stop_gradient(-2 * (a @ b.T))
    return eps[assignment(cost, 1e-3)]


class _Auction(NamedTuple):
    price: Float[Array, " n"]
    owner: Int[Array, " n"]  # of an object, or −1
    object: Int[Array, " n"]  # of a person, or −1


def assignment(cost: Float[Array, "n n"], tolerance: float = 1e-3) -> Int[Array, " n"]:
    """The permutation π with Σ_i C[i, π(i)] least, by an auction.

    Persons bid for objects, each what the best is worth to it above the second best and ε more;
    whoever is outbid bids again. At the end the sum is above the least one by n ε at most. ε falls
    in steps, prices stay: the first rounds find out what is in demand.

    Args:
      cost: C.
      tolerance: ε at last, in units of the standard deviation of C.

    Raises:
      ValueError: unless the tolerance is positive.

    Reference: Bertsekas 1988, The auction algorithm, Annals of Operations Research 14.
    """
    if not tolerance > 0:
        raise ValueError(f"tolerance: expected a positive number, got {tolerance}")
    n, spread = len(cost), jnp.std(cost)
    value = -cost / jnp.where(spread > 0, spread, 1.0)
    if n == 1:
        return jnp.zeros(1, jnp.int32)

    def bid(state: _Auction, eps: Float[Array, ""]) -> _Auction:
        net = value - state.price[None]
        best, first = jnp.max(net, axis=1), jnp.argmax(net, axis=1)
        second = jnp.max(net.at[jnp.arange(n), first].set(-jnp.inf), axis=1)
        offer = jnp.where(state.object < 0, state.price[first] + best - second + eps, -jnp.inf)
        highest = jnp.full(n, -jnp.inf, offer.dtype).at[first].max(offer)
        wins = (state.object < 0) & (offer >= highest[first])
        # Of equal offers the last person in order wins.
        persons = jnp.arange(n, dtype=jnp.int32)
        winner = jnp.full(n, -1, jnp.int32).at[first].max(jnp.where(wins, persons, -1))
        sold = winner >= 0
        lost = jnp.where(sold & (state.owner >= 0), state.owner, n)
        held = state.object.at[lost].set(-1, mode="drop")
        held = held.at[jnp.where(sold, winner, n)].set(persons, mode="drop")
        return _Auction(
            jnp.where(sold, highest, state.price), jnp.where(sold, winner, state.owner), held
        )

    def auction(price: Float[Array, " n"], eps: Float[Array, ""]) -> tuple[Array, Array]:
        none = jnp.full(n, -1, jnp.int32)
        start = _Auction(price, none, none)
        state = jax.lax.while_loop(lambda s: (s.object < 0).any(), lambda s: bid(s, eps), start)
        return state.price, state.object

    scales = [1.0]
    while scales[-1] > tolerance:
        scales.append(max(scales[-1] / 5, tolerance))
    price = jnp.zeros(n, value.dtype)
    _, objects = jax.lax.scan(auction, price, jnp.asarray(scales, value.dtype))
    return objects[-1]
