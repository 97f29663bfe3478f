# SPDX-License-Identifier: Apache-2.0
"""Stopping after any step and going on in a new process does not change a bit."""

import json

import pytest

STOP = """
    import os, signal
    from jaxml.training.run import Run
    record, start = Run.record, Run.start

    def stop_after(run, step, metrics):
        record(run, step, metrics)
        if step == {k}:
            os.kill(os.getpid(), signal.SIGTERM)

    def stop_before(run, *args, **kwargs):
        begun = start(run, *args, **kwargs)
        if {k} == 0:
            os.kill(os.getpid(), signal.SIGTERM)
        return begun

    Run.record, Run.start = stop_after, stop_before
"""
EPOCH, STEPS = 6, 14
BATCH = {"vae_digits": "200", "vae_mnist": "8000"}  # of 1300 and 50 000 examples: 6 steps an epoch


def result(run):
    return json.loads((run / "result.json").read_text())


@pytest.mark.slow
@pytest.mark.parametrize("name", BATCH)
@pytest.mark.parametrize("k", [0, 1, EPOCH // 2, EPOCH, EPOCH + 1, STEPS - 1])
def test_stop_and_go_on_in_a_new_process(nursery, law, small, tmp_path, request, name, k):
    """At the start, in mid-epoch, at and after an epoch's end, before the last step: bitwise."""
    if name == "vae_mnist":
        request.getfixturevalue("mnist")
    options = ("--tiny", "--steps", STEPS, "--batch-size", BATCH[name])
    options = tuple(map(str, options)) + small[:2] + ("--save-every", "1", "--look-every", "7")
    reference, run = nursery.reference(name, *options), tmp_path / "run"
    words = ("train", name, *options, "--run-dir", run)
    stopped = nursery.run(*words, before=STOP.format(k=k))
    assert stopped.code == 143
    assert (run / "config.json").exists()
    assert law.rows(run / "metrics.jsonl") == list(range(1, k + 1))
    assert max(law.saved(run), default=0) == k
    done = nursery.run(*words, "--resume", "auto")
    assert done.code == 0, done.err
    law.same(run, reference)


@pytest.mark.slow
def test_a_finished_run_is_reported_again(nursery, law, small, tmp_path):
    """`--resume auto` on an empty directory begins; on a finished run it ends as the run did."""
    options = ("--tiny", "--steps", "40", *small)
    reference, run = nursery.reference("vae_digits", *options), tmp_path / "run"
    run.mkdir()
    words = ("train", "vae_digits", *options, "--run-dir", run, "--resume", "auto")
    begun = nursery.run(*words)
    assert begun.code == 0
    law.same(run, reference)
    seconds = result(run)["seconds"]
    (run / "report.html").unlink()
    again = nursery.run(*words)
    assert (again.code, again.out) == (0, begun.out)
    assert "report.html" in again.out
    assert (run / "report.html").is_file()
    assert result(run)["seconds"] >= 0.5 * seconds  # of all processes, not of the last
    law.same(run, reference)


@pytest.mark.slow
def test_the_log_of_example_ids_has_each_step_once(nursery, law, small, tmp_path):
    """Stopped ahead of the last checkpoint and resumed, the ids are those of the whole run."""
    options = ("--tiny", "--steps", "40", *small)
    texts = []
    for name in ("whole", "parts"):
        ids = tmp_path / f"{name}.jsonl"
        words = ("train", "vae_digits", *options, "--run-dir", tmp_path / name)
        words += ("--log-sample-ids", ids)
        if name == "parts":
            crash = 'raise SystemExit("no goodbye")'  # rows run ahead of the checkpoint of step 15
            before = STOP.replace("os.kill(os.getpid(), signal.SIGTERM)", crash).format(k=20)
            assert nursery.run(*words, before=before).code == 1
            words += ("--resume", "auto")
        assert nursery.run(*words).code == 0
        texts.append(ids.read_text())
        assert law.rows(ids) == list(range(1, 41))
    assert texts[0] == texts[1]
