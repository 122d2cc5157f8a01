import numpy as np
import pytest
from sklearn import metrics as reference

from ml.evaluation.classes import ClassProbabilities, classification, detection_by_class
from ml.evaluation.intervals import wilson

NAMES = ("OK", "crack", "hole")


def drawn(seed, count=150):
    rng = np.random.default_rng(seed)
    truth = np.append(rng.integers(0, 3, count), [0, 1, 2])
    logits = rng.normal(0, 1, (len(truth), 3)) + 1.5 * np.eye(3)[truth]
    values = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return truth, values


def told(truth, values, names=NAMES):
    groups = [str(index) for index in range(len(truth))]
    labels = [names[index] for index in truth]
    return classification(ClassProbabilities(names, values), labels, groups=groups, seed=0)


@pytest.mark.parametrize("seed", range(4))
def test_the_figures_are_those_of_scikit_learn(seed):
    truth, values = drawn(seed)
    found, named = told(truth, values), values.argmax(axis=1)
    assert found["confusion"] == reference.confusion_matrix(truth, named).tolist()
    assert found["accuracy"]["value"] == pytest.approx(reference.accuracy_score(truth, named))
    precision, recall, f1, count = reference.precision_recall_fscore_support(truth, named)
    areas = reference.roc_auc_score(truth, values, multi_class="ovr", average=None)
    for index, name in enumerate(NAMES):
        one = found["by_class"][name]
        assert one["n"] == count[index]
        assert one["precision"]["value"] == pytest.approx(precision[index])
        assert one["recall"]["value"] == pytest.approx(recall[index])
        assert one["f1"]["value"] == pytest.approx(f1[index])
        assert one["auroc"]["value"] == pytest.approx(areas[index])
        assert one["auroc"]["low"] < areas[index] < one["auroc"]["high"]
    macro = reference.precision_recall_fscore_support(truth, named, average="macro")[:3]
    assert [found["macro"][name] for name in ("precision", "recall", "f1")] == pytest.approx(list(macro))
    assert found["macro"]["auroc"] == pytest.approx(areas.mean())


def test_rates_have_wilsons_interval():
    truth, values = drawn(0)
    rate = told(truth, values)["by_class"]["hole"]["recall"]
    assert (rate["low"], rate["high"]) == wilson(rate["count"], rate["of"])


def test_a_class_that_is_never_named_counts_as_nought_in_the_means():
    truth, values = np.array([0, 0, 1]), np.tile([0.8, 0.2], (3, 1))
    found = told(truth, values, ("OK", "NG"))
    assert found["by_class"]["NG"]["precision"]["value"] is None
    expected = reference.precision_score(truth, [0, 0, 0], average="macro", zero_division=0)
    assert found["macro"]["precision"] == pytest.approx(expected)


def test_a_class_without_images_is_left_out_of_the_means():
    truth, values = drawn(1)
    kept = truth != 2
    found = told(truth[kept], values[kept])
    assert found["by_class"]["hole"]["n"] == 0
    assert found["by_class"]["hole"]["auroc"]["value"] is None
    recalls = [found["by_class"][name]["recall"]["value"] for name in ("OK", "crack")]
    assert found["macro"]["recall"] == pytest.approx(np.mean(recalls))


@pytest.mark.parametrize(
    ("values", "labels", "text"),
    [
        ([[0.5, 0.5]], ["OK", "NG"], "for 2 images"),
        ([[0.5, 0.9]], ["OK"], "sum to 1"),
        ([[float("nan"), 0.9]], ["OK"], "sum to 1"),
        ([[0.5, 0.5]], ["scratch"], "scratch: no class"),
        (np.empty((0, 2)), [], "no probabilities"),
    ],
)
def test_what_is_no_distribution_over_the_classes_is_refused(values, labels, text):
    probabilities = ClassProbabilities(("OK", "NG"), np.array(values))
    with pytest.raises(ValueError, match=text):
        classification(probabilities, labels, groups=labels, seed=0)


def test_each_defect_type_has_its_recall_and_its_area_against_the_ok_images():
    scores = np.array([0.1, 0.2, 0.6, 0.3, 0.7, 0.9, 0.95])
    is_ng = np.array([0, 0, 0, 1, 1, 1, 1], bool)
    names = ["OK", "OK", "OK", "crack", "crack", "hole", "hole"]
    found = detection_by_class(
        scores, is_ng, names, threshold=0.5, groups=[str(index) for index in range(7)], seed=0
    )
    assert list(found) == ["OK", "crack", "hole"]
    assert [(found[name]["recall"]["count"], found[name]["n"]) for name in found] == [(2, 3), (1, 2), (2, 2)]
    assert "auroc" not in found["OK"]
    expected = reference.roc_auc_score([0, 0, 0, 1, 1], [0.1, 0.2, 0.6, 0.3, 0.7])
    assert found["crack"]["auroc"]["value"] == pytest.approx(expected)
    assert found["hole"]["auroc"]["value"] == 1


def test_defects_alone_still_have_their_recall():
    found = detection_by_class(
        np.array([0.4, 0.6]), np.array([True, True]), ["a", "a"], threshold=0.5, groups=["1", "2"], seed=0
    )
    assert (found["a"]["recall"]["count"], found["a"]["auroc"]["value"]) == (1, None)


def test_lists_of_different_length_are_refused():
    with pytest.raises(ValueError, match="2 scores, 1 classes"):
        detection_by_class(
            np.array([0.4, 0.6]), np.array([True, False]), ["a"], threshold=0.5, groups=["1", "2"], seed=0
        )


def test_to_a_method_that_tells_ok_from_ng_alone_every_defect_type_is_ng():
    is_ng = np.array([False, True, True])
    two_way = ClassProbabilities(("good", "NG"), np.full((3, 2), 0.5))
    assert two_way.in_these(["good", "crack", "dent"], is_ng) == ["good", "NG", "NG"]
    types = ClassProbabilities(("good", "crack", "dent"), np.full((3, 3), 1 / 3))
    assert types.in_these(["good", "crack", "dent"], is_ng) == ["good", "crack", "dent"]
