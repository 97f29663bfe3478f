# SPDX-License-Identifier: Apache-2.0
"""Whatever a command line says is understood and run, or refused in one line and no run begun."""

import json
import random
import shutil

import pytest

from experiments import config, vae_digits

REFUSED = [
    (["--step", "3"], "--step: unknown option; did you mean --steps?"),
    (["--steps", "0"], "--steps: expected an integer >= 1, got 0"),
    (["--steps", "010"], '--steps: expected an integer >= 1, got "010"'),
    (["--steps", "2", "--steps", "2"], "--steps: given twice"),
    (["--learning-rate", "nan"], "--learning-rate: expected a finite number > 0"),
    (["--resume", "always"], "--resume: expected one of never, auto, last-good"),
    (["--batch-size", "1301"], "vae_digits: batch_size: 1301 exceeds the 1300 examples"),
    (["--seed", "-1"], "--seed: expected an integer >= 0, got -1"),
    (["\x1b[2J"], "expected an option"),
]


@pytest.mark.parametrize(("words", "expected"), REFUSED)
def test_a_refused_command_line(call, tmp_path, words, expected):
    """Exit 2, one line that names the option; nothing is left that would hinder a second try."""
    run = tmp_path / "run"
    done = call("train", "vae_digits", *words, "--tiny", "--run-dir", run)
    assert done.code == 2, done
    assert expected in done.error()
    assert done.error().isprintable()
    assert not (run / "config.json").exists()


@pytest.mark.parametrize(
    ("words", "code", "expected"),
    [
        (["fly"], 2, "fly: unknown command"),
        (["train"], 2, "train: expected the name of an experiment"),
        (["train", "vae_digit"], 2, "did you mean vae_digits?"),
        (["train", "os.system"], 2, "os.system: unknown experiment"),
        (["train", "vae_mnist", "--data-dir", "/nowhere", "--run-dir", "{}/run"], 3, "/nowhere"),
        (["verify", "{}"], 4, "holds no checkpoint"),
        (["sample", "{}"], 4, "holds no run"),
        (["replay", "{}"], 4, "holds no run"),
        (["sample"], 2, "sample: expected a run directory"),
    ],
)
def test_every_kind_of_mistake_has_its_code(call, tmp_path, words, code, expected):
    """2 for words, 3 for data, 4 for storage; one line each."""
    done = call(*(word.format(tmp_path) for word in words))
    assert (done.code, expected in done.error()) == (code, True), done


def test_an_edited_configuration_is_refused_by_name(call, tmp_path):
    """A run's `config.json` changed by hand: unknown, missing, repeated and mistyped keys."""
    text = config.dump(vae_digits.Config())
    edits = [
        (text.replace('"steps"', '"step"'), "config.step: unknown key; did you mean steps?"),
        (text.replace('"seed": 0,', '"seed": 0, "seed": 0,'), "config.seed: key given twice"),
        (text.replace('"width": 256', '"width": "256"'), "config.width: expected an integer"),
        (text.replace('"seed": 0', '"seed": NaN'), "config.seed"),
        (text.replace("vae_digits", "os"), "os: unknown experiment"),
        ("{", "not JSON"),
    ]
    for edited, expected in edits:
        (tmp_path / "config.json").write_text(edited)
        for command in ("sample", "evaluate", "replay"):
            done = call(command, tmp_path)
            assert (done.code, expected in done.error()) == (2, True), done


def accepted(rng):
    """A configuration within the ranges, as words."""
    choices = {
        "seed": [0, 1, 2**31, 2**32, 2**63 - 1],
        "batch-size": [1, 7, 1300],
        "learning-rate": ["1e-30", "1e-3", "0.1", "1", "1e30"],
        "width": [1, 33],
        "n-latent": [1, 17],
        "beta": ["0", "1e-8", "1", "1e8"],
        "weight-decay": ["0", "0.5", "1e6"],
        "decay": ["0", "0.5", "0.999999"],
        "n-samples": [1, 2],
        "save-every": [1, 2, 3, 10**9, 2**63 - 1],
        "look-every": [1, 2, 10**9, 2**63 - 1],
    }
    names = rng.sample(sorted(choices), rng.randint(1, len(choices)))
    return [str(word) for name in names for word in (f"--{name}", rng.choice(choices[name]))]


@pytest.mark.slow
def test_sixty_accepted_configurations_train(nursery, law, tmp_path):
    """Two steps of each of 60 random settings: done, or non-finite and told so; no traceback."""
    rng, codes = random.Random(0), []
    for i in range(60):
        words, run = accepted(rng), tmp_path / f"run-{i}"
        base = ("--tiny", "--steps", 2, "--width", 8, "--n-samples", 2)
        named = {word for word in words if word.startswith("--")}
        kept = [w for k in range(1, len(base), 2) if base[k] not in named for w in base[k : k + 2]]
        done = nursery.run(
            "train", "vae_digits", "--tiny", *kept, *words, "--run-dir", run, fill=True
        )
        assert "Traceback" not in done.err, (words, done.err)
        assert done.code in (0, 5), (words, done)
        codes.append(done.code)
        if done.code == 0:
            assert law.rows(run / "metrics.jsonl") == [1, 2], words
            assert nursery.run("verify", run).code == 0
            assert (run / "report.html").is_file()
            text = (run / "config.json").read_text()
            assert config.dump(config.load(text, vae_digits.Config)) == text
        else:
            assert done.error().startswith("error: step "), words
            assert json.loads((run / "crash" / "crash.json").read_text())["step"] in (1, 2)
        shutil.rmtree(run)
    assert codes.count(0) >= 30
    print(f"{codes.count(0)} done, {codes.count(5)} non-finite and told so")
