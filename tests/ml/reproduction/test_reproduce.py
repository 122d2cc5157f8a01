"""`manage.py reproduce` from a made KolektorSDD to a row of the table, with the toy method."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from django.core.management import CommandError, call_command

from annotation.models import Dataset
from ml.methods.contract import Needs
from ml.methods.declarations import METHODS
from ml.models import ModelVersion, TrainingJob
from ml.reproduction import recipes, runs
from ml.reproduction.recipes import KOLEKTOR, MAGNETIC_TILE, RECIPES, PaperFigure, Recipe
from ml.reproduction.runs import Setting, parameters_of, run_folder
from ml.reproduction.table import BEGIN, END
from tests.ml import toy as toy_module
from tests.ml.reproduction.builders import make_kolektor, make_tiles
from tests.ml.toy import TOY, ToyParameters

pytestmark = pytest.mark.django_db(transaction=True)

TYPES = (PaperFigure("purity_of_types"), PaperFigure("purity_of_pixels"))
FIGURES = (PaperFigure("average_precision", "0.995"), PaperFigure("overkill_at_full_recall", "5"))
TOY_RECIPE = Recipe("toy-kolektor", "toy", KOLEKTOR, FIGURES, folds=2, note="Made images.")
SEEDS = ("--seeds", "0,1")


@pytest.fixture(autouse=True)
def toy(monkeypatch, settings, tmp_path, media):
    settings.VAR_DIR = tmp_path / "var"
    declared = replace(TOY, presets={"quick": ToyParameters(iterations=3)})
    monkeypatch.setitem(METHODS, "toy", declared)
    for recipe in (
        TOY_RECIPE,
        replace(TOY_RECIPE, name="toy-5ng", folds=2, ng_in_training=5),
        replace(TOY_RECIPE, name="toy-leaky", split_by="item"),
        replace(TOY_RECIPE, name="toy-hold-out", folds=0),
        replace(TOY_RECIPE, name="toy-types", data=MAGNETIC_TILE, folds=0, split_by="ok", figures=TYPES),
    ):
        monkeypatch.setitem(RECIPES, recipe.name, recipe)
    monkeypatch.delenv("INSPECTION_DATA_DIR", raising=False)


@pytest.fixture
def data(tmp_path) -> Path:
    return make_kolektor(tmp_path / "data", parts=14)


@pytest.fixture
def fits(monkeypatch) -> list[dict]:
    """What the toy was fitted on, fit by fit; `stop_at` makes that fit end as Ctrl-C does."""
    done: list[dict] = []
    fit = toy_module.fit

    def counted(training, parameters, *, seed, **options):
        done.append({"seed": seed, "groups": set(training.groups), "counts": training.counts})
        return fit(training, parameters, seed=seed, **options)

    monkeypatch.setattr(toy_module, "fit", counted)
    return done


def folder_of(name: str, **setting) -> Path:
    return run_folder(RECIPES[name], Setting(**setting))


def rows(text: str) -> list[list[str]]:
    return [
        [cell.strip() for cell in line.split(" | ")] for line in text.splitlines() if line.startswith("| `")
    ]


def test_it_goes_from_a_folder_to_a_row_with_paper_ours_interval_and_seeds(data, fits, capsys):
    call_command("reproduce", "toy-kolektor", "--data", str(data), *SEEDS)
    first, second = rows(capsys.readouterr().out)
    assert first[:3] == ["| `toy-kolektor`", "AP", "0.995"]
    assert second[1:3] == ["overkill at full recall", "5"]
    assert "28 OK and 14 NG; 2 folds by group" in first[5]
    assert "2 seeds. Made images." in first[5]
    assert [fit["seed"] for fit in fits] == [0, 0, 1, 1]
    summary = json.loads((folder_of("toy-kolektor") / "summary.json").read_text())
    figure = summary["figures"]["average_precision"]
    assert figure["low"] <= figure["value"] <= figure["high"]
    assert len(figure["seeds"]) == 2
    assert {"processor", "threads"} <= summary["machine"].keys()
    report = json.loads((folder_of("toy-kolektor") / "seed-1" / "report.json").read_text())
    assert report["split"]["seed"] == 1
    assert len(report["images"]) == 42
    assert not TrainingJob.objects.exists()
    assert not ModelVersion.objects.exists()


def test_what_was_done_is_not_done_again_and_a_stopped_run_goes_on(data, fits, monkeypatch, capsys):
    arguments = ("reproduce", "toy-kolektor", "--data", str(data), *SEEDS)
    call_command(*arguments)
    whole = capsys.readouterr().out
    for kept in (folder_of("toy-kolektor") / "seed-1").glob("fold-*/outcome.json"):
        kept.unlink()
    fits.clear()
    call_command(*arguments)
    assert [fit["seed"] for fit in fits] == [1, 1]
    again = capsys.readouterr().out
    assert [row[:5] for row in rows(again)] == [row[:5] for row in rows(whole)]


def test_ctrl_c_stops_it_between_two_images_and_the_same_command_goes_on(data, fits, monkeypatch):
    from ml.management.console import ConsoleListener

    on_progress = ConsoleListener.on_progress

    def stop_in_the_second_fold(listener, event):
        on_progress(listener, event)
        if len(fits) == 2:
            listener.stop()

    monkeypatch.setattr(ConsoleListener, "on_progress", stop_in_the_second_fold)
    with pytest.raises(CommandError, match="The same command goes on from here") as stopped:
        call_command("reproduce", "toy-kolektor", "--data", str(data), "--seeds", "0")
    assert stopped.value.returncode == 130
    assert (folder_of("toy-kolektor") / "seed-0/fold-1/checkpoint/state.json").exists()
    fits.clear()
    monkeypatch.setattr(ConsoleListener, "on_progress", on_progress)
    call_command("reproduce", "toy-kolektor", "--seeds", "0")
    assert len(fits) == 1, "the first fold was kept"


def test_other_labels_or_parameters_are_fitted_anew(data, fits, capsys):
    call_command("reproduce", "toy-kolektor", "--data", str(data), "--seeds", "0")
    gone = Dataset.objects.get().images.order_by("id").first()
    gone.current_class = None
    gone.save()
    fits.clear()
    call_command("reproduce", "toy-kolektor", "--seeds", "0")
    assert len(fits) == 2
    assert "fitted anew" in capsys.readouterr().err


def test_a_smaller_run_says_so_beside_its_figure_and_is_kept_apart(data, capsys):
    call_command("reproduce", "toy-kolektor", "--data", str(data), "--quick", "--seeds", "0")
    assert rows(capsys.readouterr().out)[0][0] == "| `toy-kolektor (quick)`"
    assert (folder_of("toy-kolektor", preset="quick") / "summary.json").exists()
    assert not (folder_of("toy-kolektor") / "summary.json").exists()


def test_five_ng_images_in_training_are_five_in_each_fold_and_all_ok_images_stay(data, fits, capsys):
    call_command("reproduce", "toy-5ng", "--data", str(data), "--seeds", "0")
    assert [fit["counts"].ng for fit in fits] == [5, 5]
    assert [fit["counts"].ok for fit in fits] == [14, 14]
    assert "trained on 14 OK and 5 NG or more" in capsys.readouterr().out


def test_by_group_copies_are_one_image_and_by_item_they_are_on_both_sides(tmp_path, fits, capsys):
    data = make_kolektor(tmp_path / "copied", parts=14, copied=True)
    call_command("reproduce", "toy-kolektor", "--data", str(data), "--seeds", "0")
    assert "28 OK and 14 NG" in rows(capsys.readouterr().out)[0][5]
    seeds = "0,1,2,3"
    call_command("reproduce", "toy-leaky", "--seeds", seeds)
    row = rows(capsys.readouterr().out)[0]
    assert "30 OK and 15 NG; 2 folds by item" in row[5]
    report = json.loads((folder_of("toy-leaky") / "seed-0" / "report.json").read_text())
    assert report["split"]["by"] == "item"
    assert len(report["images"]) == 45
    parted = [("item:kos01" in fit["groups"]) != ("item:kos15" in fit["groups"]) for fit in fits[2:]]
    assert any(parted), "in some seed the copies part"


def test_a_hold_out_measures_each_seed_on_its_own_third(data, fits, capsys):
    call_command("reproduce", "toy-hold-out", "--data", str(data), *SEEDS)
    assert len(fits) == 2
    assert "7:3 by group" in rows(capsys.readouterr().out)[0][5]


class TestTypes:
    """Recipes whose figures are of types found among NG images, without their labels."""

    @pytest.fixture(autouse=True)
    def one_class(self, monkeypatch):
        monkeypatch.setitem(METHODS, "toy", replace(METHODS["toy"], needs=Needs(ok=5)))

    @pytest.fixture
    def described(self, monkeypatch):
        """The toy, whose descriptor tells a dark bar from a bright one."""
        predict = toy_module.Model.predict

        def with_descriptors(model, images, views=None):
            blocks = toy_module.PREPROCESSING.apply(images, views).reshape(len(images), -1)
            descriptors = np.stack([blocks.min(axis=1), blocks.max(axis=1)], axis=1)
            return replace(predict(model, images, views), descriptors=descriptors)

        monkeypatch.setattr(toy_module.Model, "predict", with_descriptors)

    def test_all_ng_images_are_sorted_and_compared_with_raw_pixels(self, tmp_path, described, fits, capsys):
        data = make_tiles(tmp_path / "tiles")
        call_command("reproduce", "toy-types", "--data", str(data), "--seeds", "0")
        types, pixels = rows(capsys.readouterr().out)
        assert (types[1], pixels[1]) == ("purity of types found", "purity of raw pixels' types")
        assert types[3].startswith("1.0000")
        assert 0.5 <= float(pixels[3].split()[0]) <= 1
        assert "12 OK and 12 NG; 7:3 by group, NG apart" in types[5]
        assert [fit["counts"].ng for fit in fits] == [0]
        fits.clear()
        call_command("reproduce", "toy-types", "--data", str(data), "--seeds", "0")
        assert not fits
        assert rows(capsys.readouterr().out)[0][3] == types[3], "descriptors are kept"

    def test_a_method_without_descriptors_says_so(self, tmp_path):
        data = make_tiles(tmp_path / "tiles")
        with pytest.raises(CommandError, match="no descriptors"):
            call_command("reproduce", "toy-types", "--data", str(data), "--seeds", "0")


def test_the_page_keeps_other_rows_and_changes_its_own(data, tmp_path, capsys):
    page = tmp_path / "benchmarks.md"
    other = "| `weak-kolektor` | AP | 0.995 | 0.9 | 0.9 | x | y | z | w |"
    page.write_text(f"# Benchmarks\n\n{BEGIN}\n{other}\n{END}\n\n## Speed\n")
    for _ in range(2):
        call_command("reproduce", "toy-kolektor", "--data", str(data), "--seeds", "0", "--write", str(page))
    text = page.read_text()
    assert text.count("| `toy-kolektor` |") == 2, "a row for each of its figures"
    assert other in text
    assert text.startswith("# Benchmarks\n")
    assert text.endswith("\n\n## Speed\n")


def test_a_page_without_the_marks_is_left_as_it_is(data, tmp_path):
    page = tmp_path / "benchmarks.md"
    page.write_text("# Benchmarks\n")
    with pytest.raises(CommandError, match="it needs the lines"):
        call_command("reproduce", "toy-kolektor", "--data", str(data), "--seeds", "0", "--write", str(page))
    assert page.read_text() == "# Benchmarks\n"


class TestRefused:
    @pytest.mark.parametrize(
        ("arguments", "text"),
        [
            ([], "Name a recipe: weak-kolektor, "),
            (["tarot"], "no recipe “tarot”"),
            (["toy-kolektor"], "INSPECTION_DATA_DIR"),
            (["toy-kolektor", "--data", "/no/such/place"], "no images in /no/such/place"),
            (["toy-kolektor", "--seeds", "0,x"], "--seeds takes"),
            (["toy-kolektor", "--seeds", "1,1"], "--seeds takes different"),
            (["toy-kolektor", "--size", "64"], "--size takes"),
            (["toy-kolektor", "--size", "64x64"], "this method takes none"),
            (["toy-kolektor", "--preset", "tarot"], "tarot"),
            (["toy-kolektor", "--quick", "--preset", "quick"], "give one of them"),
            (["toy-kolektor", "--set", "nonsense=1"], "nonsense"),
        ],
    )
    def test_what_is_wrong_is_told_before_anything_is_fitted(self, fits, arguments, text):
        with pytest.raises(CommandError, match=text):
            call_command("reproduce", *arguments)
        assert not fits

    def test_a_folder_of_other_images_leaves_no_dataset_behind(self, tmp_path):
        (tmp_path / "kolektorsdd").mkdir()
        (tmp_path / "kolektorsdd" / "notes.txt").write_text("nothing")
        with pytest.raises(CommandError, match="kolektorsdd"):
            call_command("reproduce", "toy-kolektor", "--data", str(tmp_path))
        assert not Dataset.objects.exists()

    def test_pretrained_weights_that_are_not_here_are_told_before_images_are_imported(
        self, data, settings, tmp_path
    ):
        settings.ML_WEIGHTS_DIR = tmp_path / "none"
        with pytest.raises(CommandError, match=r"vgg19-dcbb9e9d\.pth"):
            call_command("reproduce", "vgg19-tile", "--data", str(data))
        assert not Dataset.objects.exists()

    def test_too_few_ng_images_are_told_before_anything_is_fitted(self, tmp_path, fits):
        data = make_kolektor(tmp_path / "small", parts=6)
        with pytest.raises(CommandError, match="At least 5 NG images are needed; there are 3"):
            call_command("reproduce", "toy-kolektor", "--data", str(data), "--seeds", "0")
        assert not fits


class TestRecipes:
    def test_every_row_of_the_table_has_one(self):
        assert set(RECIPES) >= {
            "weak-kolektor", "weak-kolektor-leaky", "weak-kolektor-5ng", "maa-kolektor", "dae-kolektor",
            "multipath-tile", "vgg19-tile", "gradmobilenet-kolektor", "gradmobilenet-tile", "transfer-kolektor",
        }  # fmt: skip

    @pytest.mark.parametrize("recipe", recipes._ALL, ids=lambda recipe: recipe.name)
    def test_its_parameters_are_the_methods_own_in_each_preset(self, recipe, monkeypatch):
        if recipe.method not in METHODS:
            pytest.skip(f"{recipe.method} is not in this build")
        for preset in ("", "paper", "quick"):
            monkeypatch.setattr(runs, "check_weights", lambda *_args: None)
            values = parameters_of(recipe, Setting(preset=preset)).model_dump()
            assert {name: values[name] for name in recipe.overrides} == dict(recipe.overrides)

    def test_the_list_says_which_method_is_not_in_this_build(self, monkeypatch, capsys):
        monkeypatch.setitem(RECIPES, "later", replace(TOY_RECIPE, name="later", method="tarot"))
        call_command("reproduce", "--list")
        lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
        assert "not in this build" in lines["later"]
        assert "not in this build" not in lines["weak-kolektor"]
        with pytest.raises(CommandError, match="tarot is not in this build"):
            call_command("reproduce", "later")
