# SPDX-License-Identifier: Apache-2.0
"""A keyed bijection of [0, n): any entry of a shuffled order in O(1), with no table in memory."""

from collections.abc import Sequence
from math import isqrt
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, Key

MAX_SIZE = 2**31 - 1

_Word = Any  # uint32, as a NumPy or as a JAX array: the arithmetic below is the same for both


def permute(index: Int[Array, "*shape"], n: int, key: Key[Array, ""]) -> Int[Array, "*shape"]:
    """Entry `index` of the order of `0, ..., n - 1` that `key` names: π_key(index).

    A Feistel network on Z_a × Z_b with a ≈ b ≈ √n and ab >= n. Results outside [0, n) are encrypted
    again until they fall inside (cycle walking), which is rare since ab - n < 2√n + 1. Black &
    Rogaway 2002, Ciphers with Arbitrary Finite Domains, section 5 (the generalized Feistel cipher).
    A shuffle for sampling, not a cipher.

    Args:
      index: Positions in [0, n), of any shape.
      n: Length of the order, 1 <= n < 2³¹.
      key: Names the order; not consumed, the same key also inverts it.

    Returns:
      int32 numbers in [0, n), distinct for distinct positions.

    Raises:
      ValueError: If n is out of range.
    """
    return feistel(index, n, _words(key))


def permute_inverse(
    number: Int[Array, "*shape"], n: int, key: Key[Array, ""]
) -> Int[Array, "*shape"]:
    """The position of `number` in the order that `key` names: permute⁻¹."""
    return feistel(number, n, _words(key), inverse=True)


def feistel(index: Any, n: int, words: Sequence[_Word], *, inverse: bool = False) -> Any:
    """`permute` under a key given as uint32 words, each a scalar or of the shape of `index`.

    NumPy in, NumPy out: loading processes and the compiled loop agree on every index.
    """
    if not 1 <= n <= MAX_SIZE:
        raise ValueError(f"n: expected a length in [1, 2^31), got {n}")
    a = isqrt(n - 1) + 1
    b = -(-n // a)
    n_rounds = 16 if n < 1000 else 8  # tiny halves mix slowly: at n = 5, 8 rounds leave a 1 % bias

    if isinstance(index, np.ndarray):
        with np.errstate(over="ignore"):  # arithmetic modulo 2^32 is meant
            keys = _round_keys(words, n_rounds)
            x = _network(index.astype(np.uint32), a, b, keys, inverse)
            while (outside := x >= n).any():
                x = np.where(outside, _network(x, a, b, keys, inverse), x)
        return x.astype(np.int32)

    # The barrier keeps XLA from hashing the keys again for every index (128 indices: 5 us, not 3).
    keys = jax.lax.optimization_barrier(_round_keys(words, n_rounds))
    x = _network(jnp.asarray(index).astype(jnp.uint32), a, b, keys, inverse)
    if a * b > n:
        size = np.uint32(n)
        x = jax.lax.while_loop(
            lambda x: jnp.any(x >= size),
            lambda x: jnp.where(x >= size, _network(x, a, b, keys, inverse), x),
            x,
        )
    return x.astype(jnp.int32)


def _network(x: _Word, a: int, b: int, keys: _Word, inverse: bool) -> _Word:
    """All rounds on x = left · b + right: add a hash of one half to the other, in turn."""
    quotient = x // np.uint32(b)
    half = [quotient, x - quotient * np.uint32(b)]
    size = [np.uint32(a), np.uint32(b)]  # both below 2^16 and ab below 2^32, since n < 2^31
    for r in reversed(range(len(keys))) if inverse else range(len(keys)):
        to, from_ = r % 2, 1 - r % 2
        # High bits times size, not `% size`: divisions would be half of the time.
        f = ((_mix(half[from_] ^ keys[r]) >> np.uint32(16)) * size[to]) >> np.uint32(16)
        half[to] = half[to] + (size[to] - f if inverse else f)
        half[to] = half[to] - size[to] * (half[to] >= size[to]).astype(np.uint32)
    return half[0] * np.uint32(b) + half[1]


def _round_keys(words: Sequence[_Word], n_rounds: int) -> _Word:
    """One uint32 a round, each a hash of its number and of every word of the key."""
    rank = max(np.ndim(word) for word in words)
    number = np.arange(1, n_rounds + 1, dtype=np.uint64) * 0x9E3779B9  # 2^32 / golden ratio
    keys = number.astype(np.uint32).reshape(n_rounds, *[1] * rank)
    for word in words:
        keys = _mix(keys ^ (word[None] if np.ndim(word) else word))
    return keys


def _mix(x: _Word) -> _Word:
    """lowbias32, a multiply-xorshift bijection of 32 bits (C. Wellons, hash-prospector, 2018)."""
    x = (x ^ (x >> np.uint32(16))) * np.uint32(0x7FEB352D)
    x = (x ^ (x >> np.uint32(15))) * np.uint32(0x846CA68B)
    return x ^ (x >> np.uint32(16))


def _words(key: jax.Array) -> list[jax.Array]:
    """The bits of a typed key."""
    data = jax.random.key_data(key)
    return [data[i] for i in range(data.shape[-1])]


__all__ = ["MAX_SIZE", "feistel", "permute", "permute_inverse"]
