"""Information in pixels: closed forms of a Gaussian source, and the renderer's own differences."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from companion import fisher, latent_model, sensitivity
from galtools.simulate import observation, render
from galtools.simulate.scene import Ellipses, Scene, Sources, Texture
from galtools.surveys import SDSS

DEEP = replace(SDSS, electrons_per_nanomaggy=(1e12,) * 5)  # no noise but that of the sky


def gaussian(sigma: float, flux: float) -> fisher.ObservedScene:
    """A lone round Gaussian, seen without atmosphere by a survey whose noise is the sky's."""

    def nothing(columns):
        one = torch.ones(1, columns)
        return Ellipses(0 * one, 0 * one, one, one, 0 * one)

    steps = 0.25 * (torch.arange(120) - 59.5)  # arcsec; linear interpolation widens the Gaussian
    share = torch.exp(-0.5 * (steps**2 + steps[:, None] ** 2) / (sigma**2 - 0.25**2 / 6))
    spacing = torch.full((1,), 0.25)
    textures = (Texture(spacing, share[None] / share.sum()), Texture(spacing, share[None]))
    fluxes = torch.zeros(1, 1, 5, 10)
    fluxes[..., fisher.COMPONENTS["arms"]] = flux
    scene = Scene(
        nothing(2), nothing(5), textures, nothing(1), Sources(*torch.zeros(3, 1, 0)), fluxes
    )
    sky = np.array([DEEP.sky_noise])
    seen = observation.ObservingConditions(
        np.full((1, 5), 1e-3), np.zeros((1, 2)), np.ones((1, 5)), sky, []
    )
    return fisher.ObservedScene(scene, {}, {}, np.zeros((1, 16)), seen, DEEP, 0, np.zeros((1, 5)))


def test_flux_of_a_gaussian_source():
    """Var(ln F) = 4 pi s^2 sigma^2 / F^2, s in pixels."""
    observed, flux = gaussian(sigma=2.4, flux=50.0), 50.0
    s2 = (2.4 / DEEP.pixel_scale) ** 2 + 1 / 12  # the pixel widens it
    found = fisher.pixel_information(observed, np.zeros((1, 5, 64, 64)))
    expected = flux**2 / (4 * np.pi * s2 * np.array(DEEP.sky_noise) ** 2)
    arms = [2 * fisher.B + band for band in range(5)]
    np.testing.assert_allclose(found.information[0, arms, arms], expected, rtol=2e-3)
    np.testing.assert_allclose(found.whole().information[0], np.diag(expected), rtol=2e-3)


@pytest.fixture(scope="module")
def observed():
    return fisher.observed_scene(0, np.array([4, 5]), (SDSS,), 0)


def drawn(observed):
    """Images in double precision."""
    seen = observed.seen
    images = render.render(
        observed.scene.to(dtype=torch.float64), SDSS, 0,
        torch.from_numpy(seen.fwhm), torch.from_numpy(seen.shift),
    )  # fmt: skip
    return images.numpy() * seen.calibration[:, :, None, None]


def test_components_add_up_to_the_image(observed):
    image = drawn(observed)
    whole = fisher.component_images(observed).sum(axis=1)
    np.testing.assert_allclose(whole, image, atol=2e-5 * image.max())


def test_a_band_only_knows_its_own_fluxes(observed):
    m = fisher.pixel_information(observed, drawn(observed)).information.reshape(2, 5, 5, 5, 5)
    other = np.eye(5)[None, None, :, None] == 0
    assert (np.where(other, m, 0) == 0).all() and (m != 0).any()


def test_scores_of_noise_are_as_large_as_the_information_says(observed):
    """s' M^-1 s of the five fluxes is chi-squared: its mean is 5."""
    rng = np.random.default_rng(2)
    clean, one = drawn(observed), []
    sigma = np.sqrt(fisher.variance(clean, observed.seen.sky_noise, SDSS))
    for _ in range(10):
        noise = sigma * rng.standard_normal(clean.shape)
        found = fisher.pixel_information(observed, clean + noise).whole()
        errors = np.linalg.inv(found.information)
        one.append(np.einsum("ni,nij,nj->n", found.score, errors, found.score))
    assert np.mean(one) == pytest.approx(5, abs=3 * np.sqrt(10 / 20))


def test_sensitivity_starts_from_the_true_fluxes(observed):
    found = sensitivity.observables(observed, np.zeros(sensitivity.TOTAL))
    flux, size = found[:, :-1], found[:, -1]
    columns = list(fisher.COMPONENTS.values())
    truth = observed.scene.flux[:, 0, :, columns].numpy().transpose(0, 2, 1).reshape(2, -1)
    np.testing.assert_allclose(flux, truth, rtol=1e-5)
    np.testing.assert_allclose(np.exp(size), observed.physics["half_light_radius"])


def test_derivatives_of_the_components_add_up_to_those_of_the_total_flux(observed):
    """Whole galaxies: differences of all components against those of the total."""
    normal = observed.normal
    flux = sensitivity.observables(observed, np.zeros(sensitivity.TOTAL))[:, :-1].reshape(2, 5, 5)
    inner = len(latent_model.NAMES)
    d = sensitivity.derivatives(observed)
    parts = d[:, :-1, :inner].reshape(2, 5, 5, inner)
    whole = (flux[..., None] * parts).sum(1) / flux.sum(1)[..., None]
    physics = observed.physics
    kind = np.where(physics["red"], np.where(physics["early"], 0, 1), 2)
    x = np.column_stack([physics["redshift"], physics["r_magnitude"], normal[:, :7]])
    model = latent_model.LatentModel(SDSS, physics["axis_ratio"])

    def predicted(at):
        shown = model.predict(at, kind)
        shown[:, -1] += normal[:, 8] * latent_model.size_scatter(at)
        return shown

    ends = [predicted(x + h) - predicted(x - h) for h in 1e-3 * np.eye(inner)]
    slopes = np.stack(ends, axis=-1) / 2e-3
    found = np.concatenate([whole, d[:, -1:, :inner]], axis=1)
    np.testing.assert_allclose(found, slopes, atol=2e-3 * np.abs(slopes).max())


def test_components_respond_to_their_own_latents_and_the_prior_is_that_of_the_simulator():
    """ln L of a standard normal number n has the slope -n; uniform ones have none."""
    many = fisher.observed_scene(0, np.arange(8), (SDSS,), 0)
    normal, bulge = many.normal, sensitivity.BULGE
    early, share = many.physics["early"], many.physics["bulge_fraction"]
    flux = sensitivity.observables(many, np.zeros(sensitivity.TOTAL))[:, :-1].reshape(8, 5, 5)
    d = sensitivity.derivatives(many)[:, :-1].reshape(8, 5, 5, -1)  # part, band
    rows, made = np.arange(8), np.where(early, 1, 0)  # bulges, of early types discs ...
    rest = flux[:, [0, 1, 4]].sum(1) - flux[rows, made]  # ... and what absorbs their changes
    most = 1 - (rest / flux.sum(1)).min(1)
    free = (share > 0) & (share < np.where(early, 0.99, 0.7)) & (most < 0.74)
    assert (early & free).any() and (~early & free).any()
    rise = np.where(early, -0.08 * share / np.maximum(1 - share, 0.01), 0.4)[:, None]
    found = d[rows, made, :, bulge], d[rows, 1 - made, :, bulge]
    np.testing.assert_allclose(found[0][free], np.tile(rise, 5)[free], rtol=1e-4)
    lost = -rise * flux[rows, made] / rest
    np.testing.assert_allclose(found[1][free], lost[free], rtol=1e-3)
    for part, column, rise in ((2, "arm_fraction", 0.28), (3, "bar_fraction", 0.31)):
        there = free & (flux[:, part].min(1) > 0)
        number = sensitivity.NORMAL.stop + list(sensitivity.SCATTER).index(column)
        np.testing.assert_allclose(d[there, part, :, number], rise, rtol=1e-4)
    slope, bend = sensitivity.prior(many)
    sampled = np.where(early[:, None] & (np.arange(16) == 7), 0, -normal)
    np.testing.assert_array_equal(slope[:, sensitivity.NORMAL], sampled)
    assert (slope[:, sensitivity.NORMAL.stop : sensitivity.TOTAL] == 0).all()
    np.testing.assert_array_equal(slope[:, sensitivity.TOTAL :], -many.zero_points)
    np.testing.assert_array_equal(bend[:, 2:, 2:], np.tile(np.eye(bend.shape[1] - 2), (8, 1, 1)))
