"""What the browser says of a threshold before it is saved is what the server says once it is."""

import json
import shutil
import subprocess
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from django.conf import settings

from ml.choices import ScoreSplit
from ml.models import ImageScore
from ml.selectors.versions import score_columns
from ml.services.operating_points import expected_at
from ml.thresholds import RULES, choose_threshold
from tests.ml.factories import make_dataset, make_version

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed"),
]

JUDGE = """
import { judge, sortScores } from "MODULE";
const { scores, lines } = JSON.parse(await new Response(process.stdin).text());
const sorted = sortScores(scores.ok, scores.ng);
const judged = lines.map(([ngAt, reviewFrom]) => judge(sorted, ngAt, reviewFrom));
console.log(JSON.stringify({ judged }));
"""


def in_browser(scores: dict, lines: list) -> dict:
    module = (Path(settings.BASE_DIR) / "static/js/lib/threshold.js").as_uri()
    ended = subprocess.run(
        ["node", "--input-type=module", "-e", JUDGE.replace("MODULE", module)],
        input=json.dumps({"scores": scores, "lines": lines}),
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(ended.stdout)


def test_escapes_overkill_review_and_their_intervals_are_the_same(media):
    version = make_version(make_dataset(ok=30, ng=20))
    generator = np.random.default_rng(1)
    for row in ImageScore.objects.all():
        # Rounded, so that some scores are equal to each other and to the lines.
        row.score = round(float(generator.normal(0.6 if row.is_ng else 0.4, 0.15)), 1)
        row.save()
    ImageScore.objects.filter(pk__in=ImageScore.objects.values("pk")[:7]).update(split=ScoreSplit.TRAINING)
    lines = [(0.5, None), (0.5, 0.4), (0.61, 0.2), (-1, None), (5, None), (5, -5)]
    seen = in_browser(score_columns(version)["held_out"], lines)
    for (ng_at, review_from), judged in zip(lines, seen["judged"], strict=True):
        for name, rate in expected_at(version, ng_at, review_from).items():
            for figure in ("count", "of", "low", "high"):
                assert judged[name][figure] == pytest.approx(rate[figure], abs=1e-9), (
                    ng_at,
                    review_from,
                    name,
                )


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("digits", [2, 12])
def test_what_a_rule_expects_is_what_the_browser_shows_when_the_line_is_put_there(rule, digits):
    generator = np.random.default_rng(digits)
    ok, ng = generator.normal(0.4, 0.1, 200).round(digits), generator.normal(0.6, 0.1, 40).round(digits)
    chosen = choose_threshold(rule, np.concatenate([ok, ng]), np.repeat([False, True], [200, 40]))
    (judged,) = in_browser({"ok": ok.tolist(), "ng": ng.tolist()}, [(chosen.value, None)])["judged"]
    for name in ("escapes", "overkill"):
        expected = asdict(getattr(chosen, name))
        assert {figure: judged[name][figure] for figure in expected} == pytest.approx(expected)
