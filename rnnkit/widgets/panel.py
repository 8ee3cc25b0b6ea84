"""A picture and its controls. It is redrawn when a control moves, and drawn once where nobody can
move one.
"""

import asyncio
import gc
import io
import textwrap
from contextlib import suppress
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import matplotlib

from rnnkit.exhibits.style import Drawing
from rnnkit.threads import one_thread
from rnnkit.widgets.theme import theme_for

DPI = 110
FOOT = 0.75  # inches below a static picture, for its sentence
STILL = "A still picture: run this cell in Jupyter to move it."


class Panel:
    """Calls `draw(figure, theme, **values)` with the values of `controls` (name -> Control) and of
    `state`; draw returns the picture's sentence, and lines after the first are shown beside the
    picture.

    `size` is in inches of 110 pixels. `changed(panel, name)` is called after a move, before the
    picture is drawn again, and `clicked(panel, x, y)` after a click, with the data coordinates of
    the axes that was hit. `still()` returns the state of the static picture for readers who cannot
    move anything, if it is to show more than the first state. A panel is shown if it is the last
    line of a notebook's cell.
    """

    def __init__(
        self, draw, controls, state=None, size=(10, 4.4), changed=None, clicked=None, still=None
    ):
        self.draw = draw
        self.controls = dict(controls)
        self.state = dict(state or {})
        self.size = size
        self.changed = changed
        self.clicked = clicked
        self.still = still
        self.background = "#ffffff"
        self.task = None
        self.ticket = None
        self.loop = None
        self.due = False
        self.live = {}  # the ipywidgets controls, by name, once somebody can move them

    @property
    def values(self) -> dict:
        """The arguments of draw: the value of each control (buttons have none), and the state."""
        names = [name for name, control in self.controls.items() if control.kind != "Button"]
        return {
            name: (self.live[name] if name in self.live else self.controls[name]).value
            for name in names
        } | self.state

    def figure(self) -> Drawing:
        """The present picture, with its sentence as `alt`."""
        theme = theme_for(self.background)
        with matplotlib.rc_context(theme.look()), one_thread():
            figure = Drawing(figsize=self.size, dpi=DPI)
            self._draw_into(figure, figure, theme)
        return figure

    def still_figure(self) -> Drawing:
        """The static picture, with its sentence below and a note that it is static."""
        theme = theme_for(self.background)
        width, height = self.size
        with matplotlib.rc_context(theme.look()), one_thread():
            figure = Drawing(figsize=(width, height + FOOT), dpi=DPI)
            above, below = figure.subfigures(2, 1, height_ratios=[height, FOOT])
            self._draw_into(figure, above, theme)
            text = textwrap.fill(figure.alt, round(13.5 * width), max_lines=2, placeholder=" ...")
            below.text(0.012, 0.98, text, va="top", fontsize=10, color=theme.ink)
            below.text(0.012, 0.06, STILL, va="bottom", fontsize=10, color=theme.grey)
        figure.alt = f"{figure.alt} {STILL}"
        return figure

    def _draw_into(self, figure, subfigure, theme):
        """Draws into a figure or a subfigure of it, and stores the sentence and the details."""
        sentence, _, figure.details = self.draw(subfigure, theme, **self.values).partition("\n")
        figure.alt = " ".join(sentence.split())

    def set(self, **state):
        """Changes state that no control holds, and draws again."""
        self.state |= state
        self.redraw()

    def redraw(self):
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

    # --- work that takes a while
    # ---------------------------------------------------------------------------------------

    def run(self, slices, done=None):
        """Runs an iterator in the background, slice by slice, so that the page stays responsive.
        Each slice yields a dict of state to be drawn.

        An earlier run is stopped. `done()` is called at the end, also if the run was stopped, unless
        another run has replaced it.
        """
        self.ticket = object()
        self.task = asyncio.ensure_future(self._work(slices, done, self.ticket))

    def stop(self):
        """Stops the run after its present slice."""
        self.ticket = None

    @property
    def running(self) -> bool:
        return self.ticket is not None

    async def _work(self, slices, done, ticket):
        end: Any = object()
        try:
            while self.ticket is ticket:
                state = await asyncio.to_thread(next, slices, end)
                if state is end or self.ticket is not ticket:
                    break
                self.set(**state)
        except Exception as error:  # nobody awaits this task, so the page shows the error
            self.picture.sentence = f"It failed: {error}"
        if self.ticket in (ticket, None):
            self.ticket = None
            if done is not None:
                done()

    # --- on the page
    # ----------------------------------------------------------------------------------------------

    @cached_property
    def picture(self):
        return picture_class()(background=Panel.last_background)

    last_background = (  # the background of the last panel that was looked at: the next one starts with it
        "#ffffff"
    )

    def make(self):
        """The controls and the picture as one ipywidgets box, which is made once."""
        if not self.live:
            import ipywidgets

            with suppress(RuntimeError):
                self.loop = asyncio.get_running_loop()
            self.live = {name: control.make() for name, control in self.controls.items()}
            self.background = self.picture.background
            for name, control in self.controls.items():
                if control.press is not None:
                    self.live[name].on_click(
                        lambda _, press=control.press: self._on_own_thread(press, self)
                    )
                else:
                    self.live[name].observe(
                        lambda _, name=name: self._on_own_thread(self._on_move, name), "value"
                    )
            self.picture.observe(
                lambda change: self._on_own_thread(self._set_background, change.new), "background"
            )
            self.picture.on_msg(lambda _, content, __: self._on_own_thread(self._receive, content))
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

    def _on_own_thread(self, act, *values):
        """Acts on the thread that made the panel. A kernel may receive moves on other threads, which
        neither matplotlib nor SQLite supports.
        """
        if self.loop is None:
            self._safely(act, *values)
        else:
            self.loop.call_soon_threadsafe(self._safely, act, *values)

    def _safely(self, act, *values):
        try:
            act(*values)
        except Exception as error:
            self.picture.sentence = f"It failed: {error}"

    def _soon(self):
        """Draws again once for all moves received so far, so that fast moves do not queue."""
        if self.loop is None:
            self.redraw()
        elif not self.due:
            self.due = True
            self.loop.call_soon(self.redraw)

    def _on_move(self, name):
        if self.changed is not None:
            self.changed(self, name)
        self._soon()

    def _set_background(self, background):
        self.background = Panel.last_background = background
        self._soon()

    def _receive(self, content):
        if "here" in content:
            self.picture.send({"here": True})
        if self.clicked is None or "click" not in content:
            return
        x, y = content["click"]
        for ax in self.last.axes:
            box = ax.get_position()
            if box.x0 <= x <= box.x1 and box.y0 <= 1 - y <= box.y1:
                pixels = self.last.bbox.size * (x, 1 - y)
                self.clicked(self, *ax.transData.inverted().transform(pixels))
                self._soon()
                return

    def _repr_mimebundle_(self, include=None, exclude=None):
        if not someone_answers():
            if self.still is not None and not self.live:
                self.state |= self.still()
            return self.still_figure()._repr_mimebundle_()
        # written here, since ipywidgets 7, which Colab has, has no such method
        view = {"version_major": 2, "version_minor": 0, "model_id": self.make().model_id}
        # where pages find the widget's program
        _, more = self.picture._repr_mimebundle_() or ({}, {})
        # for readers who open the saved notebook where widgets are not supported
        image, about = self.still_figure()._repr_mimebundle_()
        return image | {"application/vnd.jupyter.widget-view+json": view}, about | more


@cache
def picture_class():
    """The class of the picture on the page; made when it is first needed, since ipywidgets may not
    be installed.
    """
    import anywidget
    import traitlets

    class Picture(anywidget.AnyWidget):
        """An image that reports the colour behind it and where it was clicked (picture.js)."""

        _esm, _css = (
            Path(__file__).with_name(f"picture.{kind}").read_text(encoding="utf-8")
            for kind in ("js", "css")
        )
        png = traitlets.Bytes(b"").tag(sync=True)
        sentence = traitlets.Unicode("").tag(sync=True)
        details = traitlets.Unicode("").tag(sync=True)
        background = traitlets.Unicode("#ffffff").tag(sync=True)

    return Picture


def png(figure) -> bytes:
    """The figure's pixels as PNG, hardly compressed, since the browser is near and time matters."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    canvas = FigureCanvasAgg(figure)
    buffer = io.BytesIO()
    canvas.draw()
    Image.frombuffer(
        "RGBA", canvas.get_width_height(), canvas.buffer_rgba(), "raw", "RGBA", 0, 1
    ).convert("RGB").save(buffer, "png", compress_level=1)
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
