"""Inside a cell: its state over time, its gates, and the gradient on its way back, beside the other
cells (section 1.4).
"""

from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rnnkit import flow
from rnnkit.cells import PAPER, cell_of
from rnnkit.exhibits.gradients import CEILING, FLOOR, GATE_LINES, spread
from rnnkit.exhibits.style import Style
from rnnkit.widgets.controls import cell_options, choice, slider
from rnnkit.widgets.panel import Panel
from rnnkit.widgets.theme import Theme
from rnnkit.wording import label_of

STEPS, UNITS = 30, 8
GATES = 3  # the most that a cell of the paper has; each has a slider for its bias
OWN = "its own"
MARGINS = {"left": 0.07, "right": 0.9, "bottom": 0.16, "top": 0.88, "wspace": 0.42}


def widget(
    architecture: str = "gru", recurrent_scale: float = 1.0, forget_bias: float = 1.0
) -> Panel:
    """Opens on this cell. All maps have the same scale, and gates have no bias but b^fg."""
    controls = {
        "architecture": choice("cell", cell_options(PAPER), architecture, "Which equations"),
        "recurrent_scale": slider(
            "recurrent scale",
            0.1,
            2.0,
            recurrent_scale,
            0.1,
            "Of all recurrent matrices except the IRNN's",
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
            tip="s of the RNN and the UGRNN; the other cells have no choice",
        ),
        "presentation": choice(
            "input",
            flow.SHOWN,
            tip="A random vector at the first step and then zeros, or a new one at every step",
        ),
    }
    for k, label in enumerate(_bias_labels(architecture)):
        bias = slider(
            label,
            -4.0,
            4.0,
            0.0,
            0.5,
            "Added to the bias of a gate: below 0 it closes, above 0 it opens",
        )
        controls[f"bias_{k}"] = replace(bias, hidden=not label)
    return Panel(draw, controls, size=(11, 3.7), changed=_rename_sliders)


def _bias_labels(architecture: str) -> list[str]:
    """The labels of the GATES sliders: each names a gate of the cell, or is empty."""
    labels = [f"bias of {gate}" for gate in flow.gates_of(cell_of(architecture))]
    return labels + [""] * (GATES - len(labels))


def _rename_sliders(panel: Panel, name: str) -> None:
    """The sliders of the biases are named after the gates of the cell; those of no gate are hidden."""
    if name == "architecture":
        for k, label in enumerate(_bias_labels(panel.values["architecture"])):
            bias = panel.live[f"bias_{k}"]
            bias.description = label
            bias.layout.display = None if label else "none"


@lru_cache(maxsize=512)
def flow_of(
    architecture: str,
    recurrent_scale: float,
    forget_bias: float,
    nonlinearity: str,
    presentation: str,
    biases: tuple[tuple[str, float], ...] = (),
) -> flow.Flow:
    """The flow of one cell; cached, since every move draws the other cells again."""
    s = nonlinearity if nonlinearity in cell_of(architecture).nonlinearities else None
    setting = flow.setting(architecture, recurrent_scale, 1.0, forget_bias, s, biases)
    return flow.flow(architecture, setting, STEPS, UNITS, presentation, traced=False)


def draw(
    figure: Figure,
    theme: Theme,
    *,
    architecture: str,
    recurrent_scale: float,
    forget_bias: float,
    nonlinearity: str,
    presentation: str,
    **biases: float,
) -> str:
    """State, gates and gradient; `biases` are bias_0 ..., those of the gates in their order."""
    settings = (recurrent_scale, forget_bias, nonlinearity, presentation)
    own_flow = flow_of(
        architecture, *settings, tuple(zip(flow.gates_of(cell_of(architecture)), biases.values()))
    )
    flows = {cell: own_flow if cell == architecture else flow_of(cell, *settings) for cell in PAPER}
    gradients = {cell: cell_flow.gradient_TxM[::-1, 0] for cell, cell_flow in flows.items()}
    means = {name: values[:, 0].mean(1) for name, values in own_flow.gates.items()}
    label = label_of(architecture)
    style = theme.style_of(PAPER)
    color = style[architecture].color
    state, gate, back = figure.subplots(1, 3, gridspec_kw=MARGINS)
    _draw_states(state, own_flow.h_TxMxN[:, 0], color, label)
    _draw_gates(gate, theme, means, color)
    last_values = _draw_gradients(back, gradients, style, architecture)
    for ax in (state, gate, back):
        ax.set(xlim=(0, STEPS), xticks=(0, STEPS // 2, STEPS))
    gate_values = ", ".join(f"{name} {values[-1]:.2f}" for name, values in means.items())
    return (
        f"{label}: {STEPS} steps back, the gradient is {last_values[architecture]:.2g} of what it"
        f" was at the end. {f'Gates at the end: {gate_values}.' if means else 'It has no gate.'}"
    )


def _draw_states(ax: Axes, h_TxN: np.ndarray, color: str, label: str) -> None:
    """One line per unit."""
    ax.plot(h_TxN, color=color, linewidth=1.3, alpha=0.8)
    top = max(0.1, 10.0 ** np.ceil(np.log10(np.abs(h_TxN).max() + 1e-9)))
    ax.set(title=f"{label}: state h", xlabel="time step", ylim=(-1.03 * top, 1.03 * top))
    _few_ticks(ax, (-top, 0, top))


def _draw_gates(ax: Axes, theme: Theme, means: dict[str, np.ndarray], color: str) -> None:
    """One line per gate, the mean of its units, with its name at the end."""
    ax.set(title="gates, mean of units", xlabel="time step", ylim=(-0.03, 1.03))
    _few_ticks(ax, (0, 0.5, 1))
    if not means:
        ax.text(0.5, 0.5, "no gate", transform=ax.transAxes, ha="center", color=theme.grey)
    heights = spread([values[-1] for values in means.values()], 0.09)
    for (name, values), line, height in zip(means.items(), GATE_LINES, heights):
        ax.plot(range(1, STEPS + 1), values, color=color, linestyle=line)
        ax.text(STEPS * 1.02, height, name, color=color, va="center", fontsize=13)


def _draw_gradients(
    ax: Axes, gradients: dict[str, np.ndarray], style: dict[str, Style], architecture: str
) -> dict[str, float]:
    """The gradient of every cell on its way back, with the chosen cell in bold; returns the last
    value of each.
    """
    last_values = {cell: max(float(line[-1]), FLOOR) for cell, line in gradients.items()}
    heights = spread(
        [np.log10(np.clip(value, 1e-7, 1e3)) for value in last_values.values()], 0.55, -7, 3
    )
    for (cell, line), height in zip(gradients.items(), heights):
        color, _, dashes = style[cell]
        bold = cell == architecture
        values = np.clip(line, FLOOR / 10, CEILING * 10)
        ax.plot(
            values, color=color, linestyle=dashes, linewidth=3.5 if bold else 1.0, zorder=2 + bold
        )
        weight = "bold" if bold else "normal"
        name = {"color": color, "va": "center", "fontsize": 11, "fontweight": weight}
        ax.text(STEPS * 1.03, 10**height, label_of(cell), **name)
    ax.set(title="gradient", xlabel="steps back from the end", yscale="log", ylim=(1e-7, 1e3))
    # typesetting powers of ten takes long
    ax.set_yticks([1e-6, 1e-3, 1, 1e3], ["1e-6", "1e-3", "1", "1e3"])
    ax.minorticks_off()
    return last_values


def _few_ticks(ax: Axes, ticks: Iterable[float]) -> None:
    """Sets few labels, since labels take most of the time of a redraw."""
    ax.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
