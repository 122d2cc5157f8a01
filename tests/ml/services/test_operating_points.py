import pytest

from ml.errors import ThresholdRefused
from ml.models import OperatingPoint
from ml.services.operating_points import save_operating_point
from tests.ml.factories import make_dataset, make_version

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    "fields",
    [
        {"ng_at": float("nan")},
        {"ng_at": float("inf")},
        {"ng_at": 0.5, "review_from": float("-inf")},
        {"ng_at": 0.5, "review_from": 0.5},
        {"ng_at": 0.5, "reason": " "},
    ],
)
def test_what_is_no_threshold_is_refused_whoever_asks(media, fields):
    version = make_version(make_dataset(ok=6, ng=6))
    with pytest.raises(ThresholdRefused):
        save_operating_point(**{"model_version": version, "reason": "x", "author": None, **fields})
    assert not OperatingPoint.objects.exists()
