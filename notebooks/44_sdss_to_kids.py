# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # SDSS to KiDS: simulated and real galaxies
#
# A translator that was trained on simulated pairs beats resampling on {glue:text}`kids_better` of 5 real
# galaxies. Its residual relative to that of resampling is {glue:text}`kids_loss` times as large as on
# simulated galaxies of like size and magnitude, and fluxes of cores are off by {glue:text}`kids_core` per cent.
#
# **What you will learn**
#
# - how to simulate any two surveys from their descriptions;
# - how a translator that never saw a real image does on real ones, and why it does worse;
# - how to check PSF and zero point of images that come without documentation.
#
# **Prerequisites:** [the residual network](11_residual.py). About 10 minutes.

# %% tags=["hide-input", "remove-stderr"]
import matplotlib.pyplot as plt
from myst_nb import glue

from companion import paths, plotting, real_pairs, study, survey_panels
from companion.real_pairs import KIDS_GAMA, SDSS_GAMA
from galtools import artefacts, data, simulate
from galtools.surveys import SDSS, SURVEYS
from galtools.training.loop import Settings
from galtools.training.translate import translate

plotting.use_style()

# %% tags=["parameters"]
profile: str = "quick"  # tiny, quick, long, paper; with papermill it also sets the values below
seed: int = 0  # every random number follows from it
results: str = ""  # folder of artefacts; empty: the repository's
n_train: int = 700  # training galaxies of each pair of surveys
n_valid: int = 48  # galaxies that follow the training
n_test: int = 400  # simulated galaxies that are judged
steps: int = 250  # training steps
batch: int = 16  # galaxies in a step
reference: bool = False  # write the table of the real galaxies into book/reference

# %% [markdown]
# ## Any two surveys
#
# The simulation needs a survey's bands with their filter curves, its pixels, PSF and noise
# (`galtools/surveys.toml`). The Kilo-Degree Survey {cite}`kuijken2019` has no z band: pairs are in ugri. An
# infinite number of electrons means that no photon noise is known and none is simulated.

# %%
kids = SURVEYS["KiDS"]
pairs_of_surveys = {
    "ugri": (SDSS.in_bands(kids.bands), kids),
    "r": (SDSS_GAMA, KIDS_GAMA),  # of the real galaxies below
}
survey_panels.descriptions([*pairs_of_surveys["ugri"], *pairs_of_surveys["r"]])

# %% tags=["hide-input", "remove-stderr"]
own, sizes = {}, {"train": n_train, "valid": n_valid, "test": n_test}
for bands, (first, second) in pairs_of_surveys.items():
    folder = str(paths.Results(results, profile).folder / f"kids_{bands}")
    own[bands], start = paths.Results(folder, profile), 0
    for part, n in sizes.items():
        options = {"n": n, "start": start, "survey_from": first, "survey_to": second}
        artefacts.make(
            own[bands].data(part),
            lambda new, options=options: data.save(simulate.stream(seed=seed, **options), new),
            params={"n": n, "start": start}, seed=seed, modules=["galtools.simulate"],
        )  # fmt: skip
        start += n

# %% [markdown]
# ## Simulated galaxies
#
# Each translator is trained for seconds, as in [Your own data](42_own_data.py).

# %% tags=["remove-stderr"]
settings = Settings(steps=steps, batch=batch, seed=seed)
translated = {
    bands: study.run(str(one.folder.parent), profile, "residual", "cross", seed, settings)
    for bands, one in own.items()
}
study.error_table(translated["ugri"]).drop("Wiener filter")  # it amplifies the noise here

# %% mystnb={"figure": {"caption": "Simulated test galaxies, bright to faint: SDSS resampled to the pixels of KiDS, translation, KiDS, and r-band residual in units of the sky noise.", "name": "fig-kids-examples"}, "image": {"alt": "Rows of colour stamps with a row of residual maps below."}} tags=["hide-input"]
fig = study.examples(translated["ugri"])
plt.show()

# %% [markdown]
# ## Real galaxies
#
# The package ProFit {cite}`robotham2017` distributes cut-outs of ten galaxies in r, from SDSS (resampled to
# 0.339 arcsec) and KiDS, each with a noise map, a mask and a PSF image. Five of them are used here; the
# others were not looked at. They lack coordinates, so stamps are centred on the galaxy's core to the nearest
# pixel, as in the simulation. Headers give no zero point; the package takes it as 0 (maggies).
#
# Images of the r band were simulated as these were taken: pixels, noise, its correlation and photon noise are
# those of the noise maps and of blank sky, the PSF of KiDS that of the PSF images. The images are not part of
# this book. Where they are absent, the numbers below are from a kept table (`book/reference/`, with its
# manifest). With a folder that holds them in `sdss_kids_pairs`, this command makes it anew:
#
#     GALTOOLS_REAL_DATA=folder .venv/bin/papermill notebooks/44_sdss_to_kids.py \
#         _build/44.ipynb -p reference True

# %% tags=["remove-stderr"]
result = translated["r"]
root = real_pairs.folder()
if root is None:
    print("The real images are absent: numbers below are those of the kept table, without figure.")
else:
    real, sigma = real_pairs.read_pairs(root)
    images = translate(result.network, real.source)
table = real_pairs.table_cached(own["r"], root, seed, reference)

# %% mystnb={"figure": {"caption": "Five real galaxies in r (asinh grey scale of surface brightness), each stamp 18 arcsec wide: SDSS resampled, translation, KiDS, and translation minus KiDS in units of the noise, after scaling to the flux of KiDS and a shift.", "name": "fig-kids-real"}, "image": {"alt": "Four rows of five inclined disc galaxies; the last row shows residuals, with positive cores."}} tags=["hide-input"]
if root is not None:
    near = (..., slice(18, -18), slice(18, -18))
    resampled = real_pairs.on_grid_of_target(real.source, real)
    rows = {"SDSS": resampled, "translation": images, "KiDS": real.target}
    residual = real_pairs.residual_maps(images, real, sigma)
    rows = {name: stamps[near] for name, stamps in rows.items()}
    survey_panels.real_stamps(rows, KIDS_GAMA.pixel_scale, residual[near])
    plt.show()

# %% [markdown]
# Each galaxy is compared with the {glue:text}`kids_like` simulated test galaxies next to it in size and
# magnitude, within 6 arcsec; masked pixels do not count. The *residual* is the root mean square difference
# relative to the image, without the noise of KiDS, after scaling to equal flux and a shift of a fraction of a
# pixel. *Flux* and *core* are the errors of the flux and of its fraction within 1 arcsec.

# %% mystnb={"figure": {"caption": "Errors on the real galaxies (filled) and on simulated ones of like size and magnitude (open: median; bars: 16 to 84 per cent). Wiener: deconvolution with the given PSFs.", "name": "fig-kids-transfer"}, "image": {"alt": "Three panels; in each, five filled points beside five bars for each of three methods."}} tags=["hide-input"]
labels = {"residual": "residual", "flux": "flux error", "core": "core error"}
fig = survey_panels.transfer(table, labels)
plt.show()

# %% [markdown]
# ## Why real galaxies are different
#
# The rows *pair* below test the images themselves. Blurring KiDS to SDSS needs a PSF whose width differs by
# {glue:text}`kids_seeing` per cent from that of the PSF image of SDSS; on simulated pairs the same fit is off
# by {glue:text}`kids_seeing_simulated` per cent. The simulation therefore takes the fitted width, 0.97
# arcsec, instead of that of the PSF images, 1.15 arcsec. The Wiener filter, which takes the latter on real
# galaxies, over-sharpens most. In the same aperture, KiDS is {glue:text}`kids_zero` per cent brighter than
# SDSS, which no translator can know.

# %%
beside = table.pivot_table(index=["row", "metric"], values=["real", "simulated"], aggfunc="median")
beside.style.format("{:.3f}")

# %% tags=["remove-cell"]
rows = table.set_index(["row", "metric", "galaxy"]).sort_index()[["real", "simulated"]]
ratio = rows.real / rows.simulated
better = rows.real["residual", "residual"] < rows.real["resample", "residual"]
glue("kids_better", int(better.sum()), display=False)
glue("kids_like", real_pairs.LIKE, display=False)
trained, floor = ratio["residual", "residual"], ratio["resample", "residual"]
for name, r in {"ratio": trained, "ratio_floor": floor, "loss": trained / floor}.items():
    glue(f"kids_{name}", f"{r.median():.2f} ({r.min():.2f} to {r.max():.2f})", display=False)
for row, name in {"Residual CNN": "", "Resampling": "_floor"}.items():
    for key in ("chi", "scatter"):
        found = translated["ugri"].errors[row][key].value
        glue(f"kids_{key}{name}", float(found), display=False)

# %% tags=["remove-cell"]
percent = {"core": ("residual", "core"), "flux": ("residual", "flux"), "seeing": ("pair", "seeing"),
           "zero": ("pair", "zero_point")}  # fmt: skip
for name, (row, metric) in percent.items():
    found = 100 * rows.loc[row, metric]
    written = f"{found.real.min():.0f} to {found.real.max():.0f}".replace("-", "−")
    glue(f"kids_{name}", written, display=False)
    simulated = f"{found.simulated.median():.0f}".replace("-", "−")
    glue(f"kids_{name}_simulated", simulated, display=False)

# %% [markdown]
# ## What we found
#
# - Any two surveys can be simulated from their descriptions. After a training of seconds in ugri, the residual
#   is {glue:text}`kids_chi:.1f` times the sky noise (resampling: {glue:text}`kids_chi_floor:.1f`), but fluxes
#   scatter by {glue:text}`kids_scatter:.1f` per cent (resampling: {glue:text}`kids_scatter_floor:.1f`).
# - On five real galaxies its residual is {glue:text}`kids_ratio` times that on simulated galaxies of like
#   size and magnitude (median and range), and that of resampling {glue:text}`kids_ratio_floor` times: there is
#   less to sharpen. Relative to resampling, the translator loses a factor of {glue:text}`kids_loss`. It beats
#   resampling on {glue:text}`kids_better` of 5.
# - The flux of the cores is off by {glue:text}`kids_core` per cent, that of simulated ones by
#   {glue:text}`kids_core_simulated` per cent (median). Total fluxes are off by {glue:text}`kids_flux` per
#   cent, about as much as the surveys themselves differ.
# - Five galaxies and one training show whether a translator transfers at all, not how well on average. The
#   PSF was fitted on the same five.
#
# ## Exercise
#
# How large do the errors become if SDSS is simulated with the PSF that its PSF images give?
#
# ```{dropdown} Solution
# Set `psf_fwhm=(1.15,)` for `SDSS_GAMA` in `companion/real_pairs.py` and run the chapter in a new folder.
# The translator sharpens more, so that cores become brighter still and the residual grows.
# ```
#
# **What's next:** [time and cost for half a million galaxies](41_survey_size.py).
