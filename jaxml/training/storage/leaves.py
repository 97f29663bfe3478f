# SPDX-License-Identifier: Apache-2.0
"""A pytree as named arrays on the host: snapshot, digest, comparison, and the way back.

A checkpoint stores a flat mapping of readable paths to arrays, because a path such as
`optimizer/0/mu/kernel` names a NamedTuple, a list and a dict alike, survives a change of the
container's class, and is what an error message should say.
"""

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

SCALAR = {bool: np.bool_, int: np.int64, float: np.float64}


class Spec(NamedTuple):
    """What is known of a leaf before its bytes are read.

    Attributes:
      kind: `array`, `bool`, `int` or `float` (a Python number), or a typed key such as `key<fry>`.
      dtype: of the stored array, which for a typed key is its `jax.random.key_data`.
      shape: of the stored array.
    """

    kind: str
    dtype: str
    shape: tuple[int, ...]

    def __str__(self) -> str:
        kind = "" if self.kind == "array" else f"{self.kind} as "
        return f"{kind}{self.dtype}{list(self.shape)}"


def named(tree: PyTree) -> dict[str, Any]:
    """The leaves under their paths, in sorted path order.

    A component's own `/`, `%`, `|` and unprintable characters are percent-encoded, so that
    different paths have different names.

    Raises:
      ValueError: if two leaves share a name, as in a custom node that numbers its children twice.
    """
    leaves, _ = jax.tree.flatten_with_path(tree)
    found: dict[str, Any] = {}
    for path, leaf in leaves:
        name = _name(path)
        if name in found:
            raise ValueError(f"{name}: two leaves share this path")
        found[name] = leaf
    return dict(sorted(found.items()))


def _name(path: tuple[Any, ...]) -> str:
    return "/".join(_component(jax.tree_util.keystr((key,), simple=True)) for key in path) or "."


def _component(text: str) -> str:
    def encode(c: str) -> str:
        return "".join(f"%{byte:02X}" for byte in c.encode("utf-8", "surrogatepass"))

    return "".join(c if c.isprintable() and c not in "/%|" else encode(c) for c in text)


def spec(leaf: Any) -> Spec:
    """Kind, dtype and shape of a concrete or abstract leaf.

    Raises:
      TypeError: if the leaf is neither an array of numbers nor a Python bool, int or float.
    """
    if type(leaf) in SCALAR:
        return Spec(type(leaf).__name__, np.dtype(SCALAR[type(leaf)]).name, ())
    if not hasattr(leaf, "dtype") or not hasattr(leaf, "shape"):
        raise TypeError(f"expected an array or a number, got {type(leaf).__name__}")
    if jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        data = jax.eval_shape(jax.random.key_data, leaf)
        return Spec(str(leaf.dtype), data.dtype.name, data.shape)
    dtype = np.dtype(leaf.dtype)
    # Objects (which unpickle when read), texts, dates, records and raw bytes are no numbers.
    if dtype.kind in "OSUTMm" or issubclass(dtype.type, np.void):
        raise TypeError(f"expected an array of numbers, got dtype {dtype}")
    return Spec("array", dtype.name, tuple(leaf.shape))


def specs(tree: PyTree) -> dict[str, Spec]:
    """The spec of every leaf under its path.

    Raises:
      TypeError: naming the path of a leaf that cannot be stored.
    """
    return {name: _at(name, spec, leaf) for name, leaf in named(tree).items()}


def _at(name: str, function: Any, leaf: Any) -> Any:
    try:
        return function(leaf)
    except (TypeError, OverflowError) as error:
        raise TypeError(f"{name}: {error}") from error


def host(leaf: Any) -> np.ndarray:
    """The leaf's numbers as an array on the host: on a CPU a view of the leaf, not a copy."""
    if type(leaf) in SCALAR:
        return np.asarray(leaf, SCALAR[type(leaf)])
    if jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        leaf = jax.random.key_data(leaf)
    if isinstance(leaf, jax.Array) and not leaf.is_fully_addressable:
        raise TypeError("this process holds only a part of the array")
    array = np.asarray(leaf)
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


def snapshot(tree: PyTree) -> tuple[dict[str, np.ndarray], dict[str, Spec]]:
    """A copy of every leaf on the host, and its spec: the tree's buffers may be donated next.

    Raises:
      TypeError: naming the path of a leaf that cannot be stored.
    """
    leaves = named(tree)
    for leaf in leaves.values():
        if isinstance(leaf, jax.Array) and leaf.is_fully_addressable:
            leaf.copy_to_host_async()  # all transfers start before the first is waited for
    described = {name: _at(name, spec, leaf) for name, leaf in leaves.items()}
    return {name: np.array(_at(name, host, leaf)) for name, leaf in leaves.items()}, described


def first_non_finite(arrays: Mapping[str, np.ndarray]) -> str | None:
    """The first path, in sorted order, whose array holds NaN or infinity."""
    for name, array in sorted(arrays.items()):
        inexact = jax.dtypes.issubdtype(array.dtype, np.inexact)
        if inexact and not np.isfinite(array).all():
            return name
    return None


def digest(tree: PyTree) -> str:
    """sha256 over the leaves in sorted path order, each as `path|dtype|shape|bytes`.

    A typed key counts as its `jax.random.key_data`, a Python number as an array of rank 0; the
    shape is written like `(2, 3)` and the bytes are in row-major, native order.
    """
    return digest_arrays({name: _at(name, host, leaf) for name, leaf in named(tree).items()})


def digest_arrays(arrays: Mapping[str, np.ndarray]) -> str:
    """The digest of the tree whose snapshot is `arrays` (see `digest`)."""
    total = hashlib.sha256()
    for name, array in sorted(arrays.items()):
        total.update(f"{name}|{array.dtype.name}|{array.shape}|".encode())
        total.update(_raw(array).data)
    return total.hexdigest()


def same(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether two arrays agree in dtype, shape and every bit; NaN equals itself, -0 is not 0."""
    return (a.dtype, a.shape) == (b.dtype, b.shape) and np.array_equal(_raw(a), _raw(b))


def _raw(array: np.ndarray) -> np.ndarray:
    """The bytes in row-major order; bfloat16 and its like have no buffer of their own."""
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8)


def differences(saved: Mapping[str, str], expected: Mapping[str, Spec]) -> Iterator[str]:
    """One phrase for each path at which a saved tree (specs as text) is not the one expected."""
    for name in sorted(saved.keys() | expected.keys()):
        if name not in saved:
            yield f"{name}: not in the checkpoint"
        elif name not in expected:
            yield f"{name}: only in the checkpoint"
        elif saved[name] != str(expected[name]):
            yield f"{name}: saved {saved[name]}, expected {expected[name]}"


def restore(like: PyTree, arrays: Mapping[str, np.ndarray]) -> PyTree:
    """The tree of `like` with the numbers of `arrays`, under the same paths.

    A leaf comes back as what it is in `like`: a NumPy array, a Python number, a typed key, or a
    JAX array, placed where `like` was committed to (its sharding), else on the default device.
    """
    leaves, structure = jax.tree.flatten_with_path(like)
    return structure.unflatten([_place(arrays[_name(path)], leaf) for path, leaf in leaves])


def _place(array: np.ndarray, like: Any) -> Any:
    if type(like) in SCALAR:
        return type(like)(array)
    if isinstance(like, np.ndarray | np.generic):
        return array if isinstance(like, np.ndarray) else array[()]
    sharding = like.sharding if getattr(like, "committed", True) else None
    if jax.dtypes.issubdtype(like.dtype, jax.dtypes.prng_key):
        key = jax.random.wrap_key_data(jnp.asarray(array), impl=_implementation(like))
        return key if sharding is None else jax.device_put(key, sharding)
    # The first call may borrow NumPy's memory, which no step could reuse; the second copies.
    return jax.device_put(jax.device_put(array, sharding), sharding, may_alias=False)


def _implementation(key: Any) -> Any:
    """The generator of a key; traced, because `key_impl` accepts no ShapeDtypeStruct."""
    found: list[Any] = []
    jax.eval_shape(lambda k: found.append(jax.random.key_impl(k)), key)
    return found[0]


__all__ = [
    "Spec",
    "differences",
    "digest",
    "digest_arrays",
    "first_non_finite",
    "host",
    "named",
    "restore",
    "same",
    "snapshot",
    "spec",
    "specs",
]
