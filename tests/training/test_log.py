# SPDX-License-Identifier: Apache-2.0
"""Laws of the log: every step once, every number back, and always valid JSON."""

import io
import json

import jax.numpy as jnp
import numpy as np
import pytest

from jaxml.training import log
from jaxml.training.storage import atomic

RNG = np.random.default_rng(0)


def strict(line):
    """JSON by the standard: no NaN, no Infinity."""

    def refuse(word):
        raise AssertionError(f"{word} is no JSON")

    return json.loads(line, parse_constant=refuse)


class Memory(io.StringIO):
    """A file in memory that counts how often it is written to."""

    calls = 0

    def write(self, text):
        self.calls += 1
        return super().write(text)


def lines(step, metrics):
    file = Memory()
    log.append(file, step, metrics)
    return file.getvalue().splitlines()


def test_a_chunk_is_one_object_per_step():
    """A chunk of n steps that ends at step k fills the lines k − n + 1, ..., k."""
    got = [
        strict(line) for line in lines(12, {"loss": np.float32([3, 0.1, 1e-20]), "kl": [1, 2, 3]})
    ]
    assert got == [
        {"step": 10, "loss": 3.0, "kl": 1},
        {"step": 11, "loss": 0.1, "kl": 2},
        {"step": 12, "loss": 1e-20, "kl": 3},
    ]


def test_a_single_number_belongs_to_the_last_step():
    """A validation cost is measured once, after the last step of its chunk."""
    got = [strict(line) for line in lines(2, {"loss": np.ones(2), "validation/loss": 0.5})]
    assert got == [{"step": 1, "loss": 1.0}, {"step": 2, "loss": 1.0, "validation/loss": 0.5}]
    assert lines(7, {"a": np.float32(2)}) == ['{"step": 7, "a": 2.0}']


def test_what_json_cannot_say():
    """NaN is null and infinities are strings, in scalars and in vectors."""
    (line,) = lines(1, {"a": np.array([np.nan]), "b": np.array([[np.inf, -np.inf, np.nan]])})
    assert strict(line) == {"step": 1, "a": None, "b": ["Infinity", "-Infinity", None]}


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, jnp.bfloat16])
def test_every_number_comes_back(tmp_path, dtype):
    """Written and read, any bit pattern of a dtype is the same number of that dtype."""
    size = np.dtype(dtype).itemsize
    values = RNG.integers(0, 256, 3000 * size, np.uint8).view(dtype)
    values[:5] = [0.1, -0.0, np.inf, -np.inf, np.nan]
    with (tmp_path / "log").open("w") as file:
        log.append(file, len(values), {"x": values})
    back = log.read(tmp_path / "log")
    np.testing.assert_array_equal(back["step"], np.arange(1, len(values) + 1))
    with np.errstate(all="ignore"):  # among the patterns are signalling NaNs
        got, want = (v.astype(dtype).astype(np.float64) for v in (back["x"], values))
    np.testing.assert_array_equal(got, want)


def test_columns_that_begin_late_are_nan_before(tmp_path):
    """A metric of some steps is NaN at the others; vectors keep their shape."""
    with (tmp_path / "log").open("w") as file:
        log.append(file, 2, {"loss": np.ones((2, 3))})
        log.append(file, 4, {"loss": np.ones((2, 3)), "fid": 2.5, "flag": np.array([True, False])})
    columns = log.read(tmp_path / "log")
    assert columns["loss"].shape == (4, 3)
    np.testing.assert_array_equal(columns["fid"], [np.nan, np.nan, np.nan, 2.5])
    np.testing.assert_array_equal(columns["flag"], [np.nan, np.nan, 1, 0])


def test_a_resumed_log_has_each_step_exactly_once(tmp_path):
    """Killed anywhere, torn or not, and continued from an earlier step: the log is the same."""
    path = tmp_path / "metrics.jsonl"
    loss = RNG.normal(size=20)

    def train(first, last):
        with atomic.open_at(path, first) as file:
            for step in range(first, last, 4):
                log.append(file, step + 4, {"loss": loss[step : step + 4]})

    train(0, 20)
    whole = path.read_bytes()
    for cut in (len(whole) - 5, len(whole) // 2, 100):
        path.write_bytes(whole[:cut])
        done = whole[:cut].count(b"\n") // 4 * 4
        train(done, 20)
        assert path.read_bytes() == whole
        train(8, 20)
        assert path.read_bytes() == whole


def test_a_chunk_is_written_in_one_call():
    """1000 steps of five metrics are one write, so that a kill tears one line at most."""
    file = Memory()
    log.append(file, 1000, {name: RNG.normal(size=1000) for name in "abcde"})
    assert file.calls == 1
    assert file.getvalue().count("\n") == 1000


@pytest.mark.parametrize(
    ("metrics", "message"),
    [
        ({"a": np.ones(2), "b": np.ones(3)}, r"as many steps in each, got a \(2,\), b \(3,\)"),
        ({"step": np.ones(2)}, "'step' names the step itself"),
        ({"a": np.ones(4)}, "4 steps cannot end at step 3"),
    ],
)
def test_metrics_that_do_not_fit_are_refused(metrics, message):
    """Nothing is written, and the error says what does not fit."""
    file = Memory()
    with pytest.raises(ValueError, match=message):
        log.append(file, 3, metrics)
    assert file.getvalue() == ""


@pytest.mark.parametrize(
    "line",
    [
        "[1]",
        "{}",
        '{"step": 1, "a": "text"}',
        '{"step": 1, "a": {}}',
        '{"step": 1, "a": true}',
        '{"step": 1, "a": 1' + "0" * 400 + "}",
        '{"step": 1, "a": ' + "[" * 100_000,
        '{"step": "x"}',
        '{"step": 1, "lo',
    ],
)
def test_strange_lines_are_named(tmp_path, line):
    """A line that holds no metrics is an error with file and line number, never a wrong array."""
    path = tmp_path / "log"
    path.write_text('{"step": 0}\n' + line + "\n")
    with pytest.raises(ValueError, match="log: line 2: expected an object of numbers"):
        log.read(path)


def test_a_metric_that_changes_its_shape_is_named(tmp_path):
    """A column has one shape."""
    path = tmp_path / "log"
    path.write_text('{"step": 1, "a": 1}\n{"step": 2, "a": [1, 2]}\n')
    with pytest.raises(ValueError, match="metric 'a' changes its shape"):
        log.read(path)


def test_names_are_escaped():
    """A name with quotes and line breaks stays inside its line."""
    (line,) = lines(1, {'a"\n': np.ones(1)})
    assert strict(line) == {"step": 1, 'a"\n': 1.0}
