"""What is drawn of the two surveys, where something about it is known."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from sedpy.observate import load_filters
from test_readers import fill, sky

from companion import plotting, survey_panels
from galtools import data, simulate
from galtools.errors import GaltoolsError
from galtools.simulate import spectra
from galtools.surveys import SDSS


def test_points_are_mean_flux_densities_by_photons():
    """Of the elliptical template at rest, against the integral over each filter's own grid."""
    points = survey_panels.redshifted("E", (0.0, 0.25)).axes[0].lines[1].get_ydata()
    light = spectra.WAVELENGTH, spectra.template("E")
    for found, curve in zip(points, load_filters(list(SDSS.filters)), strict=True):
        photons = curve.wavelength * curve.transmission
        seen = np.interp(curve.wavelength, *light)
        above, below = (np.trapezoid(x, curve.wavelength) for x in (photons * seen, photons))
        assert found == pytest.approx(above / below, rel=1e-3)
    plt.close("all")


def test_redshift_reddens_the_elliptical_template():
    labels = survey_panels.redshifted("E", (0.03, 0.25)).axes[0].get_legend_handles_labels()[1]
    near, far = (float(label.split("g − r = ")[1].split()[0]) for label in labels)
    assert far > near + 0.5
    plt.close("all")


def test_stamps_come_from_a_folder_or_a_file(tmp_path):
    assert survey_panels.read_stamps("") == {}
    images = sky()
    folder = fill(tmp_path / "cut", images, ["a", "b", "c"])
    assert survey_panels.survey_of(folder) == SDSS
    ((name, (found, scale)),) = survey_panels.read_stamps(folder).items()
    assert (name, scale) == ("SDSS", pytest.approx(0.396))
    np.testing.assert_array_equal(found, images)
    pairs = simulate.pairs(3, seed=2)
    data.save(pairs, tmp_path / "pairs.h5")
    both = survey_panels.read_stamps(tmp_path / "pairs.h5")
    assert {k: (v[0].shape, v[1]) for k, v in both.items()} == {
        "SDSS": ((3, 5, 64, 64), 0.396),
        "CFHTLS": ((3, 5, 136, 136), 0.187),
    }


def test_a_folder_of_an_unknown_survey_says_what_is_known(tmp_path):
    folder = fill(tmp_path / "cut", sky(), ["a", "b", "c"], CDELT1=-1e-3, CDELT2=1e-3)
    with pytest.raises(GaltoolsError, match=r"0.396 \(SDSS\) or 0.187"):
        survey_panels.survey_of(folder)


def test_real_stamps_stand_beside_the_simulated_ones_of_their_brightness():
    """The same galaxies in pixels twice as wide: each meets itself, on the same scale."""
    light = np.array([1.0, 4.0, 2.0], np.float32)[:, None, None, None]
    fine = np.broadcast_to(light, (3, 5, 64, 64)) / 1000
    coarse = 4 * fine[..., ::2, ::2]
    real, ours = survey_panels.real_and_simulated(coarse, 2 * SDSS.pixel_scale, fine, SDSS)
    np.testing.assert_allclose(ours[:, 0, 0, 0], [0.004, 0.002, 0.001])
    np.testing.assert_allclose(real[:, :, :30, :30], ours[:, :, :30, :30])


def test_labels_keep_their_commas_and_stamps_show_their_middle():
    assert plotting.with_n("SDSS, T = 1", 12_000) == "SDSS, T = 1 (n = 12,000)"
    with plt.rc_context(plotting.STYLE):
        fig = plotting.stamps([sky()[:2], sky(size=32)[:2]], ["a", "b"], fraction=0.75)
    shown = [ax.images[0].get_array().shape for ax in fig.axes]
    assert shown == [(48, 48, 3)] * 2 + [(24, 24, 3)] * 2
    plt.close(fig)


def test_the_last_row_of_stamps_may_be_a_residual_and_one_band_is_grey():
    maps, one_band = np.arange(32.0).reshape(2, 4, 4), sky()[:2, 2:3]
    with plt.rc_context(plotting.STYLE):
        fig = plotting.stamps([one_band], ["r"], residual=("residual", maps), limit=9)
    pictures = [ax.images[0] for ax in fig.axes if ax.images]
    np.testing.assert_array_equal(pictures[0].get_array()[..., 0], pictures[0].get_array()[..., 2])
    for picture, expected in zip(pictures[2:], maps, strict=True):
        np.testing.assert_array_equal(picture.get_array(), expected)
        assert picture.get_clim() == (-9, 9)
    plt.close(fig)


def test_red_green_and_blue_have_their_weights_in_three_bands_and_more():
    """5 nanomaggies in i, r and g alike: blue has the largest weight, as the pages have it."""
    for bands in (3, 5):
        red, green, blue = plotting.lupton(np.full((bands, 8, 8), 5.0))[0, 0].astype(int)
        assert blue > green > red
