"""Features and scores of the downstream tasks against closed forms and scikit-learn."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from companion import downstream
from galtools.errors import GaltoolsError
from galtools.fidelity import intervals

PIXEL = 0.25
RNG = np.random.default_rng(0)


def disc(radius, centre=(0.0, 0.0), size=97):
    """A uniform disc of a radius in arcsec, the same in five bands."""
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    inside = np.hypot(y * PIXEL - centre[0], x * PIXEL - centre[1]) < radius
    return np.tile(inside.astype(np.float32), (1, 5, 1, 1))


def test_a_symmetric_disc_has_no_asymmetry_and_the_concentration_of_its_area():
    found = downstream.shape_features(np.ones((1, 5, 261, 261), np.float32), pixel_scale=0.09)
    np.testing.assert_allclose(found[:, :3], 0, atol=1e-12)
    np.testing.assert_allclose(found[:, 3:], 0.25, rtol=0.03)  # (r / 2r)^2, in whole pixels


def test_light_on_one_side_alone_has_asymmetry_two():
    """Nothing of it lies on itself after half a turn: sum |I - I_180| = 2 sum I."""
    found = downstream.shape_features(disc(1, centre=(0, 4)), PIXEL)
    np.testing.assert_allclose(found[:, :3], 2, atol=1e-12)


def test_noise_alone_adds_no_asymmetry():
    images = disc(6) * 2 + RNG.normal(0, 0.3, (40, 5, 97, 97)).astype(np.float32)
    assert abs(downstream.shape_features(images, PIXEL)[:, :3].mean()) < 0.01


def test_ranking_is_the_area_under_the_curve():
    labels, scores = RNG.random((3, 200)) < 0.3, RNG.normal(size=(3, 200))
    for values in (scores, np.round(scores)):  # with ties, too
        found = downstream.roc_auc(np.stack([labels, values]))
        exact = [roc_auc_score(*pair) for pair in zip(labels, values, strict=True)]
        np.testing.assert_allclose(found, exact)
    assert np.isnan(downstream.roc_auc(np.stack([np.zeros(9), np.arange(9.0)])))


def world(n, shift=0.0, seed=0):
    """A redshift that is a feature plus noise; `shift` moves the feature."""
    rng = np.random.default_rng(seed)
    z = rng.uniform(0.02, 0.3, n)
    return np.column_stack([z + shift + 0.01 * rng.normal(size=n), rng.normal(size=n)]), z


@pytest.mark.parametrize("kind", ["boosting", "kernel"])
def test_a_faithful_helper_helps_and_a_shifted_one_biases(kind):
    labelled, test = world(100, seed=1), world(800, seed=2)
    arms = {"none": None, "faithful": world(1000, seed=3), "shifted": world(1000, 0.1, seed=4)}
    errors = {
        name: downstream.few_label_errors(kind, labelled, test, helper, 15, 3)
        for name, helper in arms.items()
    }
    assert errors["none"].shape == (3, 800)
    scatter = {name: intervals.robust_scatter(e).mean() for name, e in errors.items()}
    assert scatter["faithful"] < 0.8 * scatter["none"]
    assert scatter["faithful"] == pytest.approx(0.01 / 1.16, rel=0.3)  # the noise, over 1 + z
    assert np.median(errors["shifted"]) < -0.04 < abs(np.median(errors["faithful"])) + 0.03


def test_an_unknown_estimator_is_named():
    with pytest.raises(GaltoolsError, match="boosting or kernel"):
        downstream.redshift_regressor("forest")
