"""Sheets as students make them, and figures of every kind that the app shows."""

import io
from datetime import date

import numpy as np
import plotly.graph_objects as go
from PIL import Image
from plotly.subplots import make_subplots

from pages.teach.sheet import Answer, Sheet, SheetItem, data_of, figure_json

ROWS = [
    {"run": run, "epoch": epoch, "accuracy": share}
    for run, shares in (
        ("baseline", (0.21, 0.25, 0.283)),
        ("no-stop-gradient", (0.21, 0.19, 0.168)),
    )
    for epoch, share in enumerate(shares)
]


def png(side=8, seed=0):
    pixels = np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format="PNG")
    return file.getvalue()


def curves():
    figure = go.Figure()
    for run, colour in (("baseline", "#0072B2"), ("no-stop-gradient", "#D55E00")):
        own = [row for row in ROWS if row["run"] == run]
        x, y = ([row[key] for row in own] for key in ("epoch", "accuracy"))
        figure.add_scatter(x=x, y=y, name=run, mode="lines+markers", line={"color": colour})
    figure.update_yaxes(title="kNN accuracy", tickformat=".0%")
    figure.update_xaxes(title="epoch")
    figure.add_hline(y=0.1, line_dash="dot", line_color="#7A7A7A")
    return figure


def figures():
    """By kind."""
    rng = np.random.default_rng(0)
    bars = go.Figure([go.Bar(x=list("abc"), y=[1, 2, 3], name=name) for name in ("one", "two")])
    bars.update_traces(error_y={"type": "data", "array": [0.1, 0.2, 0.3]})
    lying = go.Figure(go.Bar(x=[0.3, 0.7], y=["cat", "a truck"], orientation="h"))
    lying.update_yaxes(autorange="reversed")
    lying.update_xaxes(range=[0, 1.08], tickformat=".0%", dtick=0.5)
    stacked = go.Figure(
        [go.Bar(y=["VAE"], x=[x], orientation="h", name=str(x)) for x in (3.0, 2.0)]
    )
    stacked.update_layout(barmode="stack")
    heat = go.Figure(go.Heatmap(z=rng.normal(size=(3, 4)), x=list("abcd"), colorscale="PuOr"))
    confusion = go.Figure(go.Heatmap(z=np.eye(2), text=np.eye(2), texttemplate="%{text}"))
    confusion.update_traces(showscale=False)
    cloud = make_subplots(cols=2, subplot_titles=["left", "right"])
    for column in (1, 2):
        x, y = rng.normal(size=(2, 300))
        marker = {"color": rng.integers(0, 10, 300), "colorscale": "Viridis", "opacity": 0.5}
        cloud.add_trace(go.Scattergl(x=x, y=y, mode="markers", marker=marker), row=1, col=column)
    cloud.update_yaxes(scaleanchor="x", col=1)
    logs = go.Figure(go.Scatter(x=[1, 10, 1000], y=[1e-6, 1e-3, 10]))
    logs.update_xaxes(type="log")
    logs.update_yaxes(type="log", exponentformat="power")
    band = go.Figure(
        go.Scatter(x=[0, 1, 1, 0], y=[0, 0, 1, 1], fill="toself", fillcolor="rgba(0,114,178,0.18)")
    )
    band.add_vrect(x0=0.2, x1=0.4, fillcolor="#D55E00", opacity=0.12, line_width=0)
    band.add_vline(x=0.5, line_color="#D55E00", line_width=3)
    ticks = go.Figure(go.Scatter(x=[0, 1], y=[None, 2.0]))
    ticks.update_xaxes(tickvals=[0, 1], ticktext=["T = 500", "T = $1000"])
    return {
        "curves": curves(),
        "bars": bars,
        "lying": lying,
        "stacked": stacked,
        "heat": heat,
        "confusion": confusion,
        "cloud": cloud,
        "logs": logs,
        "band": band,
        "ticks": ticks,
    }


ANSWER = Answer("3.4", "Which one would you keep?", "b", "the one with loss −0.99", 8)


def sheet(name="Ada"):
    """A chart with an answer, a picture with its data, rows alone, an answer alone."""
    day = date(2026, 11, 28)
    return Sheet(
        name,
        (
            SheetItem(
                title="Accuracy by epoch",
                page="collapse",
                when=day,
                caption="kNN accuracy on 1,000 test pictures",
                alt="Two curves, one rises and one falls",
                query="collapse_runs=baseline%2Cno-stop-gradient&collapse_epoch=2",
                settings=(("Runs", "baseline, no-stop-gradient"), ("Époque", "2")),
                data=data_of(ROWS),
                figure=figure_json(curves()),
                words="The loss falls,\nand the network knows nothing.",
                answer=ANSWER,
            ),
            SheetItem(
                title="A digit", page="latent-space", when=day, picture=png(), data=data_of(ROWS)
            ),
            SheetItem(
                title="Rows", page="siblings", when=day, data=data_of(ROWS), words="3. a list?"
            ),
            SheetItem(title="Exit question", page="", when=day, answer=Answer("3.9", points=4.5)),
        ),
    )
