"""From scene to noiseless image, in Fourier space: batched, differentiable, on CPU or GPU.

A pixel's value is the sky, blurred by the seeing and by the square pixel, at the pixel's centre:

    I(x, y) = p^2 / (2 pi)^2  int F(k) T(|k|) S(kx) S(ky) exp(i k.x) d^2k

with F the Fourier transform of the galaxy, T that of the seeing and S that of the pixel of side p.
The integral is a weighted sum over a fixed set of frequencies, evaluated as two matrix products
per band. Unlike those of an FFT, the frequencies reach as far as the seeing lets anything pass, so
that coarse pixels do not alias, and their spacing d(k) shrinks towards k = 0: as a sum of spacing d
repeats the picture with a period 2 pi / d, the wide wings of a galaxy do not wrap around.
"""

from functools import cache

import numpy as np
import torch
from scipy.fft import fht, fhtoffset

from galtools.simulate.scene import Ellipses, Scene, Sources, Texture
from galtools.surveys import Survey

EXPONENTIAL_RADIUS = 1.6783469900166605  # half-light radius over scale length
DE_VAUCOULEURS_B = 7.669249443247998  # intensity exp(-b r^(1/4)) holds half its light in r < 1
LN_K = 12.0  # from -LN_K to LN_K reaches the table of the r^(1/4) law
KOLMOGOROV_FWHM = 0.9758634299  # FWHM over wavelength / r0
CUTOFF = 1.6  # highest frequency, in units of r0 / wavelength at the sharpest seeing: T < 6e-4
SHARPEST = 0.75  # sharpest seeing drawn, relative to the median (3.1 sigma)
PERIOD = 1.3  # period of the finest detail, in stamps: what lies 0.8 stamps away would return
WIDE_PERIOD = 6.0  # period of the widest wings, in stamps
WIDE_SCALE = 8.0  # radian per stamp: below this frequency the period is wide


@cache
def de_vaucouleurs_table() -> tuple[float, float, torch.Tensor]:
    """Hankel transform of the r^(1/4) law, of unit flux and half-light radius, on ln k.

    Returns the first ln k, the step in ln k and the values; by FFTLog on a logarithmic grid.
    """
    size = 8192
    step = 2 * 2 * LN_K / size  # twice as far as is kept: the ends of a grid are not exact
    offset = fhtoffset(step, mu=0.0)
    log_r = (np.arange(size) - (size - 1) / 2) * step
    r = np.exp(log_r)
    profile = np.exp(-DE_VAUCOULEURS_B * r**0.25)
    total = np.trapezoid(profile * r**2, log_r)
    k = np.exp(log_r + offset)
    values = fht(profile * r, step, mu=0.0, offset=offset) / k / total
    keep = np.abs(np.log(k)) < LN_K
    return float(np.log(k[keep][0])), step, torch.from_numpy(values[keep])


def de_vaucouleurs(k_squared: torch.Tensor) -> torch.Tensor:
    """Transform of a de Vaucouleurs profile of unit half-light radius at |k|^2."""
    first, step, values = de_vaucouleurs_table()
    values = values.to(k_squared)
    place = (0.5 * torch.log(k_squared.clamp_min(1e-30)) - first) / step
    place = place.clamp(0.0, len(values) - 1.001)
    left = place.detach().long()
    low = values[left]
    return torch.lerp(low, values[left + 1], place - left)


def exponential(k_squared: torch.Tensor) -> torch.Tensor:
    """Transform of an exponential profile of unit half-light radius: (1 + (k h)^2)^(-3/2)."""
    base = torch.rsqrt(1 + k_squared / EXPONENTIAL_RADIUS**2)
    return base * base * base


def kolmogorov_mtf(k_squared: torch.Tensor, fwhm: torch.Tensor) -> torch.Tensor:
    """Transfer function of Kolmogorov turbulence, exp(-3.44 (lambda k / 2 pi r0)^(5/3)).

    `k_squared` (..., X, Y) in radian^2 per arcsec^2, `fwhm` (...) in arcsec.
    """
    rate = (fwhm / (2 * np.pi * KOLMOGOROV_FWHM)) ** (5 / 3) * 6.8838771822938 / 2
    return torch.exp(-rate[..., None, None] * k_squared ** (5 / 6))


def frequencies(survey: Survey) -> tuple[np.ndarray, np.ndarray]:
    """Positive nodes k_j and weights w_j of the sum over frequency, in radian per arcsec.

    Node j solves t(k) = j + 1/2, where dt/dk = P(k) / 2 pi and the local period P falls from
    WIDE_PERIOD stamps at k = 0 to PERIOD stamps at k >> k1: P = P1 + (P0 - P1) / (1 + (k/k1)^2).
    """
    side = survey.stamp * survey.pixel_scale
    near, far = PERIOD * side, WIDE_PERIOD * side
    knee = WIDE_SCALE / side
    highest = CUTOFF * 2 * np.pi * KOLMOGOROV_FWHM / (SHARPEST * min(survey.psf_fwhm))

    def count(k):
        return (near * k + (far - near) * knee * np.arctan(k / knee)) / (2 * np.pi)

    nodes = np.arange(int(count(highest))) + 0.5
    k = np.interp(nodes, count(fine := np.linspace(0, highest * 1.05, 4096)), fine)
    for _ in range(4):  # Newton
        k -= (count(k) - nodes) * 2 * np.pi / (near + (far - near) / (1 + (k / knee) ** 2))
    return k, 2 * np.pi / (near + (far - near) / (1 + (k / knee) ** 2))


def _phases(k: torch.Tensor, position: torch.Tensor) -> torch.Tensor:
    """Shift theorem exp(-i k x): (...,) positions and (N,) frequencies give (..., N)."""
    angle = position[..., None] * k
    return torch.complex(torch.cos(angle), -torch.sin(angle))


def _ellipses(parts: Ellipses, slot: int, rows, kx, ky, transform) -> torch.Tensor:
    """Transform of one slot of ellipses of unit flux, (rows, X, Y) complex."""
    x, y, size, q, angle = (values[rows, slot] for values in vars(parts).values())
    cos, sin, size = torch.cos(angle), torch.sin(angle), size**2
    xx = size * (cos**2 / q + sin**2 * q)
    yy = size * (sin**2 / q + cos**2 * q)
    xy = 2 * size * cos * sin * (1 / q - q)
    along_x = (xx[:, None] * kx**2)[:, :, None] + (xy[:, None] * kx)[:, :, None] * ky
    shape = transform((along_x + (yy[:, None] * ky**2)[:, None]).clamp_min(0))
    return shape * (_phases(kx, x)[:, :, None] * _phases(ky, y)[:, None, :])


def _texture(texture: Texture, rows, kx, ky) -> torch.Tensor:
    """Transform of an image with linear interpolation, (rows, X, Y) complex: x and y separate."""
    share, spacing = texture.share[rows], texture.spacing[rows][:, None]
    steps = torch.arange(share.shape[-1]).to(kx)
    in_x, in_y = (
        _phases(k, spacing * (steps - steps.mean()))
        * torch.sinc(spacing[..., None] * k / (2 * np.pi)) ** 2
        for k in (kx, ky)
    )
    along_y = share.transpose(1, 2) @ torch.view_as_real(in_y).flatten(2)
    return in_x.transpose(1, 2) @ torch.view_as_complex(along_y.unflatten(2, (-1, 2)))


def _component(scene: Scene, i: int, rows, kx, ky) -> torch.Tensor:
    """Transform of a component of unit flux in some stamps; `i` is its column of the fluxes."""
    bulges, discs = scene.bulges.x.shape[1], scene.discs.x.shape[1]
    if i < bulges:
        return _ellipses(scene.bulges, i, rows, kx, ky, de_vaucouleurs)
    if i < bulges + discs:
        return _ellipses(scene.discs, i - bulges, rows, kx, ky, exponential)
    i -= bulges + discs + scene.sources.x.shape[1]
    if i < len(scene.textures):
        return _texture(scene.textures[i], rows, kx, ky)
    return _ellipses(scene.lanes, 0, rows, kx, ky, exponential)


def _sources(sources: Sources, flux: torch.Tensor, kx, ky):
    """Factors (n, bands X, K), (n, K, Y) of the transform of Gaussians of `flux` (n, bands, K)."""
    width = -0.5 * sources.sigma[..., None] ** 2
    in_x = _phases(kx, sources.x) * torch.exp(width * kx**2)
    in_y = _phases(ky, sources.y) * torch.exp(width * ky**2)
    return (flux[..., None] * in_x[:, None]).transpose(2, 3).flatten(1, 2), in_y


def sky_transform(flux, scene: Scene, kx, ky) -> torch.Tensor:
    """Fourier transform of the sky in every band, (n, bands, X, Y, 2), in nanomaggies.

    The last axis holds real and imaginary parts. Only what has flux is computed.
    """
    ellipses = scene.bulges.x.shape[1] + scene.discs.x.shape[1]
    groups = ellipses + scene.sources.x.shape[1]
    used = (flux.detach() != 0).any(dim=1)
    columns = [i for i in used.any(dim=0).nonzero()[:, 0].tolist() if not ellipses <= i < groups]
    shape = len(flux), len(columns), len(kx), len(ky), 2
    stack = torch.zeros(shape, dtype=flux.dtype, device=flux.device)
    for place, i in enumerate(columns):
        rows = used[:, i].nonzero()[:, 0]
        stack[rows, place] = torch.view_as_real(_component(scene, i, rows, kx, ky))
    sky = (flux[:, :, columns] @ stack.flatten(2)).unflatten(2, (-1, len(ky), 2)).flatten(1, 2)
    if groups > ellipses:
        factors = _sources(scene.sources, flux[..., ellipses:groups], kx, ky)
        sky = torch.view_as_real(torch.baddbmm(torch.view_as_complex(sky), *factors))
    return sky.unflatten(1, (flux.shape[1], -1))


def sampling(k, weight, survey: Survey, shift) -> torch.Tensor:
    """Matrix (n, pixels, N) from frequencies to pixels along one axis, pixel response included."""
    pixel = survey.pixel_scale
    centres = (torch.arange(survey.stamp).to(k) - (survey.stamp - 1) / 2) * pixel
    response = weight * torch.sinc(k * pixel / (2 * np.pi)) * pixel / (2 * np.pi)
    return _phases(-k, centres - shift[:, None]) * response


def render(scene: Scene, survey: Survey, survey_index: int, fwhm, shift) -> torch.Tensor:
    """Noiseless images (n, bands, stamp, stamp) in nanomaggies per pixel.

    `fwhm` (n, bands) is the seeing in arcsec, `shift` (n, 2) the galaxy's (x, y) from the centre of
    the stamp in arcsec. `survey_index` tells which of the scene's fluxes this survey sees.
    Frequencies k and -k in x go together, as a cosine and a sine: all products are real.
    """
    k, weight = (torch.from_numpy(a).to(scene.flux) for a in frequencies(survey))
    flux = scene.flux[:, survey_index, : fwhm.shape[1]]
    plus, minus = sky_transform(flux, scene, torch.cat([k, -k]), k).chunk(2, dim=2)
    blur = kolmogorov_mtf((k**2)[:, None] + k**2, fwhm)[..., None]
    even, odd = (plus + minus) * blur, (plus - minus) * blur
    odd = torch.stack([-odd[..., 1], odd[..., 0]], dim=-1)  # times i
    sky = torch.cat([even, odd], dim=2).flatten(3)
    in_x = sampling(k, weight, survey, shift[:, 0])
    in_y = sampling(k, 2 * weight, survey, shift[:, 1])  # the other half plane is the conjugate
    half = torch.cat([in_x.real, in_x.imag], dim=2)[:, None] @ sky
    real_part = torch.view_as_real(in_y.conj().resolve_conj()).flatten(2)  # of half times in_y
    return (half @ real_part[:, None].transpose(2, 3)).transpose(2, 3)
