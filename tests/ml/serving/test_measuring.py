"""What a machine finds out about a model; every variant runs in a real process."""

import json

import numpy as np
import pytest

from ml.methods.contract import Prediction
from ml.serving.artefact import ONNX, ArtefactError
from ml.serving.machine import machine_key
from ml.serving.measured import Measured, MeasuredVariant, State, choices, read_measured, write_measured
from ml.serving.measuring import MeasuringStopped, Plan, measure
from ml.serving.quantised import serving_folder
from ml.serving.variants import Variant
from tests.ml.serving.builders import (
    CRASH,
    break_package,
    expected_of,
    hold_out,
    make_artefact,
    make_convolution,
    make_images,
)

ONE, TWO = Variant("onnxruntime"), Variant("openvino")
INT8 = Variant("onnxruntime", "int8")


@pytest.fixture
def folder(tmp_path):
    folder = make_artefact(tmp_path / "model", network=make_convolution())
    hold_out(folder)
    return folder


def look(folder, *variants, told=None, stop=lambda: False, **options):
    plan = Plan(variants, threads=1, batches=(1, 2), turns=1, turn_s=0, nice=0, **options)
    return measure(folder, plan, on_progress=told or (lambda *_: None), stop=stop)


def found(measured: Measured, variant: Variant) -> MeasuredVariant:
    return next(one for one in measured.variants if one.variant == variant)


def test_variants_that_agree_are_measured_at_every_batch_size_beside_one_reference(folder):
    told = []
    measured = look(folder, ONE, TWO, told=lambda share, text: told.append((share, text)))
    assert [one.state for one in measured.variants] == [State.MEASURED, State.MEASURED]
    assert found(measured, ONE).relative == 1
    assert found(measured, TWO).relative > 0
    for one in measured.variants:
        assert set(one.latency_ms) == {"1", "2"}
        assert 0 < one.latency_ms["2"]["p50"] <= one.latency_ms["2"]["p99"]
        assert one.max_difference <= 1e-4 * one.spread
        assert one.peak_mb > 10
    assert measured.machine == machine_key()
    assert [share for share, _ in told] == sorted(share for share, _ in told)
    assert told[-1][1].startswith("OpenVINO float32")


def test_int8_is_quantised_here_and_scores_the_held_out_images(folder):
    measured = look(folder, ONE, INT8, looks_into_slower=True)
    int8 = found(measured, INT8)
    assert int8.state is State.MEASURED
    assert (serving_folder(folder) / "int8.onnx").is_file()
    assert (len(measured.ids), measured.held_out_of) == (12, 36)
    apart = np.abs(np.array(int8.scores) - measured.expected)
    assert 0 < apart[~np.array(measured.is_ng)].max() < 0.005
    assert not choices(measured, ng_at=0.5)[1].refusal


def test_int8_that_cuts_off_what_no_ok_image_has_may_not_judge_where_verdicts_flip(tmp_path):
    """OK images far darker than NG ones: three times their range does not reach, and NG images look alike."""
    folder = make_artefact(tmp_path / "dark", network=make_convolution())
    hold_out(folder, brightest_ok=20)
    measured = look(folder, ONE, INT8, looks_into_slower=True)
    int8 = {
        ng_at: next(one for one in choices(measured, ng_at=ng_at) if one.one.variant == INT8)
        for ng_at in (0.05, 0.5)
    }
    assert int8[0.05].gate.flipped == ()
    assert int8[0.5].gate.flipped == (1, 3, 5, 7, 9, 11)
    assert int8[0.5].refusal == "6 held-out images change their verdict"


def test_int8_without_images_to_take_scales_from_is_not_tried(tmp_path):
    measured = look(make_artefact(tmp_path / "bare"), ONE, INT8)
    assert found(measured, INT8).state is State.ABSENT
    assert "no images" in found(measured, INT8).reason


def test_an_engine_that_crashes_is_passed_over_and_the_next_is_the_reference(folder, tmp_path, monkeypatch):
    break_package(monkeypatch, tmp_path / "broken", "openvino", CRASH)
    measured = look(folder, TWO, ONE)
    assert found(measured, TWO).state is State.BROKEN
    assert "SIGSEGV" in found(measured, TWO).reason
    assert found(measured, ONE).relative == 1
    assert [choice.one.variant for choice in choices(measured, ng_at=0.5)] == [ONE, TWO]


def test_an_engine_that_is_not_here_says_why(folder, monkeypatch):
    monkeypatch.setattr("ml.serving.variants.has_nvidia", lambda: False)
    measured = look(folder, Variant("torch_cuda"), ONE)
    cuda = found(measured, Variant("torch_cuda"))
    assert (cuda.state, cuda.reason) == (State.ABSENT, "There is no NVIDIA graphics processor.")


def test_float32_with_other_scores_is_never_timed_and_may_not_judge(tmp_path):
    expected = expected_of(make_images())
    folder = make_artefact(tmp_path / "off", expected=Prediction(expected.scores + 0.01, expected.maps))
    measured = look(folder, ONE)
    assert found(measured, ONE).state is State.DIFFERS
    assert not found(measured, ONE).latency_ms
    assert "differ from the training framework's by up to 0.01" in choices(measured, ng_at=0.5)[0].refusal


def test_a_damaged_artefact_is_not_measured_at_all(folder):
    content = bytearray((folder / ONNX).read_bytes())
    content[10] ^= 1
    (folder / ONNX).write_bytes(bytes(content))
    with pytest.raises(ArtefactError, match="not the file that was exported"):
        look(folder, ONE)


def test_it_stops_between_two_steps_when_it_is_told_to(folder):
    with pytest.raises(MeasuringStopped):
        look(folder, ONE, stop=lambda: True)


def variant_of(variant: Variant, relative: float, **fields) -> MeasuredVariant:
    return MeasuredVariant(variant.engine, variant.precision, State.MEASURED, relative=relative, **fields)


MEASURED = Measured(
    machine=machine_key(),
    facts={},
    threads=2,
    variants=[
        variant_of(ONE, 1.0),
        variant_of(TWO, 0.9),
        variant_of(Variant("openvino", "bf16"), 0.5, scores=[0.1, 0.45, 0.8]),
        MeasuredVariant("torch", "float32", State.BROKEN, "It crashed."),
        MeasuredVariant("torch", "bf16", State.SLOWER, "It gains nothing.", relative=1.5),
    ],
    ids=[1, 2, 3],
    is_ng=[False, False, True],
    expected=[0.1, 0.4, 0.8],
)


def keys(**point) -> list[str]:
    return [choice.one.variant.key for choice in choices(MEASURED, **point) if not choice.refusal]


def test_the_quickest_that_may_judge_comes_first():
    assert keys(ng_at=0.6) == ["openvino-bf16", "openvino", "onnxruntime"]


def test_whether_a_lower_precision_may_judge_depends_on_the_threshold():
    assert keys(ng_at=0.42) == ["openvino", "onnxruntime"]
    assert keys(ng_at=0.6, review_from=0.42) == ["openvino", "onnxruntime"]
    refused = {choice.one.variant.key: choice.refusal for choice in choices(MEASURED, ng_at=0.42)}
    assert refused["openvino-bf16"] == "1 held-out images change their verdict"
    assert (refused["torch"], refused["torch-bf16"]) == ("It crashed.", "It gains nothing.")


def test_a_measurement_reads_back_as_it_was_kept(tmp_path):
    assert read_measured(tmp_path) is None
    write_measured(tmp_path, MEASURED)
    kept = read_measured(tmp_path)
    assert (kept.machine, kept.variants[2].scores) == (MEASURED.machine, [0.1, 0.45, 0.8])
    assert json.dumps(kept.to_json()) == json.dumps(MEASURED.to_json())


def test_a_measurement_of_another_machine_is_not_this_ones(tmp_path, monkeypatch):
    write_measured(tmp_path, MEASURED)
    monkeypatch.setattr("ml.serving.quantised.machine_key", lambda: "0123456789abcdef")
    assert read_measured(tmp_path) is None


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"version": 2}', '{"version": 1}', "null"])
def test_a_measurement_that_cannot_be_read_is_told(tmp_path, content):
    serving_folder(tmp_path).mkdir(parents=True)
    (serving_folder(tmp_path) / "measured.json").write_text(content)
    with pytest.raises(ArtefactError, match=r"measured\.json"):
        read_measured(tmp_path)


def test_a_measurement_fits_json(folder):
    stored = json.loads(json.dumps(look(folder, ONE).to_json()))
    assert json.loads(json.dumps(Measured.from_json(stored).to_json())) == stored
