"""A picture and its controls: redrawn when a control moves, drawn once where nobody can move one."""

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
FOOT = 0.75  # inches below a still, for what it says
STILL = "A still picture: run this cell in Jupyter to move it."


class Panel:
    """`draw(figure, theme, **values)` with the values of `controls` (name -> Control) and of
    `state`; returns the picture's sentence.

    Further lines of what it returns stand beside the picture as they are. `size` is in inches, of
    110 points of the screen each. `changed(panel, name)` hears of a move before the picture is
    drawn again, and `clicked(panel, x, y)` of a click, in the data coordinates of the axes that was
    hit. `still()` gives the state of the one picture that is drawn where nobody can move anything,
    if that is to show more than the first. A panel is shown by being a cell's last line.
    """

    def __init__(
        self, draw, controls, state=None, size=(10, 4.4), changed=None, clicked=None, still=None
    ):
        self.draw, self.controls, self.state, self.size = (
            draw,
            dict(controls),
            dict(state or {}),
            size,
        )
        self.changed, self.clicked, self.still = changed, clicked, still
        self.background, self.task, self.ticket, self.loop, self.due = (
            "#ffffff",
            None,
            None,
            None,
            False,
        )
        self.made = {}  # the ipywidgets controls, once there is somebody to move them

    @property
    def values(self) -> dict:
        """What is drawn: the value of each control (buttons have none), and the state."""
        names = [name for name, control in self.controls.items() if control.kind != "Button"]
        return {
            name: (self.made[name] if name in self.made else self.controls[name]).value
            for name in names
        } | self.state

    def figure(self) -> Drawing:
        """The picture as it is now, with its sentence as `alt`."""
        theme = theme_for(self.background)
        with matplotlib.rc_context(theme.look()), one_thread():
            figure = Drawing(figsize=self.size, dpi=DPI)
            self._draw_into(figure, figure, theme)
        return figure

    def still_figure(self) -> Drawing:
        """The picture for where nobody can move it: with its sentence below, and that it is a
        still.
        """
        theme, (width, height) = theme_for(self.background), self.size
        with matplotlib.rc_context(theme.look()), one_thread():
            figure = Drawing(figsize=(width, height + FOOT), dpi=DPI)
            above, below = figure.subfigures(2, 1, height_ratios=[height, FOOT])
            self._draw_into(figure, above, theme)
            words = textwrap.fill(figure.alt, round(13.5 * width), max_lines=2, placeholder=" ...")
            below.text(0.012, 0.98, words, va="top", fontsize=10, color=theme.ink)
            below.text(0.012, 0.06, STILL, va="bottom", fontsize=10, color=theme.grey)
        figure.alt = f"{figure.alt} {STILL}"
        return figure

    def _draw_into(self, figure, part, theme):
        """Draws into a part of a figure, or all of it, and notes the sentence and the details."""
        sentence, _, figure.details = self.draw(part, theme, **self.values).partition("\n")
        figure.alt = " ".join(sentence.split())

    def set(self, **state):
        """Changes state that no control holds, and draws again."""
        self.state |= state
        self.redraw()

    def redraw(self):
        """Draws again, where somebody looks; what goes wrong is said there too, since an exception
        in a callback is seen by nobody.
        """
        self.due = False
        if not self.made:
            return
        try:
            self.last = self.figure()
            with matplotlib.rc_context(theme_for(self.background).look()):
                self.picture.png = png(self.last)
            self.picture.sentence, self.picture.details = self.last.alt, self.last.details
        except Exception as error:
            self.picture.sentence = f"This cannot be drawn: {error}"

    # --- work that takes a while
    # ---------------------------------------------------------------------------------------

    def run(self, slices, done=None):
        """Runs an iterator slice by slice beside the page, which stays free to answer; each slice
        yields a dict of state to be drawn.

        What ran before is stopped. `done()` is called at the end, also of a run that was stopped,
        unless another one took its place.
        """
        self.ticket = object()
        self.task = asyncio.ensure_future(self._work(slices, done, self.ticket))

    def stop(self):
        """Lets what runs end with its present slice."""
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
        except Exception as error:  # nobody waits for this task: the page is the place to say it
            self.picture.sentence = f"It failed: {error}"
        if self.ticket in (ticket, None):
            self.ticket = None
            if done is not None:
                done()

    # --- on the page
    # ----------------------------------------------------------------------------------------------

    @cached_property
    def picture(self):
        return picture_class()(background=Panel.seen)

    seen = (  # the background of the last panel that was looked at: the next one starts with it
        "#ffffff"
    )

    def make(self):
        """The controls and the picture as one ipywidgets box, made once."""
        if not self.made:
            import ipywidgets

            with suppress(RuntimeError):
                self.loop = asyncio.get_running_loop()
            self.made = {name: control.make() for name, control in self.controls.items()}
            self.background = self.picture.background
            for name, control in self.controls.items():
                if control.press is not None:
                    self.made[name].on_click(lambda _, press=control.press: self._here(press, self))
                else:
                    self.made[name].observe(
                        lambda _, name=name: self._here(self._moved, name), "value"
                    )
            self.picture.observe(lambda change: self._here(self._seen, change.new), "background")
            self.picture.on_msg(lambda _, content, __: self._here(self._heard, content))
            controls = ipywidgets.Box(list(self.made.values()))
            controls.add_class("rnnkit-controls")
            self.box = ipywidgets.VBox([controls, self.picture])
            self.box.add_class("rnnkit-panel")
            self.redraw()
            gc.collect()
            # what lives now is not searched for garbage again: that takes a third of a second, in
            # the middle of a picture
            gc.freeze()
        return self.box

    def _here(self, act, *values):
        """Acts on the thread that made the panel: a kernel may hear of moves on others, for which
        neither matplotlib nor SQLite is made.
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
        """Draws again after all moves that have been heard of by then, so that a quick hand is not
        answered move by move.
        """
        if self.loop is None:
            self.redraw()
        elif not self.due:
            self.due = True
            self.loop.call_soon(self.redraw)

    def _moved(self, name):
        if self.changed is not None:
            self.changed(self, name)
        self._soon()

    def _seen(self, background):
        self.background = Panel.seen = background
        self._soon()

    def _heard(self, content):
        if "here" in content:
            self.picture.send({"here": True})
        if self.clicked is None or "click" not in content:
            return
        x, y = content["click"]
        for ax in self.last.axes:
            place = ax.get_position()
            if place.x0 <= x <= place.x1 and place.y0 <= 1 - y <= place.y1:
                pixels = self.last.bbox.size * (x, 1 - y)
                self.clicked(self, *ax.transData.inverted().transform(pixels))
                self._soon()
                return

    def _repr_mimebundle_(self, include=None, exclude=None):
        if not someone_answers():
            if self.still is not None and not self.made:
                self.state |= self.still()
            return self.still_figure()._repr_mimebundle_()
        box = self.make()
        bundle = box._repr_mimebundle_()
        # where its program is found, for pages that fetch it
        _, more = self.picture._repr_mimebundle_() or ({}, {})
        # for whoever opens the saved notebook where widgets are not known
        image, about = self.still_figure()._repr_mimebundle_()
        return (
            image
            | {
                "application/vnd.jupyter.widget-view+json": bundle[
                    "application/vnd.jupyter.widget-view+json"
                ]
            },
            about | more,
        )


@cache
def picture_class():
    """The class of the picture on the page; made when first needed, since only then ipywidgets is."""
    import anywidget
    import traitlets

    class Picture(anywidget.AnyWidget):
        """An image that says which colour is behind it and where it was clicked (picture.js)."""

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
    """The figure's pixels as PNG, hardly compressed: the way to the browser is short, and time is
    what counts.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    canvas, buffer = FigureCanvasAgg(figure), io.BytesIO()
    canvas.draw()
    Image.frombuffer(
        "RGBA", canvas.get_width_height(), canvas.buffer_rgba(), "raw", "RGBA", 0, 1
    ).convert("RGB").save(buffer, "png", compress_level=1)
    return buffer.getvalue()


def someone_answers() -> bool:
    """Whether a person sits before this kernel: those that run notebooks in a batch say that they
    cannot be asked anything.
    """
    from IPython import get_ipython

    kernel = getattr(get_ipython(), "kernel", None)
    return kernel is not None and bool(
        kernel.get_parent("shell").get("content", {}).get("allow_stdin")
    )
