import itertools

from ml.services.curves import MAX_POINTS, Curves


def steps(curves: Curves, name: str = "loss") -> list[float]:
    return [step for step, _value in curves.stored()[name]]


def test_a_short_series_is_kept_whole():
    curves = Curves()
    for step in range(100):
        curves.add(step, {"loss": step / 100})
    assert steps(curves) == list(range(100))


def test_a_long_series_stays_within_the_limit_and_spans_the_whole_training():
    curves = Curves()
    for step in range(100_000):
        curves.add(step, {"loss": 1.0})
        if step % 997 == 0:
            assert len(curves.stored()["loss"]) <= MAX_POINTS
    kept = steps(curves)
    assert MAX_POINTS // 2 <= len(kept) <= MAX_POINTS
    assert kept[0] == 0
    assert kept[-1] == 99_999
    gaps = [after - before for before, after in itertools.pairwise(kept[:-1])]
    assert max(gaps) <= 2 * min(gaps)


def test_series_are_thinned_each_by_itself():
    curves = Curves()
    for step in range(5000):
        curves.add(step, {"loss": 1.0})
    curves.add(4999, {"alpha": 8.0})
    assert steps(curves, "alpha") == [4999]


def test_what_a_resumed_training_repeats_is_not_drawn_twice():
    curves = Curves({"loss": [[step, 1.0] for step in range(50)]})
    for step in range(40, 60):
        curves.add(step, {"loss": 2.0})
    assert steps(curves) == sorted(set(steps(curves)))
    assert steps(curves)[-1] == 59


def test_fresh_points_are_given_out_once():
    curves = Curves()
    curves.add(1, {"loss": 0.5})
    assert curves.take_fresh() == {"loss": [[1, 0.5]]}
    assert curves.take_fresh() == {}
