"""Figures that set the simulation beside published facts and kept measurements."""

from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns

from companion import plotting, validation
from companion import sdss_statistics as facts
from companion.assumptions import CONCLUSIONS
from companion.residual_texture import KIDS, OCTAVES
from galtools.data import photometry
from galtools.fidelity import intervals
from galtools.simulate import population
from galtools.surveys import BANDS, CFHTLS, SDSS

COLOURS = ("u − g", "g − r", "r − i", "i − z")
EARLY, LATE, PUBLISHED = "#D55E00", "#0072B2", "#44403C"
TYPES = (("early", EARLY, "o"), ("late", LATE, "s"))
STYLES = {0.5: ("v", EARLY, -0.15), 2.0: ("^", LATE, 0.15)}
REDSHIFT_BINS = np.array([0.01, 0.05, 0.08, 0.11, 0.15, 0.22])
FEW = 5
LEVELS = (0.1, 0.3, 0.5, 0.7, 0.9)  # of contours
RATIO_BINS = np.array([0.18, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0])


def red_and_blue(redshift, colour, red):
    """Contours of g - r against redshift for red and blue galaxies, and their distributions."""
    sample = pd.DataFrame({"redshift": redshift, "g − r [mag]": colour})
    sample["type"] = np.where(red, "red", "blue")
    with plt.rc_context({"figure.constrained_layout.use": False}):
        grid = sns.jointplot(
            sample, x="redshift", y="g − r [mag]", hue="type", kind="kde", height=5,
            palette={"red": EARLY, "blue": LATE}, xlim=(0, 0.35), ylim=(0, 1.7),
            joint_kws={"levels": LEVELS, "linewidths": 1.5, "common_norm": False},
            marginal_kws={"fill": True},
        )  # fmt: skip
    sns.move_legend(grid.ax_joint, "lower right", title=f"{len(sample):,} galaxies")
    return grid


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


def sizes(ax, table):
    """Half-light radius against redshift, and what Shen et al. give galaxies of these M."""
    size = facts.half_light_radius(table.early, table.absolute_magnitude)
    expected = size / population.kpc_per_arcsec(table.redshift)
    for (name, colour, marker), early in zip(TYPES, (True, False), strict=True):
        some = (table.early == early).to_numpy()
        z = table.redshift.to_numpy()[some]
        x, y, error = binned_median(z, table.arcsec.to_numpy()[some], REDSHIFT_BINS)
        ax.errorbar(x, y, error, color=colour, marker=marker, linestyle="none", label=name)
        ax.plot(*binned_median(z, expected.to_numpy()[some], REDSHIFT_BINS)[:2], color=colour)
    ax.set(xlabel="redshift", ylabel="half-light radius [″]", ylim=0, title="size")
    ax.legend()


def histograms(ax, table, column, edges, line, label):
    """Distributions of a column among early and late types, with a published value."""
    for (name, colour, _), early in zip(TYPES, (True, False), strict=True):
        values = table[column][table.early == early]
        ax.hist(np.clip(values, edges[0], edges[-1]), edges, density=True, histtype="step",
                color=colour, linewidth=1.8, label=name)  # fmt: skip
    ax.axvline(line, color=PUBLISHED, linestyle="--")
    ax.set(xlabel=label, yticks=[])


def reddening(ax, physics, magnitudes):
    """Colour u - r of blue discs less its median where they are face-on, against b/a."""
    disc = ~physics["red"]
    ratio, colour = physics["axis_ratio"][disc], (magnitudes[:, 0] - magnitudes[:, 2])[disc]
    x, y, error = binned_median(ratio, colour, RATIO_BINS)
    line = np.linspace(0.2, 1, 50)
    full = facts.INCLINATION["u"] - facts.INCLINATION["r"]
    published = full * np.log10(1 / line) / validation.EDGE_ON
    ax.plot(line, published, color=PUBLISHED)
    zero = y[-1] - full * np.log10(1 / x[-1]) / validation.EDGE_ON
    ax.errorbar(x, y - zero, error, color=LATE, marker="s", linestyle="none")
    ax.set(xlabel="axis ratio b/a", ylabel="reddening u − r [mag]", title="inclination")


def colour_terms(ax, physics):
    """Median MegaCam less SDSS magnitude by band."""
    sdss, megacam = (validation.true_magnitudes(physics, survey) for survey in (SDSS, CFHTLS))
    published = [np.median(facts.colour_term(band, sdss)) for band in BANDS]
    ax.plot(range(5), published, "_", color=PUBLISHED, markersize=22, markeredgewidth=2)
    ax.plot(range(5), np.median(megacam - sdss, axis=0), "o", color=LATE)
    ax.set(xticks=range(5), xticklabels=BANDS, ylabel="MegaCam − SDSS [mag]", title="filters")
    ax.margins(x=0.12)


def noise_correlation(ax, found):
    """Correlation of the noise by distance in pixels."""
    lags = np.arange(1, len(found) + 1)
    ax.plot(lags, facts.CFHTLS_NOISE_CORRELATION, color=PUBLISHED)
    ax.plot(lags, found, "o", color=LATE)
    ax.axhline(0, color="black", linewidth=0.8)
    ax.set(xticks=lags, xlabel="distance [pixels]", ylabel="correlation", title="noise of CFHTLS")
    ax.margins(0.15)


def learning_curve(ax, magnitudes, redshift):
    """Scatter of redshifts from catalogue colours, by the number of training galaxies."""
    numbers = [n for n in facts.KNN if n <= validation.TRAINING_SHARE * len(redshift)]
    ax.plot(list(facts.KNN), [sigma for sigma, _ in facts.KNN.values()], color=PUBLISHED)
    errors = [validation.nearest_neighbour_errors(magnitudes, redshift, n) for n in numbers]
    ax.plot(numbers, [photometry.robust_scatter(e) for e in errors], "o", color=LATE)
    ax.set(xscale="log", xlabel="training galaxies", ylabel="σ of Δz / (1 + z)", title="redshift")
    ax.set_xticks([300, 1000, 5000], ["300", "1,000", "5,000"])
    ax.minorticks_off()
    ax.set_ylim(0)


def counts(ax, seed, n):
    """Galaxies near the simulated ones by i magnitude."""
    i = np.arange(18.5, 24.1, 0.5)
    ax.plot(i, facts.galaxy_counts(i), color=PUBLISHED)
    found = validation.neighbour_counts(seed, n, i)
    ax.plot(i[found > 0], found[found > 0], "o", color=LATE)
    ax.set(yscale="log", xlabel="i magnitude", ylabel="brighter / arcmin²", title="neighbours")


def published_facts(seed, table, physics, magnitudes, noise):
    """Eight panels: points are simulated, lines published."""
    fig, axes = plt.subplots(4, 2, figsize=(plotting.WIDTH, 9.6))
    (size, peak), (dust, gradient), (filters, neighbours), (correlation, learning) = axes
    sizes(size, table)
    histograms(peak, table, "concentration", np.arange(1.7, 3.6, 0.1), facts.CONCENTRATION,
               "r90 / r50")  # fmt: skip
    peak.set_title("concentration")
    reddening(dust, physics, magnitudes)
    histograms(gradient, table, "gradient_kpc", np.arange(-0.04, 0.031, 0.005),
               facts.DISC_GRADIENT, "g − r gradient [mag / kpc]")  # fmt: skip
    gradient.set_title("colour gradient")
    colour_terms(filters, physics)
    counts(neighbours, seed, len(magnitudes))
    noise_correlation(correlation, noise)
    learning_curve(learning, magnitudes, physics["redshift"])
    return fig


def texture(simulated):
    """Residuals from smooth isophotes (n, octaves) by spatial period, and those of real discs."""
    period = np.sqrt(OCTAVES[1:] * OCTAVES[:-1])
    fig, ax = plt.subplots(figsize=(plotting.WIDTH, 3.2))
    for k, real in enumerate(KIDS.values()):
        ax.plot(period, real, color="#9A9A9A", linewidth=1, label="KiDS" if k == 0 else None)
    low, middle, high = np.percentile(simulated, (10, 50, 90), axis=0)
    plotting.band(ax, period, middle, low, high, color=LATE, label="simulated")
    ax.axhline(0, color="black", linewidth=0.8)
    ax.set(xscale="log", xlabel="spatial period [″]", ylabel="residual / model")
    ax.set_xticks([1, 2, 5], ["1", "2", "5"])
    ax.minorticks_off()
    ax.legend()
    return fig


def faint_red_galaxies(seed: int, n: int) -> tuple[pd.DataFrame, float]:
    """Colours of faint red galaxies, simulated less real; and the largest shift in g to z."""
    physics, _ = validation.catalogue(seed, n, facts.FAINT_LIMIT)
    magnitudes, z = validation.true_magnitudes(physics, SDSS), physics["redshift"]
    columns, worst = {}, 0.0
    for real in facts.FAINT_RED:
        chosen = physics["red"] & (magnitudes[:, 2] > 17.8) & (z >= real.low) & (z < real.high)
        shift = -np.diff(magnitudes[chosen]).T - np.reshape(real.median, (4, 1))
        medians = [intervals.bootstrap(intervals.median, x) for x in shift]
        worst = max(worst, *(abs(median.value) for median in medians[1:]))
        counts = {"simulated galaxies": f"{chosen.sum():,}", "real galaxies": real.count}
        colours = zip(COLOURS, map(str, medians), strict=True)
        column = counts | {f"{name} [mag]": text for name, text in colours}
        columns[f"{real.low:.2f} < z < {real.high:.2f}"] = column
    return pd.DataFrame(columns), worst


def criteria_table(margins) -> pd.DataFrame:
    """Criteria as a page shows them: measured, published, limits, and the margin in scatters."""

    def number(x, digits=".3g"):
        return f"{x:{digits}}".replace("-", "−")

    rows = {}
    for name, found in margins.iterrows():
        c = facts.CRITERIA[name]
        digits = int(np.clip(1 - np.floor(np.log10(max(found.scatter, 1e-9))), 2, 4))
        f = f".{digits}f"
        below = f"below {number(c.high)}"
        rows[name] = {
            "measured": f"{number(found['mean'], f)} ± {number(found.scatter, f)} {c.unit}",
            "published": c.published,
            "limits": below if np.isinf(c.low) else f"{number(c.low)} to {number(c.high)}",
            "margin [seed scatters]": number(found.margin, ".1f"),
            "source": c.source,
        }
    return pd.DataFrame(rows).T


def moved_conclusions(changes):
    """Change of every conclusion if an assumption is halved or doubled, with intervals.

    Filled where the interval leaves out zero.
    """
    names = list(dict.fromkeys(changes.assumption))[::-1]
    size = (plotting.WIDTH, 0.66 * len(names) + 2.4)
    fig, axes = plt.subplots(3, 2, figsize=size, sharey=True)
    for ax, (name, unit) in zip(axes.flat, CONCLUSIONS.items(), strict=True):
        for row in changes[changes.conclusion == name].itertuples():
            marker, colour, step = STYLES[row.factor]
            y, face = names.index(row.assumption) + step, colour if row.moves else "white"
            reach = [[row.change - row.low], [row.high - row.change]]
            ax.errorbar(row.change, y, xerr=reach, color=colour, marker=marker, markersize=5,
                        markerfacecolor=face, capsize=0, linewidth=1.2)  # fmt: skip
        ax.axvline(0, color="black", linewidth=0.8)
        ax.set_yticks(range(len(names)), names)
        ax.set_title(name.replace(", ", "\n"))
        ax.set_xlabel(f"change [{unit}]" if unit else "change")
        ax.locator_params(axis="x", nbins=4)
    return fig
