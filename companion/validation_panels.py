"""Figures that set the simulation beside published facts and kept measurements."""

from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from companion import plotting, validation
from companion import sdss_statistics as facts
from companion.assumptions import CONCLUSIONS
from companion.residual_texture import KIDS, OCTAVES
from galtools.data import photometry
from galtools.simulate import population
from galtools.surveys import BANDS, CFHTLS, SDSS

COLOURS = ("u − g", "g − r", "r − i", "i − z")
EARLY, LATE, PUBLISHED = "#D55E00", "#0072B2", "#44403C"
TYPES = {"early": (EARLY, "o"), "late": (LATE, "s")}
STYLES = {0.5: ("v", EARLY, -0.15), 2.0: ("^", LATE, 0.15)}
REDSHIFT_BINS = np.array([0.01, 0.05, 0.08, 0.11, 0.15, 0.22])
FEW = 5
RATIO_BINS = np.array([0.18, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0])


def colours_by_redshift(redshift, magnitudes):
    """Medians and scatters of four colours in bins of redshift: bars simulated, bands real."""
    fig, axes = plt.subplots(2, 2, figsize=(plotting.WIDTH, 5), sharex=True)
    centre = np.array([(b.low + b.high) / 2 for b in facts.COLOURS])
    shift, ratio = validation.binned_colours(redshift, magnitudes)
    for j, (ax, name) in enumerate(zip(axes.flat, COLOURS, strict=True)):
        median, scatter = np.array([(b.median[j], b.scatter[j]) for b in facts.COLOURS]).T
        plotting.band(ax, centre, median, median - scatter, median + scatter, color=PUBLISHED)
        ours, width = median + shift[:, j], ratio[:, j] * scatter
        plotting.interval(ax, centre, ours, ours - width, ours + width, color=LATE)
        ax.set_title(name)
    fig.supxlabel("redshift")
    fig.supylabel("colour [mag]")
    return fig


def binned_median(x, y, edges):
    """Mean of x, median of y and its standard error, in bins that hold enough."""
    groups = [(x >= low) & (x < high) for low, high in pairwise(edges)]
    rows = [
        (x[g].mean(), np.median(y[g]), 1.25 * photometry.robust_scatter(y[g]) / np.sqrt(g.sum()))
        for g in groups
        if g.sum() >= FEW
    ]
    return np.array(rows).reshape(-1, 3).T


def compared(ax, measured: dict, published: dict, **axes):
    """Points {label: (x, y[, error])} are simulated, lines {label: (x, y)} published."""
    for name, (x, y, *error) in measured.items():
        colour, marker = TYPES.get(name, (LATE, "o"))
        ax.errorbar(x, y, *error, color=colour, marker=marker, linestyle="none", label=name)
    for name, (x, y) in published.items():
        ax.plot(x, y, color=TYPES.get(name, (PUBLISHED,))[0])
    ax.set(**axes)


def sizes(table):
    """Half-light radius against redshift, and what Shen et al. give galaxies of these M."""
    size = facts.half_light_radius(table.early, table.absolute_magnitude)
    table = table.assign(expected=size / population.kpc_per_arcsec(table.redshift))
    lines = [], []
    for early in (True, False):
        one = table[table.early == early]
        for line, values in zip(lines, (one.arcsec, one.expected), strict=True):
            line.append(binned_median(one.redshift.to_numpy(), values.to_numpy(), REDSHIFT_BINS))
    measured, published = (dict(zip(TYPES, line, strict=True)) for line in lines)
    return measured, {name: x[:2] for name, x in published.items()}


def histograms(ax, table, column, edges, line, **axes):
    """Distributions of a column among early and late types, with a published value."""
    for (name, (colour, _)), early in zip(TYPES.items(), (True, False), strict=True):
        values = table[column][table.early == early]
        ax.hist(np.clip(values, edges[0], edges[-1]), edges, density=True, histtype="step",
                color=colour, linewidth=1.8, label=name)  # fmt: skip
    ax.axvline(line, color=PUBLISHED, linestyle="--")
    ax.set(yticks=[], **axes)


def reddening(physics, magnitudes):
    """Colour u - r of blue discs less its median where they are face-on, against b/a."""
    disc = ~physics["red"]
    ratio, colour = physics["axis_ratio"][disc], (magnitudes[:, 0] - magnitudes[:, 2])[disc]
    x, y, error = binned_median(ratio, colour, RATIO_BINS)
    slope = (facts.INCLINATION["u"] - facts.INCLINATION["r"]) / validation.EDGE_ON
    line = np.linspace(0.2, 1, 50)
    zero = y[-1] - slope * np.log10(1 / x[-1])
    return {"discs": (x, y - zero, error)}, {"discs": (line, slope * np.log10(1 / line))}


def learning_curve(physics, magnitudes):
    """Scatter of redshifts from catalogue colours, by the number of training galaxies."""
    redshift = physics["redshift"]
    numbers = [n for n in facts.KNN if n <= validation.TRAINING_SHARE * len(redshift)]
    errors = [validation.nearest_neighbour_errors(magnitudes, redshift, n) for n in numbers]
    curve = numbers, [photometry.robust_scatter(e) for e in errors]
    return {"": curve}, {"": (list(facts.KNN), [sigma for sigma, _ in facts.KNN.values()])}


def counts(seed, n):
    """Galaxies near the simulated ones by i magnitude."""
    i = np.arange(18.5, 24.1, 0.5)
    count = validation.neighbour_counts(seed, n, i)
    return {"": (i[count > 0], count[count > 0])}, {"": (i, facts.galaxy_counts(i))}


def published_facts(seed, table, physics, magnitudes, noise):
    """Eight panels: points are simulated, lines published."""
    fig, axes = plt.subplots(4, 2, figsize=(plotting.WIDTH, 9.6))
    (size, peak), (dust, gradient), (filters, near), (correlation, learning) = axes
    compared(size, *sizes(table), xlabel="redshift", ylabel="half-light radius [″]",
             title="size", ylim=0)  # fmt: skip
    size.legend()
    histograms(peak, table, "concentration", np.arange(1.7, 3.6, 0.1), facts.CONCENTRATION,
               xlabel="r90 / r50", title="concentration")  # fmt: skip
    compared(dust, *reddening(physics, magnitudes), xlabel="axis ratio b/a",
             ylabel="reddening u − r [mag]", title="inclination")  # fmt: skip
    histograms(gradient, table, "gradient_kpc", np.arange(-0.04, 0.031, 0.005),
               facts.DISC_GRADIENT, xlabel="g − r gradient [mag / kpc]",
               title="colour gradient")  # fmt: skip
    sdss, megacam = (validation.true_magnitudes(physics, survey) for survey in (SDSS, CFHTLS))
    terms = [np.median(facts.colour_term(band, sdss)) for band in BANDS]
    filters.plot(BANDS, terms, "_", color=PUBLISHED, markersize=22, markeredgewidth=2)
    compared(filters, {"": (BANDS, np.median(megacam - sdss, axis=0))}, {},
             ylabel="MegaCam − SDSS [mag]", title="filters")  # fmt: skip
    compared(near, *counts(seed, len(magnitudes)), yscale="log", xlabel="i magnitude",
             ylabel="brighter / arcmin²", title="neighbours")  # fmt: skip
    lags = np.arange(1, len(noise) + 1)
    compared(correlation, {"": (lags, noise)}, {"": (lags, facts.CFHTLS_NOISE_CORRELATION)},
             xlabel="distance [pixels]", ylabel="correlation", xticks=lags,
             title="noise of CFHTLS")  # fmt: skip
    correlation.axhline(0, color="black", linewidth=0.8)
    compared(learning, *learning_curve(physics, magnitudes), xlabel="training galaxies",
             ylabel=r"$\sigma$ of $\delta z / (1 + z)$", title="redshift", xscale="log",
             ylim=0)  # fmt: skip
    learning.set_xticks([300, 1000, 5000], ["300", "1,000", "5,000"])
    learning.minorticks_off()
    return fig


def texture(simulated):
    """Residuals from smooth isophotes (n, octaves) by spatial period, and those of real discs."""
    period = np.sqrt(OCTAVES[1:] * OCTAVES[:-1])
    fig, ax = plt.subplots(figsize=(plotting.WIDTH, 3.2))
    for k, real in enumerate(KIDS.values()):
        ax.plot(period, real, color="#9A9A9A", linewidth=1, label="KiDS" if k == 0 else None)
    low, median, high = np.percentile(simulated, (10, 50, 90), axis=0)
    plotting.band(ax, period, median, low, high, color=LATE, label="simulated")
    ax.axhline(0, color="black", linewidth=0.8)
    ax.set(xscale="log", xlabel="spatial period [″]", ylabel="residual / model")
    ax.set_xticks([1, 2, 5], ["1", "2", "5"])
    ax.minorticks_off()
    ax.legend()
    return fig


def criteria_table(margins) -> pd.DataFrame:
    """Criteria as a page shows them: measured, published, limits, and the margin in scatters."""

    def number(x, digits=".3g"):
        return f"{x:{digits}}".replace("-", "−")

    rows = {}
    for c in validation.CRITERIA:
        row = margins.loc[c.name]
        f = f".{int(np.clip(1 - np.floor(np.log10(max(row.scatter, 1e-9))), 2, 4))}f"
        low = "below" if np.isinf(c.low) else f"{number(c.low)} to"
        rows[c.name] = {
            "measured": f"{number(row['mean'], f)} ± {number(row.scatter, f)} {c.unit}",
            "published": c.published,
            "limits": f"{low} {number(c.high)}",
            "margin [seed scatters]": number(row.margin, ".1f"),
            "source": c.source,
        }
    return pd.DataFrame(rows).T


def moved_conclusions(changes):
    """Change of every conclusion if an assumption is halved or doubled, with intervals.

    Filled where the interval leaves out zero.
    """
    names = list(dict.fromkeys(changes.assumption))[::-1]
    size = (plotting.WIDTH, 0.42 * len(names) + 2)
    fig, axes = plt.subplots(2, 3, figsize=size, sharey=True)
    for ax, (name, (unit, _)) in zip(axes.flat, CONCLUSIONS.items(), strict=True):
        for row in changes[changes.conclusion == name].itertuples():
            marker, colour, step = STYLES[row.factor]
            y, face = names.index(row.assumption) + step, colour if row.moves else "white"
            errors = [[row.change - row.low], [row.high - row.change]]
            ax.errorbar(row.change, y, xerr=errors, color=colour, marker=marker, markersize=5,
                        markerfacecolor=face, capsize=0, linewidth=1.2)  # fmt: skip
        ax.axvline(0, color="black", linewidth=0.8)
        ax.set_yticks(range(len(names)), names)
        ax.set_title(name.replace(", ", "\n"), fontsize=8)
        ax.tick_params(labelsize=8)
        ax.set_xlabel(f"change [{unit}]" if unit else "change", fontsize=9)
        ax.locator_params(axis="x", nbins=2)
        ax.xaxis.set_major_formatter(lambda x, _: f"{x:g}".replace("-", "−"))
    return fig
