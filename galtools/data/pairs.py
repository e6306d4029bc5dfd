"""Images of galaxies in one survey (`ImageSet`), and of the same galaxies in two (`Pairs`)."""

from dataclasses import dataclass, replace

import numpy as np
from astropy.table import Table, vstack

from galtools.data.photometry import fitted_fwhm
from galtools.errors import GaltoolsError
from galtools.surveys import Survey, check_bands, check_task, find_bands, find_survey

NO_DATA, SATURATED, MASKED = 1, 2, 4  # bits of a mask; a pixel with any bit does not count
ARRAYS = ("noise", "psf_fwhm", "images", "mask", "sigma_map", "psf")  # a row per object


@dataclass
class ImageSet:
    """Images of n objects in one survey, with all that is needed to use them."""

    images: np.ndarray  # (n, bands, H, W) float32, nanomaggies per pixel
    noise: np.ndarray  # (n, bands) float32, sky sigma per pixel, NaN where unknown
    survey: str
    bands: tuple[str, ...]
    pixel_scale: float  # arcsec per pixel
    psf_fwhm: np.ndarray  # (n, bands) float32, arcsec
    mask: np.ndarray | None = None  # (n, bands, H, W) uint8 bits, None where every pixel counts
    catalogue: Table | None = None  # n rows; `Pairs` have one for both surveys
    sigma_map: np.ndarray | None = None  # (n, bands, H, W) float32, of each pixel, inf: no data
    psf: np.ndarray | None = None  # (n, bands, h, w) float32, image of the PSF, centred, of sum one

    def __post_init__(self):
        """Refuse parts that do not belong together."""
        shape = np.shape(self.images)
        if len(shape) != 4 or 0 in shape[1:]:
            raise GaltoolsError(f"images are {shape}: need (n, bands, H, W)")
        for name in ("noise", "psf_fwhm"):
            if (found := np.shape(getattr(self, name))) != shape[:2]:
                raise GaltoolsError(f"{name} is {found}: need {shape[:2]}, per galaxy and band")
        for name in {"mask", "sigma_map"} & self.arrays.keys():
            if (found := np.shape(getattr(self, name))) != shape:
                raise GaltoolsError(f"the {name} is {found}, its images are {shape}")
        if self.sigma_map is not None and not (self.sigma_map > 0).all():
            raise GaltoolsError("a sigma_map must be positive, and infinite without data")
        if self.psf is not None:
            expand_psf(self.psf, shape)
        if self.catalogue is not None and len(self.catalogue) != shape[0]:
            raise GaltoolsError(f"{shape[0]} images, but {len(self.catalogue)} rows of a catalogue")
        if len(self.bands) != shape[1] or len({*self.bands}) != shape[1]:
            raise GaltoolsError(
                f"bands {self.bands} do not name the {shape[1]} bands of the images"
            )
        check_bands(self.survey, self.bands)
        if not 0.01 < self.pixel_scale < 10:
            raise GaltoolsError(f"a pixel of {self.pixel_scale} arcsec: give arcsec per pixel")

    @classmethod
    def of(
        cls, survey: Survey, images, noise, psf_fwhm=None, mask=None, catalogue=None,
        sigma_map=None, psf=None,
    ):  # fmt: skip
        """Images on the pixels of `survey`, at its median seeing where nothing else is given.

        Pixels whose sigma is not positive have no data, those of infinite sigma are masked. A PSF
        may be that of all, (h, w) or (bands, h, w); the seeing is its width if none is given.
        """
        images, noise = (np.asarray(array, np.float32) for array in (images, noise))
        if sigma_map is not None:
            known = np.greater(sigma_map, 0) & np.isfinite(sigma_map)
            bits = np.where(known, 0, np.where(np.isposinf(sigma_map), MASKED, NO_DATA))
            mask = np.uint8(bits if mask is None else bits | mask)
            sigma_map = np.where(known, sigma_map, np.inf).astype(np.float32)
        if psf is not None:
            psf = normalized_psf(psf)
            psf_fwhm = fitted_fwhm(psf, survey.pixel_scale) if psf_fwhm is None else psf_fwhm
            psf = expand_psf(psf, images.shape)
        psf_fwhm = survey.psf_fwhm if psf_fwhm is None else psf_fwhm
        psf_fwhm = np.array(np.broadcast_to(psf_fwhm, images.shape[:2]), np.float32)
        if mask is not None and not mask.any():
            mask = None
        about = survey.name, survey.bands, survey.pixel_scale
        return cls(images, noise, *about, psf_fwhm, mask, catalogue, sigma_map, psf)

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """Arrays by name, without those that are absent."""
        parts = {name: getattr(self, name) for name in ARRAYS}
        return {name: part for name, part in parts.items() if part is not None}

    @property
    def instrument(self) -> Survey:
        """What is known of the survey, in the bands of these images."""
        return find_survey(self.survey).in_bands(self.bands)

    def in_bands(self, bands) -> "ImageSet":
        """Images in some of the bands, in this order."""
        k = find_bands(self.bands, bands)
        chosen = {name: part[:, k] for name, part in self.arrays.items()}
        return replace(self, bands=tuple(bands), **chosen)

    def __len__(self):
        """Count the objects."""
        return len(self.images)

    def __getitem__(self, rows):
        """Select objects by slice, mask or index array."""
        chosen = {name: part[rows] for name, part in self.arrays.items()}
        catalogue = None if self.catalogue is None else self.catalogue[rows]
        return replace(self, catalogue=catalogue, **chosen)

    @property
    def facts(self) -> dict:
        """What is known about the images, as a file states it (`image_files.FACTS`)."""
        facts = {"pixel_scale": self.pixel_scale, "bands": self.bands, **self.arrays}
        if not np.isfinite(self.noise).all():
            del facts["noise"]
        mask = facts.pop("mask", None)
        return facts if mask is None else facts | {"weights": mask == 0}

    @property
    def bad(self) -> np.ndarray | None:
        """True (n, bands, H, W) where a pixel does not count; None if every pixel does."""
        return None if self.mask is None else self.mask > 0


def normalized_psf(psf) -> np.ndarray:
    """Images (..., h, w) of PSFs of sum one; NaN throughout where one is unknown."""
    psf = np.asarray(psf, np.float32)
    total = psf.sum(axis=(-2, -1), keepdims=True)
    known = ~np.isnan(psf).all(axis=(-2, -1), keepdims=True)
    if (known & ~((total > 0) & np.isfinite(total))).any():
        raise GaltoolsError("a psf has no positive, finite sum: check the order of its axes")
    return psf / total


def expand_psf(psf, shape):
    """Images of PSFs (n, bands, h, w) for images of a shape, from those of all objects or bands.

    Refused are those without a pixel at their centre.
    """
    found = np.shape(psf)
    if found[:-2] in ((), tuple(shape[1:2])):
        psf = np.broadcast_to(psf, (*shape[:2], *found[-2:]))
    if np.shape(psf)[:-2] != tuple(shape[:2]) or not all(side % 2 for side in found[-2:]):
        raise GaltoolsError(f"the psf is {found}: need (n, bands, h, w), with odd h and w")
    return psf


@dataclass
class Pairs:
    """The same n galaxies in the survey translated from and in the one translated to."""

    source_set: ImageSet
    target_set: ImageSet
    redshift: np.ndarray  # (n,) float32, spectroscopic, NaN where unknown
    catalogue: Table  # n rows: what is known of each galaxy

    def __post_init__(self):
        """Refuse parts that do not belong together."""
        n = len(self.source_set)
        lengths = (len(self.target_set), len(self.redshift), len(self.catalogue))
        if any(length != n for length in lengths):
            raise GaltoolsError(
                f"source has {n} galaxies, but target, redshift and catalogue have {lengths}"
            )

    def __len__(self):
        """Count the galaxies."""
        return len(self.source_set)

    def __getitem__(self, rows):
        """Select galaxies by slice, mask or index array."""
        parts = (self.source_set, self.target_set, self.redshift, self.catalogue)
        return Pairs(*(part[rows] for part in parts))

    @property
    def source(self) -> np.ndarray:
        """Images (n, bands, H, W) of the survey translated from, nanomaggies per pixel."""
        return self.source_set.images

    @property
    def target(self) -> np.ndarray:
        """Images (n, bands, H', W') of the survey translated to, nanomaggies per pixel."""
        return self.target_set.images

    @property
    def noise(self) -> np.ndarray:
        """Sky sigma per pixel of source and target, (n, 2, bands)."""
        return np.stack([self.source_set.noise, self.target_set.noise], axis=1)

    @property
    def bad(self) -> tuple[np.ndarray | None, np.ndarray | None]:
        """Which pixels of source and target do not count; None if every pixel does."""
        return self.source_set.bad, self.target_set.bad

    @property
    def pixel_ratio(self) -> float:
        """Side of a target pixel in source pixels."""
        return self.target_set.pixel_scale / self.source_set.pixel_scale


def join(parts: list[Pairs]) -> Pairs:
    """Put samples of the same two surveys together, one after the other."""
    return Pairs(
        _join([part.source_set for part in parts]),
        _join([part.target_set for part in parts]),
        np.concatenate([part.redshift for part in parts]),
        vstack([part.catalogue for part in parts], metadata_conflicts="silent"),
    )


def _join(sets: list[ImageSet]) -> ImageSet:
    """Join images of one survey; where a part has no mask, every pixel counts."""
    if len({(one.survey, one.bands, one.pixel_scale) for one in sets}) > 1:
        raise GaltoolsError("samples of several surveys, bands or pixel scales cannot be joined")
    parts = [one.arrays for one in sets]
    if any("mask" in part for part in parts):
        parts = [{"mask": np.zeros(part["images"].shape, np.uint8)} | part for part in parts]
    if any(part.keys() != parts[0].keys() for part in parts):
        raise GaltoolsError("some samples lack the sigma_map or psf that others have: drop it")
    joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return replace(sets[0], **joined)


def for_task(pairs: Pairs, task: str) -> Pairs:
    """Return what a task learns from: 'cross' as it is, 'intra' with the source as its target."""
    if check_task(task) == "cross":
        return pairs
    return replace(pairs, target_set=pairs.source_set)
