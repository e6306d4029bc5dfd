"""Frozen facts of the two surveys. No other module holds a pixel scale, a seeing or a noise."""

from dataclasses import dataclass, replace

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
    bands: tuple[str, ...] = BANDS

    def on_grid_of(self, other: "Survey") -> "Survey":
        """Return this survey drawn on the pixels of another, where each holds more blank sky.

        The sky's variance is per area, so its standard deviation grows with the pixel's side.
        """
        growth = other.pixel_scale / self.pixel_scale
        return replace(
            self,
            pixel_scale=other.pixel_scale,
            stamp=other.stamp,
            sky_noise=tuple(growth * sigma for sigma in self.sky_noise),
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
)

SURVEYS = {survey.name: survey for survey in (SDSS, CFHTLS)}


def check_task(task: str) -> str:
    """Return the name of a known task, or refuse with the list of them."""
    return check_choice("task", task, TASKS)
