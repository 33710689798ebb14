"""The HTML report in a real browser: opened from disk, in light and dark, wide and on a phone."""

from __future__ import annotations

import itertools
import shutil
from dataclasses import dataclass, field

import numpy as np
import pytest
from playwright.sync_api import sync_playwright

from ltcore.predictions import Predictions
from ltcore.protocol import class_groups, evaluation_views, ranks
from ltcore.reporting.analysis import Analysis
from ltcore.reporting.reporters.html import Html
from ltcore.reporting.study import compare
from ltcore.results import Results
from ltcore.spec import RunSpec
from ltcore.splits import Classes
from ltcore.testing.comparisons import HOSTILE, hostile_comparison

COUNTS = np.array([200, 60, 30, 12, 5, 2])
LABEL = np.repeat(np.arange(6), 12)
IDS = np.array([f"test/{index}" for index in range(len(LABEL))])
VIEWS = evaluation_views(LABEL, IDS, train_counts=COUNTS, rank=ranks(COUNTS), factor=0.1, seed=0)
STRENGTH = {"ce": 0.8, "ldam": 1.6, "focal_loss": 2.6}
CANARY = "<img src=x onerror=\"document.title='run'\"><script>document.title='run'</script>"
SCHEMES, WIDTHS = ("light", "dark"), (1280, 375)


def make(backbone, loss, **more):
    random = np.random.default_rng([len(backbone), len(loss)])
    logits = random.normal(size=(len(LABEL), len(COUNTS))).astype(np.float32)
    logits[np.arange(len(LABEL)), LABEL] += STRENGTH[loss]
    epochs = np.arange(12)
    history = {"epoch": epochs, "val_top1": epochs / 20, "train_loss": 2.0 - epochs / 9}
    return Results(
        spec=RunSpec(dataset="pictures", backbone=backbone, loss=loss),
        name=f"{backbone}-{loss}",
        classes=Classes(tuple("abcdef"), COUNTS, class_groups(ranks(COUNTS))),
        test=Predictions.from_logits(logits, LABEL, IDS, VIEWS),
        history=history,
        best_epoch=11,
        **more,
    )


def comparison():
    runs = [make(b, x) for b in ("resnet", "vit") for x in ("ce", "ldam", "focal_loss")]
    return compare([*runs[:-1], "no-such-file.h5"], Analysis(details=True, baseline="ldam"))


def published_comparison():
    losses = ("ce", "ldam")
    runs = [make("resnet", loss, origin="accuracies") for loss in losses]
    return compare(runs, Analysis(details=True))


def hostile_details():
    """The hostile comparison, and runs whose every name is a script."""
    runs = [
        Results(
            spec=RunSpec(dataset=CANARY, backbone=CANARY, loss=loss),
            name=CANARY,
            classes=Classes(tuple(f"{n}{CANARY}" for n in range(6)), COUNTS, np.arange(6) // 2),
            test=Predictions.from_logits(
                np.eye(6, dtype=np.float32)[(LABEL + 1) % 6], LABEL, IDS, VIEWS
            ),
            environment={CANARY: CANARY},
        )
        for loss in (CANARY, f"{CANARY}2")
    ]
    return compare(runs, Analysis(details=True))


COMPARISONS = {
    "runs": comparison,
    "published": published_comparison,
    "hostile": hostile_comparison,
    "canaries": hostile_details,
}


@dataclass
class Opened:
    """A page in the browser, and what it said and asked for while it was opened."""

    page: object
    url: str
    said: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def browser():
    path = shutil.which("chromium")
    if path is None:
        pytest.fail("The tests of the HTML report need Chromium: apt-get install chromium")
    with sync_playwright() as playwright:
        # Without a sandbox, which containers have no rights for; the pages are our own.
        browser = playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox", "--disable-gpu"]
        )
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("html")
    paths = {}
    for name, make_comparison in COMPARISONS.items():
        paths[name] = folder / f"{name}.html"
        paths[name].write_text(Html().render(make_comparison()), encoding="utf-8", newline="")
    return paths


@pytest.fixture(scope="module")
def opened(browser, files):
    """Each page, opened once, in the surroundings that a test asks for."""
    pages = {}

    def open_in(name, width=1280, scheme="light"):
        if name not in pages:
            found = pages[name] = Opened(browser.new_page(), files[name].as_uri())
            found.page.set_default_timeout(5_000)
            found.page.on("console", lambda message: found.said.append(message.text))
            found.page.on("pageerror", lambda error: found.said.append(str(error)))
            found.page.on("request", lambda request: found.requests.append(request.url))
            found.page.goto(found.url)
            found.page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
        pages[name].page.set_viewport_size({"width": width, "height": 900})
        pages[name].page.emulate_media(color_scheme=scheme)
        return pages[name]

    return open_in


everywhere = pytest.mark.parametrize(
    ("name", "width", "scheme"),
    [(name, width, scheme) for name in COMPARISONS for width in WIDTHS for scheme in SCHEMES],
)
every_page = pytest.mark.parametrize("name", COMPARISONS)


@everywhere
def test_a_page_says_nothing_and_asks_for_nothing_but_itself(opened, name, width, scheme):
    found = opened(name, width, scheme)
    assert found.said == []
    assert found.requests == [found.url]


@everywhere
def test_no_page_scrolls_sideways(opened, name, width, scheme):
    page = opened(name, width, scheme).page
    assert page.evaluate("document.scrollingElement.scrollWidth <= innerWidth")


@everywhere
def test_every_drawing_can_be_seen(opened, name, width, scheme):
    sizes = opened(name, width, scheme).page.evaluate(
        "[...document.querySelectorAll('svg')].map(s => s.getBoundingClientRect())"
        ".map(box => [box.width, box.height, box.right])"
    )
    assert sizes
    for across, down, right in sizes:
        assert across > 5
        assert down > 5
        assert right <= width


CONTRASTS = """() => {
  const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
  const rgb = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const light = (colour) => {
    const [r, g, b] = rgb(colour).map((v) => v / 255)
      .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const paper = (element) => {
    for (let each = element; each; each = each.parentElement) {
      const colour = getComputedStyle(each).backgroundColor;
      if (rgb(colour)[3] === 255) return colour;
    }
    throw new Error('no background');
  };
  const found = {};
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    const seen = element.getClientRects().length > 0;
    if (!walker.currentNode.data.trim() || !seen || element.closest('script')) continue;
    const style = getComputedStyle(element);
    const ink = element.closest('svg') ? style.fill : style.color;
    const [low, high] = [light(ink), light(paper(element))].sort((a, b) => a - b);
    const key = `${element.closest('svg') ? 'svg ' : ''}${element.tagName.toLowerCase()}`;
    found[key] = Math.min(found[key] ?? 21, (high + 0.05) / (low + 0.05));
  }
  return found;
}"""


@pytest.mark.parametrize("scheme", SCHEMES)
@every_page
def test_all_text_has_a_contrast_of_at_least_4_5(opened, name, scheme):
    contrasts = opened(name, 1280, scheme).page.evaluate(CONTRASTS)
    assert {"h1", "caption", "svg text", "td", "figcaption"} <= {
        "caption" if key == "span" else key for key in contrasts
    }
    assert {key: value for key, value in contrasts.items() if value < 4.5} == {}


@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_series_stands_out_from_the_paper(opened, scheme):
    ratios = opened("runs", 1280, scheme).page.evaluate(
        """() => {
          const style = getComputedStyle(document.documentElement);
          const light = (name) => {
            const hex = style.getPropertyValue(name).trim();
            const [r, g, b] = [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16) / 255)
              .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
            return 0.2126 * r + 0.7152 * g + 0.0722 * b + 0.05;
          };
          return [...Array(8).keys()].map((n) => light(`--series-${n}`) / light('--paper'));
        }"""
    )
    assert min(max(ratio, 1 / ratio) for ratio in ratios) >= 3


def test_drawings_take_the_colours_of_the_scheme(opened):
    script = (
        "(() => { const text = document.querySelector('svg text');"
        "return [getComputedStyle(text).fill, getComputedStyle(document.body).color]; })()"
    )
    light, dark = (opened("runs", 1280, scheme).page.evaluate(script) for scheme in SCHEMES)
    assert light[0] == light[1]
    assert dark[0] == dark[1]
    assert light != dark


def test_no_drawing_has_paper_of_its_own(opened):
    filled = opened("runs", 1280, "dark").page.evaluate(
        """() => [...document.querySelectorAll('svg.drawing')].flatMap((svg) => {
          const whole = svg.getBoundingClientRect();
          return [...svg.querySelectorAll('path, rect')].filter((shape) => {
            const box = shape.getBoundingClientRect();
            const opaque = getComputedStyle(shape).fill !== 'none';
            return opaque && box.width > 0.9 * whole.width && box.height > 0.9 * whole.height;
          });
        }).length"""
    )
    assert filled == 0


def column_of(table, number):
    """A column's texts, without intervals and marks."""
    cells = table.locator(f"tbody tr > :nth-child({number})").all_text_contents()
    return [text.strip().split(" [")[0].rstrip("*~°‡ ") for text in cells]


def numbers_of(table, number):
    return [float(text) for text in column_of(table, number)]


def test_a_click_sorts_a_table_by_its_numbers_and_back(opened):
    page = opened("runs").page
    table = page.locator("table.sortable").nth(1)  # vit, which lacks a run
    heading = table.locator("thead th").nth(1)
    assert heading.get_attribute("aria-sort") is None
    heading.get_by_role("button").click()
    assert heading.get_attribute("aria-sort") == "ascending"
    *values, missing = column_of(table, 2)
    assert missing == "no run"
    numbers = [float(text) for text in values]
    assert len(numbers) == 2
    assert numbers == sorted(numbers)
    heading.get_by_role("button").click()
    assert heading.get_attribute("aria-sort") == "descending"
    *values, missing = column_of(table, 2)
    assert missing == "no run"
    assert [float(text) for text in values] == numbers[::-1]


def test_the_keyboard_sorts_a_table(opened):
    page = opened("runs").page
    table = page.locator("table.sortable").first
    first, second = table.locator("thead th").nth(0), table.locator("thead th").nth(2)
    second.get_by_role("button").focus()
    page.keyboard.press("Enter")
    assert second.get_attribute("aria-sort") == "ascending"
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Space")
    assert first.get_attribute("aria-sort") == "ascending"
    assert second.get_attribute("aria-sort") is None
    assert column_of(table, 1) == ["ce", "focal_loss", "ldam"]


def test_signed_numbers_sort_by_their_value(opened):
    page = opened("runs", 1280, "dark").page
    table = page.locator("table.sortable", has_text="gain over ldam").first
    heading = table.locator("thead th").nth(1)
    heading.get_by_role("button").click()
    gains = numbers_of(table, 2)
    heading.get_by_role("button").click()
    assert numbers_of(table, 2) == sorted(gains)[::-1]
    assert gains == sorted(gains)
    assert min(gains) < 0 < max(gains)


def test_sorting_moves_whole_rows(opened):
    page = opened("runs", 375).page
    table = page.locator("table.sortable").first
    before = sorted(table.locator("tbody tr").all_text_contents())
    table.locator("thead button").nth(1).click()
    assert sorted(table.locator("tbody tr").all_text_contents()) == before


def test_focus_can_be_seen(opened):
    page = opened("runs").page
    button = page.locator("thead button").first
    button.focus()
    page.keyboard.press("Tab")
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"


def test_the_first_stop_of_the_keyboard_skips_to_the_report(opened, browser):
    page = browser.new_page()
    page.goto(opened("published").url)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the report"
    assert page.evaluate("document.activeElement.getBoundingClientRect().left >= 0")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    page.close()


@every_page
def test_headings_go_down_one_level_at_a_time(opened, name):
    levels = opened(name).page.evaluate(
        "[...document.querySelectorAll('h1,h2,h3,h4,h5,h6')].map(h => Number(h.tagName[1]))"
    )
    assert levels[0] == 1
    assert levels.count(1) == 1
    steps = [after - before for before, after in itertools.pairwise(levels)]
    assert max(steps) <= 1


@every_page
def test_every_id_is_unique_and_every_reference_finds_its_target(opened, name):
    page = opened(name).page
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map(e => e.id)")
    assert len(ids) == len(set(ids))
    missing = page.evaluate(
        """() => [...document.querySelectorAll('*')].flatMap((element) =>
          [...element.attributes].flatMap(({name, value}) => {
            if (name.startsWith('aria-labelledby') || name.startsWith('aria-describedby'))
              return value.split(' ');
            if (/href$/.test(name) && value.startsWith('#')) return [value.slice(1)];
            return [...value.matchAll(/url\\(#([^)]+)\\)/g)].map((match) => match[1]);
          })).filter((id) => !document.getElementById(id))"""
    )
    assert missing == []


@every_page
def test_figures_tables_and_drawings_have_names(opened, name):
    page = opened(name).page
    # Chromium's accessibility tree: - figure "its name":
    lines = [line.strip(" -'") for line in page.locator("main").aria_snapshot().splitlines()]
    for role in ("figure", "img", "table"):
        assert any(line.startswith(f'{role} "') for line in lines)
        assert not [line for line in lines if line.startswith(f"{role}:")]


def test_tables_say_what_their_headings_head(opened):
    page = opened("runs").page
    assert page.locator("th:not([scope])").count() == 0
    assert page.locator("thead th:not([scope=col])").count() == 0
    assert page.locator("tbody th:not([scope=row])").count() == 0
    assert page.locator("table:not(:has(caption))").count() == 0
    assert page.evaluate("document.documentElement.lang") == "en"


def test_hostile_names_are_text(opened):
    page = opened("canaries").page
    assert "run" not in page.title().split()
    assert page.locator("main img, main script").count() == 0
    assert CANARY in page.locator("summary").first.text_content()
    shown = opened("hostile").page.locator("body").text_content()
    assert "=1+1" in HOSTILE
    assert "=1+1\\x00\\x07\\x1b[31m\\x9b\\u202e\\r\\nforged<script>" in shown


def test_a_script_that_got_in_would_not_run(browser, files, tmp_path):
    text = files["published"].read_text(encoding="utf-8")
    path = tmp_path / "broken.html"
    path.write_text(text.replace("</main>", f"{CANARY}</main>"), encoding="utf-8")
    page = browser.new_page()
    blocked = []
    page.on("console", lambda message: blocked.append(message.text))
    page.goto(path.as_uri())
    assert page.title() != "run"
    assert any("Content Security Policy" in text for text in blocked)
    page.close()


def test_published_runs_have_no_figures_of_single_images(opened):
    page = opened("published").page
    assert page.locator("figure h4").all_text_contents() == [
        "Training images of each class",
        "Accuracy by group and backbone, over losses",
        "Head against tail",
        "Accuracy by group and loss",
        "Training curves: top-1",
        "Training curves: loss",
    ]
    assert page.get_by_text("most frequent confusions").count() == 0


def test_wide_tables_scroll_in_their_own_box_on_a_phone(opened):
    page = opened("runs", 375).page
    scrolled = page.evaluate(
        "(() => { const box = document.querySelector('.scroll'); box.scrollLeft = 50;"
        "return [box.scrollWidth > box.clientWidth, box.scrollLeft]; })()"
    )
    assert scrolled == [True, 50]


def test_the_first_column_stays_when_a_table_scrolls(opened):
    page = opened("runs", 375).page
    first, second, scrolled = page.evaluate(
        """() => {
          const box = document.querySelector('.scroll');
          const left = (cell) => cell.getBoundingClientRect().left;
          const cells = [...box.querySelector('tbody tr').cells].slice(0, 2);
          box.scrollLeft = 0;
          const before = cells.map(left);
          box.scrollLeft = 40;
          return [...cells.map((cell, at) => before[at] - left(cell)), box.scrollLeft];
        }"""
    )
    assert scrolled == 40
    assert (first, second) == (0, 40)


@pytest.mark.parametrize("width", WIDTHS)
def test_words_stand_to_the_left_and_wrap_and_numbers_do_neither(opened, width):
    page = opened("canaries", width).page  # whose names are long
    words, numbers = page.evaluate(
        """() => ['td.text', 'td:not(.text)'].map((kind) =>
          [...document.querySelectorAll(kind)].filter((cell) => cell.clientWidth).map((cell) => {
            const style = getComputedStyle(cell);
            return [style.textAlign, style.whiteSpace, cell.clientWidth <= innerWidth];
          }))"""
    )
    assert {(align, inside) for align, _, inside in words} == {("left", True)}
    assert {(align, space) for align, space, _ in numbers} == {("right", "nowrap")}


def test_text_in_drawings_can_be_read_on_a_phone(opened):
    smallest = opened("runs", 375).page.evaluate(
        "Math.min(...[...document.querySelectorAll('svg.drawing text')]"
        ".map(t => parseFloat(t.getAttribute('font-size')) * t.getScreenCTM().a || 99))"
    )
    assert smallest >= 8


def test_a_print_leaves_out_what_paper_cannot_do(opened):
    page = opened("published", 1280, "dark").page
    assert page.locator("nav").is_visible()
    page.emulate_media(media="print", color_scheme="dark")
    try:
        assert not page.locator("nav").is_visible()
        paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert paper == "rgb(255, 255, 255)"
    finally:
        page.emulate_media(media="screen")
