"""`manage.py discover`: the page's path, in this process."""

import json

import pytest
from django.core.management import CommandError, call_command

from ml.choices import JobState
from ml.models import Discovery
from tests.ml.factories import make_dataset, make_job, make_version

pytestmark = pytest.mark.django_db


@pytest.fixture
def version(media, gradient_artefact, settings):
    settings.ARTEFACT_DIR = gradient_artefact.parent
    dataset = make_dataset(ok=3, ng=7)
    version = make_version(dataset, job=make_job(dataset, method="grad_mobilenet", state=JobState.DONE))
    version.artefact = gradient_artefact.name
    version.save()
    return version


def test_the_report_has_what_the_model_page_shows(version, tmp_path, capsys):
    out = tmp_path / "types.json"
    call_command("discover", version.pk, "bolts", "--types", "2", "--seed", "3", "--json", str(out))
    report, stored = json.loads(out.read_text()), Discovery.objects.get()
    assert (stored.state, stored.types_asked, stored.seed) == (JobState.DONE, 2, 3)
    assert report["points"] == stored.points
    assert report["norms"] == stored.findings["norms"]
    assert (report["model_version"], report["dataset"], len(report["types"])) == (version.pk, "bolts", 2)
    said = capsys.readouterr()
    assert said.out == ""
    assert "Map and types" in said.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("0", "bolts"), "There is no model version 0"),
        (("{version}", "nuts"), "There is no dataset “nuts”"),
        (("{version}", "bolts", "--types", "8"), "8 types can't be found"),
    ],
)
def test_what_can_not_be_is_said(version, arguments, message):
    with pytest.raises(CommandError, match=message):
        call_command("discover", *(one.format(version=version.pk) for one in arguments))


def test_a_discovery_that_fails_ends_the_command_with_its_reason(version, tmp_path, settings):
    settings.ARTEFACT_DIR = tmp_path
    with pytest.raises(CommandError, match=r"card\.json"):
        call_command("discover", version.pk, "bolts")
    assert Discovery.objects.get().state == JobState.FAILED


def test_types_of_an_earlier_one_are_kept(version, tmp_path):
    out = tmp_path / "types.json"
    call_command("discover", version.pk, "bolts", "--types", "2", "--json", str(out))
    first = Discovery.objects.get()
    call_command("discover", version.pk, "bolts", "--types-of", first.pk, "--json", str(out))
    assert json.loads(out.read_text())["centroids"] == first.findings["centroids"]
    with pytest.raises(CommandError, match="There is no discovery 99"):
        call_command("discover", version.pk, "bolts", "--types-of", "99")


def test_ctrl_c_leaves_nothing_that_a_worker_would_take_up(version, monkeypatch):
    def interrupted(*_args):
        raise KeyboardInterrupt

    monkeypatch.setattr("ml.management.commands.discover._say_progress", interrupted)
    with pytest.raises(CommandError, match="Stopped") as stopped:
        call_command("discover", version.pk, "bolts")
    assert stopped.value.returncode == 130
    assert Discovery.objects.get().state == JobState.CANCELLED
