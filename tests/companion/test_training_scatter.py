"""Several trainings: every estimate against variances that are known, every interval counted."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from companion import paths, training_scatter
from galtools import artefacts
from galtools.errors import GaltoolsError
from galtools.fidelity import intervals

sys.path.insert(0, str(paths.WORKFLOW))
sys.path.insert(0, str(paths.ROOT / "benchmarks"))
import pipeline
import trainings

GALAXY, TRAINING, REST = 1.0, 0.3, 0.8  # standard deviations of the parts


def within(found, truth, deviations=4.0):
    """A mean of many trials lies within so many of its own errors of the truth."""
    found = np.asarray(found)
    return abs(found.mean() - truth) < deviations * found.std(ddof=1) / np.sqrt(len(found))


def model(rng, count, n, mean=0.0, own=GALAXY):
    """Values (K, n) of one model, with galaxies of their own."""
    galaxy, training = rng.normal(0, own, n), rng.normal(0, TRAINING, (count, 1))
    return mean + galaxy + training + rng.normal(0, REST, (count, n))


def test_gap_is_welchs_interval():
    first, second = [1.0, 1.4, 0.9, 1.2, 1.1], [0.7, 1.6, 0.2]
    found = training_scatter.model_difference(first, second)
    known = stats.ttest_ind(first, second, equal_var=False).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((known.low, known.high))
    assert found.n == 8


def test_gap_of_many_trainings_and_other_galaxies_adds_the_errors_in_squares():
    values = np.tile([-1.0, 1.0], 5000)
    found = training_scatter.model_difference(values, values + 2, error=0.3)
    error = np.sqrt(2 * values.var(ddof=1) / len(values) + 0.3**2)
    assert found.value == -2
    assert found.high - found.value == pytest.approx(stats.norm.ppf(0.975) * error, rel=1e-4)


def test_what_is_not_known_over_trainings_is_not_known_over_galaxies_too():
    """Two and three trainings, one of them far off: hardly a degree of freedom."""
    first, second = [1.0, 1.2], [0.7, 0.71, 0.69]
    alone, both = (training_scatter.model_difference(first, second, error) for error in (0, 0.05))
    assert both.low < alone.low < 0 < alone.high < both.high


def test_one_training_has_no_interval_and_equal_ones_have_no_width():
    alone = training_scatter.model_difference([1.0], [0.0, 0.1])
    assert alone.value == 0.95 and np.isnan(alone.low)
    assert intervals.verdict(alone, least=0) == "inconclusive"
    sure = training_scatter.model_difference([1.0, 1.0], [0.0, 0.0])
    assert (sure.low, sure.high, intervals.verdict(sure, least=0)) == (1.0, 1.0, "supported")
    assert np.isnan(training_scatter.prediction_interval([1.0])).all()


def test_expected_of_two_trainings_by_hand():
    """Student's t of one degree of freedom at 97.5 % is tan(0.475 pi)."""
    reach = np.tan(0.475 * np.pi) * 2**0.5 * 1.5**0.5
    assert training_scatter.prediction_interval([1.0, 3.0]) == pytest.approx((2 - reach, 2 + reach))
    assert np.isnan(training_scatter.prediction_interval([1.0])).all()


def test_expected_covers_one_more_training():
    rng = np.random.default_rng(2)
    trials = rng.normal(size=(1000, 5))
    share = np.mean([low <= x[-1] <= high for x in trials
                     for low, high in [training_scatter.prediction_interval(x[:-1])]])  # fmt: skip
    assert abs(share - 0.95) < 4 * np.sqrt(0.95 * 0.05 / 1000)


def test_split_is_the_analysis_of_variance():
    groups = {"a": [1.0, 1.3, 0.8], "b": [2.0, 2.2, 2.4], "c": [0.1, 0.0, 0.5]}
    found = training_scatter.variance_components(groups)
    within_square = found["trainings"] ** 2
    ratio = (3 * found["models"] ** 2 + within_square) / within_square
    assert ratio == pytest.approx(stats.f_oneway(*groups.values()).statistic)


def test_split_is_unbiased_also_for_unequal_numbers():
    rng = np.random.default_rng(3)
    found = []
    for _ in range(800):
        groups = {k: rng.normal(0, 2) + rng.normal(0, 0.5, n) for k, n in enumerate((5, 5, 4, 2))}
        found.append(training_scatter.variance_components(groups))
    assert within([one["trainings"] ** 2 for one in found], 0.25)
    assert within([one["models"] ** 2 for one in found], 4)  # so large that none is cut at zero


def test_split_of_equal_models_finds_none_and_of_single_trainings_is_refused():
    assert training_scatter.variance_components({"a": [1.0, 2.0], "b": [2.0, 1.0]})["models"] == 0
    with pytest.raises(GaltoolsError, match="second training"):
        training_scatter.variance_components({"a": [1.0], "b": [2.0]})


def test_rest_and_galaxy_error_find_the_known_variances():
    rng = np.random.default_rng(4)
    rests, errors = [], []
    for _ in range(400):
        first, second = (model(rng, 4, 50, own=own) for own in (GALAXY, 0.5))
        rests.append(trainings.residual_variance(first))
        errors.append(trainings.galaxy_error(first, second) ** 2)
    assert within(rests, REST**2)
    assert within(errors, (GALAXY**2 + 0.5**2) / 50)


def test_galaxies_alike_for_both_models_are_no_error_of_their_difference():
    rng = np.random.default_rng(5)
    galaxy = rng.normal(size=(1, 40))
    first, second = (galaxy + np.array([training]).T for training in ([0.1, 0.2], [0.0, 0.4]))
    assert trainings.residual_variance(first) == pytest.approx(0, abs=1e-12)
    assert trainings.galaxy_error(first, second) == pytest.approx(0, abs=1e-8)
    assert trainings.residual_variance(first[:1]) == 0


def test_intervals_over_trainings_and_over_both_cover_the_truth():
    """Over trainings: the difference for these galaxies; over both: that of all galaxies."""
    rng, hits = np.random.default_rng(6), []
    for _ in range(600):
        first, second = model(rng, 5, 40, 1.0), model(rng, 5, 40)
        means = first.mean(1), second.mean(1)
        both = training_scatter.model_difference(*means, trainings.galaxy_error(first, second))
        alone = training_scatter.model_difference(*means)
        hits.append((both.low <= 1 <= both.high, alone.low <= 1 <= alone.high))
    both, alone = np.mean(hits, axis=0)
    assert 0.94 < both < 0.99  # the galaxies are better known than its degrees of freedom say
    assert alone < 0.9  # other galaxies are not in it


def test_summary_has_the_numbers_of_the_chapters():
    rng = np.random.default_rng(7)
    columns = [*trainings.MEANS.values(), *trainings.SCATTERS.values(), "bits_source"]
    galaxies = pd.DataFrame({name: rng.normal(1, 1, 50) for name in columns})
    found = trainings.summarise(galaxies).set_index(["metric", "band"])
    assert found.value["bits", "frozen"] == pytest.approx(galaxies.bits_frozen.mean())
    scatter = intervals.robust_scatter(galaxies.flux_error_z.to_numpy())
    assert found.value["aperture_scatter", "z"] == pytest.approx(scatter)
    retained = galaxies.bits_retrained.mean() / galaxies.bits_source.mean()
    assert found.value["retained", "retrained"] == pytest.approx(retained)
    assert (found.n == 50).all()


RECIPE = {"code": "c", "parameters": {"build": 1, "settings": {"steps": 5}}, "inputs": ["data"]}


@pytest.mark.parametrize(
    ("mine", "said"),
    [({}, "nothing"), ({"code": "d"}, "code"), ({"inputs": []}, "data"),
     ({"parameters": {"build": 1, "settings": {"steps": 6, "seed": 3}}}, "parameters")],
)  # fmt: skip
def test_a_seed_changes_no_recipe(mine, said):
    known = {**RECIPE, "parameters": {"build": 1, "settings": {"steps": 5, "seed": 3}}}
    assert training_scatter.recipe_changes({**known, **mine}, RECIPE) == said


def test_weights_that_were_brought_in_are_of_a_long_training():
    assert training_scatter.recipe_changes({"parameters": {}}, RECIPE) == "a long training"


def test_a_table_that_is_not_as_kept_is_refused(tmp_path):
    path = tmp_path / training_scatter.TABLE.name
    with pytest.raises(GaltoolsError, match=r"benchmarks/trainings\.py"):
        training_scatter.read_kept(path)
    path.write_text("value\n1\n")
    about = {"sha256": {path.name: artefacts.sha256(path)}}
    artefacts.write_json(artefacts.manifest_path(path), about)
    assert training_scatter.read_kept(path).value.tolist() == [1]
    path.write_text("value\n2\n")
    with pytest.raises(GaltoolsError, match="not as kept"):
        training_scatter.read_kept(path)


def test_a_kept_table_belongs_to_what_its_chapter_follows_from(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "REFERENCE", tmp_path)
    run = {"folder": Path(), "profile": "tiny", "notebook": "25_leaderboard"}
    assert "kept" not in pipeline.Run("a", **run).code
    (tmp_path / "25_leaderboard_of_old.csv").write_text("1")
    (tmp_path / "24_other.csv").write_text("1")
    first = pipeline.Run("a", **run).code
    (tmp_path / "25_leaderboard_of_old.csv").write_text("2")
    assert first["kept"].keys() == {"25_leaderboard_of_old.csv"}
    assert pipeline.Run("a", **run).code != first


def test_the_kept_tables_are_whole_and_belong_together():
    table, pairs = training_scatter.read_kept(), training_scatter.read_kept(training_scatter.PAIRS)
    seeds = artefacts.read_manifest(training_scatter.TABLE)["seeds"]
    assert table.groupby("model").seed.unique().map(list).to_dict() == seeds
    assert set(pairs["first"]) | set(pairs["second"]) == set(seeds)
    mean = table.set_index(["metric", "band", "model", "seed"]).value
    for one in pairs.itertuples():
        where = (one.metric, one.band)
        apart = mean[*where, one.first, one.seed] - mean[*where, one.second, one.seed]
        assert one.value == pytest.approx(apart, abs=2e-4)  # kept to six digits
