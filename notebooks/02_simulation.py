# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Simulating pairs of galaxy images
#
# Where do the pictures of this book come from, and how far can they be trusted?
#
# Everything downstream is only as true as its images. This chapter shows how a galaxy is drawn and turned into
# pixels, and how both compare with codes and catalogues that know nothing of it.
#
# **What you will learn**
#
# - how a redshift, a magnitude and a type become a spectrum, and a spectrum ten band fluxes;
# - how a picture is computed in Fourier space, and how closely it agrees with GalSim, an independent
#   code;
# - how colours, sizes, shapes, neighbours and noise compare with published measurements;
# - which conclusions of the book move if an assumption is wrong by a factor of two;
# - what is *not* modelled.
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
# ## Which galaxies there are
#
# A survey that stops at $r < 17.8$, as the main sample of SDSS does {cite}`strauss2002`, sees near
# galaxies of all luminosities and far ones only if they are bright. Two luminosity functions of
# Schechter's form {cite}`schechter1976`, $\phi(L) \propto L^\alpha e^{-L}$ with $L$ in units of a typical
# luminosity, one for red and one for blue galaxies, say how many there are; cosmology (flat, $H_0 =$
# {glue:text}`hubble:.0f` km/s/Mpc, $\Omega_m =$ {glue:text}`matter:.1f`) says how much room there is at each
# redshift. Their product is drawn from directly: no galaxy is thrown away, so galaxy number $k$ always exists
# and is always the same. Percentiles of the redshift, simulated and of 10,873 real galaxies {cite}`collister2004`, with
# which this chapter compares:

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
# Each galaxy gets a spectrum: a mix of two neighbours among four observed ones
# {cite}`coleman1980`, from elliptical to irregular, changed a little in its slope, its 4000 Å break, its dust
# {cite}`calzetti2000` and its lines. The changes matter. Without them redshift could be read from the colours far too
# easily, and every later test of a translator would be too kind.

# %% mystnb={"figure": {"caption": "The four template spectra, scaled to 1 at 5500 Å: from elliptical (E) over early and late spirals (Sbc, Scd) to irregular (Im). The line marks the 4000 Å break.", "name": "fig-templates"}, "image": {"alt": "Four spectra from 2500 to 10000 Angstrom; the elliptical drops steeply blueward of 4000 Angstrom, the irregular rises."}} tags=["hide-input"]
fig, ax = plt.subplots()
for name, style in zip(spectra.TEMPLATES, ("-", "--", "-.", ":"), strict=True):
    ax.plot(spectra.WAVELENGTH, spectra.template(name), style, label=name)
ax.axvline(spectra.BREAK, color="black", linewidth=0.8)
ax.set(xlim=(2500, 10000), ylim=(0, 2.6))
ax.set(xlabel="wavelength at rest [Å]", ylabel="flux density / that at 5500 Å")
ax.legend()
plt.show()

# %% [markdown]
# Redshift stretches the spectrum, $f_z(\lambda) \propto f(\lambda / (1 + z))$, and a filter of
# transmission $R_b$ gives the flux (in the AB system, up to a constant)
#
# $$ F_b = \int f_z(\lambda)\,\lambda\,R_b(\lambda)\,d\lambda \Big/
#    \int \frac{R_b(\lambda)}{\lambda}\,d\lambda . $$
#
# Five filters of two surveys make ten numbers. {numref}`fig-redshifted` shows why they know the
# redshift.

# %% mystnb={"figure": {"caption": "The elliptical template at two redshifts over the filters of SDSS (shaded), with its mean flux density in each (points). Farther away, the 4000 Å break has moved into the g filter: less light in g, a redder g − r.", "name": "fig-redshifted"}, "image": {"alt": "Two spectra over five filter curves. The step of the second lies further to the right, and its point in g much lower."}} tags=["hide-input"]
survey_panels.redshifted("E", (0.03, 0.25))
plt.show()

# %% [markdown]
# With the errors of the SDSS catalogue, these fluxes become colours. The recipe was *tuned* on the medians and
# scatters of the real ones: agreement shows that it can be right, not that it had to be.
#
# Red galaxies are luminous, so they are seen to greater distances, and the 4000 Å break, as it moves
# through the g band, makes them redder still: there colour *is* distance. Of a blue galaxy the colour
# says far less.

# %% mystnb={"figure": {"caption": "Colours against redshift: simulated median and scatter (1.48 MAD) as points and bars, real ones as lines and bands.", "name": "fig-colours"}, "image": {"alt": "Four panels of colour against redshift. The simulated points follow the lines of the real galaxies."}} tags=["hide-input"]
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
# The medians agree within {glue:text}`worst_median:.3f` mag in g − r, r − i and i − z, and within
# {glue:text}`worst_median_u:.2f` mag in u − g; the scatters within a factor {glue:text}`worst_scatter:.2f`.
#
# ## Against published measurements
#
# {numref}`fig-published` sets the simulation beside measurements of real galaxies: sizes
# {cite}`shen2003`, concentrations {cite}`strateva2001`, the reddening of inclined spirals
# {cite}`masters2010`, colour gradients {cite}`liu2009,jiang2011`, the difference of the two surveys'
# filters {cite}`gwyn2008`, the numbers of galaxies on the sky {cite}`lsst2009`, the noise of CFHTLS images,
# and how well nearest neighbours in colour and magnitude estimate the redshift.

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

# %% mystnb={"figure": {"caption": "Points, steps: simulated, with standard errors. Lines: published. Half-light radii of early and late types, and those that the published relation gives galaxies of their magnitudes; concentrations, and the value that separates the types; colour of blue discs against axis ratio; colour gradients, and the mean of real discs; MegaCam less SDSS magnitudes; galaxies brighter than i; correlation of the noise of neighbouring pixels; scatter of redshifts estimated from catalogue colours.", "name": "fig-published"}, "image": {"alt": "Eight panels, each with simulated points and a published line."}} tags=["hide-input"]
noise = validation.noise_correlation(seed)
validation_panels.published_facts(seed, structures, physics, magnitudes, noise)
plt.show()

# %% [markdown]
# Every criterion is measured on {glue:text}`n_seeds` independent samples on which nothing was tuned. The margin is
# the distance of their mean from the nearest limit, in units of the scatter from sample to sample; a negative
# one is a criterion that is not met.

# %%
table = validation.margins(pd.read_csv(criteria, index_col="seed"))
missed = table.index[table.margin < 0]
glue("n_seeds", len(seeds), display=False)
glue("n_structures", len(structures), display=False)
glue("missed", ", ".join(missed) or "none", display=False)
glue("knn", float(table.loc["redshift from colours, σ", "mean"]), display=False)
glue("knn_real", sdss_statistics.KNN_SIGMA, display=False)
validation_panels.criteria_table(table)

# %% [markdown]
# Measured on {glue:text}`n_structures` galaxies in images and {glue:text}`n_seeds` catalogues of the size of the
# real one. Not met: {glue:text}`missed`.
#
# With `limit=19` the same recipe is *extrapolated*. One thing can be checked: luminous red galaxies of
# $17.8 < r < 18.6$, which the catalogue lists, too. How many faint blue galaxies there are, and how large,
# remains a guess.
#
# ## Shapes
#
# A galaxy is built of three bricks: de Vaucouleurs ellipses for bulges and ellipticals, exponential
# ellipses for discs (with negative flux: a lane of dust), and images on a fine grid, for young stars
# along logarithmic spirals, around a ring or strewn over an irregular galaxy, for bars and for the
# tails of a collision. Young stars have structure on all scales: a log-normal random field with a
# power-law spectrum, sheared by rotation, and H II regions on top. Each brick has its own spectrum,
# young for arms and old for bulges, and all of them add up to the galaxy's spectrum.

# %% mystnb={"figure": {"caption": "Eighteen galaxies as CFHTLS sees them, in the order of their numbers, not selected.", "name": "fig-contact"}, "image": {"alt": "Three rows of six galaxies: ellipticals, spirals, edge-on discs, some with neighbours."}} tags=["hide-input"]
sheet = simulate.pairs(18, seed=seed)
rows = [sheet.target[k : k + 6] for k in range(0, 18, 6)]
plotting.stamps(rows, [f"{k}–{k + 5}" for k in range(0, 18, 6)])
plt.show()

# %% mystnb={"figure": {"caption": "Texture of bright inclined discs in the r band of CFHTLS: rms of the residuals from smooth elliptical isophotes over the surface brightness of the model, by spatial period. Median, and 10 to 90 % of the simulated ones (blue); ten real galaxies seen by KiDS, with its own seeing (grey).", "name": "fig-texture"}, "image": {"alt": "Ten grey lines that rise with period from a few per cent, and a blue line with a band in their midst."}} tags=["hide-input"]
textures = residual_texture.simulated_discs(seed, n_textures)
validation_panels.texture(textures)
ratio_to_real = np.median(textures, axis=0) / np.median([*residual_texture.KIDS.values()], axis=0)
glue("texture_ratio", float(ratio_to_real[1]), display=False)
plt.show()

# %% tags=["hide-input"]
general, _ = population.random_numbers(seed, range(n_catalogue), "shape", scene.GENERAL, 1)
shapes = scene.sample_morphology(physics, general)
kinds, counts = np.unique(shapes["morphology"], return_counts=True)
shares = pd.Series(counts / n_catalogue, index=kinds, name=f"share of {n_catalogue:,} galaxies")
for name in ("bar", "ring", "dust_lane"):
    shares[f"with {name.replace('_', ' ')}"] = np.mean(shapes[name])
shares.round(3).to_frame()

# %% [markdown]
# ## From light to pixels
#
# The value of a pixel is the sky, blurred by the air and averaged over the pixel's square. In
# Fourier space both are products. With the sky's transform $F(\mathbf k)$, turbulent air
# {cite}`fried1966` of $\mathrm{FWHM} = 0.976\,\lambda / r_0$ and pixels of side $p$,
#
# $$
# I(\mathbf x) = \frac{p^2}{(2\pi)^2} \int F(\mathbf k)\, e^{-3.44\,(\lambda k / 2\pi r_0)^{5/3}}\,
# \mathrm{sinc}\!\left(\frac{k_x p}{2}\right) \mathrm{sinc}\!\left(\frac{k_y p}{2}\right)
# e^{i \mathbf k \cdot \mathbf x}\, d^2k ,
# $$
#
# where $\mathrm{sinc}(x) = \sin(x)/x$. $F$ is known for every brick, in closed form or from a table. A fast
# Fourier transform repeats the picture, so that the wide wings of an elliptical come back on the other side,
# and aliases on coarse pixels. Here the integral is a weighted sum over frequencies as far out as the seeing
# lets anything through, and ever denser towards zero, where the wings live.
#
# The sum is two matrix products per band, in torch: batched, differentiable, on a GPU where there is one.
#
# ### Against GalSim
#
# GalSim {cite}`rowe2015` is the standard of the field and shares no code with ours. Both draw the same galaxies,
# textures and neighbours included, in ten bands.


# %%
def write_agreement(path):
    """Compare both surveys with GalSim, and write the table."""
    found = [galsim_reference.agreement(survey, n_oracle) for survey in (SDSS, CFHTLS)]
    pd.concat(found).to_csv(path, index=False)


file = paths.Results(results, profile).table("renderer_against_galsim")
modules = ["galtools.simulate", "companion.galsim_reference"]
artefacts.make(file, write_agreement, params={"galaxies": n_oracle}, modules=modules)
agreement = pd.read_csv(file)
glue("oracle_images", len(agreement), display=False)
glue("oracle_pixel", float(agreement["worst pixel / peak"].max()), display=False)
glue("oracle_flux", float(100 * agreement["flux error"].max()), display=False)
worst = agreement.groupby("survey", sort=False)[["worst pixel / peak", "flux error"]]
worst.max().rename_axis(None).map("{:.1e}".format)

# %%
grid = CFHTLS.on_grid_of(SDSS)
coarse = galsim_reference.agreement(grid, max(n_oracle // 2, 1))
glue("alias", float(100 * coarse["worst pixel / peak"].max()), display=False)

# %% [markdown]
# Over {glue:text}`oracle_images` images the worst pixel is off by {glue:text}`oracle_pixel:.1e` of
# the peak, and the summed flux by {glue:text}`oracle_flux:.3f` %. Drawn on the coarse SDSS pixels,
# where an FFT would alias, CFHTLS is right within {glue:text}`alias:.4f` % of the peak.
#
# ## Noise
#
# The sky adds noise to every pixel, the galaxy adds its own: variance
# $\sigma^2 = \sigma_\mathrm{sky}^2 + f / g$ with $g$ the electrons per nanomaggy.

# %%
drawn = {"SDSS r": np.median(sheet.noise[:, 0, 2])}
drawn |= {f"CFHTLS {band}": np.median(sheet.noise[:, 1, BANDS.index(band)]) for band in "gri"}
measured = [sdss_statistics.SDSS_SKY_NOISE_R, *sdss_statistics.CFHTLS_SKY_NOISE_GRI]
noises = pd.DataFrame({"simulated": drawn, "real": dict(zip(drawn, measured, strict=True))})
noises["ratio"] = noises["simulated"] / noises["real"]
glue("noise_low", float(noises["ratio"].min()), display=False)
glue("noise_high", float(noises["ratio"].max()), display=False)
noises.style.format("{:.4f}")

# %% [markdown]
# In nanomaggies per pixel, the simulated sky noise is {glue:text}`noise_low:.2f` to {glue:text}`noise_high:.2f` times
# the one measured on real images (a few SDSS cutouts and one field of CFHTLS).
#
# ## Which assumptions matter
#
# Most of this is assumed, and some conclusions of the book depend on it. Every assumption of the table was
# halved and doubled, the same galaxies were simulated again, and six conclusions measured anew: how well the
# peak colour and the pixels repeat between two observations, the scatter of redshifts estimated from colours and
# from peak fluxes, and the redshift information that CFHTLS peaks hold beyond SDSS peaks.
# {numref}`fig-assumptions` shows the changes.

# %% mystnb={"figure": {"caption": "Change of six conclusions if an assumption is halved (downward) or doubled (upward triangles), with 95 % intervals over galaxies; filled where the change is more than three standard errors.", "name": "fig-assumptions"}, "image": {"alt": "Six panels of horizontal intervals, a row for every assumption; most include zero."}} tags=["hide-input"]
changes = pd.read_csv(assumptions.KEPT)
validation_panels.moved_conclusions(changes)
plt.show()

# %% tags=["hide-input"]
about = artefacts.read_manifest(assumptions.KEPT)
current = assumptions.is_current(about)
glue("kept_galaxies", about["parameters"]["galaxies"], display=False)
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
# Doubled, *{glue:text}`strongest_peak`* changes the repeatability of the CFHTLS peak colour most, by
# {glue:text}`strongest_peak_percent:.0f` %, and *{glue:text}`strongest_z`* the scatter of redshifts from colours, by
# {glue:text}`strongest_z_percent:.0f` %. The table is kept: {glue:text}`kept_galaxies` galaxies of
# {glue:text}`kept_state`; `python -m companion.assumptions` makes it again.
#
# ## Beside the real thing
#
# No real image comes with this book, and this page was made {glue:text}`real_at_hand`. With
# `-p real_stamps FILE_OR_FOLDER`, stamps of your own stand here beside simulated ones of similar brightness: a
# galtools HDF5 file, as [the next chapter](03_real_data.py) makes it, or a folder of FITS cutouts, one file
# per object and band (`<id>_<band>.fits`) or one cube per object.


# %% tags=["remove-cell"]
at_hand = survey_panels.read_stamps(real_stamps)
glue("real_at_hand", f"with {' and '.join(at_hand)}" if at_hand else "without any", display=False)

# %% mystnb={"figure": {"caption": "Real galaxies, bright to faint, above simulated ones of the sheet above with the most similar brightness in r, on one scale.", "name": "fig-beside-real"}, "image": {"alt": "Rows of colour stamps, real galaxies above simulated ones."}} tags=["remove-input"]
for name, (images, scale) in at_hand.items():
    survey, simulated = find_survey(name), {"SDSS": sheet.source, "CFHTLS": sheet.target}[name]
    pictures = survey_panels.real_and_simulated(images, scale, simulated, survey)
    labels = [f"real\n{name}", f"simulated\n{name}"]
    plotting.stamps(pictures, labels, pixel_scale=survey.pixel_scale)
    plt.show()

# %% [markdown]
# ## What is not modelled
#
# - **Optics and detector**: diffraction spikes, halos of bright stars, a seeing that is not round or
#   changes over the stamp, satellites; saturation, cosmic rays and edges only with `defects=True`.
# - **Sky**: errors of the subtracted background, which real pipelines make around large galaxies;
#   Galactic cirrus. On the pixels of SDSS the noise of both surveys is white.
# - **Inclination**: dust dims discs seen edge on, so that a sample limited in flux holds fewer of them; here
#   inclinations are isotropic.
# - **Texture**: the ratio of simulated to real residuals in {numref}`fig-texture` is near 1 but for periods
#   of 1.5 to 2.25 arcsec, where it is {glue:text}`texture_ratio:.2f`.
# - **Galaxies**: warps, shells, tidal debris beyond one tail, active nuclei, jets, gradients of
#   spectrum within a component; dust lanes are drawn, not ray-traced. Four templates mixed and bent are
#   not the variety of real spectra.
# - **Company**: neighbours are not clustered; all but the three brightest are round. Their sizes are those of
#   {cite:t}`miller2013`, numbers and colours of stars those of {cite:t}`juric2008` and
#   {cite:t}`ivezic2004`; the slope of the stars' counts and their i − z are assumed.
# - **Evolution**: none beyond a slope in the luminosity functions.
#
# A translator that does well here has passed the *easy* test.
#
# ## What we found
#
# - Pixels agree with GalSim to {glue:text}`oracle_pixel:.1e` of the peak and fluxes to
#   {glue:text}`oracle_flux:.3f` %: the drawing adds no error that matters.
# - Median colours agree with real galaxies within {glue:text}`worst_median:.3f` mag (u − g within
#   {glue:text}`worst_median_u:.2f`).
# - Nearest neighbours estimate redshifts from simulated colours with a scatter of {glue:text}`knn:.4f`, from
#   real ones with {glue:text}`knn_real:.3f`.
# - Criteria that are not met on held-out samples: {glue:text}`missed`.
# - An error of two in *{glue:text}`strongest_peak`* matters most for peak colours.
#
# ## Exercises
#
# 1. Redshift would be easier to estimate without the scatter of the spectra. By how much? Set `tilt` to
#    zero and `break_step` and `dust` to their medians in `physics`, and repeat the
#    nearest-neighbour test.
#
# ```{dropdown} Solution
# `simple = {**physics, "tilt": 0 * redshift, "break_step": np.where(red, *(np.median(
# physics["break_step"][s]) for s in (red, ~red)))}`, and the same for `dust`; then the robust scatter of
# `validation.nearest_neighbour_errors(validation.true_magnitudes(simple, SDSS), redshift)`.
# ```
#
# 2. How dark may a dust lane be? Multiply `scene.flux[..., -1]` by three, render,
#    and look for negative pixels.
#
# ```{dropdown} Solution
# `_, scene, _ = simulate.sample_scene(...)`, then `scene.flux[..., -1] *= 3` before `render`. Lanes that took
# half of the light now take more than there is; `images.min()` tells.
# ```
#
# **What's next:** [the door for real files](03_real_data.py).
