"""One table of every number that the runs of a grid found, and a page that compares them.

The numbers are those that the notebooks glue for their own prose: every chapter has some. A name
that begins with the notebook's own, as in `swin_chi`, loses that beginning, so that different
translators stand in one column.
"""

import ast
import json
import math
from html import escape
from pathlib import Path

import grid
import pandas as pd
import pipeline

from companion import html_report, plotting
from galtools import artefacts

GLUED_TEXT = "application/papermill.record/text/plain"
SHOWN = 12  # panels of the figure
ALT = "One panel per number, one line per configuration, one point per seed."
SECONDS = "seconds"  # of the whole run: a number of every notebook


def glued(run: pipeline.Run) -> dict[str, float]:
    """Read the numbers that a notebook glued while it ran."""
    found = {}
    for cell in json.loads(run.executed.read_text())["cells"]:
        for output in cell.get("outputs", ()):
            name = output.get("metadata", {}).get("scrapbook", {}).get("name")
            text = "".join(output.get("data", {}).get(GLUED_TEXT, ""))
            try:
                value = float(ast.literal_eval(text))
            except (ValueError, SyntaxError, TypeError):
                continue  # a word or a picture
            if name and math.isfinite(value):
                found[name.removeprefix(f"{run.notebook.partition('_')[2]}_")] = value
    return found


def reason(run: pipeline.Run, runs: dict[str, pipeline.Run]) -> str:
    """Say in one line why a run is not done."""
    if run.failure.exists():
        return " ".join(run.failure.read_text().split())
    if missing := [need for need in run.needs if not runs[need].stamp.exists()]:
        return f"NOT RUN, since {missing[0]} is not done"
    return f"KILLED or never started; see {run.log}"


def title(run: pipeline.Run, runs: dict[str, pipeline.Run]) -> str:
    """Name of a run with the values that tell it from the others."""
    told = [
        f"{name}={run.parameters[name]}" for name in grid.varied(runs) if name in run.parameters
    ]
    return f"{run.name} ({', '.join(told)})" if told else run.name


def status(run: pipeline.Run) -> str:
    """done, failed or not run."""
    return "done" if run.stamp.exists() else "failed" if run.failure.exists() else "not run"


def table(runs: dict[str, pipeline.Run], groups: dict[str, str]) -> pd.DataFrame:
    """One line per run and number: run, group, notebook, status, parameters, name, value, error."""
    lines = []
    for run in runs.values():
        values = {name: run.parameters.get(name) for name in grid.varied(runs)}
        known = {"run": run.name, "group": groups[run.name], "notebook": run.notebook,
                 "status": status(run), **values}  # fmt: skip
        if known["status"] == "done":
            numbers = {**glued(run), SECONDS: pipeline.record(run)["seconds"]}
            lines += [{**known, "name": k, "value": v, "error": ""} for k, v in numbers.items()]
        else:
            error = reason(run, runs)
            lines.append({**known, "name": "", "value": math.nan, "error": error})
    return pd.DataFrame(lines)


def labels(rows: pd.DataFrame, parameters: list[str]) -> list[str]:
    """Name every configuration by what varies, the seed left out: seeds make its points."""
    told = [name for name in parameters if name != "seed" and len(set(map(str, rows[name]))) > 1]
    return [
        ", ".join(
            [
                notebook,
                *(f"{k}={_plain(v)}" for k, v in zip(told, values, strict=True) if pd.notna(v)),
            ]
        )
        for notebook, *values in rows[["notebook", *told]].itertuples(index=False)
    ]


def _plain(value):
    """Show an integer that pandas has made a float, because others have none, as an integer."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def figure(rows: pd.DataFrame, parameters: list[str]):
    """Draw every shared number against the configurations; one point a seed, a bar for the mean."""
    import matplotlib.pyplot as plt

    rows = rows.assign(label=labels(rows, parameters))
    shared = rows.groupby("name").label.nunique()
    ranges = rows.groupby("name").value.agg(lambda values: values.max() > values.min())
    names = [n for n in rows.name.unique() if shared[n] > 1 and ranges[n] and n != SECONDS]
    names = names[: SHOWN - 1]
    names += [SECONDS] if shared.get(SECONDS, 0) > 1 else []
    if not names:
        return None
    plotting.use_style()
    order = list(rows.label.unique())
    width, height = min(3, len(names)), 0.7 + 0.24 * len(order)
    fig, axes = plt.subplots(
        -(-len(names) // width), width, sharey=True, squeeze=False,
        figsize=(9, height * -(-len(names) // width)),
    )  # fmt: skip
    for ax, name in zip(axes.flat, names, strict=False):
        part = rows[rows.name == name]
        places = part.label.map(order.index)
        ax.plot(part.value, places, "o", ms=4, alpha=0.7, color="tab:blue")
        means = part.groupby("label").value.mean()
        ax.plot(means, [order.index(k) for k in means.index], "|", ms=12, mew=2, color="k")
        ax.set(
            xlabel=name, yticks=range(len(order)), yticklabels=order, ylim=(len(order) - 0.5, -1)
        )
    for ax in axes.flat[len(names) :]:
        ax.set_axis_off()
    return fig


def page(found: pd.DataFrame, parameters: list[str], name: str) -> str:
    """Write the page: failures first, then the figure, then every number of every run."""
    each = found.drop_duplicates("run")
    parts = [f"<p>{(each.status == 'done').sum()} of {len(each)} runs are done.</p>"]
    if len(bad := each[each.status != "done"]):
        columns = ["run", *parameters, "status", "error"]
        parts.append(f"<h2>What went wrong</h2>{bad[columns].to_html(index=False, border=0)}")
    good = found[found.status == "done"]
    if len(good) and (fig := figure(good, parameters)) is not None:
        parts.append(f"<h2>Side by side</h2>{html_report.data_uri_image(fig, ALT)}")
    for notebook, rows in good.groupby("notebook", sort=False):
        wide = rows.set_index(["run", "name"]).value.unstack("name")[list(rows.name.unique())]  # noqa: PD010
        wide = each.set_index("run")[parameters].join(wide, how="right")
        text = wide.to_html(border=0, float_format="{:z.4g}".format, na_rep="")
        parts.append(f"<h2>All numbers of {escape(notebook)}</h2>{text}")
    return html_report.html_document(f"Grid {name}", "".join(parts))


def write(runs: dict[str, pipeline.Run], folder: Path, groups: dict[str, str]) -> None:
    """Write table.csv and index.html of a grid."""
    found = table(runs, groups)
    with artefacts.atomic(folder / "table.csv") as new:
        found.to_csv(new, index=False)
    with artefacts.atomic(folder / "index.html") as new:
        new.write_text(page(found, grid.varied(runs), folder.name))
