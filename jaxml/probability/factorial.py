# SPDX-License-Identifier: Apache-2.0
"""Factorials and their ratios, as logarithms whose large parts cancel before they are computed."""

import math

import jax
import jax.numpy as jnp
from jax.scipy.special import digamma
from jaxtyping import Array, Bool, Float


def stirling_remainder(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """log x! − (x log x − x) for x ≥ 0: ½ log 2πx + 1/(12x) − ..., and 0 at 0.

    What is left of log x! after its large part, whose digits would be lost in differences.

    Reference: Abramowitz and Stegun 1964, equation 6.1.41.
    """
    least = 12 if jnp.finfo(x.dtype).bits == 64 else 3  # six terms are exact from here on
    few = x < least
    safe = jnp.where(few & (x > 0), x, 1)
    # log x! = log (x + k)! − Σ log(x + i): XLA's lgamma loses a digit near 1.
    y = jnp.where(few, safe + least, x)
    inverse = 1 / y
    square, series = inverse * inverse, jnp.full_like(x, -691 / 360360)
    for term in (1 / 1188, -1 / 1680, 1 / 1260, -1 / 360, 1 / 12):
        series = series * square + term
    far = 0.5 * (math.log(2 * math.pi) - jnp.log(inverse)) + series * inverse
    shares = math.prod((safe + i) / (safe + least) for i in range(1, least))
    near = safe * (jnp.log(y) - jnp.log(safe)) - jnp.log(shares) - least + far
    return jnp.where(few, jnp.where(x == 0, 0.0, near), far)


@jax.custom_jvp
def log_permutations(
    n: Float[Array, "*#shape"], k: Float[Array, "*#shape"]
) -> Float[Array, "*#shape"]:
    """log n!/(n − k)!: k of n things, one after another; −inf unless 0 ≤ k ≤ n.

    With m = n − k and r(x) = log x! − x log x + x it is k log n − k − m log(m/n) + r(n) − r(m),
    where a difference of two log-gamma functions of 1e17 has no digit of log n left at k = 1.

    Args:
      n: how many there are; slopes are those of log Γ(n + 1)/Γ(n − k + 1).
      k: how many are taken.
    """
    inside, n, k = _counts(n, k)
    m = n - k
    rest = stirling_remainder(n) - stirling_remainder(m)
    value = k * (jnp.log(jnp.where(k != 0, n, 1)) - 1) + _share(m, k, n) + rest
    return jnp.where(inside, value, -jnp.inf)


@jax.custom_jvp
def log_combinations(
    n: Float[Array, "*#shape"], k: Float[Array, "*#shape"]
) -> Float[Array, "*#shape"]:
    """log n!/(k! (n − k)!): k of n things in any order; −inf unless 0 ≤ k ≤ n.

    With m = n − k and r as above it is −k log(k/n) − m log(m/n), n times an entropy, and r(n) −
    r(k) − r(m), which is about −½ log 2πkm/n.

    Args:
      n: how many there are; slopes are those of log Γ(n + 1)/(Γ(k + 1) Γ(n − k + 1)).
      k: how many are taken.
    """
    inside, n, k = _counts(n, k)
    few, many = jnp.minimum(k, n - k), jnp.maximum(k, n - k)
    rest = (stirling_remainder(n) - stirling_remainder(many)) - stirling_remainder(few)
    value = _share(few, many, n) + _share(many, few, n) + rest
    return jnp.where(inside, value, -jnp.inf)


def log_rising(a: Float[Array, "*#shape"], d: Float[Array, "*#shape"]) -> Float[Array, "*#shape"]:
    """log Γ(a + d)/Γ(a), for whole d the product a(a + 1) … (a + d − 1), for a > 0 and d ≥ 0.

    It is (a − 1) log((a + d)/a) + d (log(a + d) − 1) + r(a + d) − r(a) with r as above.

    Args:
      a: where the product begins.
      d: how many factors it has.
    """
    a, d = jnp.broadcast_arrays(a, d)
    long = d > a  # a quotient d/a would overflow for tiny a
    change = jnp.where(
        long, jnp.log(a + d) - jnp.log(a), jnp.log1p(jnp.where(long, 0, d) / jnp.where(long, 1, a))
    )
    rest = stirling_remainder(a + d) - stirling_remainder(a)
    return (a - 1) * change + d * (jnp.log(a + d) - 1) + rest


@jax.custom_jvp
def deviance(x: Float[Array, "*#shape"], m: Float[Array, "*#shape"]) -> Float[Array, "*#shape"]:
    """x log(x/m) − x + m ≥ 0, for x, m ≥ 0: the large part of a count's surprise at a mean m.

    Near x = m it is (x − m)v + 2x(v³/3 + v⁵/5 + ...) with v = (x − m)/(x + m). Logarithms of
    probabilities of counts are sums of deviances and of `stirling_remainder`: −log P(x) of a
    Poisson distribution is deviance(x, m) + r(x).

    Args:
      x: counts, or what may be real in their place; the slope there is 0 at 0.
      m: their mean.

    Reference: Loader 2000, Fast and accurate computation of binomial probabilities.
    """
    x, m = jnp.broadcast_arrays(x, m)
    total = x + m
    v = (x - m) / jnp.where(total != 0, total, 1)
    near = jnp.abs(v) < 0.25
    small = jnp.where(near, v, 0)
    square, series = small * small, jnp.zeros_like(v)
    for odd in range(27, 1, -2):
        series = series * square + 1 / odd
    close = (x - m) * small + 2 * x * small * square * series
    return jnp.where(near, close, x * log_quotient(x, m) - (x - m))


@deviance.defjvp
def _deviance_jvp(primals, tangents):
    (x, m), (dx, dm) = primals, tangents
    x, m = jnp.broadcast_arrays(x, m)
    both_none = (x == 0) & (m == 0)
    by_m = (m - x) / jnp.where(both_none, 1, m)
    return deviance(x, m), log_quotient(x, m) * dx + by_m * dm


def deviance_of_log(
    x: Float[Array, "*#shape"], m: Float[Array, "*#shape"], log_m: Float[Array, "*#shape"]
) -> Float[Array, "*#shape"]:
    """`deviance`, from log m where m itself has left the range of the floats.

    Args:
      x: as there, but above 0.
      m: the mean as far as it can be computed; its digits are used where it is a normal float.
      log_m: its logarithm.
    """
    x, m, log_m = jnp.broadcast_arrays(x, m, log_m)
    fair = (m >= jnp.finfo(m.dtype).tiny) & (m < jnp.inf)
    far = x * (jnp.log(x) - jnp.where(fair, 0, log_m)) - x + m
    return jnp.where(fair, deviance(x, jnp.where(fair, m, 1)), far)


def stirling_slope(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """ψ(x + 1) − log x for x > 0, the slope of `stirling_remainder`: about 1/2x for large x."""
    return jax.jvp(stirling_remainder, (x,), (jnp.ones_like(x),))[1]


def remainder_divergence(
    x: Float[Array, "*#shape"], y: Float[Array, "*#shape"]
) -> Float[Array, "*#shape"]:
    """R(x) − R(y) − (x − y) R'(y) ≥ 0 with R(x) = log Γ(x) − x log x + x: Bregman's divergence.

    With log Γ in place of R it would be `deviance`(x, y) more; divergences between distributions
    whose normalizers are gamma functions are sums of both.

    Args:
      x: above 0.
      y: likewise.
    """
    x, y = jnp.broadcast_arrays(x, y)
    rest = stirling_remainder(x) - stirling_remainder(y) - (x - y) * stirling_slope(y)
    return deviance(y, x) / y + rest


@jax.custom_jvp
def log_quotient(x: Float[Array, "*#shape"], m: Float[Array, "*#shape"]) -> Float[Array, "*#shape"]:
    """log x/m with the digits of x − m where both are close; 0 for x = 0."""
    x, m = jnp.broadcast_arrays(x, m)
    present = x != 0
    near = jnp.abs(x - m) < 0.25 * m
    change = jnp.where(near, x - m, 0) / jnp.where(near, m, 1)
    x, m = jnp.where(present, x, 1), jnp.where(present, m, 1)
    quotient = x / m
    fair = (quotient > 1e-30) & (quotient < 1e30)  # else it may have over- or underflown
    far = jnp.where(fair, jnp.log(jnp.where(fair, quotient, 1)), jnp.log(x) - jnp.log(m))
    return jnp.where(near, jnp.log1p(change), far)


@log_quotient.defjvp
def _log_quotient_jvp(primals, tangents):
    (x, m), (dx, dm) = primals, tangents
    x, m = jnp.broadcast_arrays(x, m)
    present = x != 0
    change = dx / jnp.where(present, x, 1) - dm / jnp.where(present, m, 1)
    return log_quotient(x, m), jnp.where(present, change, 0)


def _counts(
    n: Float[Array, "*#shape"], k: Float[Array, "*#shape"]
) -> tuple[Bool[Array, "*shape"], Float[Array, "*shape"], Float[Array, "*shape"]]:
    """Where k of n can be taken, NaN included; and n, k with 1, 0 in place of what cannot."""
    n, k = jnp.broadcast_arrays(n, k)
    inside = ~((k < 0) | (k > n))
    return inside, jnp.where(inside, n, 1), jnp.where(inside, k, 0)


def _share(
    part: Float[Array, "*shape"], rest: Float[Array, "*shape"], n: Float[Array, "*shape"]
) -> Float[Array, "*shape"]:
    """−x log(x/n), for x near n from n − x, which has the digits of their difference."""
    whole = jnp.where(n != 0, n, 1)
    near = rest < 0.25 * n  # between −½ and −¼ XLA's log1p is off by up to 3e-14
    far = jnp.log(jnp.where(near | (part == 0), 1, part / whole))
    return -part * jnp.where(near, jnp.log1p(-jnp.where(near, rest / whole, 0)), far)


@log_permutations.defjvp
def _log_permutations_jvp(primals, tangents):
    (n, k), (dn, dk) = primals, tangents
    inside, whole, part = _counts(n, k)
    by_k = digamma(whole - part + 1)
    by_n = digamma(whole + 1) - by_k
    return log_permutations(n, k), jnp.where(inside, by_n * dn + by_k * dk, 0)


@log_combinations.defjvp
def _log_combinations_jvp(primals, tangents):
    (n, k), (dn, dk) = primals, tangents
    inside, whole, part = _counts(n, k)
    of_rest = digamma(whole - part + 1)
    by_n, by_k = digamma(whole + 1) - of_rest, of_rest - digamma(part + 1)
    return log_combinations(n, k), jnp.where(inside, by_n * dn + by_k * dk, 0)
