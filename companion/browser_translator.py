"""Data of the page on which readers translate a galaxy of their own (book/translate.md).

The page computes in the browser what `galtools.training.translate` and
`galtools.fidelity.consistency` compute here, with the kept weights and the constants of `script`.
"""

import base64
import json
from dataclasses import replace
from pathlib import Path

import matplotlib as mpl
import numpy as np

from companion import plotting
from galtools import artefacts, models, pretrained, simulate
from galtools.data.photometry import aperture_weights
from galtools.errors import GaltoolsError
from galtools.fidelity import consistency
from galtools.models import checkpoint
from galtools.simulate.render import KOLMOGOROV_FWHM
from galtools.surveys import CFHTLS, SDSS

MODEL, TASK = "residual", "cross"
EXAMPLE = {"n": 1, "seed": 3, "start": 14, "grid": "sdss"}  # a spiral, in no training set
CONTROL = {"n": 300, "seed": 4, "grid": "sdss"}  # whose true images show what to expect
RANGE = (1, 99)  # percentiles: outside in one of five bands or more are at most a tenth of them
ANCHORS = 11  # colours between which a diverging colour map is linear


def base64_of(content: bytes) -> str:
    """Bytes as text that a script can hold."""
    return base64.b64encode(content).decode()


def example() -> dict:
    """One simulated source with its noise and seeing, as a file of a reader would state them."""
    source = simulate.pairs(**EXAMPLE).source_set
    return {
        "image": base64_of(source.images[0].astype("<f4").tobytes()),
        "noise": source.noise[0].tolist(),
        "psf_fwhm": source.psf_fwhm[0].tolist(),
    }


def control() -> list[list[float]]:
    """Chi^2 per pixel of true images, the lower and upper end of their range in each band."""
    pairs = simulate.pairs(**CONTROL)
    survey = replace(CFHTLS, pixel_scale=SDSS.pixel_scale)
    seeing = pairs.target_set.psf_fwhm
    measured = consistency.measure(pairs.source_set, pairs.target, survey, seeing)
    return np.percentile(measured["chi2"], RANGE, axis=0).T.tolist()


def facts(weights) -> dict:
    """All that the page needs to know of surveys, network, card and colours."""
    size, step = (scaling := checkpoint.load_weights(weights).scaling).size, scaling.step
    if step != 1 or size != SDSS.stamp:
        raise GaltoolsError(
            f"{weights}: the page translates {SDSS.stamp} pixels without resampling"
        )
    shape = size, size
    near = aperture_weights(shape, SDSS.pixel_scale, consistency.RADIUS) > 0.5
    colours = mpl.colormaps[plotting.DIVERGING](np.linspace(0, 1, ANCHORS))[:, :3]
    return {
        "weights": base64_of(weights.read_bytes()),
        "example": example(),
        "bands": SDSS.bands,
        "size": size,
        "pixel_scale": SDSS.pixel_scale,
        "noise": SDSS.sky_noise,
        "source_psf": SDSS.psf_fwhm,
        "target_psf": CFHTLS.psf_fwhm,
        "gain": SDSS.electrons_per_nanomaggy,
        "terms": consistency.colour_terms(CFHTLS.filters, SDSS.filters).tolist(),
        "control": control(),
        "kolmogorov_fwhm": KOLMOGOROV_FWHM,
        "aperture": aperture_weights(shape, SDSS.pixel_scale).ravel().tolist(),
        "near": near.ravel().astype(int).tolist(),
        "diverging": (255 * colours).tolist(),
        "lupton": {
            "weights": plotting.WEIGHTS,
            "stretch": plotting.STRETCH,
            "softening": plotting.SOFTENING,
        },
    }


def script(file: Path) -> str:
    """JavaScript that sets `galaxyData`, kept in `file`; null in a copy without kept weights."""
    weights = pretrained.weights_file(MODEL, TASK)
    if not weights.exists():
        return "window.galaxyData = null;\n"

    def maker(new):
        content = json.dumps(facts(weights), separators=(",", ":"), allow_nan=False)
        new.write_text(f"window.galaxyData = {content};\n")

    artefacts.make(file, maker, params={}, modules=models.modules(MODEL), inputs=[weights])
    return file.read_text()
