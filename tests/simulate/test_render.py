"""The renderer against closed forms and against GalSim."""

from dataclasses import fields, replace

import galsim
import numpy as np
import pytest
import torch

from companion import galsim_reference
from companion.paths import ROOT
from galtools import simulate
from galtools.simulate import neighbours, population, render
from galtools.simulate import scene as scenes
from galtools.simulate.scene import Ellipses, Scene, Sources, Texture
from galtools.surveys import CFHTLS, SDSS

SURVEYS = (SDSS, CFHTLS)
K = np.geomspace(1e-3, 100, 200)


def column(*values):
    return torch.tensor(values, dtype=torch.float64)[:, None]


def ellipse(x=0.0, y=0.0, size=1.0, axis_ratio=1.0, angle=0.0):
    return Ellipses(*(column(v) for v in (x, y, size, axis_ratio, angle)))


def gaussian(x=0.0, y=0.0, sigma=1.0, points=120, spacing=0.1):
    """An image of a Gaussian; linear interpolation adds a variance of spacing^2 / 6."""
    steps = spacing * (torch.arange(points, dtype=torch.float64) - (points - 1) / 2)
    variance = sigma**2 - spacing**2 / 6
    share = torch.exp(-0.5 * ((steps - x) ** 2 + (steps[:, None] - y) ** 2) / variance)
    return Texture(column(spacing)[:, 0], share[None] / share.sum())


def scene(flux, bulge=None, disc=None, texture=None, lane=None, sources=None):
    """One galaxy; `flux` of bulge, disc, sources, texture and lane in every band."""
    bands = torch.tensor(flux, dtype=torch.float64).expand(1, 1, 5, len(flux))
    sources = sources or Sources(*torch.zeros(3, 1, 0, dtype=torch.float64))
    empty = Texture(column(1.0)[:, 0], torch.ones(1, 2, 2, dtype=torch.float64) / 4)
    ellipses = bulge or ellipse(), disc or ellipse()
    return Scene(*ellipses, (texture or empty,), lane or ellipse(), sources, bands)


def draw(sky, survey, fwhm, shift=(0.0, 0.0)):
    blur = torch.full((1, 5), fwhm, dtype=torch.float64)
    return render.render(sky, survey, 0, blur, torch.tensor([shift], dtype=torch.float64))[0]


def test_profiles_have_the_transforms_that_galsim_gives_them():
    k_squared = torch.from_numpy(K**2)
    for ours, theirs in (
        (render.de_vaucouleurs(k_squared), galsim.DeVaucouleurs(half_light_radius=1)),
        (render.exponential(k_squared), galsim.Exponential(half_light_radius=1)),
        (
            render.kolmogorov_mtf(k_squared[:, None], torch.tensor(1.3))[:, 0],
            galsim.Kolmogorov(fwhm=1.3),
        ),
    ):
        values = np.array([theirs.kValue(k, 0).real for k in K])
        np.testing.assert_allclose(ours.numpy(), values, atol=2e-4)


def test_frequencies_integrate_a_gaussian_exactly():
    k, weight = render.frequencies(CFHTLS)
    for sigma in (0.5, 2.0, 8.0):
        integral = 2 * np.sum(weight * np.exp(-0.5 * (k * sigma) ** 2))
        assert integral == pytest.approx(np.sqrt(2 * np.pi) / sigma, rel=1e-6)


@pytest.mark.parametrize("survey", [SDSS, CFHTLS, CFHTLS.on_grid_of(SDSS)], ids=lambda s: s.stamp)
def test_flux_and_centroid_of_a_compact_galaxy(survey):
    shift = (0.13, -0.08)
    image = draw(scene([0.0, 0.0, 7.0, 0.0], texture=gaussian(0.6, -0.3, 0.4)), survey, 0.8, shift)[
        2
    ]
    assert image.sum().item() == pytest.approx(7.0, rel=3e-3)  # the seeing has wide wings
    place = (torch.arange(survey.stamp) - (survey.stamp - 1) / 2) * survey.pixel_scale
    core = image.clamp_min(0.02 * image.max()) - 0.02 * image.max()
    x = (core.sum(0) * place).sum() / core.sum()
    y = (core.sum(1) * place).sum() / core.sum()
    np.testing.assert_allclose([x, y], [0.73, -0.38], atol=0.01)


def test_light_that_leaves_the_stamp_does_not_come_back():
    """A wide disc without seeing, against exp(-r/a) / (2 pi a^2) averaged over each pixel."""
    size, fine = 8.0, 8
    image = draw(scene([0.0, 1.0, 0.0, 0.0], disc=ellipse(size=size)), SDSS, 1e-6)[0]
    place = (np.arange(64 * fine) - 32 * fine + 0.5) * SDSS.pixel_scale / fine
    scale = size / render.EXPONENTIAL_RADIUS
    exact = np.exp(-np.hypot(place[:, None], place) / scale) / (2 * np.pi * scale**2)
    exact = exact.reshape(64, fine, 64, fine).mean(axis=(1, 3)) * SDSS.pixel_scale**2
    assert image.sum().item() == pytest.approx(exact.sum(), rel=1e-3)
    np.testing.assert_allclose(image.numpy(), exact, rtol=0.01)


def test_a_straight_sum_of_parts():
    total = sum(draw(scene(row), SDSS, 1.2) for row in np.eye(4))
    torch.testing.assert_close(draw(scene([1.0] * 4), SDSS, 1.2), total)


@pytest.mark.parametrize(("survey", "fwhm"), [(SDSS, 1.2), (CFHTLS, 0.7)], ids=["SDSS", "CFHTLS"])
def test_a_texture_is_linear_between_its_points(survey, fwhm):
    """Points, half of them dark, convolved with a triangle, which is a box convolved with a box."""
    share = np.random.default_rng(0).integers(0, 2, (8, 8)) / 1.0
    texture = Texture(column(0.9)[:, 0], torch.from_numpy(share[None]))
    ours = draw(scene([0.0, 0.0, 2.0, 0.0], texture=texture), survey, fwhm, (0.1, 0.2))[0].numpy()
    points = [0.9 * (np.array([x, y]) - 3.5) + [0.1, 0.2] for y, x in np.argwhere(share)]
    points = galsim.Sum([galsim.DeltaFunction(flux=2).shift(*point) for point in points])
    boxes = [galsim.Pixel(0.9), galsim.Pixel(0.9), galsim.Kolmogorov(fwhm=fwhm)]
    theirs = galsim.Convolve([points, *boxes], gsparams=galsim_reference.TIGHT)
    image = galsim.Image(survey.stamp, survey.stamp, scale=survey.pixel_scale)
    theirs = theirs.drawImage(image, method="fft").array
    np.testing.assert_allclose(ours, theirs, atol=3e-6 * theirs.max())


@pytest.mark.parametrize("sigma", [0.0, 0.6], ids=["star", "Gaussian"])
def test_sources_agree_with_galsim_and_have_fluxes_of_their_own(sigma):
    """Two sources, one of them the same in all bands, beyond the stamp's edge the other."""
    values = np.array([[1.3, 13.5], [-2.1, 4.0], [sigma, sigma]])
    sky = scene(
        [0.0, 1e-9, 0.0, 0.0, 0.0, 0.0], sources=Sources(*torch.from_numpy(values[:, None]))
    )
    sky.flux = sky.flux.clone()
    sky.flux[..., 2], sky.flux[..., 3] = 3.0, torch.arange(5) * 10.0
    ours = draw(sky, CFHTLS, 0.7).numpy()
    for band in (0, 4):
        theirs = galsim_reference.galsim_image(sky, CFHTLS, 0, 0, band, 0.7, (0, 0))
        np.testing.assert_allclose(ours[band], theirs, atol=3e-4 * theirs.max())


def simulated(n, seed=3):
    galaxies = np.arange(n)
    _, sky, truth = simulate.sample_scene(seed, galaxies, SURVEYS)
    return sky, truth, [simulate.observing_conditions(seed, galaxies, s) for s in SURVEYS]


@pytest.mark.parametrize(
    ("survey", "index"),
    [(SDSS, 0), (CFHTLS, 1), (CFHTLS.on_grid_of(SDSS), 1)],
    ids=["SDSS", "CFHTLS", "CFHTLS on the SDSS grid"],
)
def test_galaxies_agree_with_galsim(survey, index):
    """Worst pixel within 3e-4 of the peak and flux within 0.3 %, neighbours and textures included.

    On the coarse grid this is also the test of aliasing: GalSim draws it exactly.
    """
    sky, _, seen = simulated(16)
    fwhm, shift = seen[index].fwhm, seen[index].shift
    tensors = (torch.tensor(a, dtype=torch.float32) for a in (fwhm, shift))
    images = render.render(sky, survey, index, *tensors).numpy()
    for galaxy in range(16):
        band = galaxy % 5
        params = (galaxy, band, fwhm[galaxy, band], shift[galaxy], galsim.GSParams())
        theirs = galsim_reference.galsim_image(sky, survey, index, *params)
        assert np.abs(images[galaxy, band] - theirs).max() < 3e-4 * theirs.max()
        assert images[galaxy, band].sum() == pytest.approx(theirs.sum(), rel=3e-3)


@pytest.fixture(scope="module")
def sixty():
    """Fluxes of sixty galaxies, and the truth about their features."""
    sky, truth, _ = simulated(60)
    return sky.flux.numpy(), truth


FAINT = 4 + neighbours.ELLIPSES  # columns of the fluxes: where round neighbours start, stars ...
STARS = FAINT + neighbours.MAX_GALAXIES - neighbours.ELLIPSES
YOUNG = STARS + neighbours.MAX_STARS  # ... and images on a grid


@pytest.mark.parametrize(
    ("columns", "kind"),
    [
        pytest.param(slice(0, 1), "elliptical", id="bulge"),
        pytest.param(slice(1, 2), "merger", id="bulge of a companion"),
        pytest.param(slice(2, 3), "spiral", id="disc"),
        pytest.param(slice(3, 4), "merger", id="disc of a companion"),
        pytest.param(slice(4, FAINT), "spiral", id="bright neighbours"),
        pytest.param(slice(FAINT, STARS), "spiral", id="faint neighbours"),
        pytest.param(slice(STARS, YOUNG), "spiral", id="stars"),
        pytest.param(slice(YOUNG, YOUNG + 1), "spiral", id="arms and H II regions"),
        pytest.param(slice(YOUNG, YOUNG + 1), "ring", id="ring"),
        pytest.param(slice(YOUNG, YOUNG + 1), "irregular", id="irregular"),
        pytest.param(slice(YOUNG + 1, YOUNG + 2), "bar", id="bar"),
        pytest.param(slice(YOUNG + 1, YOUNG + 2), "merger", id="tidal tails"),
        pytest.param(slice(YOUNG + 2, None), "dust_lane", id="dust lane"),
    ],
)
def test_every_component_alone_agrees_with_galsim(columns, kind, sixty):
    """Worst pixel within 3e-4 of the peak, for a galaxy that has the component."""
    flux, truth = sixty
    is_kind = truth[kind] if kind in truth else truth["morphology"] == kind
    galaxy = np.flatnonzero(is_kind & (flux[:, 1, 2, columns] != 0).any(axis=1))[:1]
    _, sky, _ = simulate.sample_scene(3, galaxy, SURVEYS)
    alone = torch.zeros_like(sky.flux)
    alone[..., columns] = sky.flux[..., columns]
    sky = replace(sky, flux=alone)
    ours = render.render(sky, CFHTLS, 1, torch.full((1, 5), 0.7), torch.zeros(1, 2))[0, 2].numpy()
    theirs = galsim_reference.galsim_image(sky, CFHTLS, 1, 0, 2, 0.7, (0, 0))
    assert np.abs(theirs).max() > 0
    np.testing.assert_allclose(ours, theirs, atol=3e-4 * np.abs(theirs).max())


@pytest.mark.parametrize("index", [0, 1], ids=["SDSS", "CFHTLS"])
def test_galsim_draws_the_same_in_the_race_that_is_fair_to_it(index, monkeypatch):
    """All bands from the transforms of components and of each PSF; centres are half a pixel off."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    import bench_render

    survey = SURVEYS[index]
    _, sky, _ = simulate.sample_scene(3, np.arange(1), SURVEYS)
    blur = bench_render.blur_transforms(survey)
    theirs = bench_render.galsim_stamp(sky, survey, index, 0, blur)
    shift = torch.full((1, 2), survey.pixel_scale / 2)
    ours = render.render(sky, survey, index, torch.tensor([survey.psf_fwhm]), shift)[0].numpy()
    np.testing.assert_allclose(ours, theirs, atol=0.01 * theirs.max())


def test_the_longest_frequencies_suffice():
    """Truncation at CUTOFF and the finite periods, against a far finer and longer sum."""
    sky, _, seen = simulated(8)
    tensors = [torch.tensor(a, dtype=torch.float32) for a in (seen[1].fwhm, seen[1].shift)]
    coarse = render.render(sky, CFHTLS, 1, *tensors)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"CUTOFF": 2.2, "PERIOD": 2.0, "WIDE_PERIOD": 25.0}.items():
            patch.setattr(render, name, value)
        fine = render.render(sky, CFHTLS, 1, *tensors)
    worst = (coarse - fine).abs().amax((2, 3)) / fine.amax((2, 3))
    assert worst.max() < 2e-4


def test_nothing_far_outside_the_stamp_returns_into_it():
    """The largest of 160 galaxies, whose arms end far outside, against a sum of longer period."""
    galaxies = np.arange(160)
    physics = population.sample_galaxies(0, galaxies, 17.8)
    largest = np.sort(np.argsort(-physics["half_light_radius"])[:8])
    physics = {name: values[largest] for name, values in physics.items()}
    sky, _ = scenes.build_scene(0, galaxies[largest], physics, (SDSS,))
    seen = simulate.observing_conditions(0, galaxies[largest], SDSS)
    tensors = [torch.tensor(a, dtype=torch.float32) for a in (seen.fwhm, seen.shift)]
    near = render.render(sky, SDSS, 0, *tensors)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(render, "PERIOD", 4.0)
        far = render.render(sky, SDSS, 0, *tensors)
    assert ((near - far).abs().amax((2, 3)) / far.amax((2, 3))).max() < 2e-4


def test_mergers_are_not_cut_by_the_edge_of_the_stamp():
    """There, companions and tails of galaxies below 4 arcsec are below a third of the noise."""
    galaxies = np.arange(300)
    physics = population.sample_galaxies(3, galaxies, 17.8)
    uniform, _ = population.random_numbers(3, galaxies, "shape", scenes.GENERAL, 1)
    merger = scenes.sample_morphology(physics, uniform)["morphology"] == scenes.MERGER
    chosen = np.flatnonzero(merger & (physics["half_light_radius"] < 4))[:8]
    physics = {name: values[chosen] for name, values in physics.items()}
    sky, _ = scenes.build_scene(3, chosen, physics, (SDSS,))
    companions = torch.zeros_like(sky.flux)
    for column in (1, 3, YOUNG + 1):
        companions[..., column] = sky.flux[..., column]
    seeing, shift = torch.full((8, 5), 1.3), torch.zeros(8, 2)
    images = render.render(replace(sky, flux=companions), SDSS, 0, seeing, shift)[:, 2]
    assert (images.amax((1, 2)) > 10 * SDSS.sky_noise[2]).all()
    images[:, 1:-1, 1:-1] = 0
    assert images.max() < SDSS.sky_noise[2] / 3


SMALL = replace(SDSS, stamp=16)
PARTS = {name: Ellipses for name in ("bulges", "discs", "lanes")}
PARTS |= {"young stars": Texture, "bar or tails": Texture, "sources": Sources}
GEOMETRY = [(part, field.name) for part, kind in PARTS.items() for field in fields(kind)]


@pytest.fixture(scope="module")
def galaxies():
    """Seven galaxies in double precision: every morphology, a bar, a lane, neighbours."""
    _, truth, _ = simulated(60)
    of_kind = [np.flatnonzero(truth["morphology"] == kind)[0] for kind in scenes.MORPHOLOGIES]
    featured = [np.flatnonzero(truth[name])[0] for name in ("bar", "dust_lane")]
    chosen = np.array([*of_kind, *featured])
    return scenes.build_scene(3, chosen, population.sample_galaxies(3, chosen, 17.8), SURVEYS)[
        0
    ].to(dtype=torch.float64)


def part_of(sky, part):
    groups = dict(zip(list(PARTS)[3:5], sky.textures, strict=True))
    return groups[part] if part in groups else getattr(sky, part)


def slope_and_difference(sky, thing, name, step=1e-4):
    """Derivative of a random sum of all pixels along a random direction: autograd, finite step."""
    generator = torch.Generator().manual_seed(0)
    before = getattr(thing, name)
    direction = torch.randn(before.shape, generator=generator, dtype=torch.float64)
    n = len(sky)
    pixels = torch.randn((n, 5, SMALL.stamp, SMALL.stamp), generator=generator, dtype=torch.float64)
    blur, shift = (torch.full((n, k), v, dtype=torch.float64) for k, v in ((5, 1.2), (2, 0.1)))

    def total(distance):
        setattr(thing, name, before + distance * direction * before.abs().clamp_min(0.01))
        return (render.render(sky, SMALL, 0, blur, shift) * pixels).sum()

    at = torch.zeros((), dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(total(at), at)
    with torch.no_grad():
        difference = (total(step) - total(-step)) / (2 * step)
    setattr(thing, name, before)
    return slope.item(), difference.item()


@pytest.mark.parametrize(("part", "name"), [*GEOMETRY, ("scene", "flux")])
def test_gradients_are_the_slopes_of_the_image(galaxies, part, name):
    """Each parameter of bulges, discs, neighbours, lanes and images, and the fluxes."""
    thing = galaxies if part == "scene" else part_of(galaxies, part)
    slope, difference = slope_and_difference(galaxies, thing, name)
    assert abs(difference) > 1e-4  # the image does depend on it
    # the r^(1/4) law is a table, interpolated linearly
    assert slope == pytest.approx(difference, rel=1e-2 if part == "bulges" else 1e-4)


def test_flux_gradient_is_the_image_of_unit_flux():
    sky = scene([0.0, 1.0, 0.0, 0.0])
    sky.flux = sky.flux.clone().requires_grad_()
    image = draw(sky, SMALL, 1.2)[3, 8, 8]
    (slope,) = torch.autograd.grad(image, sky.flux)
    assert slope[0, 0, 3, 1].item() == pytest.approx(image.item(), rel=1e-9)


def test_components_of_a_galaxy_add_up_to_its_magnitude_and_stay_positive():
    """Everything but neighbours and companions sums to the total; no pixel is clearly negative."""
    sky, truth, seen = simulated(24)
    slots = sky.flux.shape[-1]
    own = [0, 2, slots - 3, slots - 2, slots - 1]
    np.testing.assert_allclose(sky.flux[..., own].sum(-1), truth["total"], rtol=1e-4)
    assert (sky.flux[..., :-1] >= -1e-6).all()
    tensors = (torch.tensor(a, dtype=torch.float32) for a in (seen[1].fwhm, seen[1].shift))
    images = render.render(sky, CFHTLS, 1, *tensors)
    assert (images.amin((2, 3)) > -1e-3 * images.amax((2, 3))).all()


def test_companions_bars_and_lanes_have_the_light_that_the_truth_says():
    """Slots: bulges 0 and 1, discs 2 and 3, neighbours, arms, bar or tail, lane."""
    sky, truth, _ = simulated(60)
    flux, total = sky.flux.numpy().astype(float), truth["total"]
    merger, lane = truth["morphology"] == scenes.MERGER, truth["dust_lane"]
    assert merger.any() and lane.any() and truth["bar"].any()
    other = (merger * truth["companion_flux"])[:, None, None] * total
    assert (other < total).all()
    np.testing.assert_allclose(flux[..., 1], 0.3 * other, rtol=1e-5)
    np.testing.assert_allclose(flux[..., 3], 0.7 * other, rtol=1e-5)
    np.testing.assert_array_equal((flux[..., -2] > 0).all((1, 2)), truth["bar"] | merger)
    depth = truth["lane_depth"][:, None, None] * np.array([1.3, 1.1, 0.9, 0.75, 0.6])
    taken = np.where(lane[:, None, None], 0.35 * depth, 0)
    np.testing.assert_allclose(
        -flux[..., -1] / flux[..., 2], taken * np.ones_like(total), rtol=1e-4
    )
    size = population.sample_galaxies(3, np.arange(60), 17.8)["half_light_radius"]
    size = np.minimum(size, 3.2)
    away, towards = truth["companion_distance"] * size, truth["companion_direction"]
    for parts, radius in ((sky.bulges, 0.3 * 0.75 * size), (sky.discs, 0.75 * size)):
        np.testing.assert_allclose(parts.x[:, 1], away * np.cos(towards), atol=1e-4)
        np.testing.assert_allclose(parts.y[:, 1], away * np.sin(towards), atol=1e-4)
        np.testing.assert_allclose(parts.half_light_radius[:, 1], radius, rtol=1e-5)
    ratio = (flux[:, 0, 2, 0] / total[:, 0, 2])[~merger]
    np.testing.assert_allclose(ratio, truth["bulge_to_total"][~merger], rtol=1e-5)
