# SPDX-License-Identifier: Apache-2.0
"""A tree is its named leaves: each has a path and a spec, and comes back from a snapshot."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import optax
import pytest
from flax import nnx

from jaxml.training.storage import leaves
from jaxml.training.storage.leaves import Spec


class Pair(NamedTuple):
    """A container with attribute paths."""

    left: object
    right: object


def example():
    """One of everything that a training state may hold."""
    return {
        "params": {"kernel": jnp.arange(6.0).reshape(2, 3), "bias": jnp.ones(3, jnp.bfloat16)},
        "chain": [Pair(jnp.int32(7), np.arange(3.0)), (np.float16(2), True, 3, 0.1)],
        "keys": (jax.random.key(1), jax.random.split(jax.random.key(2, impl="rbg"), 3)),
        "empty": {},
        "nothing": jnp.zeros((0, 2)),
        "none": None,
    }


def test_paths_are_readable():
    """A path joins keys, indices and attribute names, as in an Optax state or a Flax module."""
    assert list(leaves.named(example())) == [
        "chain/0/left",
        "chain/0/right",
        "chain/1/0",
        "chain/1/1",
        "chain/1/2",
        "chain/1/3",
        "keys/0",
        "keys/1",
        "nothing",
        "params/bias",
        "params/kernel",
    ]
    state = optax.adam(1e-3).init({"w": jnp.ones(1)})
    assert list(leaves.named(state)) == ["0/count", "0/mu/w", "0/nu/w"]
    assert list(leaves.named(jnp.ones(1))) == ["."]


def test_leaves_are_sorted_by_path():
    """The order of attributes does not count; that of their paths does."""

    class Unsorted(NamedTuple):
        z: int
        a: int

    assert list(leaves.named({"n": Unsorted(1, 2), "b": 3})) == ["b", "n/a", "n/z"]


def test_different_paths_have_different_names():
    """Slashes, bars, percent signs and control characters inside a key are encoded."""
    names = ["a/b", "a", "a|b", "a%2Fb", "a\nb", "é", "a b", "\ud800"]
    tree = {name: dict.fromkeys(names, 1) for name in names}
    named = leaves.named(tree)
    assert len(named) == len(names) ** 2
    assert all(name.isprintable() and name.count("/") == 1 for name in named)
    assert list(leaves.named({"a/b|c": {"é": 1}})) == ["a%2Fb%7Cc/é"]


def test_two_leaves_of_one_name_are_refused():
    """A custom node that numbers its children twice cannot be stored by name."""

    @jax.tree_util.register_pytree_with_keys_class
    class Twice:
        def __init__(self, *children):
            self.children = children

        def tree_flatten_with_keys(self):
            return [(jax.tree_util.SequenceKey(0), child) for child in self.children], None

        @classmethod
        def tree_unflatten(cls, _, children):
            return cls(*children)

    with pytest.raises(ValueError, match="0: two leaves share this path"):
        leaves.named(Twice(1, 2))


def test_specs_of_concrete_and_abstract_leaves_agree():
    """`jax.eval_shape` describes arrays and keys as they themselves are described."""
    tree = {"x": jnp.ones((2, 3), jnp.bfloat16), "k": jax.random.split(jax.random.key(0), 4)}
    assert leaves.specs(tree) == {
        "k": Spec("key<fry>", "uint32", (4, 2)),
        "x": Spec("array", "bfloat16", (2, 3)),
    }
    assert leaves.specs(jax.eval_shape(lambda: tree)) == leaves.specs(tree)
    assert str(Spec("key<fry>", "uint32", (4, 2))) == "key<fry> as uint32[4, 2]"
    assert str(Spec("array", "int32", ())) == "int32[]"


@pytest.mark.parametrize(
    ("leaf", "why"),
    [
        ("text", "got str"),
        (b"bytes", "got bytes"),
        (1j, "got complex"),
        (np.array(["a"]), "got dtype <U1"),
        (np.array([b"a"]), r"got dtype \|S1"),
        (np.array([{}]), "got dtype object"),
        (np.zeros(2, "M8[s]"), "got dtype datetime64"),
        (np.zeros(2, "m8[s]"), "got dtype timedelta64"),
        (np.zeros(2, [("x", "f4")]), "got dtype"),
        (np.zeros(2, "V8"), r"got dtype \|V8"),
        (np.array(["a"], np.dtypes.StringDType()), "got dtype StringDType"),
        (np.zeros(2, jax.dtypes.float0), "got dtype"),
    ],
)
def test_leaves_that_are_no_numbers_are_refused(leaf, why):
    """Text, objects, dates and records are named with their path, when saving and when loading."""
    with pytest.raises(TypeError, match=f"^a/1: expected an array .*{why}"):
        leaves.snapshot({"a": [1, leaf]})
    with pytest.raises(TypeError, match=r"^a/1: "):
        leaves.specs({"a": [1, leaf]})


def test_an_integer_too_large_is_refused():
    """A Python integer beyond 64 bits is named; the bound itself passes."""
    assert leaves.snapshot({"n": 2**63 - 1})[0]["n"] == 2**63 - 1
    with pytest.raises(TypeError, match=r"^n: "):
        leaves.snapshot({"n": 2**63})


def test_a_snapshot_does_not_follow_its_source():
    """A NumPy leaf changed in place, or a JAX leaf donated to a step, leaves the snapshot alone."""
    source = {"np": np.ones(1000), "jax": jnp.ones(1000), "key": jax.random.key(0)}
    arrays, _ = leaves.snapshot(source)
    assert not np.shares_memory(arrays["jax"], np.asarray(source["jax"]))
    assert not np.shares_memory(arrays["key"], np.asarray(jax.random.key_data(source["key"])))
    source["np"][:] = 0
    jax.block_until_ready(jax.jit(lambda x: x * 0, donate_argnums=0)(source["jax"]))
    assert source["jax"].is_deleted()
    assert (arrays["np"] == 1).all()
    assert (arrays["jax"] == 1).all()


def test_a_snapshot_comes_back_bit_for_bit():
    """restore(like, snapshot(tree)) is the tree: structure, types, dtypes, bits and key kinds."""
    tree = example()
    back = leaves.restore(tree, leaves.snapshot(tree)[0])
    assert jax.tree.structure(back) == jax.tree.structure(tree)
    assert leaves.digest(back) == leaves.digest(tree)
    for old, new in zip(jax.tree.leaves(tree), jax.tree.leaves(back), strict=True):
        assert type(old) is type(new)
        if hasattr(old, "dtype"):
            assert (old.dtype, old.shape) == (new.dtype, new.shape)
    draw = jax.random.normal(back["keys"][0])
    assert draw == jax.random.normal(jax.random.key(1))


def test_an_abstract_tree_gives_arrays():
    """From `jax.eval_shape` come JAX arrays and typed keys of the same kind."""
    tree = {"x": jnp.ones((2, 3), jnp.bfloat16), "k": jax.random.key(3, impl="rbg")}
    back = leaves.restore(jax.eval_shape(lambda: tree), leaves.snapshot(tree)[0])
    assert leaves.digest(back) == leaves.digest(tree)
    assert str(jax.random.key_impl(back["k"])) == "rbg"
    assert isinstance(back["x"], jax.Array)


def test_a_restored_array_stands_where_its_like_stood():
    """Committed leaves come back committed, others do not: the step is not compiled anew."""
    device = jax.devices()[0]
    like = {"free": jnp.ones(2), "bound": jax.device_put(jnp.ones(2), device)}
    like |= {"key": jax.device_put(jax.random.key(0), device)}
    back = leaves.restore(like, leaves.snapshot(like)[0])
    assert not back["free"].committed
    assert back["bound"].committed
    assert back["bound"].sharding == like["bound"].sharding
    assert back["key"].committed


def test_a_restored_array_may_be_donated():
    """A restored array owns its memory, whatever the alignment of the array it came from."""
    for n in range(1000, 1050):
        arrays = {"x": np.ones(n, np.float32)}
        back = leaves.restore({"x": jax.ShapeDtypeStruct((n,), np.float32)}, arrays)
        jax.block_until_ready(back)  # the copy itself may run behind
        arrays["x"][:] = 2
        assert (np.asarray(back["x"]) == 1).all()


def test_a_flax_module_is_a_tree_like_any_other():
    """An NNX module is named, copied and restored leaf by leaf."""
    model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
    other = nnx.Linear(2, 3, rngs=nnx.Rngs(1))
    assert leaves.digest(model) != leaves.digest(other)
    assert leaves.digest(leaves.restore(other, leaves.snapshot(model)[0])) == leaves.digest(model)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(
    "dtype", [np.float16, np.float32, np.float64, np.complex64, ml_dtypes.bfloat16]
)
def test_the_first_leaf_that_is_not_finite_is_found(dtype, value):
    """One bad number is found in every floating dtype; the first path in order is named."""
    bad = np.zeros((3, 5), dtype)
    bad[2, 4] = value
    fine = {
        "a": np.full(2, 3e38),
        "n": np.array([2**31 - 1]),
        "e": np.zeros((0,)),
        "d": np.zeros(1, dtype),
    }
    assert leaves.first_non_finite(fine) is None
    assert leaves.first_non_finite({"z": bad, **fine, "c": bad}) == "c"


def test_an_imaginary_part_that_is_not_finite_is_found():
    """A complex number is finite if both its parts are."""
    assert leaves.first_non_finite({"a": np.array([1 + 1j * np.inf])}) == "a"


def test_differences_are_one_phrase_each_in_order():
    """Missing, additional and changed leaves are told apart."""
    expected = {
        "a": Spec("array", "float32", (2,)),
        "b": Spec("array", "float32", ()),
        "c": Spec("int", "int64", ()),
        "e": Spec("array", "int32", ()),
    }
    saved = {"a": "float32[2]", "b": "bfloat16[]", "c": "int64[]", "d": "bool[]"}
    assert list(leaves.differences(saved, expected)) == [
        "b: saved bfloat16[], expected float32[]",
        "c: saved int64[], expected int as int64[]",
        "d: only in the checkpoint",
        "e: not in the checkpoint",
    ]


def test_arrays_are_the_same_in_every_bit():
    """NaN is itself, -0 is not 0, and dtype and shape count."""
    x = np.array([np.nan, 0.0], np.float32)
    assert leaves.same(x, x.copy())
    assert not leaves.same(x, x * np.array([1, -1], np.float32))
    assert not leaves.same(x, x.view(np.int32))
    assert not leaves.same(x, x[:, None])
    assert not leaves.same(x, x[:1])


def test_double_precision(x64):
    """float64 leaves keep their bits under x64."""
    tree = {"x": jnp.array([0.1, 1e-300])}
    assert tree["x"].dtype == np.float64
    assert leaves.digest(leaves.restore(tree, leaves.snapshot(tree)[0])) == leaves.digest(tree)
