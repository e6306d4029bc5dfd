"""Frozen facts of the two surveys. No other module holds a pixel scale, a seeing or a noise.

Sources are named beside the numbers; the references are in book/references.bib.
"""

from dataclasses import dataclass, replace

import numpy as np

from galtools.errors import check_choice

BANDS = ("u", "g", "r", "i", "z")
TASKS = ("intra", "cross")  # SDSS to the same SDSS image; SDSS to CFHTLS


@dataclass(frozen=True)
class Survey:
    """What a survey does to a galaxy; five numbers are in the order of `bands`.

    Images everywhere in galtools are in nanomaggies per pixel, that is an AB zero point of 22.5:
    m = 22.5 - 2.5 log10(f / nanomaggy).
    """

    name: str
    pixel_scale: float  # arcsec per pixel
    stamp: int  # pixels along a side of the native stamp
    psf_fwhm: tuple[float, ...]  # arcsec, median seeing per band
    sky_noise: tuple[float, ...]  # nanomaggies per pixel, standard deviation of the blank sky
    zero_point: float  # AB magnitude of one count in the survey's published images
    electrons_per_nanomaggy: tuple[float, ...]  # detected in the whole exposure: Poisson noise
    filters: tuple[str, ...]  # names of the filter curves in astro-sedpy
    common_seeing: float  # scatter of ln FWHM that all bands of an observation share
    band_seeing: tuple[float, ...]  # scatter of ln FWHM that each band has for itself
    calibration_error: tuple[float, ...]  # scatter of the zero point from field to field, relative
    galaxies_per_field: int  # main-sample galaxies that share one zero point
    saturation: tuple[float, ...]  # nanomaggies per pixel, where detectors are full
    cosmic_rays: float  # hits per square arcmin in one band
    field_width: float  # arcsec
    noise_kernel: tuple[float, ...] = (1.0,)  # from the centre outwards: white noise is smoothed
    bands: tuple[str, ...] = BANDS

    @property
    def noise_correlation(self) -> np.ndarray:
        """Correlation of the noise of pixels 0, 1, 2 ... apart along a row or a column."""
        taps = np.array([*self.noise_kernel[:0:-1], *self.noise_kernel])
        lags = np.correlate(taps, taps, "full")[len(taps) - 1 :]
        return lags / lags[0]

    def on_grid_of(self, other: "Survey") -> "Survey":
        """Return this survey drawn on the pixels of another, where each holds more blank sky.

        White noise has a variance per area, so that its standard deviation grows with the pixel's
        side; correlated noise grows as that of the mean over a pixel does, and is then white.
        """
        growth = other.pixel_scale / self.pixel_scale
        lags = self.noise_correlation
        overlap = np.maximum(0, 1 - np.arange(len(lags)) / growth)
        larger = growth * (2 * np.sum(lags * overlap) - 1)  # of two axes: their geometric mean
        return replace(
            self,
            pixel_scale=other.pixel_scale,
            stamp=other.stamp,
            sky_noise=tuple(float(larger * sigma) for sigma in self.sky_noise),
            saturation=tuple(growth**2 * level for level in self.saturation),
            noise_kernel=self.noise_kernel if growth == 1 else (1.0,),
        )


SDSS = Survey(
    name="SDSS",
    pixel_scale=0.396,
    stamp=64,
    psf_fwhm=(1.48, 1.40, 1.30, 1.24, 1.26),
    sky_noise=(0.048, 0.021, 0.0285, 0.046, 0.176),
    zero_point=22.5,
    electrons_per_nanomaggy=(172, 874, 942, 782, 145),  # gain / (nanomaggies per count)
    filters=("sdss_u0", "sdss_g0", "sdss_r0", "sdss_i0", "sdss_z0"),
    # The bands are exposed within five minutes. Quartiles of the r width, 1.30 and 1.58 arcsec
    # (documentation of data release 8), give the common scatter. That from band to band is assumed:
    # it would follow if the exponent of FWHM ~ wavelength^(-.3) (Xin et al. 2018) varied by .1, and
    # is the one found in a field at hand (run 5754, camcol 3, field 280: .048).
    common_seeing=0.14,
    band_seeing=(0.04, 0.04, 0.04, 0.04, 0.04),
    calibration_error=(0.02, 0.01, 0.01, 0.01, 0.01),  # Padmanabhan et al. 2008
    galaxies_per_field=3,  # 90 per square degree (Strauss et al. 2002) on .034
    cosmic_rays=0.24,  # about 2 per square cm and minute, in 54 s
    field_width=811,  # of a column of the camera
    saturation=(1005, 162, 188, 273, 1046),  # assumed: stars of 12.0 14.1 14.1 13.8 12.3 mag
)

CFHTLS = Survey(
    name="CFHTLS",
    pixel_scale=0.187,
    stamp=136,
    psf_fwhm=(0.87, 0.82, 0.74, 0.67, 0.70),
    sky_noise=(0.0016, 0.0007, 0.0015, 0.0020, 0.0058),
    zero_point=30.0,
    electrons_per_nanomaggy=(40e3, 100e3, 66e3, 108e3, 27e3),  # of the Wide survey's hour or so
    filters=(
        "cfht_megacam_us_9301",
        "cfht_megacam_gs_9401",
        "cfht_megacam_rs_9601",
        "cfht_megacam_is_9701",
        "cfht_megacam_zs_9801",
    ),
    # Bands were observed in different nights: all scatter is their own. Its size is assumed; Erben
    # et al. (2013) list the seeing of the fields, with which it was not compared.
    common_seeing=0.0,
    band_seeing=(0.125, 0.12, 0.125, 0.16, 0.17),
    calibration_error=(0.02, 0.01, 0.01, 0.01, 0.015),  # release T0007 (Hudelot et al. 2012)
    galaxies_per_field=90,  # a MegaCam field is a square degree
    cosmic_rays=0.02,  # what the median of a stack leaves: assumed
    field_width=3600,
    saturation=(5.0, 2.86, 5.27, 6.27, 9.0),  # headers of T0007 in field W3; u and z are assumed
    # Stacks are resampled with Lanczos windows: correlations .096, -.053, .024 at lags 1, 2, 3,
    # measured in gri on blank sky of field W3.
    noise_kernel=(1.0, 0.0499, -0.0288, 0.0137),
)

SURVEYS = {survey.name: survey for survey in (SDSS, CFHTLS)}


def check_task(task: str) -> str:
    """Return the name of a known task, or refuse with the list of them."""
    return check_choice("task", task, TASKS)
