"""Inside a cell: its state over time, its gates, and the gradient on its way back, beside the other
cells (section 1.4).
"""

from functools import lru_cache

import numpy as np

from rnnkit import flow
from rnnkit.cells import PAPER, cell_of
from rnnkit.exhibits.gradients import CEILING, FLOOR, GATE_LINES, spread
from rnnkit.widgets.controls import choice, slider
from rnnkit.widgets.panel import Panel
from rnnkit.wording import label_of

STEPS, UNITS = 30, 8
GATES = 3  # the most that a cell of the paper has; each has a slider for its bias
OWN = "its own"
PARTS = {"left": 0.07, "right": 0.9, "bottom": 0.16, "top": 0.88, "wspace": 0.42}


def widget(architecture="gru", recurrent_scale=1.0, forget_bias=1.0) -> Panel:
    """The first picture is of this cell; every map has the same scale, and gates have no bias but
    b^fg.
    """
    controls = {
        "architecture": choice(
            "cell", [(label_of(cell), cell) for cell in PAPER], architecture, "Which equations"
        ),
        "recurrent_scale": slider(
            "recurrent scale",
            0.1,
            2.0,
            recurrent_scale,
            0.1,
            "Of all recurrent matrices, but the IRNN's",
        ),
        "forget_bias": slider(
            "forget bias",
            0.0,
            6.0,
            forget_bias,
            0.5,
            "b^fg, added to the bias of the gate that keeps the state",
        ),
        "nonlinearity": choice(
            "nonlinearity",
            (OWN, "tanh", "relu"),
            tip="s of the RNN and of the UGRNN; the others have no choice",
        ),
        "shown": choice(
            "input",
            flow.SHOWN,
            tip="A random vector at the first step and zeros after, or a new one at every step",
        ),
    }
    for k in range(GATES):
        tip = "Added to the bias of a gate: below 0 it closes, above 0 it opens"
        controls[f"bias_{k}"] = slider(_name(architecture, k), -4.0, 4.0, 0.0, 0.5, tip)
    return Panel(draw, controls, size=(11, 3.7), changed=_changed)


def _name(architecture, k) -> str:
    gates = flow.gates_of(cell_of(architecture))  # type: ignore[arg-type]
    return f"bias of {gates[k]}" if k < len(gates) else "(no gate)"


def _changed(panel, name):
    """The sliders of the biases are named after the gates of the cell."""
    if name == "architecture":
        for k in range(GATES):
            made, label = panel.made[f"bias_{k}"], _name(panel.values["architecture"], k)
            made.description, made.disabled = label, label == "(no gate)"


@lru_cache(maxsize=512)
def seen(architecture, recurrent_scale, forget_bias, nonlinearity, shown, biases=()):
    """The flow of one cell; kept, since the other cells are seen again with every move."""
    choices = cell_of(architecture).nonlinearities
    setting = flow.setting(
        architecture,
        recurrent_scale,
        1.0,
        forget_bias,
        nonlinearity if nonlinearity in choices else None,
        biases,
    )
    return flow.flow(architecture, setting, STEPS, UNITS, shown, traced=False)


def draw(
    figure, theme, *, architecture, recurrent_scale, forget_bias, nonlinearity, shown, **biases
) -> str:
    """State, gates, gradient; `biases` are those of the gates, bias_0 ... in their order."""
    gates = flow.gates_of(cell_of(architecture))  # type: ignore[arg-type]
    own = tuple(
        (gate, biases[f"bias_{k}"]) for k, gate in enumerate(gates) if f"bias_{k}" in biases
    )
    same = (recurrent_scale, forget_bias, nonlinearity, shown)
    here = seen(architecture, *same, own)
    lines = {
        other: (here if other == architecture else seen(other, *same)).gradient_TxM[::-1, 0]
        for other in PAPER
    }
    style = theme.style_of(PAPER)
    state, gate, back = figure.subplots(1, 3, gridspec_kw=PARTS)
    _states(state, here.h_TxMxN[:, 0], style[architecture].color, label_of(architecture))
    means = {name: values[:, 0].mean(1) for name, values in here.gates.items()}
    _gates(gate, theme, means, style[architecture].color)
    ends = _gradients(back, lines, style, architecture)
    for ax in (state, gate, back):
        ax.set_xticks((0, STEPS // 2, STEPS))
    kept = ", ".join(f"{name} {values[-1]:.2f}" for name, values in means.items())
    return (
        f"{label_of(architecture)}: {STEPS} steps back, the gradient is {ends[architecture]:.2g} of"
        f" what it was at the end. {f'Gates at the end: {kept}.' if kept else 'It has no gate.'}"
    )


def _states(ax, h_TxN, color, label):
    """A line for each unit."""
    ax.plot(h_TxN, color=color, linewidth=1.3, alpha=0.8)
    top = max(0.1, 10.0 ** np.ceil(np.log10(np.abs(h_TxN).max() + 1e-9)))
    ax.set(
        title=f"{label}: state h",
        xlabel="time step",
        ylim=(-1.03 * top, 1.03 * top),
        xlim=(0, STEPS),
    )
    _few_ticks(ax, (-top, 0, top))


def _gates(ax, theme, means, color):
    """A line for each gate, the mean of its units, named at its end."""
    ax.set(title="gates, mean of units", xlabel="time step", ylim=(-0.03, 1.03), xlim=(0, STEPS))
    _few_ticks(ax, (0, 0.5, 1))
    if not means:
        ax.text(0.5, 0.5, "no gate", transform=ax.transAxes, ha="center", color=theme.grey)
    ends = spread([values[-1] for values in means.values()], 0.09)
    for (name, values), line, end in zip(means.items(), GATE_LINES, ends):
        ax.plot(range(1, STEPS + 1), values, color=color, linestyle=line)
        ax.text(STEPS * 1.02, end, name, color=color, va="center", fontsize=13)


def _gradients(ax, lines, style, architecture) -> dict[str, float]:
    """The gradient of every cell on its way back, the chosen cell's in bold; gives their ends."""
    ends = {other: max(float(line[-1]), FLOOR) for other, line in lines.items()}
    for other, line in lines.items():
        ax.plot(
            range(STEPS + 1),
            np.clip(line, FLOOR / 10, CEILING * 10),
            color=style[other].color,
            linestyle=style[other].line,
            linewidth=3.5 if other == architecture else 1.0,
            zorder=3 if other == architecture else 2,
        )
    ax.set(
        title="gradient",
        xlabel="steps back from the end",
        yscale="log",
        ylim=(1e-7, 1e3),
        xlim=(0, STEPS),
    )
    # powers of ten take long to typeset
    ax.set_yticks([1e-6, 1e-3, 1, 1e3], ["1e-6", "1e-3", "1", "1e3"])
    ax.minorticks_off()
    places = spread([np.log10(np.clip(end, 1e-7, 1e3)) for end in ends.values()], 0.55, -7, 3)
    for other, place in zip(ends, places):
        ax.text(
            STEPS * 1.03,
            10**place,
            label_of(other),
            color=style[other].color,
            va="center",
            fontsize=11,
            fontweight="bold" if other == architecture else "normal",
        )
    return ends


def _few_ticks(ax, ticks):
    """Few labels: they take most of the time."""
    ax.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
