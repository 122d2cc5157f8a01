"""Figures by class, curves and rules on the model page."""

import json
import re

import numpy as np
import pytest

from ml.evaluation.classes import ClassProbabilities
from ml.evaluation.learning_curve import learning_curve, learning_fits
from ml.evaluation.report import evaluate_scores
from ml.thresholds import RULES
from ml.views.figures_by_class import class_rows, classification
from tests.ml.factories import make_dataset, make_version

SCORES = np.array([0.1, 0.2, 0.3, 0.6, 0.4, 0.7, 0.9])
IS_NG = np.array([0, 0, 0, 0, 1, 1, 1], bool)
TYPES = ["OK"] * 4 + ["crack", "hole", "hole"]
NAMED = ClassProbabilities(("OK", "crack", "hole"), np.eye(3)[[0, 0, 0, 1, 1, 2, 0]])


def evaluation(**options):
    return evaluate_scores(
        SCORES, IS_NG, groups=[str(index) for index in range(7)], seed=0, class_names=TYPES, **options
    )


def test_a_rows_share_is_that_judged_ng_for_ok_images_too():
    rows = {row.name: row for row in class_rows(evaluation(threshold=0.5))}
    assert (rows["OK"].judged_ng, rows["OK"].share) == (1, "25.0 %")
    assert (rows["hole"].judged_ng, rows["hole"].share) == (2, "100.0 %")
    low, high = (float(end.strip(" %")) for end in rows["OK"].interval.split("–"))
    assert low < 25 < high
    assert rows["OK"].auroc == "–"


def test_the_confusion_matrix_is_shaded_by_its_rows_shares():
    found = classification(evaluation(probabilities=NAMED))
    assert [[cell.count for cell in row.cells] for row in found["rows"]] == [[3, 1, 0], [0, 1, 0], [1, 0, 1]]
    assert [cell.shade for cell in found["rows"][0].cells] == [4, 2, 0]
    assert [cell.is_right for cell in found["rows"][1].cells] == [False, True, False]
    assert found["accuracy"] == "71.4 %"


def test_a_method_without_classes_has_no_confusion_of_them():
    assert classification(evaluation()) is None


def test_a_report_of_before_these_figures_has_no_rows():
    assert class_rows({"metrics": {}}) == []
    assert classification({"metrics": {}}) is None


@pytest.mark.django_db
class TestPage:
    @pytest.fixture
    def page(self, media, client, people):
        version = make_version(make_dataset(ok=12, ng=12))

        def shown(**figures) -> str:
            version.evaluation |= figures
            version.save()
            client.force_login(people["operator"])
            return client.get(version.get_absolute_url()).content.decode()

        return shown

    def test_every_rule_has_a_button_and_fields_for_its_parameters(self, page):
        html = page()
        for name, rule in RULES.items():
            assert f'data-rule="{name}"' in html
            for parameter in rule.Parameters.model_fields:
                assert f'data-parameter="{parameter}"' in html

    def test_the_line_begins_at_the_reports_threshold_where_none_is_saved(self, page):
        assert 'data-ng-at="0.5"' in page()

    def test_a_version_of_before_these_figures_is_shown_without_them(self, page):
        html = page()
        assert 'data-page="curves"' not in html
        assert 'data-page="classes"' not in html

    def test_curves_and_classes_are_there_with_their_points(self, page):
        figures = evaluation(probabilities=NAMED)
        html = page(**figures)
        points = re.search(r'<script id="curves" type="application/json">(.*?)</script>', html)[1]
        assert json.loads(points) == figures["curves"]
        assert 'data-class="crack"' in html
        assert "Which class is taken for which" in html

    def test_a_class_name_can_not_inject_markup(self, page):
        figures = evaluation()
        detection = figures["classes"]["detection"]
        detection["<script>alert(1)</script>"] = detection.pop("crack")
        assert "<script>alert(1)" not in page(**figures)

    def test_a_learning_curve_is_drawn_where_the_report_holds_one(self, page):
        fits = learning_fits(IS_NG, [*TYPES[:4], "a", "b", "c"], [1, None], folds=2, seeds=[0])
        html = page(learning_curve=learning_curve((fit, {"auroc": 0.9}) for fit in fits))
        assert 'data-role="learning-curve"' in html
        assert 'data-role="learning-curve"' not in page(learning_curve={"figures": [], "points": []})

    def test_what_was_kept_together_is_told(self, page):
        html = page(split={"grouped": {"sentences": ["3 groups of near-identical images …"]}})
        assert "3 groups of near-identical images" in html
