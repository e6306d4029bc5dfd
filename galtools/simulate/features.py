"""What makes a disc more than smooth: arms, rings, bars, dust lanes, tails, all of round knots.

Positions are laid out in the plane of the disc in units of its half-light radius, then projected.
Every function takes random numbers of one galaxy per row, so that a galaxy depends on no other.
"""

import numpy as np

YOUNG, BAR, DUST = 64, 16, 48  # knots of each kind
CORE = 0.35  # half-light radii: where arms start
DISC_SCALE = 1 / 1.6783469900166605  # scale length of a disc over its half-light radius


def project(along, across, size, axis_ratio, angle):
    """Tilt positions in the plane of the disc, (n, K), and turn them on the sky; arcsec."""
    size, q, angle = (np.asarray(a)[:, None] for a in (size, axis_ratio, angle))
    x, y = size * along, size * across * q
    return x * np.cos(angle) - y * np.sin(angle), x * np.sin(angle) + y * np.cos(angle)


def spiral(u: np.ndarray, arms: np.ndarray, pitch: np.ndarray):
    """Knots (n, K) along logarithmic spirals r = r0 exp(turn tan(pitch)); `u` is (n, K, 5)."""
    radius = CORE + 2.1 * u[..., 0]
    arm = np.floor(arms[:, None] * u[..., 1]) * 2 * np.pi / arms[:, None]
    spread = 0.45 * (u[..., 2] + u[..., 3] - 1)  # the width of an arm, as an angle
    turn = np.log(radius / CORE) / np.tan(pitch)[:, None] + arm + spread
    return radius * np.cos(turn), radius * np.sin(turn)


def ring(u: np.ndarray, radius: np.ndarray):
    """Knots (n, K) around a ring."""
    r = radius[:, None] * (1 + 0.25 * (u[..., 0] + u[..., 3] - 1))
    turn = 2 * np.pi * u[..., 1]
    return r * np.cos(turn), r * np.sin(turn)


def irregular_knots(u: np.ndarray, offset: np.ndarray):
    """Knots (n, K) strewn over an irregular galaxy, around a point off its centre."""
    r = 0.75 * np.sqrt(-2 * np.log(1 - 0.99 * u[..., 0]))
    turn = 2 * np.pi * u[..., 1]
    return r * np.cos(turn) + offset[:, None], 0.8 * r * np.sin(turn) + 0.5 * offset[:, None]


def young_knots(u: np.ndarray, irregular, ringed, arms, pitch, radius, offset):
    """Place young stars: (along, across, sigma, share), each (n, K), sigma in half-light radii.

    A third of the knots are compact and carry less light each than the broad ones, which make the
    body of the arms.
    """
    in_ring = ringed[:, None] & (u[..., 4] < 0.7)
    along, across = np.where(in_ring, ring(u, radius), spiral(u, arms, pitch))
    strewn = irregular_knots(u, offset)
    along, across = np.where(irregular[:, None], strewn, (along, across))
    compact = np.arange(u.shape[1]) % 3 == 0
    sigma = np.where(compact, 0.035 + 0.05 * u[..., 3], 0.12 + 0.12 * u[..., 2])
    decline = np.exp(-np.hypot(along, across) / 0.9)
    share = decline * np.where(compact, 0.3, 1.0) * (0.2 + u[..., 3] ** 2)
    return along, across, sigma, share / share.sum(axis=1, keepdims=True)


def bar(length: np.ndarray, turn: np.ndarray):
    """A straight chain of knots; `length` is half of it, `turn` its direction in the plane."""
    place = np.linspace(-1, 1, BAR) * length[:, None]
    share = 1 - 0.6 * np.abs(np.linspace(-1, 1, BAR)) + 0 * place
    sigma = 0.17 * length[:, None] + 0 * place
    share = share / share.sum(axis=1, keepdims=True)
    return place * np.cos(turn)[:, None], place * np.sin(turn)[:, None], sigma, share


def tail(start: np.ndarray):
    """A tidal tail: knots on an arc that leaves the disc and fades."""
    radius = np.linspace(1.2, 3.2, BAR) + 0 * start[:, None]
    turn = start[:, None] + 0.75 * (radius - 1.2)
    share = np.exp(-(radius - 1.2) / 1.2)
    share = share / share.sum(axis=1, keepdims=True)
    return radius * np.cos(turn), radius * np.sin(turn), 0.10 + 0.06 * radius, share


def dust_lane(axis_ratio: np.ndarray, side: np.ndarray):
    """A dark lane along the major axis of an inclined disc: (along, across, sigma, share).

    Its width is 0.35 of the disc's apparent thickness, and its depth follows the disc's light
    along the axis, so that it takes away the same share everywhere and never more than there is.
    """
    along = np.linspace(-1.5, 1.5, DUST) + 0 * axis_ratio[:, None]
    across = 0.12 * side[:, None] + 0 * along
    sigma = 0.35 * DISC_SCALE * axis_ratio[:, None] + 0 * along
    share = np.exp(-np.abs(along) / DISC_SCALE)
    return along, across, sigma, share / share.sum(axis=1, keepdims=True)


def lane_flux(depth: np.ndarray) -> np.ndarray:
    """Share of the disc's light that a lane takes which is `depth` deep on the major axis.

    A chain of Gaussians of width s that is d I0 exp(-|x|/h) deep holds d I0 2 h s sqrt(2 pi);
    with I0 = F / (2 pi h^2 q) and s = 0.35 q h this is 0.35 sqrt(2 / pi) d F.
    """
    return 0.35 * np.sqrt(2 / np.pi) * depth
