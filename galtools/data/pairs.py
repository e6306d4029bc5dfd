"""Images of galaxies in one survey (`ImageSet`), and of the same galaxies in two (`Pairs`)."""

from dataclasses import dataclass, replace

import numpy as np
from astropy.table import Table, vstack

from galtools.errors import GaltoolsError
from galtools.surveys import Survey, check_task, find_bands, find_survey

NO_DATA, SATURATED = 1, 2  # bits of a mask; a pixel with any bit set does not count


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

    def __post_init__(self):
        """Refuse parts that do not belong together."""
        shape = np.shape(self.images)
        if len(shape) != 4 or 0 in shape[1:]:
            raise GaltoolsError(f"images are {shape}: need (n, bands, H, W)")
        for name in ("noise", "psf_fwhm"):
            if (found := np.shape(getattr(self, name))) != shape[:2]:
                raise GaltoolsError(f"{name} is {found}: need {shape[:2]}, per galaxy and band")
        if self.mask is not None and np.shape(self.mask) != shape:
            raise GaltoolsError(f"the mask is {np.shape(self.mask)}, its images are {shape}")
        if self.catalogue is not None and len(self.catalogue) != shape[0]:
            raise GaltoolsError(f"{shape[0]} images, but {len(self.catalogue)} rows of a catalogue")
        if len(self.bands) != shape[1] or len({*self.bands}) != shape[1]:
            raise GaltoolsError(
                f"bands {self.bands} do not name the {shape[1]} bands of the images"
            )
        if not 0.01 < self.pixel_scale < 10:
            raise GaltoolsError(f"a pixel of {self.pixel_scale} arcsec: give arcsec per pixel")

    @classmethod
    def of(cls, survey: Survey, images, noise, psf_fwhm=None, mask=None, catalogue=None):
        """Images on the pixels of `survey`, at its median seeing where no other is given."""
        if psf_fwhm is None:
            psf_fwhm = np.tile(np.float32(survey.psf_fwhm), (len(images), 1))
        numbers = (np.asarray(array, np.float32) for array in (images, noise, psf_fwhm))
        images, noise, psf_fwhm = numbers
        if mask is not None and not mask.any():
            mask = None
        about = survey.name, survey.bands, survey.pixel_scale
        return cls(images, noise, *about, psf_fwhm, mask, catalogue)

    @property
    def instrument(self) -> Survey:
        """What is known of the survey, in the bands of these images."""
        return find_survey(self.survey).in_bands(self.bands)

    def in_bands(self, bands) -> "ImageSet":
        """Images in some of the bands, in this order."""
        k = find_bands(self.bands, bands)
        parts = {name: getattr(self, name) for name in ("images", "noise", "psf_fwhm", "mask")}
        chosen = {name: part if part is None else part[:, k] for name, part in parts.items()}
        return replace(self, bands=tuple(bands), **chosen)

    def __len__(self):
        """Count the objects."""
        return len(self.images)

    def __getitem__(self, rows):
        """Select objects by slice, mask or index array."""
        names = ("images", "noise", "psf_fwhm", "mask", "catalogue")
        parts = {name: getattr(self, name) for name in names}
        chosen = {name: part if part is None else part[rows] for name, part in parts.items()}
        return replace(self, **chosen)

    @property
    def facts(self) -> dict:
        """What is known about the images, as a file states it (`image_files.FACTS`)."""
        facts = {
            "pixel_scale": self.pixel_scale, "bands": self.bands, "psf_fwhm": self.psf_fwhm
        }  # fmt: skip
        facts |= {"noise": self.noise} if np.isfinite(self.noise).all() else {}
        return facts if self.mask is None else facts | {"weights": self.mask == 0}

    @property
    def bad(self) -> np.ndarray | None:
        """True (n, bands, H, W) where a pixel does not count; None if every pixel does."""
        return None if self.mask is None else self.mask > 0


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
    names = ("images", "noise", "psf_fwhm")
    arrays = {name: np.concatenate([getattr(one, name) for one in sets]) for name in names}
    masks = [one.mask for one in sets]
    if any(mask is not None for mask in masks):
        whole = zip(masks, sets, strict=True)
        masks = [np.zeros(s.images.shape, np.uint8) if mask is None else mask for mask, s in whole]
        arrays["mask"] = np.concatenate(masks)
    return replace(sets[0], **arrays)


def for_task(pairs: Pairs, task: str) -> Pairs:
    """Return what a task learns from: 'cross' as it is, 'intra' with the source as its target."""
    if check_task(task) == "cross":
        return pairs
    return replace(pairs, target_set=pairs.source_set)
