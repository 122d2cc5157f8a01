"""What is true of the house as a whole."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from django.contrib.staticfiles import finders
from django.urls import URLPattern, URLResolver, get_resolver

ROOT = Path(__file__).resolve().parents[1]
OPEN_TO_ALL = {"login", "login_once", "api_login"}


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_starting_django_does_not_import_torch():
    script = (
        "import django, sys; django.setup(); import inspection.config.asgi; "
        "print(sorted({'torch', 'torchvision', 'onnxruntime', 'sklearn', 'scipy'} & set(sys.modules)))"
    )
    done = run("-c", script, DJANGO_SETTINGS_MODULE="tests.settings")
    assert done.stdout.strip() == "[]", done.stdout + done.stderr


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "eighty"),
        ("PORT", "70000"),
        ("DEBUG", "perhaps"),
        ("REDIS_URL", "http://x"),
        ("MAX_IMAGE_PIXELS", "0"),
    ],
)
def test_a_bad_setting_stops_the_start_with_its_name(name, value, tmp_path):
    environment = {
        "DJANGO_SETTINGS_MODULE": "inspection.config.settings",
        "INSPECTION_VAR_DIR": str(tmp_path),
    }
    done = run("manage.py", "check", **environment, **{name: value})
    assert done.returncode != 0
    assert name in done.stderr.splitlines()[-1]


def test_every_setting_is_in_the_operations_page():
    source = "".join(
        (ROOT / "inspection" / "config" / f"{name}.py").read_text() for name in ("settings", "environment")
    )
    names = set(re.findall(r'read\(\s*"[a-z_]+",\s*"([A-Z_]+)"', source))
    page = (ROOT / "docs" / "operations.md").read_text()
    assert names
    assert {name for name in names if f"`{name}`" not in page} == set()


def routes(resolver, prefix: str = "/"):
    for entry in resolver.url_patterns:
        if isinstance(entry, URLResolver):
            if entry.app_name != "admin":
                yield from routes(entry, prefix + str(entry.pattern))
        elif isinstance(entry, URLPattern):
            yield entry.name, prefix + str(entry.pattern)


def example(route: str) -> str:
    """An address that fits a route: every converter gets “1”, every group its shortest match."""
    path = re.sub(r"<[^>]+>", "1", route)
    path = re.sub(r"\(\?P1[^)]*\)", "1", path)
    return re.sub(r"[\^$]|\\Z|\\", "", path).replace("//", "/")


@pytest.mark.django_db
def test_no_page_and_no_route_answers_a_stranger(client):
    seen = 0
    for name, route in routes(get_resolver()):
        if name in OPEN_TO_ALL or "format" in route:
            continue
        answer = client.get(example(route))
        is_sent_away = answer.status_code == 302 and answer.url.startswith("/login/")
        assert is_sent_away or answer.status_code in (401, 403, 405), (name, route, answer.status_code)
        seen += 1
    assert seen > 60


def test_every_static_file_that_templates_name_is_there():
    named = set()
    for template in (ROOT / "templates").rglob("*.html"):
        named.update(re.findall(r"""\{% static ['"]([^'"]+)['"]""", template.read_text()))
    assert named
    assert {name for name in named if finders.find(name) is None} == set()


def test_every_icon_that_templates_name_is_in_the_sprite():
    sprite = (ROOT / "static" / "img" / "icons.svg").read_text()
    known = set(re.findall(r'<symbol id="([a-z0-9-]+)"', sprite))
    named = set()
    for template in (ROOT / "templates").rglob("*.html"):
        named.update(re.findall(r"""\{% (?:icon|empty) ['"]([^'"]+)['"]""", template.read_text()))
    assert named - known == set()


def test_static_files_are_hashed_with_their_modules_imports(tmp_path):
    """Collected as `manage.py up` does it: a module imports its neighbours under their hashed names."""
    environment = {
        "DJANGO_SETTINGS_MODULE": "inspection.config.settings",
        "INSPECTION_VAR_DIR": str(tmp_path),
    }
    script = (
        "import django; django.setup(); from inspection.services.preparation import collect_static as c; "
        "print(c(), c())"
    )
    done = run("-c", script, **environment)
    assert done.stdout.strip() == "True False", done.stderr
    shells = [path for path in (tmp_path / "static" / "js").glob("shell.*.js") if path.name != "shell.js"]
    assert re.search(r'from "\./lib/toast\.[0-9a-f]{12}\.js"', shells[0].read_text())


def test_the_plants_paths_are_not_in_the_project():
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout
    assert "var/" not in tracked


def test_a_command_before_there_are_tables_says_how_to_make_them(tmp_path):
    done = run(
        *("manage.py", "train", "plates", "--method", "weak"),
        DJANGO_SETTINGS_MODULE="inspection.config.settings",
        INSPECTION_VAR_DIR=str(tmp_path),
        DATABASE_URL=f"sqlite:///{tmp_path}/empty.sqlite3",
    )
    assert done.returncode == 1
    assert "python manage.py migrate makes them" in done.stderr
    assert "Traceback" not in done.stderr
