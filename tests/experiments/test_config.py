# SPDX-License-Identifier: Apache-2.0
"""A configuration file says exactly what its dataclass says, or is refused in one line."""

import dataclasses
import hashlib
import random
import time
from itertools import chain
from typing import Literal

import pytest

from experiments.arguments import parse
from experiments.config import MAX_BYTES, dump, experiment_name, fingerprint, load, read
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


EXPECTED = """{
  "config": {
    "augment": true,
    "beta": 1.0,
    "decoder": "bernoulli",
    "optimizer": {
      "b1": 0.0,
      "clip": null,
      "learning_rate": 0.001
    },
    "steps": 100,
    "title": "digits",
    "widths": [
      64,
      32
    ]
  },
  "experiment": "test_config",
  "version": 1
}
"""


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


def test_a_dump_is_resolved_sorted_and_versioned():
    """Every option is written, defaults too, and integers stand as floats where floats belong."""
    assert dump(Config()) == EXPECTED


def test_dump_load_dump_gives_the_same_bytes_and_hash():
    """A configuration survives the file exactly, to the last bit of a float."""
    rng = random.Random(1)
    for _ in range(200):
        optimizer = Optimizer(
            rng.expovariate(1e3) + 1e-9, rng.random(), rng.choice([None, 0.1 + 0.2])
        )
        widths = tuple(rng.randint(1, 999) for _ in range(rng.randint(0, 4)))
        config = Config(rng.randint(1, 10**9), rng.random() / 3, widths, optimizer=optimizer)
        text = dump(config)
        again = load(text, Config)
        assert again == config
        assert dump(again) == text
        assert fingerprint(again) == hashlib.sha256(text.encode()).hexdigest()


def test_the_fingerprint_sees_every_option_and_not_their_order():
    """Any changed option changes the hash; the order on the command line and 1 for 1.0 do not."""
    changes = [
        ["--steps", "5"], ["--beta", "2"], ["--widths", "1"], ["--no-augment"], ["--title=x"],
        ["--decoder=gaussian"], ["--optimizer.b1", "0.5"], ["--optimizer.clip=1"],
    ]  # fmt: skip
    prints = [fingerprint(parse(Config, change)) for change in changes]
    assert len({*prints, fingerprint(Config())}) == len(changes) + 1
    forwards = fingerprint(parse(Config, [*chain(*changes)]))
    assert fingerprint(parse(Config, [*chain(*reversed(changes))])) == forwards
    assert fingerprint(parse(Config, ["--beta", "1"])) == fingerprint(Config(beta=1))


def test_a_value_that_python_put_in_is_judged_before_it_is_written():
    """Nothing is dumped that could not be loaded."""
    for config in (Config(steps=0), Config(beta=float("nan")), Config(title="\n")):
        with pytest.raises(ConfigError, match=r"config\."):
            dump(config)


def test_a_file_that_is_no_configuration_is_refused_before_it_is_parsed():
    """At most 1 MB, 32 levels, UTF-8, one object, once each key, the right experiment."""

    def inside(value):
        return EXPECTED.replace('"digits"', value)

    for text, reason in [
        ("", "not JSON"),
        ("{", "not JSON"),
        ("[]", "expected a JSON object"),
        ("3", "expected a JSON object"),
        (EXPECTED + "x", "not JSON"),
        ("\ufeff" + EXPECTED, "not JSON"),
        (b"\xff" + EXPECTED.encode(), "not UTF-8 at byte 0"),
        (EXPECTED.encode("utf-16"), "not UTF-8 at byte 0"),
        ("\ud800", "not UTF-8 at byte 0"),
        ("[" * 33 + "]" * 33, "32 levels"),
        ("[" * 400_000, "32 levels"),
        ('{"a":' * 150_000, "32 levels"),
        (inside("[" * 31 + "]" * 31), "32 levels"),
        (" " * MAX_BYTES + EXPECTED, "1000000 bytes"),
        (b"\\" * (MAX_BYTES + 1), "1000000 bytes"),
        ('"' + '\\"' * 400_000, "not JSON"),
        (EXPECTED.replace("test_config", "vae"), "experiment: expected test_config, got vae"),
        (EXPECTED.replace("test_config", "os; exit"), "experiment: expected a plain name"),
        (EXPECTED.replace("test_config", "../up"), "experiment: expected a plain name"),
        (EXPECTED.replace('"version": 1', '"version": 2'), "version: expected 1, got 2"),
        (EXPECTED.replace('"version": 1', '"versions": 1'), "did you mean version?"),
    ]:
        start = time.perf_counter()
        assert reason in refusal(text)
        assert time.perf_counter() - start < 2
    # Brackets inside a text are no levels, and 30 real ones below "config" are no text.
    assert load(inside('"' + "[{" * 100 + '"'), Config).title == "[{" * 100
    assert "config.title" in refusal(inside("[" * 30 + "]" * 30))
    assert load(" " * (MAX_BYTES - len(EXPECTED)) + EXPECTED, Config) == Config()


def test_damaged_bytes_never_raise_anything_else():
    """With one byte replaced, a file is refused in one line or is a valid configuration."""
    rng = random.Random(2)
    for _ in range(500):
        raw = bytearray(EXPECTED.encode())
        raw[rng.randrange(len(raw))] = rng.randrange(256)
        try:
            config = load(bytes(raw), Config)
        except ConfigError:
            refusal(bytes(raw))
        else:
            assert load(dump(config), Config) == config


def test_the_name_of_the_experiment_is_read_without_its_dataclass():
    """The name is known first, to look the dataclass up."""
    assert experiment_name(EXPECTED) == "test_config"
    with pytest.raises(ConfigError, match=r"run/config\.json: experiment: expected a plain"):
        experiment_name(EXPECTED.replace("test_config", "-rf"), source="run/config.json")


def test_a_file_is_read_to_the_limit_and_no_further(tmp_path):
    """A huge file costs 1 MB; one that cannot be read is named with the reason."""
    path = tmp_path / "config.json"
    path.write_text(EXPECTED)
    assert load(read(path), Config) == Config()
    with path.open("wb") as file:
        file.truncate(10**10)
    assert len(read(path)) == MAX_BYTES + 1
    for wrong in (tmp_path, tmp_path / "none.json", tmp_path / ("x" * 300), "nul\0"):
        with pytest.raises(ConfigError) as caught:
            read(wrong)
        assert str(caught.value).isprintable()
