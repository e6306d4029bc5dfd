"""Speed of the simulation: pairs per second and core, against GalSim, in n and over cores.

All is measured in one run on one machine, which should have nothing else to do, printed and kept in
benchmarks/render.json (`--kept FILE`: there instead). That both draw the same is tested.
"""

import argparse
import itertools
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

import galsim
import numpy as np
import torch
from joblib import Parallel, delayed
from turns import in_turns, times_faster

from companion import galsim_reference
from companion.paths import ROOT
from galtools import data, simulate
from galtools.surveys import CFHTLS, SDSS

SURVEYS = (SDSS, CFHTLS)
MEMORY = "import resource, galtools.simulate as s; [None for _ in s.stream({n})]; "
MEMORY += "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
TURNS = 9
RACED = 16  # galaxies that both draw


def make(n: int, **options) -> None:
    """Simulate n pairs, complete: population, spectra, both surveys, noise, catalogue."""
    for _ in simulate.stream(n, **options):
        pass


def into_a_file(n: int, **options) -> None:
    """Simulate n pairs into a file."""
    with tempfile.TemporaryDirectory() as folder:
        data.save(simulate.stream(n, **options), Path(folder, "pairs.h5"))


def rate(n: int, **options) -> float:
    """Pairs per second of processor time, which other work on the machine hardly changes."""
    started = time.process_time()
    make(n, **options)
    return n / (time.process_time() - started)


def speed_up(n: int, cores: int) -> dict:
    """Time of n pairs per core, on one core over on all, three ways.

    Either each process keeps its own, as the shards of a large sample do, or one process receives
    them all from its workers, as they are or to write them into one file, as chapter 1 does.
    """

    def apart():
        Parallel(cores)(delayed(make)(n, start=n * core) for core in range(cores))

    one, each, received, filed_by_one, filed = in_turns({
        "one": lambda: make(n * cores),
        "each keeps its own": apart,
        "one receives all": lambda: make(n * cores, workers=cores),
        "into a file by one": lambda: into_a_file(n * cores),
        "into a file": lambda: into_a_file(n * cores, workers=cores),
    }, TURNS).values()  # fmt: skip
    return {
        "each keeps its own": times_faster(one, each),
        "one receives all": times_faster(one, received),
        "one receives all and writes a file": times_faster(filed_by_one, filed),
    }


def drawing_rate(n: int) -> float:
    """Noiseless pairs per second of processor time that `render` draws, in blocks as always."""
    blocks = [np.arange(k, k + simulate.matched_pairs.BLOCK) for k in range(0, n, 8)]
    ready = [simulate.sample_scene(0, block, SURVEYS)[1] for block in blocks]
    seeing = [torch.tensor(survey.psf_fwhm).expand(8, -1) for survey in SURVEYS]
    started = time.process_time()
    with torch.no_grad(), simulate.matched_pairs.one_thread():
        for scene, (k, survey) in itertools.product(ready, enumerate(SURVEYS)):
            simulate.render.render(scene, survey, k, seeing[k], torch.zeros(8, 2))
    return n / (time.process_time() - started)


def fourier_grid(survey) -> dict:
    """Frequencies of a stamp padded to twice its side, as `drawKImage` takes them."""
    side = 2 * survey.stamp
    return {"nx": side, "ny": side, "scale": 2 * np.pi / (side * survey.pixel_scale)}


def blur_transforms(survey) -> np.ndarray:
    """Transform of the median seeing times the pixel in each band, once for all galaxies."""
    blurs = [
        galsim.Convolve(galsim.Kolmogorov(fwhm=w), galsim.Pixel(survey.pixel_scale))
        for w in survey.psf_fwhm
    ]
    return np.stack([blur.drawKImage(**fourier_grid(survey)).array for blur in blurs])


def galsim_stamp(scene, survey, survey_index: int, galaxy: int, blur) -> np.ndarray:
    """All bands (5, stamp, stamp) with as little work as GalSim can do it: for a fair race.

    Every component is transformed once for all bands, `blur` is that of `blur_transforms`; what
    wraps around and aliases is left, and there is neither shift nor scatter of the seeing.
    """
    flux = scene.flux[galaxy, survey_index].double().numpy()
    used = (flux != 0).any(axis=0)
    parts = [
        part
        for part, is_used in zip(galsim_reference.components(scene, galaxy), used, strict=True)
        if is_used
    ]
    sky = np.stack([part.drawKImage(**fourier_grid(survey)).array for part in parts])
    sky = np.tensordot(flux[:, used], sky, axes=1) * blur
    image = np.fft.fftshift(np.fft.ifft2(np.fft.ifftshift(sky, axes=(1, 2))).real, axes=(1, 2))
    edge = survey.stamp // 2
    return image[:, edge : edge + survey.stamp, edge : edge + survey.stamp]


def galsim_rates(n: int) -> dict[str, float]:
    """Noiseless pairs per second of processor time that GalSim draws in the median seeing.

    Either it convolves each band with a seeing that is made once for all galaxies; or it only
    transforms, each component once for all bands, and the rest is done by hand.
    """
    _, scene, _ = simulate.sample_scene(0, np.arange(n), SURVEYS)
    seconds = dict.fromkeys(("band by band", "transforms only"), 0.0)
    for index, survey in enumerate(SURVEYS):
        seeing = [galsim.Kolmogorov(fwhm=width) for width in survey.psf_fwhm]
        blur = blur_transforms(survey)
        started = time.process_time()
        for galaxy, (band, one) in itertools.product(range(n), enumerate(seeing)):
            sky = galsim_reference.galsim_sky(scene, galaxy, index, band)
            image = galsim.Convolve(sky, one)
            image.drawImage(nx=survey.stamp, ny=survey.stamp, scale=survey.pixel_scale)
        between = time.process_time()
        for galaxy in range(n):
            galsim_stamp(scene, survey, index, galaxy, blur)
        seconds["band by band"] += between - started
        seconds["transforms only"] += time.process_time() - between
    return {name: n / value for name, value in seconds.items()}


def peak_memory(n: int) -> float:
    """Peak memory in MiB of a fresh process that streams n pairs."""
    output = subprocess.run(
        [sys.executable, "-c", MEMORY.format(n=n)], capture_output=True, text=True, check=True
    )
    return int(output.stdout) / 1024


def measure(n: int) -> dict:
    """Measure everything; the best of some repeats, as other work only slows a run down."""
    rate(8)
    one = max(rate(n) for _ in range(3))
    coarse = max(rate(n, grid="sdss") for _ in range(2))
    galsim_rate, drawn = galsim_rates(RACED), max(drawing_rate(RACED) for _ in range(9))
    result = {
        "load of the machine": os.getloadavg()[0],
        "native pairs per second and core": one,
        "pairs per second and core on the SDSS grid": coarse,
        "drawn without noise: pairs per second": drawn,
        "drawn by GalSim without noise: pairs per second": galsim_rate,
        "drawn times faster": {name: drawn / theirs for name, theirs in galsim_rate.items()},
        "complete pairs times faster than GalSim draws": {
            name: one / theirs for name, theirs in galsim_rate.items()
        },
        **{f"peak memory in MiB, {k} pairs": peak_memory(k) for k in (64, 256, 1024)},
    }
    result["cores"] = os.cpu_count()
    result["speed-up on all cores"] = speed_up(2 * n, os.cpu_count())
    return result


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", type=int, default=128, help="pairs per measurement")
    parser.add_argument("--kept", type=Path, default=ROOT / "benchmarks" / "render.json")
    arguments = parser.parse_args()
    result = measure(arguments.n)
    print(json.dumps(result, indent=1))
    versions = {name: version(name) for name in ("numpy", "torch", "galsim")}
    about = {"pairs": arguments.n, "machine": platform.machine(), "versions": versions}
    arguments.kept.write_text(json.dumps(about | result, indent=1) + "\n")


if __name__ == "__main__":
    main()
