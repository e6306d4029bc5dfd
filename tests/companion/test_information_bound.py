"""Photometry of latent variables, the information bound from it, and the loss in parts."""

from types import SimpleNamespace

import numpy as np
import pytest
from astropy.table import Table
from blobs import make_pairs
from scipy.stats import kstest

from companion import (
    fisher,
    importance_sampling,
    information_bound,
    latent_model,
    sensitivity,
)
from companion.latent_model import LatentModel
from galtools import data
from galtools.errors import GaltoolsError
from galtools.fidelity import redshifts
from galtools.redshift import Grid
from galtools.simulate import population
from galtools.surveys import CFHTLS, SDSS

EDGES = Grid().edges


@pytest.fixture(scope="module")
def drawn():
    return latent_model.sample_population(3000)


def test_light_and_size_are_those_of_the_simulator(drawn):
    x, kind, axis_ratio, size = drawn
    shown = LatentModel(CFHTLS, axis_ratio).predict(x, kind)
    z, r = x[:, 0], x[:, 1]
    red, early = kind < 2, kind == 0
    absolute = r - population.distance_modulus(z)
    spectra = population.spectrum_parameters(red, absolute, axis_ratio, x[:, 2:])
    flux = population.normalised_fluxes(CFHTLS.filters, spectra, z, r)
    np.testing.assert_allclose(shown[:, :5], np.log(flux), atol=1e-10)
    normal = size / latent_model.size_scatter(x)
    assert kstest(normal, "norm").pvalue > 0.001
    radius = np.log(population.half_light_radius(early, absolute, z, normal))
    # the simulator clips radii, the model their mean
    inside = (radius > np.log(0.31)) & (np.maximum(radius, shown[:, 5]) < np.log(11.9))
    np.testing.assert_allclose((shown[:, 5] + size)[inside], radius[inside], atol=1e-10)


def test_abundance_is_that_of_the_drawn_galaxies(drawn):
    x, kind, *_ = drawn
    real = population.sample_galaxies(7, np.arange(600), population.MAIN_SAMPLE_LIMIT)
    assert real["early"].sum() / real["red"].sum() == pytest.approx(
        population.EARLY_FRACTION, abs=0.08
    )
    z, r = np.linspace(0.0031, 0.69, 300), np.linspace(14.001, 17.799, 200)
    cells = np.stack(np.meshgrid(z, r, indexing="ij"), axis=-1)
    kinds = [np.full((300, 200), k) for k in range(3)]
    mass = np.exp([latent_model.log_abundance(cells, k) for k in kinds])
    counted = np.bincount(kind) / len(kind)
    np.testing.assert_allclose(counted, mass.sum((1, 2)) / mass.sum(), atol=0.03)
    for axis, values, grid in ((2, x[:, 0], z), (1, x[:, 1], r)):
        below = mass.sum((0, axis)).cumsum()
        place = np.interp(values, grid, below / below[-1])
        assert kstest(place, "uniform").pvalue > 0.001


def test_terms_of_the_prior_are_its_derivatives(drawn):
    x, kind, axis_ratio, _ = (part[:50] for part in drawn)
    model = LatentModel(CFHTLS, axis_ratio)
    gradient, curvature = model.prior_terms(x, kind)
    np.testing.assert_array_equal(gradient[:, 2:], -x[:, 2:])
    step = 1e-4 * np.eye(9)[1]
    inner = np.clip(x, [-9, 14.06, *[-9] * 7], [9, 17.74, *[9] * 7])
    slope = (model.log_prior(inner + step, kind) - model.log_prior(inner - step, kind)) / 2e-4
    np.testing.assert_allclose(gradient[:, 1], slope, atol=0.05)
    bend = curvature[:, :2, :2]
    assert (np.linalg.eigvalsh(bend) > -1e-9).all()
    np.testing.assert_array_equal(curvature[:, 2:, 2:], np.tile(np.eye(7), (50, 1, 1)))
    bend = latent_model.terms_in_z_and_r(x, kind, latent_model.log_abundance)[1]
    # of a Schechter function ln L^(alpha + 1) exp(-L) with L ~ 10^(-0.4 r): (0.4 ln 10)^2 L
    law = [population.RED if red else population.BLUE for red in kind < 2]
    star, drift = np.array([(one.magnitude, one.correction) for one in law]).T
    z, r = x[:, 0], x[:, 1].clip(14.0505, 17.7495)  # a step from the border
    bright = 10 ** (-0.4 * (r - population.distance_modulus(z) - drift * z - star))
    kept = np.linalg.eigvalsh(bend)[:, 0] > 1e-6  # nothing had to be made positive
    assert kept.sum() > 10
    rr = (0.4 * np.log(10)) ** 2 * bright
    np.testing.assert_allclose(bend[:, 1, 1][kept], rr[kept], rtol=1e-3)


def test_wrong_latents_are_refused():
    with pytest.raises(GaltoolsError, match="9 numbers"):
        LatentModel(CFHTLS, np.ones(2)).predict(np.zeros((2, 5)), np.zeros(2, int))


@pytest.mark.slow
def test_posterior_is_that_of_a_reweighted_population():
    """Where errors are large, the prior is a proposal, too: the same posterior from another one."""
    x, kind, axis_ratio, _ = latent_model.sample_population(20000, seed=9)
    measured = {
        "measured": LatentModel(CFHTLS, axis_ratio[:2]).predict(x[:2], kind[:2]),
        "errors": np.tile(np.diag([0.3, 0.15, 0.15, 0.15, 0.2]) ** 2, (2, 1, 1)),
        "axis_ratio": axis_ratio[:2],
    }
    found = information_bound.posteriors(CFHTLS, measured, count=1000, points=12, runs=2)
    target = information_bound.target(CFHTLS, measured)
    x, kind = LatentModel.keep_inside(np.tile(x, (2, 1, 1))), np.tile(kind, (2, 1))
    # the axis ratios are those of the two galaxies, which makes types more or less likely
    proposal = latent_model.log_abundance(x, kind) - 0.5 * (x[..., 2:] ** 2).sum(axis=-1)
    log_weight = target.log_density(x, kind) - proposal
    brute = importance_sampling.WeightedSamples(x, kind, log_weight)
    assert (brute.effective > 100).all()
    mean, scatter = brute.moments()
    assert (np.abs(found["mean"] - mean) < 0.3 * scatter).all()
    np.testing.assert_allclose(found["scatter"], scatter, rtol=0.25)
    assert found["density"].shape == (2, 2, Grid().bins)
    np.testing.assert_allclose(found["density"].sum(2), 1)


def test_starts_are_most_like_the_galaxy_and_as_bright(monkeypatch):
    monkeypatch.setattr(information_bound, "LIBRARY", 3000)
    known = information_bound.library(CFHTLS, 5)
    x, kind, shown = known
    brighter = np.array([0.4] * 5 + [0.0])
    values, errors = shown[:4] + brighter, np.tile(0.05**2 * np.eye(5), (4, 1, 1))
    precision = np.linalg.inv(information_bound.covariance(CFHTLS, errors))
    begin, kinds = information_bound.starts(known, values, precision)
    assert kinds.tolist() == [[0] * 5 + [1] * 5 + [2] * 5] * 4
    bright = LatentModel(CFHTLS, np.full((4, 1), 0.8)).predict(begin, kinds)
    np.testing.assert_allclose(bright[..., 2], values[:, [2]].repeat(15, 1), atol=0.03)
    for galaxy, number in np.ndindex(4, 3):
        chosen = begin[galaxy, 5 * number : 5 * number + 5]
        assert (np.diff(chosen[:, 0]) > 0).all()  # near to far
        off = shown[kind == number] - values[galaxy]
        off[:, :5] -= off[:, [2]]  # as bright in r
        off[:, 5] /= latent_model.size_scatter(x[kind == number])
        chi = np.einsum("ni,ij,nj->n", off, precision[galaxy], off)
        like = x[kind == number][np.argsort(chi)[: information_bound.NEAREST]]
        assert np.isin(chosen[:, 0], like[:, 0]).all()
        assert {like[:, 0].min(), like[:, 0].max()} <= set(chosen[:, 0])


def test_local_posterior_of_all_parts_is_narrower_than_that_of_the_light():
    observed = fisher.observed_scene(0, np.arange(8), (SDSS,), 0)
    information_ = np.tile(1e4 * np.eye(25), (8, 1, 1))
    ends = [fisher.PixelInformation(part * information_, np.zeros((8, 25))) for part in (1e-3, 1)]
    (_, wide), (middle, narrow) = (sensitivity.local_posterior(observed, p) for p in ends)
    assert (narrow < wide).all()
    slope, bend = sensitivity.prior(observed)
    d, known = sensitivity.derivatives(observed), np.zeros((8, 26, 26))
    known[:, :25, :25], known[:, 25, 25] = information_, sensitivity.SIZE_PRECISION
    posterior_ = np.linalg.inv(np.einsum("nki,nkl,nlj->nij", d, known, d) + bend)
    np.testing.assert_allclose(narrow, np.sqrt(posterior_[:, 0, 0]), rtol=1e-5)
    pulled = np.einsum("nk,nk->n", posterior_[:, 0], slope)  # no score: the prior alone pulls
    np.testing.assert_allclose(middle - observed.physics["redshift"], pulled, atol=1e-7)


def test_measured_light_is_the_best_estimate_and_its_errors_are_relative():
    """One component holds all information, in each band by itself: value = score / information."""
    known, off = np.array([400.0, 100, 2500, 900, 100]), np.array([0.1, -0.2, 0, 0.05, 0.3])
    m, place, score = np.zeros((1, 25, 25)), np.arange(5), np.zeros((1, 25))
    m[0, place, place], score[0, place] = known, known * off
    table = Table({f"target_{band}": [18.0 + k] for k, band in enumerate("ugriz")})
    table["half_light_radius"] = [2.5]
    pairs = SimpleNamespace(catalogue=table)
    values, errors = information_bound.photometric_data(
        pairs, "target", fisher.PixelInformation(m, score), 1 + 0.01 * np.arange(5)[None]
    )
    flux = 10 ** (0.4 * (22.5 - 18 - np.arange(5))) * (1 + 0.01 * np.arange(5)) * (1 + off)
    np.testing.assert_allclose(values, [[*np.log(flux), np.log(2.5)]])
    np.testing.assert_allclose(errors[0], np.diag(1 / known / (1 + off) ** 2), atol=1e-12)


def test_a_galaxy_that_is_refused_is_explored_once_more_with_more_samples(monkeypatch):
    asked = []

    def explored(_, __, measured, count, points, seed):
        values = measured["measured"]
        asked.append((len(values), count, points, seed))
        return {"good": (values[:, 0] != 3) | (seed == 1), "mean": values[:, 0] + 100 * seed}

    monkeypatch.setattr(information_bound, "_posteriors", explored)
    monkeypatch.setattr(information_bound, "library", lambda *_: None)
    monkeypatch.setattr(information_bound, "CHUNK", 24)
    values = np.arange(30.0)[:, None]
    found = information_bound.posteriors(CFHTLS, {"measured": values}, count=7, points=5, runs=2)
    assert asked == [(24, 7, 5, 0), (1, 21, 10, 1), (6, 7, 5, 0)]
    assert found["good"].all()
    np.testing.assert_array_equal(found["mean"], np.arange(30) + 100 * (np.arange(30) == 3))


def test_bits_of_refused_galaxies_are_missing_and_ranks_tell_honest_posteriors():
    """With z even in its own density, PITs are even; a law twice as wide as z is found out."""
    z = (np.arange(200) + 0.5) / 200 * 0.2
    narrow = redshifts.gaussian_density(np.full(200, 0.1), 1e3, EDGES)
    narrow[:, EDGES[1:] > 0.2 + 1e-9] = 0
    narrow /= narrow.sum(1, keepdims=True)
    wide = redshifts.gaussian_density(np.full(200, 0.1), 1e3, EDGES)
    good = np.ones(200, bool)
    honest, vague = (
        information_bound.pit_pvalue({"density": density[:, None], "z": z, "good": good})
        for density in (narrow, wide)
    )
    assert honest > 0.99
    assert vague < 1e-6
    some = {"density": np.stack([wide, wide], 1), "z": z, "good": z < 0}
    assert np.isnan(information_bound.pit_pvalue(some))
    prior = np.full(180, 1 / 180)
    found = information_bound.bits(narrow, z, prior, z > 0.1)
    np.testing.assert_array_equal(np.isnan(found), z <= 0.1)
    np.testing.assert_allclose(found[100:], 1)  # half of the range: one bit
    about = {"z": z, "components_mean": z, "components_scatter": np.full(200, 1e3)}
    np.testing.assert_allclose(information_bound.component_bits(about, prior), 0, atol=1e-6)


def test_runs_are_compared_by_their_stated_error():
    """Bits of two runs differ by 3, 1 and 4 of their errors; the last galaxy is refused."""
    density, error = np.full((3, 2, 180), 0.1), np.full((3, 2, 180), 0.01)
    found = {"density": density, "error": error, "z": np.full(3, 0.1), "effective": np.ones(3)}
    found["good"] = np.array([True, True, False])
    sigma = 0.1 / np.log(2) * np.sqrt(2)
    known = np.stack([sigma * np.array([3, -1, np.nan]), np.zeros(3)])
    lines = information_bound.compare_runs(found, known, n_boot=50)
    assert lines["galaxies that pass"] == "2 of 3"
    assert lines["within two errors (%)"] == "50"
    assert lines["rms of its stated error"] == pytest.approx(sigma, abs=1e-3)
    rms = sigma * np.sqrt(5)
    assert lines["rms difference of two runs (bits)"] == pytest.approx(rms, abs=1e-3)
    assert lines["mean difference (bits)"].value == pytest.approx(sigma)
    none = information_bound.compare_runs(
        found | {"good": np.zeros(3, bool)}, np.full((2, 3), np.nan), n_boot=50
    )
    assert none["galaxies that pass"] == "0 of 3"
    assert none["within two errors (%)"] == "nan"


def test_galaxies_that_no_way_could_judge_are_not_passed_over():
    known = {("exact", 0): np.array([1.0, np.nan]), ("learnt", 0): np.array([np.nan, 2.0])}
    with pytest.raises(GaltoolsError, match="of 2 galaxies none could be judged in every way"):
        information_bound.common_galaxies(known)


def test_parts_of_the_loss_add_up_and_refused_galaxies_are_left_out_everywhere():
    rng = np.random.default_rng(3)
    rows = ("CFHTLS", "SDSS", "resample", "swin")
    known = {(row, k): rng.normal(3 - j, 1, 50) for j, row in enumerate(rows) for k in (0, 1)}
    known["SDSS", 1][:5] = np.nan
    known = information_bound.common_galaxies(known)
    table = information_bound.split_losses(known, ["swin"], "resample", n_boot=50)
    assert (table.n == 45).all()
    whole = table.groupby("seed").value.sum()
    for k in (0, 1):
        assert whole[k] == pytest.approx(np.nanmean(known["CFHTLS", k] - known["swin", k]))


def test_images_without_a_truth_are_refused(tmp_path):
    image = np.zeros((1, 5, 4, 4), np.float32)
    table, one = Table({"id": ["a"]}), np.ones(1, np.float32)
    pairs = make_pairs(image, image, one, table, np.ones((1, 2, 5), np.float32))
    data.save(pairs, tmp_path / "real.h5")
    with pytest.raises(GaltoolsError, match="not a simulation"):
        information_bound.compute_posteriors(tmp_path / "real.h5", "source", 1, 10, 5, 1)
