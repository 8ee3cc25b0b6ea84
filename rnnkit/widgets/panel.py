"""A picture and its controls. It is redrawn when a control moves, and drawn once where nobody can
move one.
"""

import asyncio
import gc
import io
import textwrap
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image

from rnnkit.exhibits.style import Drawing
from rnnkit.threads import one_thread
from rnnkit.widgets.controls import Control
from rnnkit.widgets.theme import WHITE, theme_for

DPI = 110
FOOT = 0.75  # inches below a static picture, for its sentence
COMPILING = "The training step is being compiled; the first time, this takes a few seconds."
STILL = "A still picture: run this cell in Jupyter to move it."


class Panel:
    """Calls `draw(figure, theme, **values)` with the values of `controls` (name -> Control) and of
    `state`; draw returns the picture's sentence, and lines after the first are shown beside the
    picture.

    `size` is in inches of 110 pixels. `changed(panel, name)` is called after a move, before the
    picture is drawn again, and `clicked(panel, x, y)` after a click, with the data coordinates of
    the axes that was hit. `still(values)` takes the values of the controls, and returns the state of
    the static picture for readers who cannot move anything, if it is to show more than the first
    state. A panel is shown if it is the last line of a notebook's cell.
    """

    # of the page that was last looked at; the next panel starts with it
    last_background = WHITE

    def __init__(
        self,
        draw: Callable[..., str],
        controls: Mapping[str, Control],
        state: Mapping[str, Any] | None = None,
        size: tuple[float, float] = (10, 4.4),
        changed: "Callable[[Panel, str], None] | None" = None,
        clicked: "Callable[[Panel, float, float], None] | None" = None,
        still: Callable[[dict], Mapping[str, Any]] | None = None,
    ) -> None:
        self.draw = draw
        self.controls = dict(controls)
        self.state = dict(state or {})
        self.size = size
        self.changed = changed
        self.clicked = clicked
        self.still = still
        self.background = WHITE
        self.ticket: object | None = None  # of the work that is running
        self.loop: asyncio.AbstractEventLoop | None = None
        self.due = False
        self.live: dict[str, Any] = {}  # the ipywidgets controls, once somebody can move them

    @property
    def values(self) -> dict[str, Any]:
        """The arguments of draw: the value of each control (buttons have none), and the state."""
        holders = self.live or self.controls
        names = [name for name, control in self.controls.items() if control.kind != "Button"]
        return {name: holders[name].value for name in names} | self.state

    def figure(self, still: bool = False) -> Drawing:
        """The present picture, with its sentence as `alt`. A static one has the sentence below it,
        and a note that it is static.
        """
        theme = theme_for(self.background)
        width, height = self.size
        with matplotlib.rc_context(theme.look()), one_thread():
            figure = Drawing(figsize=(width, height + FOOT * still), dpi=DPI)
            area = figure
            if still:
                area, below = figure.subfigures(2, 1, height_ratios=[height, FOOT])
            sentence, _, figure.details = self.draw(area, theme, **self.values).partition("\n")
            figure.alt = " ".join(sentence.split())
            if still:
                text = textwrap.fill(
                    figure.alt, round(13.5 * width), max_lines=2, placeholder=" ..."
                )
                below.text(0.012, 0.98, text, va="top", fontsize=10, color=theme.ink)
                below.text(0.012, 0.06, STILL, va="bottom", fontsize=10, color=theme.grey)
                figure.alt += f" {STILL}"
        return figure

    def set(self, **state: Any) -> None:
        """Changes state that no control holds, and draws again."""
        self.state |= state
        self.redraw()

    def redraw(self) -> None:
        """Draws again, if the panel is on a page. Errors are shown there too, since nobody sees an
        exception in a callback.
        """
        self.due = False
        if not self.live:
            return
        try:
            self.last = self.figure()
            with matplotlib.rc_context(theme_for(self.background).look()):
                self.picture.png = png(self.last)
            self.picture.sentence = self.last.alt
            self.picture.details = self.last.details
        except Exception as error:
            self.picture.sentence = f"This cannot be drawn: {error}"

    # --- work that takes a while ------------------------------------------------------------------

    def run(self, slices: Iterator[dict[str, Any]], button: str = "") -> None:
        """Runs an iterator in the background, slice by slice, so that the page stays responsive.
        Each slice yields a dict of state to be drawn. Meanwhile, the `button` of that name says
        "stop". An earlier run is stopped.
        """
        self.ticket = object()
        self._label_buttons(button)
        self.task = asyncio.ensure_future(self._work(slices, self.ticket))

    def stop(self) -> None:
        """Stops the run after its present slice."""
        self.ticket = None

    def run_or_stop(self, slices: Iterator[dict[str, Any]], button: str) -> None:
        """What a button does that starts work and, pressed again, stops it."""
        if self.running:
            self.stop()
        else:
            self.run(slices, button)

    @property
    def running(self) -> bool:
        return self.ticket is not None

    async def _work(self, slices: Iterator[dict[str, Any]], ticket: object) -> None:
        end: Any = object()
        try:
            while self.ticket is ticket:
                state = await asyncio.to_thread(next, slices, end)
                if state is end or self.ticket is not ticket:
                    break
                self.set(**state)
        except Exception as error:  # nobody awaits this task, so the page shows the error
            self.picture.sentence = f"It failed: {error}"
        if self.ticket in (ticket, None):  # no other run has taken its place
            self.ticket = None
            self._label_buttons()

    def _label_buttons(self, busy: str = "") -> None:
        for name, control in self.controls.items():
            if control.press is not None:
                self.live[name].description = "stop" if name == busy else control.label

    # --- on the page ------------------------------------------------------------------------------

    @cached_property
    def picture(self) -> Any:
        return picture_class()(background=Panel.last_background)

    def make(self) -> Any:
        """The controls and the picture as one ipywidgets box, which is made once."""
        if not self.live:
            import ipywidgets

            with suppress(RuntimeError):
                self.loop = asyncio.get_running_loop()
            self.live = {name: control.make() for name, control in self.controls.items()}
            self.background = self.picture.background
            self._listen()
            controls = ipywidgets.Box(list(self.live.values()))
            controls.add_class("rnnkit-controls")
            self.box = ipywidgets.VBox([controls, self.picture])
            self.box.add_class("rnnkit-panel")
            self.redraw()
            gc.collect()
            # present objects are not searched for garbage again, since that takes a third of a
            # second and would happen in the middle of a redraw
            gc.freeze()
        return self.box

    def _listen(self) -> None:
        """Acts on moves, presses, clicks and the colour of the page."""
        for name, control in self.controls.items():
            if control.press is not None:
                self.live[name].on_click(lambda _, press=control.press: self._act(press, self))
            else:
                self.live[name].observe(lambda _, name=name: self._act(self._move, name), "value")
        self.picture.observe(
            lambda change: self._act(self._set_background, change.new), "background"
        )
        self.picture.on_msg(lambda _, content, __: self._act(self._receive, content))

    def _act(self, action: Callable[..., None], *values: Any) -> None:
        """Acts on the thread that made the panel. A kernel may receive moves on other threads, which
        neither matplotlib nor SQLite supports.
        """
        if self.loop is None:
            self._safely(action, *values)
        else:
            self.loop.call_soon_threadsafe(self._safely, action, *values)

    def _safely(self, action: Callable[..., None], *values: Any) -> None:
        try:
            action(*values)
        except Exception as error:
            self.picture.sentence = f"It failed: {error}"

    def _soon(self) -> None:
        """Draws again once for all moves received so far, so that fast moves do not queue."""
        if not self.due:
            self.due = True
            self._act(self.redraw)

    def _move(self, name: str) -> None:
        if self.changed is not None:
            self.changed(self, name)
        self._soon()

    def _set_background(self, background: str) -> None:
        self.background = Panel.last_background = background
        self._soon()

    def _receive(self, content: dict[str, Any]) -> None:
        if "here" in content:
            self.picture.send({"here": True})
        if self.clicked is None or "click" not in content:
            return
        x, y = content["click"]  # shares of the picture, from its upper left corner
        for ax in self.last.axes:
            if ax.get_position().contains(x, 1 - y):
                pixels = self.last.bbox.size * (x, 1 - y)
                self.clicked(self, *ax.transData.inverted().transform(pixels))
                self._soon()
                return

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> tuple[dict, dict]:
        if not someone_answers():
            if self.still is not None and not self.live:
                self.state |= self.still(self.values)
            return self.figure(still=True)._repr_mimebundle_()
        # written here, since ipywidgets 7, which Colab has, has no such method
        view = {"version_major": 2, "version_minor": 0, "model_id": self.make().model_id}
        # where pages find the widget's program
        _, more = self.picture._repr_mimebundle_() or ({}, {})
        # for readers who open the saved notebook where widgets are not supported
        image, about = self.figure(still=True)._repr_mimebundle_()
        return image | {"application/vnd.jupyter.widget-view+json": view}, about | more


@cache
def picture_class() -> type:
    """The class of the picture on the page; made when it is first needed, since ipywidgets may not
    be installed.
    """
    import anywidget
    import traitlets

    class Picture(anywidget.AnyWidget):
        """An image that reports the colour behind it and where it was clicked (picture.js)."""

        _esm = Path(__file__).with_name("picture.js").read_text(encoding="utf-8")
        _css = Path(__file__).with_name("picture.css").read_text(encoding="utf-8")
        png = traitlets.Bytes(b"").tag(sync=True)
        sentence = traitlets.Unicode("").tag(sync=True)
        details = traitlets.Unicode("").tag(sync=True)
        background = traitlets.Unicode(WHITE).tag(sync=True)

    return Picture


def png(figure: Drawing) -> bytes:
    """The figure's pixels as PNG, hardly compressed, since the browser is near and time matters."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    buffer = io.BytesIO()
    image = Image.frombuffer(
        "RGBA", canvas.get_width_height(), canvas.buffer_rgba(), "raw", "RGBA", 0, 1
    )
    image.convert("RGB").save(buffer, "png", compress_level=1)
    return buffer.getvalue()


def someone_answers() -> bool:
    """Whether a person uses this kernel; programs that run notebooks in a batch declare that they
    cannot answer questions.
    """
    from IPython import get_ipython

    kernel = getattr(get_ipython(), "kernel", None)
    return kernel is not None and bool(
        kernel.get_parent("shell").get("content", {}).get("allow_stdin")
    )
