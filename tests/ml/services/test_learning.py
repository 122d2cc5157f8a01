"""Learning curves by command, with the toy method: nested sets, one report, going on where it stopped."""

import json

import pytest
from django.core.management import CommandError, call_command

from ml.methods.declarations import METHODS
from tests.ml import toy as toy_module
from tests.ml.factories import make_dataset
from tests.ml.toy import TOY

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def toy(monkeypatch, settings, tmp_path, media):
    settings.VAR_DIR = tmp_path / "var"
    monkeypatch.setitem(METHODS, "toy", TOY)


@pytest.fixture
def dataset():
    return make_dataset(ok=12, ng=16)


@pytest.fixture
def fits(monkeypatch) -> list[dict]:
    done: list[dict] = []
    fit = toy_module.fit

    def counted(training, parameters, *, seed, **options):
        ng = {group for group, is_ng in zip(training.groups, training.is_ng, strict=True) if is_ng}
        done.append({"seed": seed, "ng": ng, "ok": training.counts.ok})
        return fit(training, parameters, seed=seed, **options)

    monkeypatch.setattr(toy_module, "fit", counted)
    return done


def curve(tmp_path, *options: str) -> dict:
    out = tmp_path / "curve.json"
    call_command("learning_curve", "bolts", "--method", "toy", "--folds", "2", *options, "--json", str(out))
    return json.loads(out.read_text())


def test_the_report_is_the_shared_one_of_the_largest_sets_and_the_curve(dataset, tmp_path, capsys):
    report = curve(tmp_path, "--ng", "5,all", "--seeds", "0,1")
    assert report["n"] == {"ok": 12, "ng": 16}
    assert len(report["images"]) == 28
    assert report["model_version"] is None
    points = report["learning_curve"]["points"]
    assert [(point["ng"], point["is_all"], point["fits"]) for point in points] == [
        (5, False, 4),
        (8, True, 4),
    ]
    assert set(report["learning_curve"]["figures"]) == {
        "auroc", "average_precision", "best_f1", "overkill_at_full_recall",
    }  # fmt: skip
    assert len(report["learning_curve"]["fits"]) == 8
    shown = capsys.readouterr().err
    assert "NG images" in shown
    assert "average_precision" in shown


def test_smaller_sets_are_part_of_the_larger_ones_and_ok_images_are_all_in(dataset, tmp_path, fits):
    curve(tmp_path, "--ng", "5,6,all")
    assert [len(fit["ng"]) for fit in fits] == [5, 6, 8, 5, 6, 8]
    for few, more, whole in (fits[:3], fits[3:]):
        assert few["ng"] < more["ng"] < whole["ng"]
        assert few["ok"] == more["ok"] == whole["ok"] == 6


def test_more_counts_cost_only_their_own_fits(dataset, tmp_path, fits):
    first = curve(tmp_path, "--ng", "5")
    fits.clear()
    second = curve(tmp_path, "--ng", "5,7")
    assert [len(fit["ng"]) for fit in fits] == [7, 7]
    assert second["learning_curve"]["points"][0] == first["learning_curve"]["points"][0]


def test_the_largest_sets_give_the_scores_of_a_cross_validated_job(dataset, tmp_path):
    report = curve(tmp_path, "--ng", "all", "--seeds", "3")
    job = tmp_path / "job.json"
    call_command("train", "bolts", "--method", "toy", "--folds", "2", "--seed", "3", "--json", str(job))
    by_file = {image["file"]: image["score"] for image in json.loads(job.read_text())["images"]}
    assert {image["file"]: image["score"] for image in report["images"]} == by_file


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--ng", "4"], "at least 5 NG images in each fit"),
        (["--ng", "5;6"], "--ng takes numbers"),
        (["--ng", "-5"], "--ng takes numbers"),
        (["--ng", "500"], "too few NG images for any of these counts"),
        (["--folds", "1"], "2 to 20 folds"),
        (["--seeds", "a"], "--seeds takes"),
        (["--set", "nonsense=1"], "nonsense"),
        (["--preset", "tarot"], "tarot"),
    ],
)
def test_what_is_wrong_is_told_before_anything_is_fitted(dataset, tmp_path, fits, options, text):
    with pytest.raises(CommandError, match=text):
        curve(tmp_path, *options)
    assert not fits


def test_an_unreadable_result_is_fitted_anew(dataset, tmp_path, fits, settings):
    curve(tmp_path, "--ng", "5")
    [kept, _other] = sorted((tmp_path / "var").rglob("outcome.json"))
    kept.write_text('{"made_for": ')
    fits.clear()
    curve(tmp_path, "--ng", "5")
    assert len(fits) == 1
