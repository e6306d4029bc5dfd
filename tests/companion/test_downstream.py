"""Redshifts from few labels, in a world where the noise of the features is known."""

import numpy as np
import pytest

from companion import downstream
from galtools.errors import GaltoolsError
from galtools.fidelity import intervals


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
