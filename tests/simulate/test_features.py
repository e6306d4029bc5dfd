"""Arms, rings, bars, tails and lanes against closed forms; texture against its spectrum."""

import numpy as np
import pytest
import torch

from galtools.simulate import features, population, scene
from galtools.surveys import SDSS

ONE = np.ones(1)


def plane(points=features.GRID, extent=features.EXTENT):
    """A face-on disc of unit size on its own grid."""
    return features.grid(points, 2 * extent / points * ONE, ONE, ONE, 0 * ONE)


def galaxy(**changes):
    """Parameters of one galaxy without any feature."""
    names = ("offset", "contrast", "clumpiness", "knot_share", "arm_start", "winding")
    shape = {name: 0 * ONE for name in names} | {"ring_radius": ONE, "arm_width": ONE}
    shape |= {"irregular": np.array([False]), "ring": np.array([False]), "arms": 2 * ONE}
    return shape | {name: value * np.ones_like(shape[name]) for name, value in changes.items()}


def young(seed=0, **changes):
    numbers = features.random_numbers(seed, [0])
    return features.young_stars(*plane(), *numbers, galaxy(**changes))[0]


def test_grid_lies_in_the_plane_of_an_inclined_disc():
    """A step of 3 arcsec along the major axis is one radius, as is one of 1.5 across it."""
    angle = np.array([0.4])
    along, across = features.grid(3, 0.5 * ONE, 3 * ONE, 0.5 * ONE, angle)
    x, y = np.meshgrid([-0.5, 0, 0.5], [-0.5, 0, 0.5])
    np.testing.assert_allclose(along[0], (x * np.cos(0.4) + y * np.sin(0.4)) / 3, atol=1e-6)
    np.testing.assert_allclose(across[0], (y * np.cos(0.4) - x * np.sin(0.4)) / 1.5, atol=1e-6)


def test_random_field_has_unit_variance_and_the_power_that_it_says():
    field = features.random_field(features.random_numbers(0, range(200))[0]).numpy()
    assert field.var() == pytest.approx(1, rel=0.05)
    power = (np.abs(np.fft.fft2(field)) ** 2).mean(axis=0)[0]
    per_radius = np.fft.fftfreq(features.GRID, 2 * features.EXTENT / features.GRID)
    expected = (per_radius**2 + features.LARGEST_SCALE**-2.0) ** (-features.SPECTRAL_INDEX / 2)
    ratio = (power / expected)[1 : features.GRID // 2]
    np.testing.assert_allclose(ratio / ratio.mean(), 1, atol=0.35)  # 5 sigma of 200 fields


def test_winding_shears_a_field_into_a_spiral():
    """A slope in x becomes r cos(theta - w ln(r + core)); without winding nothing changes."""
    along, across = plane()
    radius = np.hypot(along, across)
    slope = torch.from_numpy(along.copy())
    inside = radius < 0.9 * features.EXTENT
    same = features.wound(slope, along, across, radius, 0 * ONE)
    np.testing.assert_allclose(same[inside], along[inside], atol=1e-5)
    turned = np.arctan2(across, along) - 2.5 * np.log(radius + features.CORE)
    spiral = features.wound(slope, along, across, radius, 2.5 * ONE)
    np.testing.assert_allclose(spiral[inside], (radius * np.cos(turned))[inside], atol=1e-5)


@pytest.mark.parametrize("arms", [2, 3, 4])
def test_arms_are_logarithmic_spirals(arms):
    """The crests follow ln r = turn / winding, and a circle has mean 1."""
    turn = np.linspace(0, 2 * np.pi, 720, endpoint=False)
    for radius in (0.5, 1.0, 2.0):
        x, y = radius * np.cos(turn)[None, None], radius * np.sin(turn)[None, None]
        winding, start = 2.5 * ONE, 0.3 * ONE
        light = features.spiral_arms(x, y, np.hypot(x, y), arms * ONE, winding, start, 0.5 * ONE)
        assert light.mean() == pytest.approx(1)
        crest = turn[light[0, 0].argmax()] - 2.5 * np.log(radius / features.CORE) - 0.3
        away = crest % (2 * np.pi / arms)
        assert min(away, 2 * np.pi / arms - away) < 0.05


def test_young_stars_without_features_are_a_truncated_exponential_disc():
    radius = np.hypot(*plane())[0]
    image, some = young(), (radius > 0.1) & (radius < 1.5)
    slope = np.polyfit(radius[some], np.log(image[some]), 1)[0]
    assert slope == pytest.approx(-1 / features.YOUNG_SCALE, rel=0.02)
    assert image.sum() == pytest.approx(1)
    assert image[radius > 2.8].max() < 0.01 * image.max()


def test_young_stars_follow_a_ring_and_irregular_ones_lie_off_the_centre():
    along, across = (a[0] for a in plane())
    extra = young(ring=True, ring_radius=1.3) / young()
    radius = np.hypot(along, across)
    np.testing.assert_allclose(radius[extra > 0.98 * extra.max()], 1.3, atol=0.1)
    image = young(irregular=True, offset=0.4)
    centre = [(image * axis).sum() for axis in (along, across)]
    np.testing.assert_allclose(centre, [0.4, 0.2], atol=0.02)


def test_clumps_are_log_normal():
    bumps = np.log(young(clumpiness=0.5) / young())
    some = np.hypot(*plane())[0] < 2
    assert bumps[some].std() == pytest.approx(0.5, rel=0.3)  # one field of few large clumps


def test_knots_lie_where_the_young_stars_are_and_keep_the_flux():
    image = np.random.default_rng(0).random((1, 4, 4)) ** 2
    image /= image.sum()
    uniform = np.random.default_rng(1).random((1500, 2 * features.KNOTS))
    share = np.full(1500, 0.3)
    knots = features.with_knots(np.repeat(image, 1500, 0), uniform, share) - 0.7 * image
    np.testing.assert_allclose(knots.sum((1, 2)), 0.3)
    np.testing.assert_allclose(knots.mean(0) / 0.3, image[0], atol=0.004)
    luminosity = 1 / (features.FAINTEST_KNOT + uniform[:, features.KNOTS :])
    above = np.mean(luminosity > 10)  # N(> L) = 1 / L - faintest
    assert above == pytest.approx(0.1 - features.FAINTEST_KNOT, rel=0.05)


def test_bars_are_boxy_and_three_times_as_long_as_wide():
    along, across = plane(features.BAR_GRID, features.BAR_EXTENT)
    light = features.bar(along, across, 0.8 * ONE, 0.3 * ONE)[0]
    x = np.linspace(-2, 2, 401)[None, None]
    length, width = (
        np.ptp(x[profile > 0.5 * np.exp(-1.2)])
        for profile in (
            features.bar(x, 0 * x, 0.8 * ONE, 0 * ONE),
            features.bar(0 * x, x, 0.8 * ONE, 0 * ONE),
        )
    )
    assert length == pytest.approx(1.6, abs=0.02) and width == pytest.approx(1.6 / 3, abs=0.02)
    moments = [[(light * a * b).sum() for a in (along[0], across[0])] for b in (along, across)]
    axis = np.linalg.eigh(moments)[1][:, 1]
    assert np.arctan2(axis[1], axis[0]) % np.pi == pytest.approx(0.3, abs=0.02)


def test_tails_bend_and_fade():
    turn = np.linspace(-np.pi, np.pi, 720, endpoint=False)
    crests = []
    for radius in (1.2, 1.7, 2.2):
        x, y = radius * np.cos(turn)[None, None], radius * np.sin(turn)[None, None]
        light = features.tails(x, y, 0.5 * ONE, 0.6 * ONE, 3 * ONE)[0, 0]
        assert turn[light.argmax()] == pytest.approx(0.5 + 0.6 * (radius - 1), abs=0.01)
        crests.append(light.max())
    ratio = np.exp(-0.5 / (0.45 * 3))
    np.testing.assert_allclose(crests[2] / crests[1], ratio, rtol=0.05)


def test_a_lane_is_as_long_as_the_disc_and_as_deep_as_it_says():
    """The peak of an exponential disc is proportional to flux over squared half-light radius."""
    size, q, angle = 3.0 * ONE, 0.25 * ONE, 0.4 * ONE
    physics = {"half_light_radius": size, "axis_ratio": q, "position_angle": angle}
    lane = np.squeeze(scene._lanes(physics, {"lane_side": -ONE}))
    x, y, lane_size, lane_q, lane_angle = lane
    assert features.lane_flux(0.4) * size**2 / lane_size**2 == pytest.approx(0.4)
    assert lane_size**2 / lane_q == pytest.approx(size**2 / q)  # major axes
    assert lane_angle == angle and lane_q < 0.5 * q
    assert x * np.cos(0.4) + y * np.sin(0.4) == pytest.approx(0)
    assert y * np.cos(0.4) - x * np.sin(0.4) == pytest.approx(-0.12 * 3 * 0.5)


def test_galaxies_without_any_disc_are_drawn_as_in_company():
    """A block of ellipticals alone has no young stars, and its galaxies are the same."""
    physics = population.sample_galaxies(3, range(40), population.MAIN_SAMPLE_LIMIT)
    early = np.flatnonzero(physics["early"])
    alone, _ = scene.build_scene(3, early, {k: v[early] for k, v in physics.items()}, (SDSS,))
    together, _ = scene.build_scene(3, np.arange(40), physics, (SDSS,))
    assert not alone.textures[0].share.any()
    np.testing.assert_array_equal(alone.flux, together.flux[early])
