"""Variants in processes of their own; the crashes are real ones."""

import subprocess
import sys

import psutil
import pytest

from ml.methods.contract import Prediction
from ml.serving.artefact import ArtefactError
from ml.serving.engines import EngineUnavailable, Running
from ml.serving.trials import EngineCrashed, Trial, try_variant
from ml.serving.variants import Variant
from tests.ml.serving.builders import CRASH, break_package, expected_of, hold_out, make_artefact, make_images

RUNNING = Running(threads=1)


@pytest.fixture
def folder(tmp_path):
    return make_artefact(tmp_path / "model")


def test_a_variant_that_works_is_compared_timed_and_scores_the_held_out_images(folder):
    held = hold_out(folder)
    with Trial(threads=1) as trial:
        load_s, parity = trial.load(folder, Variant("onnxruntime"), (1, 2))
        assert load_s > 0
        assert parity.passed
        assert parity.max_difference < 1e-6
        assert len(trial.time(2, seconds=0, at_least=4)) == 4
        assert trial.score(3, 6) == pytest.approx(held.expected[3:6].tolist(), abs=1e-6)
        assert 10 < trial.peak_mb < 4000


def test_a_variant_with_other_scores_is_told_apart(tmp_path):
    expected = expected_of(make_images())
    off = make_artefact(tmp_path / "off", expected=Prediction(expected.scores + 0.01, expected.maps))
    parity = try_variant(off, Variant("onnxruntime"), RUNNING)
    assert not parity.passed
    assert parity.max_difference == pytest.approx(0.01, rel=1e-3)


def test_an_engine_that_takes_its_process_along_is_told_by_its_signal(folder, tmp_path, monkeypatch):
    break_package(monkeypatch, tmp_path / "broken", "openvino", CRASH)
    with pytest.raises(EngineCrashed, match=r"ended while it was asked to load \(SIGSEGV\)"):
        try_variant(folder, Variant("openvino"), RUNNING)


def test_an_engine_that_ends_its_process_is_told_by_its_status(folder, tmp_path, monkeypatch):
    break_package(monkeypatch, tmp_path / "broken", "openvino", "import os; os._exit(3)")
    with pytest.raises(EngineCrashed, match="exit status 3"):
        try_variant(folder, Variant("openvino"), RUNNING)


def test_an_engine_that_raises_what_nobody_foresaw_is_told_in_its_words(folder, tmp_path, monkeypatch):
    break_package(monkeypatch, tmp_path / "broken", "openvino", "raise OSError('libopenvino.so is missing')")
    with pytest.raises(EngineCrashed, match=r"OSError: libopenvino\.so is missing"):
        try_variant(folder, Variant("openvino"), RUNNING)


def test_an_engine_that_never_comes_back_is_stopped(folder, tmp_path, monkeypatch):
    break_package(monkeypatch, tmp_path / "broken", "openvino", "import threading; threading.Event().wait()")
    with Trial(patience_s=0.5) as trial, pytest.raises(EngineCrashed, match="did not load within"):
        trial.load(folder, Variant("openvino"))


def test_what_a_library_prints_does_not_come_between_the_answers(folder, tmp_path, monkeypatch):
    break_package(monkeypatch, tmp_path / "loud", "openvino", "print('{}', flush=True); raise OSError('no')")
    with pytest.raises(EngineCrashed, match="OSError: no"):
        try_variant(folder, Variant("openvino"), RUNNING)


def test_a_damaged_artefact_is_told_as_such(folder):
    (folder / "model.onnx").write_bytes(b"x")
    with pytest.raises(ArtefactError, match="not the file that was exported"):
        try_variant(folder, Variant("onnxruntime"), RUNNING)


def test_a_variant_that_is_not_here_needs_no_process(folder, monkeypatch):
    monkeypatch.setattr("ml.serving.variants.has_nvidia", lambda: False)
    monkeypatch.setattr("ml.serving.trials.subprocess.Popen", None)
    with pytest.raises(EngineUnavailable, match="no NVIDIA"):
        try_variant(folder, Variant("torch_cuda"), RUNNING)


def test_no_process_is_left_when_a_trial_ends():
    with Trial() as trial:
        pid = trial._process.pid
        assert psutil.pid_exists(pid)
    assert not psutil.pid_exists(pid)


def test_a_child_ends_with_the_program_that_started_it():
    child = subprocess.Popen([sys.executable, "-m", "ml.serving.child"], stdin=subprocess.PIPE)
    child.stdin.close()
    assert child.wait(60) == 0
