"""Every widget in a real browser: moved with the keyboard, it draws another picture, soon enough,
on light pages and on dark ones.
"""

import os
import time

import pytest
from lab import Widget, open_notebook, run_all, theme, write_notebook

from rnnkit.widgets import WIDGETS

SAVE_AND_END = """async () => {
    const panel = window.jupyterapp.shell.currentWidget;
    await panel.context.save(); await panel.sessionContext.shutdown(); }"""
SOON = 0.2  # seconds, on a machine that does nothing else
STORED = ("one_number_per_unit", "read_the_stack", "trials_explorer")
MOVES = {  # widget -> (how, control, and what to choose)
    "memorise_me": [
        ("press", "labels per parameter"),
        ("press", "time steps"),
        ("press", "parameters"),
        ("select", "cell", "GRU"),
    ],
    "inside_a_cell": [
        ("press", "recurrent scale"),
        ("press", "forget bias"),
        ("select", "cell", "LSTM"),
        ("select", "input", "noise"),
    ],
    "one_number_per_unit": [
        ("press", "units per layer"),
        ("press", "vector"),
        ("select", "cell", "LSTM"),
        ("select", "layers", "2"),
    ],
    "luck_of_the_draw": [
        ("press", "layers"),
        ("select", "cell", "LSTM"),
        ("select", "against", "+RNN"),
    ],
    "tuner_thinks": [("press", "seed"), ("select", "minimise", "a landscape")],
    "read_the_stack": [("type", "type", "("), ("type", "type", "a"), ("type", "type", ")")],
    "trials_explorer": [
        ("press", "trial, best first"),
        ("press", "parameters"),
        ("select", "against", "optimizer"),
    ],
}


@pytest.fixture(scope="module")
def errors():
    return []


@pytest.fixture(scope="module")
def page(browser, address, folder, store, errors):
    """One notebook with every widget in a cell of its own."""
    settings = {name: f", store={store.name!r}" if name in STORED else "" for name in WIDGETS}
    write_notebook(
        folder / "widgets.ipynb",
        "import rnnkit as rk",
        *(f"rk.widget({name!r}{settings[name]})" for name in WIDGETS),
    )
    page = open_notebook(browser, address, "widgets.ipynb", errors)
    assert run_all(page) == []
    return page


def shown(page, name):
    return Widget(page, list(WIDGETS).index(name))


def allowed() -> float:
    """Seconds that an answer may take here and now: more, the more others are at work."""
    return SOON * max(1.0, 1.5 * os.getloadavg()[0] / (os.cpu_count() or 1))


def test_every_widget_is_moved_below():
    assert set(MOVES) == set(WIDGETS)


@pytest.mark.parametrize("name", WIDGETS)
def test_a_move_is_answered_soon_by_another_picture_and_sentence(page, name, answers, picture):
    widget = shown(page, name)
    for how, control, *rest in MOVES[name]:
        before = widget.drawn
        said = widget.sentence
        first = widget.chosen(control) if how == "select" else None
        seconds = [getattr(widget, how)(control, *rest)]
        assert widget.drawn > before and said, f"{name}: {control}"
        widget.settle()
        if how == "press":  # there and back: what was slow the first time shall not be so again
            seconds += [widget.press(control, key) for key in ("ArrowLeft", "ArrowRight") * 2]
        elif how == "select":
            seconds += [widget.select(control, label) for label in (first, *rest) * 2]
        answers[f"{name}: {control}"] = answers.get(f"{name}: {control}", []) + seconds
    picture(page, f"widget_{name}")
    slow = {
        what: min(times)
        for what, times in answers.items()
        if what.startswith(name) and len(times) > 2 and min(times) > allowed()
    }
    assert slow == {}, f"more than {allowed():.2f} s"


@pytest.mark.parametrize("name", WIDGETS)
def test_every_control_is_reached_with_the_tab_key_and_has_a_name(page, name):
    widget = shown(page, name)
    focusable = widget.at.locator(
        ".rnnkit-controls :is([tabindex='0'], select, input, button):not([disabled]):visible"
    )
    focusable.first.focus()
    for k in range(focusable.count()):
        for _ in range(2):  # a slider's number can be typed over, and has a stop of its own
            if not focusable.nth(k).evaluate("e => e === document.activeElement"):
                page.keyboard.press("Tab")
        assert focusable.nth(k).evaluate("e => e === document.activeElement"), (
            f"control {k} of {name}"
        )
        assert focusable.nth(k).evaluate(
            "e => !!(e.getAttribute('aria-label') || e.textContent || (e.labels &&"
            " e.labels.length))"
        )


def test_a_slider_is_renamed_and_hidden_with_the_cells_gates(page):
    """For those who hear its name, too."""
    widget = shown(page, "inside_a_cell")
    names = """e => [...e.querySelectorAll(".noUi-handle")]
        .filter(handle => handle.checkVisibility()).map(handle => handle.ariaLabel)"""
    for cell, last in (("LSTM", "bias of o"), ("GRU", "bias of u"), ("RNN", "forget bias")):
        widget.control("cell").locator("select").select_option(label=cell)
        widget.settle()
        assert widget.at.evaluate(names)[-1] == last


def test_the_arrow_keys_of_a_list_are_its_own(page):
    """And not JupyterLab's, which would go to the next cell."""
    widget = shown(page, "inside_a_cell")
    cells = widget.control("cell").locator("select")
    cells.select_option(label="RNN")
    widget.settle()
    cells.focus()
    assert widget.timed(lambda: page.keyboard.press("ArrowDown")) and cells.input_value() == "IRNN"


@pytest.mark.parametrize("name", WIDGETS)
def test_the_picture_has_its_sentence_as_text_for_those_who_cannot_see_it(page, name):
    widget = shown(page, name)
    assert widget.image.get_attribute("alt") == widget.sentence != ""


def test_training_moves_the_curve_and_stops_when_told(page, picture):
    widget = shown(page, "memorise_me")
    widget.click("train")
    widget.until("right after")
    before = widget.drawn
    time.sleep(1.5)
    assert widget.drawn > before and "stored bits" in widget.sentence
    picture(page, "training")
    widget.click("stop")
    widget.settle()
    assert widget.at.locator("button", has_text="train").count() == 1  # it can go on


def test_a_move_during_training_is_answered(page):
    widget = shown(page, "memorise_me")
    widget.click("train")
    time.sleep(1)
    widget.press("labels per parameter")
    widget.settle()
    assert "Press train." in widget.sentence


def test_draws_are_counted_until_they_are_stopped(page, picture):
    widget = shown(page, "luck_of_the_draw")
    widget.click("draw")
    widget.until("diverged")
    picture(page, "drawing")
    widget.click("stop")
    widget.settle()
    assert "diverged" in widget.sentence


def test_a_click_into_the_cloud_describes_another_trial(page):
    widget = shown(page, "trials_explorer")
    widget.control("parameters").locator(".noUi-handle").focus()
    for _ in range(12):
        page.keyboard.press("ArrowLeft")  # to all sizes
    for label in ("cells", "layers"):
        choices = widget.control(label).locator("select")
        every = choices.evaluate("list => [...list.options].map(option => option.label)")
        choices.select_option(label=every)
    widget.settle()
    box = widget.image.bounding_box()
    details = widget.at.locator(".rnnkit-details")

    def click(x, y):
        page.mouse.click(box["x"] + x * box["width"], box["y"] + y * box["height"])

    click(0.3, 0.3)  # the trial that is described now may be the one nearest to the second click
    widget.settle()
    said = details.inner_text()
    widget.timed(lambda: click(0.6, 0.8))
    widget.settle()
    assert details.inner_text() != said


def test_pictures_turn_dark_with_the_page(page, picture):
    """The colour of the picture's corner is that of the page behind it."""
    corner = """async (image) => { const c = document.createElement('canvas'); c.width = c.height = 1;
        const d = c.getContext('2d'); d.drawImage(image, 0, 0); return [...d.getImageData(0, 0, 1, 1).data].slice(0, 3); }"""
    theme(page, "JupyterLab Dark")
    time.sleep(3)
    for name in WIDGETS:
        widget = shown(page, name)
        assert max(widget.image.evaluate(corner)) < 40, name
        picture(page, f"dark_{name}")
    theme(page, "JupyterLab Light")
    time.sleep(3)
    assert min(shown(page, "memorise_me").image.evaluate(corner)) > 240


def test_the_page_raised_no_error(page, errors):
    assert errors == []


def test_a_slider_speaks_its_value(page):
    """And not the place of the value in a list."""
    for name, label in (("memorise_me", "parameters"), ("one_number_per_unit", "units per layer")):
        slider = shown(page, name).control(label)
        shown(page, name).press(label, "ArrowLeft")
        readout = slider.locator(".widget-readout").inner_text()
        handle = slider.locator(".noUi-handle")
        handle.evaluate("e => new Promise(done => setTimeout(done, 100))")
        assert handle.get_attribute("aria-valuetext") == readout.strip()


def test_a_saved_notebook_shows_every_widget_when_it_is_opened_again(
    browser, address, folder, store, errors, picture
):
    """Each shows the picture that it had when it was saved, without its kernel, and says that it is
    a still.
    """
    settings = {name: f", store={store.name!r}" if name in STORED else "" for name in WIDGETS}
    cells = [f'rk.widget("{name}"{settings[name]})' for name in WIDGETS]
    write_notebook(folder / "saved.ipynb", "import rnnkit as rk", *cells)
    page = open_notebook(browser, address, "saved.ipynb", errors)
    assert run_all(page) == []
    Widget(page, list(WIDGETS).index("inside_a_cell")).select("cell", "UGRNN")
    said = [Widget(page, k).sentence for k in range(len(WIDGETS))]
    page.evaluate(SAVE_AND_END)
    page.context.close()
    again = open_notebook(browser, address, "saved.ipynb", errors, cleared=False)
    for k, name in enumerate(WIDGETS):
        widget = Widget(again, k)
        widget.at.locator(".rnnkit-still").wait_for()
        assert widget.sentence == said[k] and said[k], name
        assert widget.image.evaluate("image => image.naturalWidth") > 500, name
        picture(again, f"opened_again_{name}")
    assert said[list(WIDGETS).index("inside_a_cell")].startswith("UGRNN")
    assert "model not found" not in again.locator(".jp-Notebook").inner_text()
    again.context.close()
