import subprocess
import sys

import numpy as np
import pytest
from pydantic import ValidationError

from ml.methods.contract import Counts, Needs, NotEnoughImages, TrainingDiverged, TrainingStopped, check_needs
from ml.methods.declarations import METHODS, WeakParameters, load_method
from tests.ml.methods.builders import training_set


def test_a_set_with_enough_images_passes():
    check_needs(Needs(ok=5, ng=5), Counts(ok=5, ng=5))


def test_what_is_missing_is_told_with_what_there_is():
    with pytest.raises(NotEnoughImages, match=r"At least 5 NG images are needed; there are 3\.") as caught:
        check_needs(Needs(ok=5, ng=5), Counts(ok=9, ng=3))
    assert "OK images" not in str(caught.value)


def test_a_class_with_too_few_images_is_named():
    counts = Counts(ok=9, ng=3, by_class={"OK": 9, "crack": 1, "fray": 2})
    with pytest.raises(NotEnoughImages, match="2 images of each class are needed; crack has 1"):
        check_needs(Needs(per_class=2), counts)


def test_a_training_set_counts_itself():
    counted = training_set(9).counts
    assert (counted.ok, counted.ng, dict(counted.by_class)) == (5, 4, {"OK": 5, "NG": 4})


def test_a_training_set_whose_parts_differ_in_length_is_refused():
    with pytest.raises(ValueError, match="differ in length"):
        training_set(8, is_ng=np.zeros(7, bool))


def test_errors_say_how_to_go_on():
    assert "/checkpoints/4" in str(TrainingStopped("/checkpoints/4"))
    diverged = str(TrainingDiverged("Stage 1: locate", 17, None))
    assert "Stage 1: locate was not finite at step 17" in diverged
    assert "learning rate" in diverged


def test_declaring_the_methods_imports_no_torch():
    script = "import sys, ml.methods.declarations, ml.methods.contract; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


@pytest.mark.parametrize("name", METHODS)
def test_every_method_has_a_paper_preset_whose_json_reads_back(name):
    declaration = METHODS[name]
    assert "paper" in declaration.presets
    for preset in declaration.presets.values():
        assert declaration.Parameters.model_validate(preset.model_dump(mode="json")) == preset


@pytest.mark.parametrize("name", METHODS)
def test_every_parameter_is_described_and_every_number_has_its_range(name):
    for field, schema in METHODS[name].Parameters.model_json_schema()["properties"].items():
        assert schema["description"].endswith("."), field
        if schema.get("type") in ("integer", "number"):
            assert {"minimum", "exclusiveMinimum"} & schema.keys(), field
            assert {"maximum", "exclusiveMaximum"} & schema.keys(), field


@pytest.mark.parametrize("name", METHODS)
def test_every_method_loads_what_the_contract_asks_for(name):
    method = load_method(name)
    assert callable(method.fit)
    assert callable(method.restore)


def test_the_paper_preset_has_the_papers_numbers():
    paper = METHODS["weak"].presets["paper"]
    assert (paper.height, paper.width, paper.alpha_init, paper.alpha_every) == (1408, 512, 8.0, 30)
    assert (paper.stage1_iterations, paper.stage1_rate) == (750, 0.1)
    assert (paper.stage2_iterations, paper.stage2_rate) == (1200, 0.01)
    assert (paper.stage3_iterations, paper.stage3_rate) == (300, 0.001)
    assert (paper.recipe, paper.pairs) == ("paper", 1)


@pytest.mark.parametrize(
    "wrong",
    [{"height": 32}, {"stage1_rate": 0}, {"stage1_rate": float("nan")}, {"pooling": "max"}, {"epochs": 3},
     {"stage2_iterations": -1}],
)  # fmt: skip
def test_parameters_out_of_range_or_unknown_are_refused(wrong):
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        WeakParameters(**wrong)
