"""One table of every number that the runs of a grid found, and a page that compares them.

The numbers are those that the notebooks glue for their own prose: every chapter has some. A name
that begins with the notebook's own, as in `swin_chi`, loses that beginning, so that different
translators share one column.
"""

import ast
import json
import math
import os
from pathlib import Path

import grid
import pandas as pd
import pipeline

from companion import html_report, plotting
from galtools import artefacts

GLUED_TEXT = "application/papermill.record/text/plain"
SHOWN = 12  # panels of the figure
SECONDS = "seconds"  # of the whole run: a number of every notebook
STATUS = {"waiting": "not run", "running": "not run"}  # in the end, of what is not done or failed
PAGE = """
<p>{{ done }} of {{ runs|length }} runs are done.</p>
{% if bad|length %}<h2>What went wrong</h2>{{ bad.to_html(index=False, border=0) }}{% endif %}
{% if figure %}<h2>Side by side</h2>{{ figure }}{% endif %}
{% for notebook, table in tables %}
<h2>All numbers of {{ notebook|e }}</h2>
{{ table.to_html(border=0, float_format="{:z.4g}".format, na_rep="") }}
{% endfor %}"""


def glued(run: pipeline.Run) -> dict[str, float]:
    """Read the numbers that a notebook glued while it ran."""
    numbers = {}
    for cell in json.loads(run.executed.read_text())["cells"]:
        for output in cell.get("outputs", ()):
            name = output.get("metadata", {}).get("scrapbook", {}).get("name")
            text = "".join(output.get("data", {}).get(GLUED_TEXT, ""))
            try:
                value = float(ast.literal_eval(text))
            except (ValueError, SyntaxError, TypeError):
                continue  # a word or a picture
            if name and math.isfinite(value):
                numbers[name.removeprefix(f"{run.notebook.partition('_')[2]}_")] = value
    return numbers


def table(runs: dict[str, pipeline.Run]) -> pd.DataFrame:
    """One line per run and number: run, group, notebook, status, parameters, name, value, error.

    Parameters are those that vary, of the run itself or else of the runs that it needs.
    """
    lines, names = [], grid.varied(runs)
    for run in runs.values():
        values = {name: grid.inherited(run, runs).get(name) for name in names}
        columns = {"run": run.name, "group": run.group, "notebook": run.notebook}
        columns |= {"status": STATUS.get(run.state, run.state), **values}
        if run.stamp.exists():
            numbers = {**glued(run), SECONDS: pipeline.record(run)["seconds"]}
            lines += [{**columns, "name": k, "value": v, "error": ""} for k, v in numbers.items()]
        else:
            error = " ".join(pipeline.reason(run, runs).split())
            lines.append({**columns, "name": "", "value": math.nan, "error": error})
    return pd.DataFrame(lines)


def labels(rows: pd.DataFrame, parameters: list[str]) -> list[str]:
    """Name every configuration by what varies, the seed left out: seeds make its points."""
    varied = [name for name in parameters if name != "seed" and len(set(rows[name].map(str))) > 1]
    texts = []
    for notebook, *values in rows[["notebook", *varied]].itertuples(index=False):
        given = [(k, v) for k, v in zip(varied, values, strict=True) if v is not None and v == v]
        shown = [f"{k}={v:g}" if isinstance(v, float) else f"{k}={v}" for k, v in given]
        texts.append(", ".join([notebook, *shown]))
    return texts


def figure(rows: pd.DataFrame, parameters: list[str]):
    """Draw every shared number against the configurations; one point a seed, a bar for the mean."""
    import seaborn as sns  # half a second

    rows = rows.assign(label=labels(rows, parameters))
    by_name = rows.groupby("name", sort=False)
    good = by_name.label.nunique().gt(1) & (by_name.value.max() > by_name.value.min())
    names = [name for name in good.index[good] if name != SECONDS][: SHOWN - 1]
    names += [SECONDS] if good.get(SECONDS, False) else []
    if not names:
        return None
    plotting.use_style()
    shared = {"x": "value", "y": "label", "order": list(rows.label.unique())}
    panels = sns.catplot(
        rows[rows.name.isin(names)], kind="strip", jitter=False, alpha=0.7, **shared, sharex=False,
        col="name", col_order=names, col_wrap=min(3, len(names)),
        height=1 + 0.24 * rows.label.nunique(), aspect=3 / (1 + 0.24 * rows.label.nunique()),
    )  # fmt: skip
    means = {"errorbar": None, "linestyle": "none", "marker": "|", "color": "black"}
    panels.map_dataframe(sns.pointplot, **shared, **means)
    return panels.set_titles("{col_name}").set_axis_labels("", "").figure


def page(numbers: pd.DataFrame, parameters: list[str], name: str, links: dict[str, str]) -> str:
    """Write the page: failures first, then the figure, then every number of every run.

    `links` leads from the name of a run to its executed notebook.
    """
    each = numbers.drop_duplicates("run")
    good, done = numbers[numbers.status == "done"], each.status == "done"
    fig = figure(good, parameters) if len(good) else None
    alt = "One panel per number, one line per configuration, one point per seed."
    settings, tables = each.set_index("run")[parameters], []
    for notebook, rows in good.groupby("notebook", sort=False):
        wide = rows.pivot_table("value", "run", "name", sort=False)
        tables.append((notebook, settings.join(wide, how="right")))
    text = html_report.document(
        f"Grid {name}", PAGE, runs=each, done=done.sum(), tables=tables,
        bad=each[~done][["run", *parameters, "status", "error"]],
        figure=html_report.data_uri_image(fig, alt) if fig else "",
    )  # fmt: skip
    for run, link in links.items():
        text = text.replace(f"<th>{run}</th>", f'<th><a href="{link}">{run}</a></th>')
    return text


def write(runs: dict[str, pipeline.Run], folder: Path) -> None:
    """Write table.csv and index.html of a grid."""
    numbers = table(runs)
    links = {name: os.path.relpath(run.executed, folder) for name, run in runs.items()}
    with artefacts.atomic(folder / "table.csv") as new:
        numbers.to_csv(new, index=False)
    with artefacts.atomic(folder / "index.html") as new:
        new.write_text(page(numbers, grid.varied(runs), folder.name, links))
