# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Simulating pairs of galaxy images
#
# Rendered images agree with GalSim within {glue:text}`oracle_pixel:.1e` of the peak and
# {glue:text}`oracle_flux:.3f` % in flux. Median colours agree with SDSS galaxies within
# {glue:text}`worst_median:.3f` mag (u − g: {glue:text}`worst_median_u:.2f` mag); validation criteria not
# met: {glue:text}`missed`.
#
# **What you will learn**
#
# - how galaxies are sampled and rendered in ten bands;
# - how images and populations compare with GalSim and published measurements;
# - which assumptions matter, and what is *not* modelled.
#
# **Prerequisites:** [the two surveys](01_two_surveys.py). About 15 minutes.

# %% tags=["hide-input"]
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from myst_nb import glue

from companion import (
    assumptions,
    galsim_reference,
    paths,
    plotting,
    residual_texture,
    sdss_statistics,
    survey_panels,
    validation,
    validation_panels,
)  # fmt: skip
from galtools import artefacts, simulate
from galtools.simulate import population, scene, spectra
from galtools.surveys import BANDS, CFHTLS, SDSS, find_survey

# %% tags=["remove-cell"]
plotting.use_style()

# %% tags=["parameters"]
profile: str = "quick"  # tiny, quick, long, paper; with papermill it also sets the values below
seed: int = 0  # every random number follows from it
results: str = ""  # folder of artefacts; empty: the repository's
n_catalogue: int = 11000  # galaxies whose colours are compared with the real ones
n_structures: int = 60  # galaxies of every held-out seed whose images are measured
n_seeds: int = 8  # held-out seeds, at least 2
n_textures: int = 40  # discs whose residuals from smooth isophotes are measured
n_oracle: int = 10  # galaxies drawn by GalSim too, in ten bands each
real_stamps: str = ""  # to look at: a galtools HDF5 file, or a folder of FITS cutouts

# %% [markdown]
# ## Galaxy population
#
# The sample is limited to $r < 17.8$, as the SDSS main sample {cite}`strauss2002`. Red and blue galaxies
# each have a Schechter luminosity function {cite}`schechter1976`, $\phi(L) \propto L^\alpha e^{-L}$, with
# $L$ in units of a typical luminosity. The cosmology is flat with $H_0 =$ {glue:text}`hubble:.0f`
# km/s/Mpc and $\Omega_m =$ {glue:text}`matter:.1f`. Galaxies are sampled from luminosity function
# times volume without rejection, so galaxy number $k$ is always the same. Redshift percentiles are
# compared with 10,873 real galaxies {cite}`collister2004`:

# %%
physics, magnitudes = validation.catalogue(seed, n_catalogue)
redshift, red = physics["redshift"], physics["red"]
percentiles = list(sdss_statistics.REDSHIFT_PERCENTILES)
pd.DataFrame(
    {
        "real": sdss_statistics.REDSHIFT_PERCENTILES,
        "simulated": dict(zip(percentiles, np.percentile(redshift, percentiles), strict=True)),
    }
).T.rename(columns="{} %".format).round(3)

# %% [markdown]
# ## Spectra
#
# Each spectrum interpolates between two of four observed templates {cite}`coleman1980`, with scatter in
# slope, 4000 Å break, dust {cite}`calzetti2000` and emission lines. Without this scatter colours would
# determine redshifts too well, and tests of translators would be too optimistic.

# %% mystnb={"figure": {"caption": "The four template spectra, normalized at 5500 Å: elliptical (E), early and late spirals (Sbc, Scd) and irregular (Im). The line marks the 4000 Å break.", "name": "fig-templates"}, "image": {"alt": "Four spectra from 2500 to 10000 Angstrom; the elliptical drops steeply blueward of 4000 Angstrom, the irregular rises."}} tags=["hide-input"]
fig, ax = plt.subplots()
for name, style in zip(spectra.TEMPLATES, ("-", "--", "-.", ":"), strict=True):
    ax.plot(spectra.WAVELENGTH, spectra.template(name), style, label=name)
ax.axvline(spectra.BREAK, color="black", linewidth=0.8)
ax.set(xlim=(2500, 10000), ylim=(0, 2.6))
ax.set(xlabel="rest-frame wavelength [Å]", ylabel="normalized flux density")
ax.legend()
plt.show()

# %% [markdown]
# The spectrum is redshifted, $f_z(\lambda) \propto f(\lambda / (1 + z))$, and a filter of transmission
# $R_b$ gives the flux (in the AB system, up to a constant)
#
# $$ F_b = \int f_z(\lambda)\,\lambda\,R_b(\lambda)\,d\lambda \Big/
#    \int \frac{R_b(\lambda)}{\lambda}\,d\lambda . $$

# %% mystnb={"figure": {"caption": "The elliptical template at two redshifts over the filters of SDSS (shaded), with its mean flux density in each (points). At the higher redshift the 4000 Å break lies in the g filter, which reduces the flux in g and makes g − r redder.", "name": "fig-redshifted"}, "image": {"alt": "Two spectra over five filter curves. The step of the second lies further to the right, and its point in g much lower."}} tags=["hide-input"]
survey_panels.redshifted("E", (0.03, 0.25))
plt.show()

# %% [markdown]
# With errors as in the SDSS catalogue these fluxes give colours. The population was *tuned* to the
# medians and scatters of the real ones: agreement shows consistency, not independent validation.

# %% mystnb={"figure": {"caption": "Colours against redshift: median and scatter (1.48 MAD) of simulated galaxies (points and bars) and of real ones (lines and bands).", "name": "fig-colours"}, "image": {"alt": "Four panels of colour against redshift. The simulated points follow the lines of the real galaxies."}} tags=["hide-input"]
validation_panels.colours_by_redshift(redshift, magnitudes)
plt.show()

# %% tags=["remove-cell"]
shift, ratio = validation.binned_colours(redshift, magnitudes)
glue("worst_median", float(np.nanmax(np.abs(shift[:, 1:]))), display=False)
glue("worst_median_u", float(np.nanmax(np.abs(shift[:, 0]))), display=False)
glue("worst_scatter", float(np.exp(np.nanmax(np.abs(np.log(ratio))))), display=False)
glue("hubble", float(population.COSMOLOGY.H0.value), display=False)
glue("matter", population.COSMOLOGY.Om0, display=False)

# %% [markdown]
# The scatters of simulated and real colours agree within a factor of {glue:text}`worst_scatter:.2f`.
#
# ## Comparison with published measurements
#
# {numref}`fig-published` compares sizes {cite}`shen2003`, concentrations {cite}`strateva2001`, reddening
# of inclined spirals {cite}`masters2010`, colour gradients {cite}`liu2009,jiang2011`, filter differences
# {cite}`gwyn2008`, number counts {cite}`lsst2009`, noise correlation and nearest-neighbour redshifts.

# %% tags=["hide-input"]
store, seeds = paths.Results(results, profile), list(validation.HELD_OUT[:n_seeds])
file, criteria = store.table("simulated_structures"), store.table("validation")
options = {
    "params": {"galaxies": n_structures, "seeds": seeds},
    "modules": ["companion.validation"],
}
artefacts.make(file, validation.write_structures(n_structures, seeds), **options)
structures = pd.read_csv(file)
options["params"] = {"galaxies": n_catalogue}
artefacts.make(criteria, validation.write_criteria(file, n_catalogue), inputs=[file], **options)

# %% mystnb={"figure": {"caption": "Simulated galaxies (points with standard errors, histograms) and published values (lines): half-light radii of early and late types, with the published relation at their magnitudes; concentrations, with the value that separates the types; reddening of blue discs against axis ratio; colour gradients, with the mean of real discs; MegaCam − SDSS magnitudes; cumulative counts of galaxies in i (brighter than 21, simulated ones have the density of the main sample); noise correlation between neighbouring pixels; scatter of redshifts from catalogue colours.", "name": "fig-published"}, "image": {"alt": "Eight panels, each with simulated points and a published line."}} tags=["leading", "hide-input"]
noise = validation.noise_correlation(seed)
validation_panels.published_facts(seed, structures, physics, magnitudes, noise)
plt.show()

# %% [markdown]
# Each criterion is measured on {glue:text}`n_seeds` samples that were not used for tuning. The margin is
# the distance of their mean from the nearest limit, in standard deviations between samples; it is
# negative where the criterion is not met.

# %%
table = validation.margins(pd.read_csv(criteria, index_col="seed"))
validation_panels.criteria_table(table)

# %% tags=["remove-cell"]
missed = table.index[table.margin < 0]
glue("n_seeds", len(seeds), display=False)
glue("n_structures", len(structures), display=False)
glue("missed", ", ".join(missed) or "none", display=False)
glue("knn", float(table.loc["redshift from colours, scatter", "mean"]), display=False)
glue("knn_real", sdss_statistics.KNN_SIGMA, display=False)

# %% [markdown]
# These are {glue:text}`n_structures` galaxies in images and {glue:text}`n_seeds` catalogues of the size
# of the real one. With `limit=19` the model is *extrapolated*: only luminous red galaxies of $17.8 < r <
# 18.6$ can be checked against the catalogue. How fast *image* networks learn redshifts is not a
# criterion: published ones reach $\sigma < 0.01$ with 100,000 galaxies or more {cite}`pasquet2019`, on
# which no network of this book is trained. Only the limit is compared ([bound](33_the_limit.py)).
#
# ## Morphology
#
# Bulges and ellipticals are de Vaucouleurs ellipses and discs exponential ones; dust lanes have negative
# flux. Bars, tidal tails and young stars are images on a fine grid. Young stars, in spiral arms, rings or
# irregulars, follow a log-normal random field with a power-law spectrum, sheared by rotation, with H II
# regions. Each component has its own spectrum; their sum is that of the galaxy.

# %% mystnb={"figure": {"caption": "The first eighteen simulated galaxies in CFHTLS, unselected.", "name": "fig-contact"}, "image": {"alt": "Three rows of six galaxies: ellipticals, spirals, edge-on discs, some with neighbours."}} tags=["hide-input"]
sheet = simulate.pairs(18, seed=seed)
rows = [sheet.target[k : k + 6] for k in range(0, 18, 6)]
plotting.stamps(rows, [f"{k}–{k + 5}" for k in range(0, 18, 6)])
plt.show()

# %% mystnb={"figure": {"caption": "Texture of bright inclined discs in the r band of CFHTLS: rms of the residuals from smooth elliptical isophotes relative to the model's surface brightness, against spatial period. Median and 10th to 90th percentiles of simulated galaxies (blue); ten real galaxies in KiDS, with KiDS seeing (grey).", "name": "fig-texture"}, "image": {"alt": "Ten grey lines that rise with period from a few per cent, and a blue line with a band among them."}} tags=["hide-input"]
textures = residual_texture.simulated_discs(seed, n_textures)
validation_panels.texture(textures)
ratio_to_real = np.median(textures, axis=0) / np.median([*residual_texture.KIDS.values()], axis=0)
glue("texture_ratio", float(ratio_to_real[1]), display=False)
plt.show()

# %% tags=["hide-input"]
general, _ = population.random_numbers(seed, range(n_catalogue), "shape", scene.GENERAL, 1)
shapes = scene.sample_morphology(physics, general)
kinds, counts = np.unique(shapes["morphology"], return_counts=True)
shares = pd.Series(counts / n_catalogue, index=kinds, name=f"fraction of {n_catalogue:,} galaxies")
for name in ("bar", "ring", "dust_lane"):
    shares[f"with {name.replace('_', ' ')}"] = np.mean(shapes[name])
shares.round(3).to_frame()

# %% [markdown]
# ## Rendering
#
# A pixel value is the sky convolved with the seeing and averaged over the pixel. With the sky's Fourier
# transform $F(\mathbf k)$, turbulent air {cite}`fried1966` of $\mathrm{FWHM} = 0.976\,\lambda / r_0$ and
# pixels of side $p$,
#
# $$
# I(\mathbf x) = \frac{p^2}{(2\pi)^2} \int F(\mathbf k)\, e^{-3.44\,(\lambda k / 2\pi r_0)^{5/3}}\,
# \mathrm{sinc}\!\left(\frac{k_x p}{2}\right) \mathrm{sinc}\!\left(\frac{k_y p}{2}\right)
# e^{i \mathbf k \cdot \mathbf x}\, d^2k ,
# $$
#
# where $\mathrm{sinc}(x) = \sin(x)/x$. $F$ is known for each component. A fast Fourier transform would
# wrap extended wings around the stamp and alias on coarse pixels; instead the integral is a weighted sum
# over frequencies up to the seeing's cut-off, denser towards zero, computed as two matrix products per
# band in torch.
#
# ### Comparison with GalSim
#
# GalSim {cite}`rowe2015`, the field's standard code, shares no code with ours. Both render the same
# galaxies, textures and neighbours.


# %% tags=["hide-input"]
def write_agreement(path):
    """Compare three grids of pixels with GalSim, and write the table."""
    grids = {"SDSS": SDSS, "CFHTLS": CFHTLS, "CFHTLS on SDSS pixels": CFHTLS.on_grid_of(SDSS)}
    parts = [galsim_reference.agreement(grid, n_oracle) for grid in grids.values()]
    pd.concat(parts, keys=grids, names=["grid"]).to_csv(path)


file = paths.Results(results, profile).table("renderer_against_galsim")
modules = ["galtools.simulate", "companion.galsim_reference"]
artefacts.make(file, write_agreement, params={"galaxies": n_oracle}, modules=modules)
agreement = pd.read_csv(file)
worst = agreement.groupby("grid", sort=False)[["worst pixel / peak", "flux error"]].max()
worst.rename_axis(None).map("{:.1e}".format)

# %% tags=["remove-cell"]
glue("oracle_images", len(agreement), display=False)
glue("oracle_pixel", float(worst["worst pixel / peak"].max()), display=False)
glue("oracle_flux", float(100 * worst["flux error"].max()), display=False)

# %% [markdown]
# Over {glue:text}`oracle_images` images the maximum error is {glue:text}`oracle_pixel:.1e` of the peak,
# also for CFHTLS on SDSS pixels, where an FFT would alias.
#
# ## Noise
#
# Pixels have sky and photon noise, $\sigma^2 = \sigma_\mathrm{sky}^2 + f / g$ with $g$ the electrons per
# nanomaggy. The table gives sky noise in nanomaggies per pixel.

# %%
modelled = {"SDSS r": np.median(sheet.noise[:, 0, 2])}
modelled |= {f"CFHTLS {band}": np.median(sheet.noise[:, 1, BANDS.index(band)]) for band in "gri"}
measured = [sdss_statistics.SDSS_SKY_NOISE_R, *sdss_statistics.CFHTLS_SKY_NOISE_GRI]
noises = pd.DataFrame({"simulated": modelled, "real": dict(zip(modelled, measured, strict=True))})
noises["ratio"] = noises["simulated"] / noises["real"]
glue("noise_low", float(noises["ratio"].min()), display=False)
glue("noise_high", float(noises["ratio"].max()), display=False)
noises.style.format("{:.4f}")

# %% [markdown]
# The simulated sky noise is {glue:text}`noise_low:.2f` to {glue:text}`noise_high:.2f` times that of real
# images (a few SDSS cutouts, one CFHTLS field).
#
# ## Sensitivity to assumptions
#
# Each assumption in the table was halved and doubled, and six conclusions were measured anew on the same
# galaxies: repeatability of peak colours and pixels, scatter of redshifts from colours and peak fluxes,
# and redshift information in CFHTLS peaks beyond that in SDSS peaks ({numref}`fig-assumptions`).

# %% mystnb={"figure": {"caption": "Change of six conclusions if an assumption is halved (downward triangles) or doubled (upward triangles), with 95 % intervals over galaxies. Filled symbols: change above three standard errors.", "name": "fig-assumptions"}, "image": {"alt": "Six panels of horizontal intervals, a row for every assumption; most include zero."}} tags=["hide-input"]
changes = pd.read_csv(assumptions.KEPT)
validation_panels.moved_conclusions(changes)
plt.show()

# %% tags=["hide-input"]
manifest = artefacts.read_manifest(assumptions.KEPT)
current = assumptions.is_current(manifest)
glue("kept_galaxies", manifest["parameters"]["galaxies"], display=False)
state = "this simulation" if current else "an earlier state of this simulation"
glue("kept_state", state, display=False)
for key, name in {
    "peak": "repeat of peak g − r, CFHTLS",
    "z": "σ of z, catalogue colours",
}.items():
    row = assumptions.strongest(changes, name)
    glue(f"strongest_{key}", row.assumption, display=False)
    glue(f"strongest_{key}_percent", float(100 * row.change / row.today), display=False)
assumptions.table(changes)

# %% [markdown]
# Among doubled assumptions, *{glue:text}`strongest_peak`* changes the repeatability of the CFHTLS peak
# colour most, by {glue:text}`strongest_peak_percent:.0f` %, and *{glue:text}`strongest_z`* the scatter of
# redshifts from colours, by {glue:text}`strongest_z_percent:.0f` %. The stored table is based on
# {glue:text}`kept_galaxies` galaxies of {glue:text}`kept_state`; `python -m companion.assumptions`
# recomputes it.
#
# ## Comparison with real images
#
# No real images come with this book; this page was made {glue:text}`real_at_hand`. `-p real_stamps
# FILE_OR_FOLDER` shows your stamps above simulated ones of similar flux: a galtools HDF5 file ([next
# chapter](03_real_data.py)), or FITS cutouts, one file per object and band (`<id>_<band>.fits`) or one
# cube per object.


# %% tags=["remove-cell"]
at_hand = survey_panels.read_stamps(real_stamps)
glue("real_at_hand", f"with {' and '.join(at_hand)}" if at_hand else "without any", display=False)

# %% mystnb={"figure": {"caption": "Real galaxies, bright to faint, above the simulated galaxies of the sheet above with the most similar r flux, on a common scale.", "name": "fig-beside-real"}, "image": {"alt": "Rows of colour stamps, real galaxies above simulated ones."}} tags=["remove-input"]
for name, (images, scale) in at_hand.items():
    survey, simulated = find_survey(name), {"SDSS": sheet.source, "CFHTLS": sheet.target}[name]
    pictures = survey_panels.real_and_simulated(images, scale, simulated, survey)
    labels = [f"real\n{name}", f"simulated\n{name}"]
    plotting.stamps(pictures, labels, pixel_scale=survey.pixel_scale)
    plt.show()

# %% [markdown]
# ## What is not modelled
#
# - **Optics and detector**: diffraction spikes, stellar halos, anisotropic or variable seeing,
#   satellites; saturation, cosmic rays and edges only with `defects=True`.
# - **Sky**: background-subtraction errors; Galactic cirrus; noise correlation of CFHTLS resampled to SDSS
#   pixels.
# - **Seeing from band to band**: the scatter of SDSS is assumed ([the two surveys](01_two_surveys.py)), and
#   consistent with the one real field at hand.
# - **Inclination**: isotropic, although dust removes edge-on discs from flux-limited samples.
# - **Texture** ({numref}`fig-texture`): at periods of 1.5 to 2.25 arcsec the ratio of simulated to real
#   residuals is {glue:text}`texture_ratio:.2f`.
# - **Galaxies**: warps, shells, active nuclei, jets, spectral gradients within components, radiative
#   transfer in dust lanes, spectra beyond four templates.
# - **Neighbours**: clustering; shapes of all but the three brightest. Sizes follow {cite:t}`miller2013`,
#   stars {cite:t}`juric2008` and {cite:t}`ivezic2004`, with assumed slope of the counts and i − z.
# - **Evolution** beyond a slope in the luminosity functions.
#
# Results on these images are likely optimistic for real data.
#
# ## What we found
#
# - Nearest neighbours estimate redshifts from simulated colours with a scatter of {glue:text}`knn:.4f`,
#   from real ones with {glue:text}`knn_real:.3f`.
# - Of the doubled assumptions, *{glue:text}`strongest_peak`* affects peak colours most.
#
# ## Exercise
#
# How much does the scatter of spectra increase redshift errors? Set `tilt` to zero and `break_step`
# and `dust` to their medians in `physics`, and repeat the nearest-neighbour test.
#
# ```{dropdown} Solution
# `simple = {**physics, "tilt": 0 * redshift, "break_step": np.where(red, *(np.median(
# physics["break_step"][s]) for s in (red, ~red)))}`, and the same for `dust`; then the robust scatter of
# `validation.nearest_neighbour_errors(validation.true_magnitudes(simple, SDSS), redshift)`.
# ```
#
# **What's next:** [real data](03_real_data.py).
