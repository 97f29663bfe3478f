# SPDX-License-Identifier: Apache-2.0
"""A command line is read exactly as it was meant, or refused in one line that names the option."""

import dataclasses
import random
import time
from itertools import chain
from typing import Literal

import pytest

from experiments.arguments import parse, parse_each, usage
from experiments.options import ConfigError, Count, Decay, NonNegative, Positive


@dataclasses.dataclass(frozen=True)
class Optimizer:
    learning_rate: Positive = 1e-3
    """The peak of the schedule."""
    b1: Decay = 0  # an integer default, as a careless author writes it
    nesterov: bool = False
    clip: Positive | None = None


@dataclasses.dataclass(frozen=True)
class Config:
    """A configuration with every kind of option."""

    steps: Count = 100
    """Steps of training."""
    batch_size: Count = 16
    beta: NonNegative = 1.0
    widths: tuple[Count, ...] = (64, 32)
    crop: tuple[int, int] = (2, 2)
    augment: bool = True
    title: str = "digits"
    decoder: Literal["bernoulli", "gaussian"] = "bernoulli"
    optimizer: Optimizer = Optimizer()


@dataclasses.dataclass(frozen=True)
class Run:
    run_dir: str
    resume: Literal["never", "auto"] = "never"


def got(config, key):
    """The value at a dotted key."""
    for name in key.split("."):
        config = getattr(config, name)
    return config


def refusal(argv):
    """The line that refuses a command line: printable, ASCII, bearable."""
    with pytest.raises(ConfigError) as caught:
        parse(Config, argv)
    line = str(caught.value)
    assert line.isprintable(), argv
    assert line.isascii(), argv
    assert len(line) < 500, argv
    return line


INTEGERS = [("1", 1), ("7", 7), ("100000", 100000)]
REALS = [("0.5", 0.5), ("1e-3", 1e-3), ("1", 1.0), ("2.5E-1", 0.25)]
VALID = {
    "steps": INTEGERS,
    "batch_size": INTEGERS,
    "beta": [*REALS, ("0", 0.0), ("12", 12.0)],
    "widths": [("", ()), ("5", (5,)), ("1 2 3", (1, 2, 3))],
    "crop": [("1 -1", (1, -1)), ("0 0", (0, 0))],
    "title": [("no", "no"), ("010", "010"), ("-x", "-x"), ("1e-3", "1e-3"), ("é∑", "é∑")],
    "decoder": [("gaussian", "gaussian"), ("bernoulli", "bernoulli")],
    "optimizer.learning_rate": REALS,
    "optimizer.b1": [("0", 0.0), ("0.9", 0.9)],
    "optimizer.clip": [("None", None), *REALS],
}
FLAGS = ["augment", "optimizer.nesterov"]
WRONG = {
    "steps": [
        "1.5",
        "1e3",
        "True",
        "no",
        "010",
        "nan",
        "-3",
        "0",
        "1_000",
        "٣",
        "None",
        f"{2**63}",
    ],
    "beta": ["nan", "inf", "-inf", "1e999", "no", "010", "1_0", "-0.1", "None", "True", ".5"],
    "widths": ["1.5", "3 0", "3 x", "3,4", "()", "None", "True"],
    "crop": ["1", "1 2 3", "1.0 2", "no no", ""],
    "title": ["a b", "", *(f"--title={c}" for c in ("\n", "\x1b[2J", "\0", "x" * 1001))],
    "decoder": ["Bernoulli", "0", "None", "bernoulli gaussian"],
    "augment": ["True", "no", "0", "--augment=", "--augment=yes", "--no-augment=1"],
    "optimizer.b1": ["1", "1.0", "-1", "no"],
    "optimizer.clip": ["0", "none", "null", "nan"],
}
HOSTILE = [
    "'; rm -rf / #", "$(reboot)", "${HOME}", "{0.__class__}", "%s%n", "../../etc/passwd", "a=b=c",
    "__import__('os')", "!!python/object", "\x00", "\x1b]0;x\x07", "\r\nerror: forged", "\u202egnp",
    "\ud800", "\udcff", "🙂", "﷽" * 50, "x" * 5000, "-", "--", "---", "--=", "--=--", "--.",
    "--..b1", "--optimizer", "--optimizer.", "--optimizer.b1.x", "--__class__", "--no-",
    "--no-no-augment", "--no-steps", "--steps.x", "-h", "@file", "[]", "{}", "null", "٣", "-1",
    "1e3", "--\n", "--é", "",
]  # fmt: skip


def option(rng, key):
    return "--" + (key if rng.random() < 0.3 else key.replace("_", "-"))


def words(rng, key, text):
    """One spelling of an option with its words."""
    name = option(rng, key)
    if text and " " not in text and rng.random() < 0.3:
        return [f"{name}={text}"]
    return [name, *text.split()]


def mutated_valid(rng):
    """A valid command line and what it means; in half of the cases one thing is then broken."""
    expected, parts = {}, []
    for key in rng.sample(sorted(VALID), rng.randint(1, 6)):
        text, expected[key] = rng.choice(VALID[key])
        parts.append(words(rng, key, text))
    for key in rng.sample(FLAGS, rng.randint(0, 2)):
        expected[key] = rng.random() < 0.5
        group, dot, last = key.rpartition(".")
        parts.append([f"--{key}" if expected[key] else f"--{group}{dot}no-{last}"])
    if rng.random() < 0.5:
        return [*chain(*parts)], expected, None
    name = parts[-1][0].partition("=")[0]
    i = rng.randint(3, len(name) - 1)
    broken, named = rng.choice([
        ([name[:i] + "q" + name[i:]], name[:i] + "q"),
        ([*parts[-1], "--", "3"], "--"),
        (parts[-1] + parts[-1], name),
        ([name, "1", "2", "x", "4"], name),
        (["--steps", "2", "--steps=2"], "--steps"),
    ])  # fmt: skip
    return [*chain(*parts[:-1], broken)], None, named


def confused(rng):
    """A value of the wrong type."""
    key = rng.choice(sorted(WRONG))
    text = rng.choice(WRONG[key])
    if text.startswith("--"):
        return [text], None, text.partition("=")[0]
    name = option(rng, key)
    return [name, *text.split(" ")] if text else [name], None, name


def hostile(rng):
    """A string that was made to break something, as an option, a value or a text."""
    text = rng.choice(HOSTILE)
    place = rng.randrange(3)
    if place == 0:
        return [text, *rng.sample(["1", "x"], rng.randint(0, 1))], None, ""
    if place == 1:
        return [f"--steps={text}"], None, "--steps"
    if text.isprintable() and len(text) <= 1000:
        return [f"--title={text}"], {"title": text}, None
    return [f"--title={text}"], None, "--title"


CASES = [(mutated_valid, 500), (confused, 300), (hostile, 200)]


@pytest.mark.parametrize(("make", "n"), CASES, ids=lambda x: getattr(x, "__name__", None))
def test_a_thousand_command_lines_are_understood_or_refused(make, n):
    """Each is either what it says or refused by name; no other exception, and none takes long."""
    rng = random.Random(0)
    accepted = 0
    for _ in range(n):
        argv, expected, named = make(rng)
        start = time.perf_counter()
        if expected is None:
            assert named in refusal(argv), argv
        else:
            config = parse(Config, argv)
            untouched = {key: got(Config(), key) for key in [*VALID, *FLAGS] if key not in expected}
            for key, value in (untouched | expected).items():
                assert got(config, key) == value, argv
            accepted += 1
        assert time.perf_counter() - start < 1
    assert accepted < n
    if make is mutated_valid:
        assert accepted > n / 3


def test_integers_become_floats_where_floats_belong():
    """`b1 = 0` is 0.0, given or by default: an integer exponent once made Adam give NaN."""
    for config in (parse(Config, []), parse(Config, ["--optimizer.b1", "0"])):
        assert type(config.optimizer.b1) is float


@pytest.mark.parametrize(
    ("option", "meant"),
    [
        ("--step", "--steps"),
        ("--batchsize", "--batch-size"),
        ("--optimizer.learning-rat", "--optimizer.learning-rate"),
        ("--learning-rate", "--optimizer.learning-rate"),
        ("--decoders", "--decoder"),
    ],
)
def test_an_unknown_option_is_answered_with_the_nearest(option, meant):
    """A typing error costs one look at the line."""
    line = refusal([option, "1"])
    assert line == f"{option}: unknown option; did you mean {meant}?"


def test_an_option_like_no_other_is_answered_with_all():
    """With no near name the line tells them all."""
    line = refusal(["--zzzz", "1"])
    assert "--steps" in line
    assert "--optimizer.clip" in line


def test_the_order_of_options_does_not_matter():
    """Any order of the same options gives the same configuration."""
    parts = [["--steps", "5"], ["--widths", "1", "2"], ["--no-augment"], ["--optimizer.b1=0.5"]]
    reference = parse(Config, [*chain(*parts)])
    rng = random.Random(0)
    for _ in range(24):
        rng.shuffle(parts)
        assert parse(Config, [*chain(*parts)]) == reference


def test_silence_keeps_the_base():
    """An instance as base keeps its values where the command line says nothing."""
    base = Config(steps=7, optimizer=Optimizer(b1=0.25))
    config = parse(base, ["--optimizer.clip", "3"])
    assert (config.steps, config.optimizer.b1, config.optimizer.clip) == (7, 0.25, 3.0)


def test_one_command_line_serves_several_dataclasses():
    """Options find their dataclass, suggestions see all of them, and shared names are a mistake."""
    config, run = parse_each([Config, Run], ["--run-dir", "runs/a", "--steps", "3"])
    assert (config.steps, run) == (3, Run("runs/a"))
    with pytest.raises(ConfigError, match="did you mean --resume"):
        parse_each([Config, Run], ["--resum", "auto"])
    with pytest.raises(ConfigError, match="--run-dir: required"):
        parse_each([Config, Run], [])
    with pytest.raises(TypeError, match="share"):
        parse_each([Config, Config], [])


def test_help_shows_every_option_and_its_words():
    """`--help` has each option, its default and its docstring, from the class or from a base."""
    page = usage(Config, "python -m experiments train x")
    for key in [*VALID, *FLAGS]:
        assert "--" + key.replace("_", "-") in page
    assert "Steps of training." in page
    assert "100" in page
    assert "4321" in usage(Config(steps=4321), "x")
