"""The figures of the HTML report: which there are, what is drawn in them, and how."""

from __future__ import annotations

import re
import warnings
from functools import cache
from xml.etree import ElementTree as ET

import matplotlib as mpl
import numpy as np
import pytest

from ltcore.comparison import Reliability
from ltcore.predictions import Predictions
from ltcore.protocol import class_groups, evaluation_views, ranks
from ltcore.reporting.analysis import Analysis
from ltcore.reporting.reporters.html.accuracy_figures import (
    group_averages,
    groups_by_loss,
    head_against_tail,
)
from ltcore.reporting.reporters.html.class_figures import (
    accuracy_by_training_images,
    class_distribution,
    where_the_tail_goes,
)
from ltcore.reporting.reporters.html.drawing import COLOURS, MOST_SERIES, Sign, drawing_style, panel
from ltcore.reporting.reporters.html.pooling import Pooled, classes_of, pooled
from ltcore.reporting.reporters.html.run_figures import reliability_diagrams, training_curves
from ltcore.reporting.reporters.html.selection import MOST_SETTINGS, select
from ltcore.reporting.reporters.html.svg import inline, symbol
from ltcore.reporting.study import compare
from ltcore.results import Results
from ltcore.spec import RunSpec
from ltcore.splits import Classes

COUNTS = np.array([200, 60, 30, 12, 5, 2])
LABEL = np.repeat(np.arange(6), 8)
IDS = np.array([f"test/{index}" for index in range(len(LABEL))])
VIEWS = evaluation_views(LABEL, IDS, train_counts=COUNTS, rank=ranks(COUNTS), factor=0.1, seed=0)
FIGURES = {
    "distribution": class_distribution,
    "averages": group_averages,
    "head and tail": head_against_tail,
    "by loss": groups_by_loss,
    "recall": accuracy_by_training_images,
    "tail": where_the_tail_goes,
    "reliability": reliability_diagrams,
    "curves": training_curves,
}


def make(loss="focal", backbone="resnet", *, seed=42, hits=30, counts=COUNTS, views=VIEWS, **more):
    """A run that is right on the first ``hits`` of 48 images."""
    prediction = np.where(np.arange(48) < hits, LABEL, (LABEL + 1) % 6)
    logits = 3 * np.eye(6, dtype=np.float32)[prediction]
    dataset = more.pop("dataset", "pictures")
    return Results(
        spec=RunSpec(dataset=dataset, backbone=backbone, loss=loss, seed=seed),
        name=f"{backbone}-{loss}-{seed}",
        classes=Classes(tuple("abcdef"), np.asarray(counts), class_groups(ranks(COUNTS))),
        test=Predictions.from_logits(logits, LABEL, IDS, views),
        **more,
    )


def compared(*runs, details=True):
    return compare(runs, Analysis(details=details))


def figures(comparison, name):
    selection = select(comparison)
    with drawing_style():
        return [figure for s in selection.settings for figure in FIGURES[name](s, selection)]


def texts(svg):
    return [element.text for element in ET.fromstring(svg).iter() if element.tag.endswith("}text")]


def points(svg, colour):
    """Where markers of a colour stand."""
    style = f"fill: {colour}"
    return [
        (float(element.get("x")), float(element.get("y")))
        for element in ET.fromstring(svg).iter()
        if element.tag.endswith("}use") and style in element.get("style", "")
    ]


EPOCHS = {"train_loss": np.arange(5) / 9, "val_loss": np.arange(5) / 9, "val_top1": np.ones(5)}
RUNS = [make(loss, b, history=EPOCHS) for loss in ("focal", "ldam") for b in ("resnet", "vit")]


@cache
def of_study(name):
    """The figures of four runs, drawn once."""
    return figures(compared(*RUNS), name)


def test_every_figure_of_a_study_is_there():
    found = {name: [figure.title for figure in of_study(name)] for name in FIGURES}
    assert found == {
        "distribution": ["Training images of each class"],
        "averages": [
            "Accuracy by group and backbone, over losses",
            "Accuracy by group and loss, over backbones",
        ],
        "head and tail": ["Head against tail"],
        "by loss": ["Accuracy by group and loss"],
        "recall": ["Recall by training images of the class"],
        "tail": ["What images of tail classes are taken for"],
        "reliability": ["Reliability: balanced", "Reliability: balanced tail"],
        "curves": ["Training curves: top-1", "Training curves: loss"],
    }


@pytest.mark.parametrize("name", ["head and tail", "by loss", "recall", "tail", "reliability"])
def test_a_figure_has_a_panel_a_backbone_and_a_key_a_loss(name):
    figure = of_study(name)[0]
    assert [each.title for each in figure.panels] == ["resnet", "vit"]
    assert [key.label for key in figure.keys][:2] == ["focal", "ldam"]


@pytest.mark.parametrize("name", ["recall", "tail", "reliability", "curves"])
def test_published_accuracies_have_no_figures_of_single_images(name):
    runs = [make(loss, origin="accuracies") for loss in ("focal", "ldam")]
    assert figures(compared(*runs), name) == []


@pytest.mark.parametrize("name", ["recall", "tail", "reliability", "curves"])
def test_without_details_there_are_no_figures_of_them(name):
    assert figures(compared(*RUNS, details=False), name) == []


def test_a_balanced_training_set_has_no_recall_by_training_images():
    assert figures(compared(make(counts=np.full(6, 50))), "recall") == []


def test_means_over_one_backbone_are_not_drawn():
    titles = [figure.title for figure in figures(compared(make("focal"), make("ldam")), "averages")]
    assert titles == ["Accuracy by group and backbone, over losses"]


def test_groups_stand_with_their_images():
    (figure,) = of_study("by loss")
    shown = texts(figure.panels[0].svg)
    assert {"Balanced", "Long-tailed", "Head", "Middle", "Tail", "n=48"} <= set(shown)
    (figure,) = figures(compared(make(views={"tail": np.arange(3)})), "by loss")
    assert "Head" not in texts(figure.panels[0].svg)


def test_accuracies_stand_at_their_height():
    (figure,) = figures(compared(make(hits=12), make("ldam", hits=36)), "by loss")
    svg, hue = figure.panels[0].svg, (Sign.numbered(0).colour, Sign.numbered(1).colour)
    (_, low), (_, high) = (min(points(svg, colour)) for colour in hue)
    ticks = {
        element.text: float(element.get("y"))
        for element in ET.fromstring(svg).iter()
        if element.tag.endswith("}text") and (element.text or "").isdigit()
    }
    per_point = (ticks["0"] - ticks["20"]) / 20
    assert (low - high) / per_point == pytest.approx(100 * (36 - 12) / 48, abs=0.01)


def test_whiskers_are_said_to_be_what_they_are():
    (figure,) = of_study("by loss")
    assert "95 % Wilson interval of a single run" in figure.caption
    assert "(ddof 1)" in figure.caption
    for figure in of_study("averages"):
        assert "± the population's standard deviation (ddof 0)" in figure.caption


def sizes(svg):
    """Colour -> how far its mark reaches from its place."""
    root = ET.fromstring(svg)
    reach = {
        f"#{element.get('id')}": max(
            map(abs, map(float, re.findall(r"-?[\d.]+", element.get("d"))))
        )
        for element in root.iter()
        if element.tag.endswith("}path") and element.get("id")
    }
    return {
        re.search(r"stroke: (#\w+)", element.get("style"))[1]: reach[
            element.get("{http://www.w3.org/1999/xlink}href")
        ]
        for element in root.iter()
        if element.tag.endswith("}use") and "stroke: #" in element.get("style", "")
    }


def test_of_losses_that_coincide_one_is_a_mark_and_the_others_rings_around_it():
    runs = [make("focal"), make("ldam"), make("zzz", hits=4)]
    (figure,) = figures(compared(*runs), "head and tail")
    colours = [Sign.numbered(number).colour for number in range(3)]
    first, second, alone = (sizes(figure.panels[0].svg)[colour] for colour in colours)
    assert first > second + 1
    assert alone == pytest.approx(second, abs=0.5)
    assert "rings around it" in figure.caption
    filled = {colour for colour in colours if points(figure.panels[0].svg, colour)}
    assert filled == set(colours[1:])


def test_the_head_against_the_tail_has_the_same_axes_in_each_panel():
    runs = [make(hits=20), make(backbone="vit", hits=44)]
    (figure,) = figures(compared(*runs), "head and tail")
    one, other = (texts(each.svg) for each in figure.panels)
    assert one == other


def test_a_mark_at_nothing_stands_above_the_names_of_the_groups():
    (figure,) = figures(compared(make(hits=0)), "by loss")
    svg = figure.panels[0].svg
    below = max(y for _, y in points(svg, Sign.numbered(0).colour))
    names = [
        float(element.get("y"))
        for element in ET.fromstring(svg).iter()
        if element.tag.endswith("}text") and element.text == "Tail"
    ]
    assert names[0] - below > 14


def test_a_class_without_a_training_image_is_drawn():
    run = make(counts=np.array([200, 60, 30, 12, 5, 0]))
    (figure,) = figures(compared(run), "distribution")
    assert "200 of the largest class and 0 of the smallest" in figure.caption
    assert len(figures(compared(run), "recall")) == 1


def test_classes_without_any_training_image_are_drawn_without_a_warning():
    assert len(figures(compared(make(counts=np.zeros(6, dtype=np.int64))), "distribution")) == 1


@pytest.mark.parametrize("name", FIGURES)
def test_no_name_is_in_a_drawing(name):
    for figure in of_study(name):
        for each in figure.panels:
            names = ("focal", "ldam", "resnet", "vit", "pictures")
            assert not [word for word in names if word in each.svg]


@pytest.mark.parametrize("name", FIGURES)
def test_names_that_no_font_holds_draw_without_a_warning(name):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figures(compared(make("損失$x^$"), make("ldam")), name)


def test_the_same_drawing_has_the_same_bytes_whatever_the_settings_are(monkeypatch):
    before = of_study("by loss")
    monkeypatch.setitem(mpl.rcParams, "font.size", 30)
    monkeypatch.setitem(mpl.rcParams, "svg.fonttype", "path")
    monkeypatch.setitem(mpl.rcParams, "axes.linewidth", 9)
    assert figures(compared(*RUNS), "by loss") == before
    assert mpl.rcParams["font.size"] == 30
    assert "<dc:date>" not in before[0].panels[0].svg


def test_signs_differ_in_more_than_colour():
    signs = [Sign.numbered(number) for number in range(MOST_SERIES)]
    assert len({sign.marker for sign in signs}) == MOST_SERIES
    assert signs[0].colour == signs[8].colour


def test_a_loss_has_one_sign_on_the_whole_page():
    balanced = [make(loss, counts=np.full(6, 50), dataset="even") for loss in ("ldam", "zzz")]
    selection = select(compared(*RUNS, *balanced))
    assert list(selection.losses) == ["focal", "ldam", "zzz"]
    assert [s.colour for s in selection.losses.values()] == [
        Sign.numbered(number).colour for number in range(3)
    ]
    assert selection.note == ""


def test_of_many_losses_and_backbones_the_most_accurate_are_drawn_and_it_is_said():
    losses = [make(f"loss_{n:02d}", hits=n + 10) for n in range(MOST_SERIES + 3)]
    selection = select(compared(*losses))
    assert list(selection.losses) == [f"loss_{n:02d}" for n in range(3, MOST_SERIES + 3)]
    assert selection.note == ("10 of 13 losses are drawn, the most accurate. The tables hold all.")
    backbones = [make(backbone=f"net_{n:02d}", hits=40 - n) for n in range(MOST_SERIES + 1)]
    assert "10 of 11 backbones are drawn" in select(compared(*backbones)).note


def test_of_many_settings_the_first_are_drawn_and_it_is_said():
    runs = [make(dataset=f"data_{n}") for n in range(MOST_SETTINGS + 1)]
    selection = select(compared(*runs))
    assert len(selection.settings) == MOST_SETTINGS
    assert selection.note == "6 of 7 settings are drawn, the first. The tables hold all."


def test_pooling_adds_seeds():
    comparison = compared(make(seed=1, hits=30), make(seed=2, hits=40))
    (cell,) = comparison.settings[0].cells.values()
    known = pooled(cell)
    each = [run.details for run in cell.runs]
    assert np.array_equal(known.confusion, each[0].confusion + each[1].confusion)
    diagram = known.reliability["balanced"]
    assert diagram.images.sum() == 96
    filled = diagram.images > 0
    assert diagram.accuracy[filled] == pytest.approx([(30 + 40) / 96])
    assert np.isnan(diagram.accuracy[~filled]).all()


def test_nothing_is_pooled_of_published_accuracies():
    (cell,) = compared(make(origin="accuracies")).settings[0].cells.values()
    assert pooled(cell) is None


def test_classes_are_those_of_any_run_with_details():
    comparison = compared(make())
    assert classes_of(comparison.settings[0]).names == tuple("abcdef")
    assert classes_of(compared(make(), details=False).settings[0]) is None


def pool(confusion, counts=(8, 8, 4, 4, 2, 0)):
    classes = Classes(tuple("abcdef"), np.array(counts), np.repeat([0, 1, 2], 2).astype("u1"))
    return Pooled(classes, np.asarray(confusion), dict[str, Reliability]())


def test_recall_is_of_all_images_of_classes_of_similar_size():
    confusion = np.diag([1, 3, 2, 2, 0, 0])
    confusion[0, 1] = 3  # 1 of 4 right, and 3 of 3: 4 of 7 together
    images, recall = pool(confusion).recall_by_training_images(3)
    assert images == pytest.approx([8, 4])
    assert recall == pytest.approx([400 / 7, 100])


def test_a_class_without_a_training_image_stands_below_one():
    images, _ = pool(np.eye(6, dtype=np.int64)).recall_by_training_images(6)
    assert images.tolist() == pytest.approx([8, 8, 4, 4, 2, 0.5])


def test_shares_of_the_tail_are_of_its_images():
    confusion = np.zeros((6, 6), dtype=np.int64)
    confusion[0, 4] = 99  # no image of the tail
    confusion[4, [4, 5, 2, 0]] = [4, 2, 1, 1]
    confusion[5, [5, 1]] = [1, 1]
    assert pool(confusion).shares_of_tail().tolist() == [50, 20, 10, 20]
    assert pool(np.zeros((6, 6), dtype=np.int64)).shares_of_tail() is None


def drawn(**more):
    with drawing_style():
        each = panel("t", "d", lambda axes: axes.plot((1, 2), (3, 4), color="#0064aa", marker="o"))
    return inline(
        each.svg,
        **{"key": "f1", "title": "a <b> & c", "description": "d", "colours": COLOURS, **more},
    )


def test_a_drawing_in_the_page_has_no_style_of_its_own():
    text = drawn()
    assert "style" not in text
    assert "#0064aa" not in text
    assert "stroke-series-0" in text
    assert "fill-ink" in text
    assert not re.search(r"<\?xml|xmlns|<\w+:", text)
    assert "metadata" not in text


def test_a_drawing_scales_and_has_a_name_and_a_description():
    root = ET.fromstring(drawn())
    assert root.get("viewBox")
    assert root.get("width") is None
    assert root.get("role") == "img"
    ids = {element.get("id"): element.text for element in root.iter() if element.get("id")}
    assert ids[root.get("aria-labelledby")] == "a <b> & c"
    assert ids[root.get("aria-describedby")] == "d"
    assert "a &lt;b&gt; &amp; c" in drawn()


def test_ids_of_a_drawing_begin_with_its_key_and_are_referred_to():
    text = drawn(key="other")
    ids = re.findall(r'\bid="([^"]+)"', text)
    assert all(name.startswith("other-") for name in ids)
    referred = re.findall(r"url\(#([^)]+)\)", text) + re.findall(r'href="#([^"]+)"', text)
    assert referred
    assert set(referred) <= set(ids)


def test_a_hatched_bar_takes_the_colours_of_the_page():
    with drawing_style():
        each = panel("t", "d", lambda axes: axes.bar((1,), (2,), color="#0064aa", hatch="//"))
    text = inline(each.svg, key="k", title="t", description="d", colours=COLOURS)
    assert "<pattern" in text
    assert "#0064aa" not in text


def test_a_symbol_is_hidden_from_those_who_hear_the_page():
    with drawing_style():
        each = panel("t", "d", lambda axes: None)
    root = ET.fromstring(symbol(each.svg, key="k", colours=COLOURS))
    assert root.get("aria-hidden") == "true"
    assert root.get("width") == "331.2pt"
