"""What a line loads: the quickest that may judge, the next one where that fails, nothing where none agrees."""

import json

import numpy as np
import pytest

from inspection.line.config import DeploymentConfig
from inspection.line.frames import Frame
from inspection.serving_judge import JudgeLoader, NoEngine
from ml.methods.contract import Prediction
from ml.scoring import WorstPatches
from ml.serving.artefact import ONNX, WEIGHTS, ArtefactError
from ml.serving.closest_ok import add_ok_images
from ml.serving.engines import Running
from ml.serving.machine import machine_key
from ml.serving.measured import Measured, MeasuredVariant, State, write_measured
from ml.serving.quantised import serving_folder
from tests.ml.serving.builders import (
    CRASH,
    break_package,
    expected_of,
    hold_out,
    make_artefact,
    make_images,
    make_patches_network,
)

RUNNING = Running(threads=1)


@pytest.fixture
def folder(tmp_path):
    return make_artefact(tmp_path / "model")


def deployment(folder, **fields) -> DeploymentConfig:
    values = {"id": 1, "model_version": 1, "artefact": str(folder), "ng_at": 0.5, **fields}
    return DeploymentConfig(**values)


def loaded(folder, **fields) -> str:
    """What the line judges by."""
    loader = JudgeLoader(RUNNING)
    image = make_images()[2]
    judge = loader(deployment(folder, **fields))
    given = judge.judge({"top": Frame(image=image, name="a"), "side": Frame(image=image, name="b")})
    assert (
        given["top"].score == given["side"].score == pytest.approx(expected_of([image]).scores[0], abs=0.01)
    )
    judge.close()
    return loader.engines[1]


def measured(folder, *variants: MeasuredVariant) -> None:
    held = hold_out(folder)
    write_measured(
        folder,
        Measured(
            machine=machine_key(),
            facts={},
            threads=1,
            variants=variants,
            ids=held.ids.tolist(),
            is_ng=held.is_ng.tolist(),
            expected=held.expected.tolist(),
        ),
    )


def one(engine: str, precision: str = "float32", relative: float = 1.0, **fields) -> MeasuredVariant:
    return MeasuredVariant(engine, precision, State.MEASURED, relative=relative, **fields)


def test_without_a_measurement_a_line_begins_with_the_first_engine_that_agrees(folder):
    assert loaded(folder) == "ONNX Runtime float32"


def test_an_engine_that_crashes_the_process_is_passed_over_before_it_is_loaded_here(
    folder, tmp_path, monkeypatch
):
    break_package(monkeypatch, tmp_path / "broken", "onnxruntime", CRASH)
    assert loaded(folder) == "OpenVINO float32"


def test_the_quickest_that_was_measured_is_loaded(folder):
    measured(folder, one("onnxruntime"), one("openvino", relative=0.5))
    assert loaded(folder) == "OpenVINO float32"


def test_a_lower_precision_is_loaded_where_no_verdict_flips_and_only_there(folder):
    held = hold_out(folder)
    scores = held.expected + np.where(held.is_ng, -0.02, 0.02)
    measured(folder, one("onnxruntime"), one("openvino", "bf16", 0.5, scores=scores.tolist()))
    assert loaded(folder, ng_at=0.5) == "OpenVINO bf16"
    between = float(held.expected[held.is_ng].min()) - 0.01
    assert loaded(folder, ng_at=between) == "ONNX Runtime float32"


def test_what_was_measured_and_can_no_longer_be_loaded_is_passed_over(folder):
    held = hold_out(folder)
    measured(folder, one("onnxruntime"), one("openvino", "int8", 0.3, scores=held.expected.tolist()))
    assert not (serving_folder(folder) / "int8.onnx").exists()
    assert loaded(folder) == "ONNX Runtime float32"


def test_a_measurement_that_cannot_be_read_is_left_aside(folder):
    serving_folder(folder).mkdir(parents=True)
    (serving_folder(folder) / "measured.json").write_text("{")
    assert loaded(folder) == "ONNX Runtime float32"


def test_where_no_engine_gives_the_trainings_scores_nothing_is_loaded_and_each_is_named(tmp_path):
    expected = expected_of(make_images())
    off = Prediction(expected.scores + 0.01, expected.maps)
    with pytest.raises(NoEngine) as refusal:
        JudgeLoader(RUNNING)(deployment(make_artefact(tmp_path / "off", expected=off)))
    text = str(refusal.value)
    assert "ONNX Runtime float32: The scores of onnxruntime differ from the training framework's" in text
    assert "OpenVINO float32: The scores of openvino differ" in text
    assert "PyTorch float32: " in text


@pytest.mark.parametrize("name", [ONNX, WEIGHTS])
def test_a_flipped_bit_in_any_file_is_no_reason_to_try_another_engine(folder, name):
    content = bytearray((folder / name).read_bytes())
    content[-1] ^= 1
    (folder / name).write_bytes(bytes(content))
    with pytest.raises(ArtefactError, match="not the file that was exported"):
        JudgeLoader(RUNNING)(deployment(folder))


def test_the_network_of_another_model_is_refused(folder, tmp_path):
    other = make_artefact(tmp_path / "other", network=None, seed=5)
    (folder / "card.json").write_bytes((other / "card.json").read_bytes())
    (folder / ONNX).write_bytes(b"of another model")
    with pytest.raises(ArtefactError, match=r"model\.onnx is not the file"):
        JudgeLoader(RUNNING)(deployment(folder))


def test_a_card_of_a_later_version_is_refused_with_both_versions(folder):
    card = json.loads((folder / "card.json").read_text())
    (folder / "card.json").write_text(json.dumps(card | {"card_version": 99}))
    with pytest.raises(ArtefactError, match="version 99; this program reads version"):
        JudgeLoader(RUNNING)(deployment(folder))


def test_a_missing_file_is_named(folder):
    (folder / ONNX).unlink()
    with pytest.raises(ArtefactError, match=r"model\.onnx is missing"):
        JudgeLoader(RUNNING)(deployment(folder))


def test_review_bounds_count_too(folder):
    held = hold_out(folder)
    scores = held.expected + np.where(held.is_ng, -0.02, 0.02)
    measured(folder, one("onnxruntime"), one("openvino", "bf16", 0.5, scores=scores.tolist()))
    between = float(held.expected[~held.is_ng].max()) + 0.01
    assert loaded(folder, ng_at=0.5, review_from=between) == "ONNX Runtime float32"


class TestClosestGoodImage:
    def judged(self, folder) -> list[int | None]:
        dark, _, _, bright = make_images()
        judge = JudgeLoader(RUNNING)(deployment(folder))
        given = judge.judge({"top": Frame(image=bright, name="a"), "side": Frame(image=dark, name="b")})
        return [given[view].closest_ok for view in ("top", "side")]

    def test_each_view_has_its_own(self, tmp_path):
        images = make_images()
        cells = expected_of(images).maps.reshape(len(images), -1)
        scored = WorstPatches(4, 0.25)(np.concatenate([cells, cells], axis=1))
        folder = make_artefact(
            tmp_path / "patches",
            network=make_patches_network(),
            expected=Prediction(scored.scores, expected_of(images).maps),
            scoring=WorstPatches(4, 0.25),
        )
        add_ok_images(folder, [11, 12, 13, 14], cells)
        assert self.judged(folder) == [14, 11]

    def test_a_model_that_does_not_tell_has_none(self, folder):
        assert self.judged(folder) == [None, None]
