"""The frame of the widgets: legible colours, pictures that answer, work that can be stopped, a
still picture where nobody is present.
"""

import asyncio
import threading
from io import BytesIO
from pathlib import Path

import matplotlib
import pytest
from PIL import Image

from rnnkit.exhibits.style import PAPER_STYLE
from rnnkit.widgets import WIDGETS, Panel, button, choice, slider, theme_for, widget
from rnnkit.widgets import panel as frame
from rnnkit.widgets.panel import STILL, png
from rnnkit.widgets.theme import contrast

LIGHT = theme_for("#ffffff")
DARK = theme_for("#111111")


def draw(figure, theme, *, height, kind="line"):
    """A small picture that says its height."""
    ax = figure.subplots()
    ax.plot([0, 1], [0, height], color=theme.ink)
    if height > 4:
        raise ValueError("too high")
    return f"{kind} of height {height}."


def panel(**settings):
    controls = {"height": slider("height", 0, 5, 1), "kind": choice("kind", ("line", "curve"))}
    return Panel(draw, controls, **{"size": (2, 1), **settings})


@pytest.fixture
def watched(monkeypatch):
    """As if a person sat before the notebook."""
    monkeypatch.setattr(frame, "someone_answers", lambda: True)


# --- colours --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "one, other, ratio",
    [("#000000", "#ffffff", 21), ("#777777", "#ffffff", 4.48), ("#ffffff", "#ffffff", 1)],
)
def test_contrast_is_that_of_the_guidelines(one, other, ratio):
    """Values that WCAG's own checkers give."""
    assert contrast(one, other) == pytest.approx(ratio, abs=0.005)


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_text_stands_out(theme):
    assert (
        contrast(theme.ink, theme.background) >= 7 and contrast(theme.grey, theme.background) >= 4.5
    )  # WCAG AAA and AA


def test_every_architecture_stands_out_on_a_dark_page():
    for name, style in DARK.style_of(PAPER_STYLE).items():
        assert contrast(style.color, DARK.background) >= 3, name


def test_a_light_page_has_the_figures_own_colours():
    for name, style in LIGHT.style_of(PAPER_STYLE).items():
        assert style.color.lower() == PAPER_STYLE[name].color.lower()


def test_a_dark_page_gives_every_architecture_a_colour_of_its_own():
    assert len({style.color for style in DARK.style_of(PAPER_STYLE).values()}) == len(PAPER_STYLE)


# --- a panel --------------------------------------------------------------------------------------


def test_the_same_values_give_the_same_picture():
    assert png(panel().figure()) == png(panel().figure())


def test_a_picture_is_as_large_as_the_screen_should_show_it():
    assert Image.open(BytesIO(png(panel().figure()))).size == (220, 110)


def test_a_picture_has_the_background_of_the_page():
    made = panel()
    made.background = "#102030"
    assert matplotlib.colors.to_hex(made.figure().get_facecolor()) == "#102030"


def test_drawing_leaves_the_readers_own_settings_alone():
    before = dict(matplotlib.rcParams)
    png(panel().figure())
    assert dict(matplotlib.rcParams) == before


def test_where_nobody_answers_there_is_one_picture_and_no_control():
    made = panel()
    data, metadata = made._repr_mimebundle_()
    assert set(data) == {"image/png", "text/plain"} and made.live == {}
    assert metadata["image/png"]["alt"] == f"line of height 1. {STILL}"


def test_a_still_says_below_the_picture_what_it_shows_and_that_it_is_one():
    live = panel().figure()
    still = panel().figure(still=True)
    words = [text.get_text() for part in still.subfigs for text in part.texts]
    assert words == ["line of height 1.", STILL] and live.texts == []
    assert still.get_figheight() > live.get_figheight()


def test_where_nobody_answers_the_picture_can_be_of_another_state():
    made = Panel(
        lambda figure, theme, *, first, done: f"{done} done.",
        {"first": slider("first", 0, 5, 2)},
        {"done": 0},
        still=lambda values: {"done": 5 + values["first"]},
    )
    assert made._repr_mimebundle_()[0]["text/plain"] == f"7 done. {STILL}"


def test_on_a_page_there_are_controls_and_a_picture_for_the_time_without_a_kernel(watched):
    data, _ = panel()._repr_mimebundle_()
    assert {"application/vnd.jupyter.widget-view+json", "image/png"} <= set(data)


def test_it_is_shown_by_ipywidgets_7_too(watched, monkeypatch):
    """Which Colab has, and the boxes of which cannot say how they are shown."""
    monkeypatch.delattr("ipywidgets.Widget._repr_mimebundle_", raising=False)
    made = panel()
    view = made._repr_mimebundle_()[0]["application/vnd.jupyter.widget-view+json"]
    assert view == {"version_major": 2, "version_minor": 0, "model_id": made.box.model_id}


def test_a_move_draws_another_picture_and_says_another_sentence(watched):
    made = panel()
    made.make()
    before = made.picture.png
    made.live["height"].value = 3
    assert made.picture.png not in (before, b"") and made.picture.sentence == "line of height 3."


def test_every_control_has_a_label_and_an_explanation(watched):
    made = panel()
    made.make()
    assert [(c.description, bool(c.tooltip)) for c in made.live.values()] == [
        ("height", True),
        ("kind", True),
    ]


def test_what_cannot_be_drawn_is_said_on_the_page(watched):
    made = panel()
    made.make()
    made.live["height"].value = 5
    assert made.picture.sentence == "This cannot be drawn: too high"


def test_a_page_that_turns_dark_is_drawn_dark(watched):
    made = panel()
    made.make()
    made.picture.background = "#111111"
    assert made.last.get_facecolor()[:3] == matplotlib.colors.to_rgb("#111111")
    Panel.last_background = "#ffffff"


def test_a_click_is_heard_in_the_axes_own_numbers(watched):
    heard = []
    made = panel(clicked=lambda panel, x, y: heard.append((x, y)))
    made.make()
    ax = made.last.axes[0]
    pixels = ax.transData.transform((0.25, 0.5)) / made.last.bbox.size
    made._receive({"click": [pixels[0], 1 - pixels[1]]})  # the page counts from the top
    made._receive({"click": [0.001, 0.001]})  # beside the axes
    assert heard == [pytest.approx((0.25, 0.5))]


def test_a_button_is_pressed_with_its_panel(watched):
    pressed = []
    made = Panel(lambda figure, theme: "still.", {"go": button("go", pressed.append)})
    made.make()
    made.live["go"].click()
    assert pressed == [made]


# --- work -----------------------------------------------------------------------------------------


def counting(seen, upto=10**6):
    for k in range(upto):
        seen.append(k)
        yield {"height": k % 4}


def work(until):
    """Runs a panel's work in a loop of its own, as a kernel would; `until(panel, seen)` says how it
    goes on.
    """
    buttons = {name: button(name, lambda panel: None) for name in ("count", "jump")}
    made = Panel(draw, buttons, {"height": 0}, size=(2, 1))
    seen = []

    async def loop():
        made.make()
        await until(made, seen)

    asyncio.run(loop())
    return made, seen


def labels(made):
    return [control.description for control in made.live.values()]


def test_work_is_drawn_slice_by_slice_and_says_when_it_is_done(watched):
    async def until(made, seen):
        made.run(counting(seen, 3), "count")
        assert made.running and labels(made) == ["stop", "jump"]
        await made.task

    made, seen = work(until)
    assert seen == [0, 1, 2] and made.picture.sentence == "line of height 2."
    assert not made.running and labels(made) == ["count", "jump"]


def test_work_that_is_stopped_by_its_button_ends_with_its_slice(watched):
    count = []

    async def until(made, seen):
        made.run_or_stop(counting(seen), "count")
        while len(seen) < 3:
            await asyncio.sleep(0.01)
        made.run_or_stop(counting(seen), "count")
        count.append(len(seen))
        await made.task

    made, seen = work(until)
    assert len(seen) <= count[0] + 1 and not made.running and labels(made) == ["count", "jump"]


def test_new_work_takes_the_place_of_old(watched):
    async def until(made, seen):
        made.run(counting(seen), "count")
        old = made.task
        while len(seen) < 2:
            await asyncio.sleep(0.01)
        made.run(iter([{"height": 3}]), "jump")
        await old
        assert labels(made) in (["count", "stop"], ["count", "jump"])  # the old run changes neither
        await made.task

    made, _ = work(until)
    assert made.state["height"] == 3 and labels(made) == ["count", "jump"]


def test_work_that_fails_is_said_on_the_page(watched):
    async def until(made, seen):
        made.run((1 / 0 for _ in range(3)), "count")
        await made.task

    made, _ = work(until)
    assert made.picture.sentence == "It failed: division by zero"
    assert labels(made) == ["count", "jump"]


def test_moves_heard_on_another_thread_are_drawn_on_the_first(watched):
    """As kernels do it that hear of widgets on threads of their own."""
    drawn = []

    def noting(figure, theme, *, height):
        drawn.append((threading.current_thread(), height))
        return "drawn."

    async def loop():
        made = Panel(noting, {"height": slider("height", 0, 5, 1)})
        made.make()
        await asyncio.to_thread(
            lambda: [setattr(made.live["height"], "value", k) for k in (2, 3, 4)]
        )
        await asyncio.sleep(0.05)

    asyncio.run(loop())
    assert {thread for thread, _ in drawn} == {threading.main_thread()} and drawn[-1][1] == 4


def test_moves_that_come_together_are_drawn_once(watched):
    heights = []

    async def loop():
        made = Panel(
            lambda figure, theme, *, height: str(heights.append(height)),
            {"height": slider("height", 0, 5, 1)},
        )
        made.make()
        for k in (2, 3, 4):
            made.live["height"].value = k
        await asyncio.sleep(0.05)

    asyncio.run(loop())
    assert heights == [1, 4]


# --- all widgets ----------------------------------------------------------------------------------


def test_an_unknown_widget_is_refused_with_the_known_ones():
    with pytest.raises(
        ValueError,
        match="widget must be one of .*, got 'memorize_me'. The nearest is 'memorise_me'",
    ):
        widget("memorize_me")


def test_a_setting_of_a_widget_is_understood_as_it_is_spelt_or_refused_at_once():
    cell = widget("inside_a_cell", architecture="GRU").controls["architecture"]
    assert cell.value == "gru"
    with pytest.raises(ValueError, match="cell must be one of rnn, .*'gruu'. The nearest is 'gru'"):
        widget("inside_a_cell", architecture="gruu")
    with pytest.raises(ValueError, match="parameters must be one of .*, got 123. Choose one"):
        widget("memorise_me", max_params=123)


def test_every_module_of_a_widget_is_listed():
    """By the files of the folder: those with a function `widget`."""
    modules = set(Path(frame.__file__).parent.glob("[a-z]*.py"))
    assert {
        path.stem for path in modules if "\ndef widget(" in path.read_text(encoding="utf-8")
    } == set(WIDGETS)
