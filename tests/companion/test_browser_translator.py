"""What the page that translates in the browser computes with."""

import base64
import json
from dataclasses import replace

import numpy as np
import pytest

from companion import browser_translator
from galtools import simulate
from galtools.data import photometry
from galtools.errors import GaltoolsError
from galtools.models import checkpoint, kept

WEIGHTS = kept.weights_file(browser_translator.MODEL, browser_translator.TASK)


@pytest.fixture
def facts():
    head, _, tail = browser_translator.script().partition("window.galaxyData = ")
    assert head == ""
    return json.loads(tail.removesuffix(";\n"))


def test_script_holds_the_kept_weights_and_a_galaxy(facts):
    assert base64.b64decode(facts["weights"]) == WEIGHTS.read_bytes()
    (image,) = simulate.pairs(**browser_translator.EXAMPLE).source
    found = np.frombuffer(base64.b64decode(facts["example"]["image"]), "<f4").reshape(image.shape)
    np.testing.assert_array_equal(found, image)
    assert found.shape == (len(facts["bands"]), facts["size"], facts["size"])


def test_circles_are_those_of_the_card(facts):
    ones = np.ones((facts["size"],) * 2)
    assert sum(facts["aperture"]) == pytest.approx(
        photometry.aperture_flux(ones, facts["pixel_scale"])
    )
    area = np.pi * (4 / facts["pixel_scale"]) ** 2
    assert sum(facts["near"]) == pytest.approx(area, rel=0.02)


def test_control_lies_above_that_of_noise_alone(facts):
    """Zero points, seeing and colour terms scatter, but no more than doubles chi^2."""
    assert all(1 < value < 2 for value in facts["control"])


def test_script_is_light(facts):
    assert len(browser_translator.script()) < 1e6


def test_network_that_resamples_is_refused(tmp_path):
    network = checkpoint.load_weights(WEIGHTS)
    network.scaling = replace(network.scaling, step=0.5)
    checkpoint.save_weights(tmp_path / "weights.safetensors", network)
    with pytest.raises(GaltoolsError, match="without resampling"):
        browser_translator.facts(tmp_path / "weights.safetensors")


def test_without_kept_weights_the_page_says_so(monkeypatch, tmp_path):
    monkeypatch.setenv("GALTOOLS_WEIGHTS", str(tmp_path))
    browser_translator.script.cache_clear()
    assert browser_translator.script() == "window.galaxyData = null;\n"
    browser_translator.script.cache_clear()
