"""REST of threshold rules and of what they choose for a model version."""

import pytest
from rest_framework.test import APIClient

from ml.models import ImageScore, OperatingPoint
from ml.thresholds import RULES
from tests.ml.factories import make_dataset, make_version

pytestmark = pytest.mark.django_db

API = "/api/v1"


@pytest.fixture
def version(media):
    # OK images score 0.1 … 1.2, NG images 0.55 … 1.65.
    return make_version(make_dataset(ok=12, ng=12))


@pytest.fixture
def operator(people):
    client = APIClient()
    client.force_authenticate(people["operator"])
    return client


def test_every_rule_tells_its_parameters_with_ranges(operator):
    rules = {rule["name"]: rule for rule in operator.get(f"{API}/threshold-rules/").json()}
    assert rules.keys() == RULES.keys()
    assert rules["cost"]["parameters"]["properties"]["ng_rate"]["exclusiveMaximum"] == 1
    assert rules["pauta"]["parameters"]["properties"]["gamma"]["unit"] == "σ"


def test_all_rules_at_once_with_the_reason_where_one_is_not_possible(operator, version):
    proposals = {
        one["rule"]: one for one in operator.get(f"{API}/model-versions/{version.pk}/thresholds/").json()
    }
    assert proposals.keys() == RULES.keys()
    assert proposals["full_recall"]["choice"]["escapes"]["count"] == 0
    assert proposals["quantile"]["choice"] is None
    assert "needs 100 of them; there are 12" in proposals["quantile"]["refused"]


def test_one_rule_with_its_parameters_and_nothing_is_saved(operator, version):
    address = f"{API}/model-versions/{version.pk}/thresholds/quantile/"
    choice = operator.get(address, {"share": "0.75"}).json()
    assert (choice["overkill"]["count"], choice["overkill"]["of"]) == (3, 12)
    assert 0.9 < choice["value"] <= 1.0
    assert not OperatingPoint.objects.exists()


def test_dear_escapes_leave_none(operator, version):
    address = f"{API}/model-versions/{version.pk}/thresholds/cost/"
    assert operator.get(address, {"escape_price": 100_000}).json()["escapes"]["count"] == 0
    assert operator.get(address, {"escape_price": 0}).json()["overkill"]["count"] == 0


def test_pauta_comes_with_its_normality_test(operator, version):
    choice = operator.get(f"{API}/model-versions/{version.pk}/thresholds/pauta/", {"gamma": 2}).json()
    assert choice["normality"]["count"] == 12
    assert 0 < choice["normality"]["p"] <= 1


@pytest.mark.parametrize(
    "wrong", [{"gamma": "much"}, {"gamma": 11}, {"gamma": "inf"}, {"share": 0.5}, {"scores_of": "moon"}]
)
def test_a_wrong_parameter_is_named(operator, version, wrong):
    answer = operator.get(f"{API}/model-versions/{version.pk}/thresholds/pauta/", wrong)
    assert answer.status_code == 400
    assert next(iter(wrong)) in answer.content.decode()


def test_an_impossible_choice_is_a_conflict_in_words(operator, version):
    ImageScore.objects.filter(is_ng=True).delete()
    answer = operator.get(f"{API}/model-versions/{version.pk}/thresholds/best_f1/")
    assert answer.status_code == 409
    assert answer.json() == {
        "detail": "Both OK and NG images are needed to choose this threshold.",
        "code": "no_threshold",
    }


def test_a_model_without_any_held_out_score_is_told_as_such(operator, version):
    ImageScore.objects.all().delete()
    assert "held out" in operator.get(f"{API}/model-versions/{version.pk}/thresholds/pauta/").json()["detail"]


def test_what_is_not_there_is_not_found(operator, version):
    assert operator.get(f"{API}/model-versions/{version.pk}/thresholds/tarot/").status_code == 404
    assert operator.get(f"{API}/model-versions/999999/thresholds/pauta/").status_code == 404
    assert APIClient().get(f"{API}/model-versions/{version.pk}/thresholds/").status_code == 401
