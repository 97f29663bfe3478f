# SPDX-License-Identifier: Apache-2.0
"""A thousand edited configuration files: each is what it says, or is refused by its key."""

import dataclasses
import json
import random
import time
from typing import Literal

import pytest

from experiments.config import dump, load
from experiments.options import ConfigError, Count, Decay, NonNegative, Positive


@dataclasses.dataclass(frozen=True)
class Optimizer:
    learning_rate: Positive = 1e-3
    b1: Decay = 0
    clip: Positive | None = None


@dataclasses.dataclass(frozen=True)
class Config:
    steps: Count = 100
    beta: NonNegative = 1.0
    widths: tuple[Count, ...] = (64, 32)
    augment: bool = True
    title: str = "digits"
    decoder: Literal["bernoulli", "gaussian"] = "bernoulli"
    optimizer: Optimizer = Optimizer()


VALID = {
    ("steps",): [1, 7, 2**62],
    ("beta",): [0, 0.5, 1e-300, 12],
    ("widths",): [[], [5], [1, 2, 3]],
    ("augment",): [True, False],
    ("title",): ["", "no", "010", "é∑", "0.1"],
    ("decoder",): ["gaussian"],
    ("optimizer", "learning_rate"): [1, 0.5, 5e-324],
    ("optimizer", "b1"): [0, 0.9],
    ("optimizer", "clip"): [None, 1, 0.5],
}
NESTED = {"a": [1, {"b": None}]}
WRONG = {
    ("steps",): [0, -3, 1.5, 3.0, True, "3", "no", None, [], NESTED, 2**63, 10**5000],
    ("beta",): [-1, float("nan"), float("inf"), "1e-3", False, None, [1.0], 10**400],
    ("widths",): [3, "3", [0], [1.5], [[3]], None, {}, [1] * 1001, NESTED],
    ("augment",): [0, 1, "true", "no", None, []],
    ("title",): [None, 10, True, "a\nb", "\x1b[2J", "\0", "x" * 1001, "\ud800", ["a"]],
    ("decoder",): ["Bernoulli", "", None, 0, "__import__('os')"],
    ("optimizer",): [None, [], "adam", 3, True],
    ("optimizer", "b1"): [1, -0.1, "0.9", None],
    ("optimizer", "clip"): [0, "None", False],
}
HOSTILE = [
    "_target_", "__class__", "${env:HOME}", "{{7*7}}", "\x1b]0;x\x07", "\r\nerror: forged",
    "\u202e", "\ud800", "🙂", "﷽" * 60, "x" * 5000, "", ".", "..", "a.b", "config", "Steps",
    "steps ", "ſteps", '"', "\\", "NaN", "null", "__proto__", "$ref", "!include /etc/passwd",
    "eval(1)",
]  # fmt: skip


def written(tree):
    """JSON text of a tree whose objects may be lists of pairs, to write a key twice."""
    if isinstance(tree, Pairs):
        return "{" + ",".join(f"{json.dumps(k)}: {written(v)}" for k, v in tree) + "}"
    if isinstance(tree, dict):
        return written(Pairs(tree.items()))
    if isinstance(tree, int) and abs(tree) > 2**64:
        return "1" + "0" * (400 if tree < 10**4000 else 5000)
    return json.dumps(tree)


class Pairs(list):
    """An object with its keys in order, repeated or not."""


def put(tree, path, value):
    *groups, last = path
    for group in groups:
        tree = tree[group]
    tree[last] = value


def refusal(text):
    """The line that refuses a file: printable, ASCII, bearable, the file first."""
    with pytest.raises(ConfigError) as caught:
        load(text, Config)
    line = str(caught.value)
    assert line.isprintable(), text[:300]
    assert line.isascii(), text[:300]
    assert len(line) < 500, text[:300]
    assert line.startswith("config.json: "), text[:300]
    return line


def edited(rng):
    """A valid file with some values set; what it means, by path."""
    tree = json.loads(dump(Config()))
    values = {
        path: rng.choice(VALID[path]) for path in rng.sample(sorted(VALID), rng.randint(1, 6))
    }
    for path, value in values.items():
        put(tree["config"], path, value)
    return tree, values


def mutated_valid(rng):
    """A valid file; in half of the cases one key is then removed, renamed or repeated."""
    tree, values = edited(rng)
    if rng.random() < 0.5:
        return written(tree), values, None
    path = ("config", *rng.choice(sorted(VALID))) if rng.random() < 0.8 else ("version",)
    *groups, last = path
    branch = tree
    for group in groups:
        branch = branch[group]
    kind = rng.randrange(3)
    if kind == 0:
        del branch[last]
        return written(tree), None, ".".join(path)
    if kind == 1:
        branch[last + "q"] = branch.pop(last)
        return written(tree), None, f"{'.'.join(path)}q: unknown key; did you mean {last}?"
    pairs = Pairs([*branch.items(), (last, branch[last])])
    if not groups:
        return written(pairs), None, f"{last}: key given twice"
    parent = tree
    for group in groups[:-1]:
        parent = parent[group]
    parent[groups[-1]] = pairs
    return written(tree), None, ".".join(path) + ": key given twice"


def confused(rng):
    """A value of the wrong type, or out of its range."""
    tree, _ = edited(rng)
    path = rng.choice(sorted(WRONG))
    put(tree["config"], path, rng.choice(WRONG[path]))
    return written(tree), None, ".".join(("config", *path))


def hostile(rng):
    """A string that was made to break something: as a key, a value, a name, or bytes gone wrong."""
    tree, _ = edited(rng)
    text = rng.choice(HOSTILE)
    place = rng.randrange(5)
    if place == 0:
        put(tree, rng.choice([("config", text), ("config", "optimizer", text)]), "x")
        return written(tree), None, "config."
    if place == 1:
        put(tree["config"], ("title",), text)
        fine = text.isprintable() and len(text) <= 1000
        return written(tree), {("title",): text} if fine else None, "config.title"
    if place == 2:
        tree["experiment"] = text
        return written(tree), None, "experiment"
    if place == 3:
        tree["version"] = rng.choice([text, 0, 2, 1.0, True, None, [1]])
        return written(tree), None, "version"
    return written(tree)[: rng.randrange(1, 100)], None, "config.json"


CASES = [(mutated_valid, 500), (confused, 300), (hostile, 200)]


@pytest.mark.parametrize(("make", "n"), CASES, ids=lambda x: getattr(x, "__name__", None))
def test_a_thousand_files_are_understood_or_refused(make, n):
    """Each is either what it says or refused by key; no other exception, and none takes long."""
    rng = random.Random(0)
    accepted = 0
    for _ in range(n):
        text, values, named = make(rng)
        start = time.perf_counter()
        if values is None:
            assert named in refusal(text), text[:300]
        else:
            config = load(text, Config)
            for path, value in values.items():
                got = config
                for name in path:
                    got = getattr(got, name)
                assert got == (tuple(value) if isinstance(value, list) else value)
            assert load(dump(config), Config) == config
            accepted += 1
        assert time.perf_counter() - start < 1
    assert accepted < n
    if make is mutated_valid:
        assert accepted > n / 3
