"""What the page that translates in the browser computes with."""

import base64
import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import chi2

from companion import browser_translator
from galtools import artefacts, pretrained, simulate
from galtools.data import photometry
from galtools.errors import GaltoolsError
from galtools.models import checkpoint

pytestmark = pytest.mark.slow
WEIGHTS = pretrained.weights_file(browser_translator.MODEL, browser_translator.TASK)


@pytest.fixture(scope="module")
def script(tmp_path_factory):
    return browser_translator.script(tmp_path_factory.mktemp("data") / "translate_data.js")


@pytest.fixture(scope="module")
def facts(script):
    head, _, tail = script.partition("window.galaxyData = ")
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


def test_control_is_the_range_of_an_ideal_chi_square_or_wider(facts):
    """Of white noise, 1 to 99 per cent of chi^2 / nu; zero points and colour terms widen it."""
    degrees = sum(facts["near"]) - 2
    low, high = chi2.ppf((0.01, 0.99), degrees) / degrees
    for found_low, found_high in facts["control"]:
        assert found_low == pytest.approx(low, abs=0.07)
        assert found_high > high - 0.05


def test_script_is_made_once_and_light(script, tmp_path, monkeypatch):
    assert len(script) < 1e6
    file = tmp_path / "translate_data.js"
    assert browser_translator.script(file) == script
    monkeypatch.setattr(artefacts, "atomic", None)  # whoever writes again fails
    assert browser_translator.script(file) == script


def test_network_that_resamples_is_refused(tmp_path):
    network = checkpoint.load_weights(WEIGHTS)
    network.scaling = replace(network.scaling, step=0.5)
    checkpoint.save_weights(tmp_path / "weights.safetensors", network)
    with pytest.raises(GaltoolsError, match="without resampling"):
        browser_translator.facts(tmp_path / "weights.safetensors")


def test_without_kept_weights_the_page_says_so(monkeypatch, tmp_path):
    monkeypatch.setenv("GALTOOLS_WEIGHTS", str(tmp_path))
    found = browser_translator.script(tmp_path / "translate_data.js")
    assert found == "window.galaxyData = null;\n"
