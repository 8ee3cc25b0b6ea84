"""Inside a cell: its state over time, its gates, and the gradient on its way back, beside the other
cells (section 1.4).
"""

from dataclasses import replace
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
MARGINS = {"left": 0.07, "right": 0.9, "bottom": 0.16, "top": 0.88, "wspace": 0.42}


def widget(architecture="gru", recurrent_scale=1.0, forget_bias=1.0) -> Panel:
    """Opens on this cell. All maps have the same scale, and gates have no bias but b^fg."""
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
    for k in range(GATES):
        tip = "Added to the bias of a gate: below 0 it closes, above 0 it opens"
        bias = slider(_name(architecture, k), -4.0, 4.0, 0.0, 0.5, tip)
        controls[f"bias_{k}"] = replace(bias, hidden=not bias.label)
    return Panel(draw, controls, size=(11, 3.7), changed=_rename_sliders)


def _name(architecture, k) -> str:
    gates = flow.gates_of(cell_of(architecture))  # type: ignore[arg-type]
    return f"bias of {gates[k]}" if k < len(gates) else ""


def _rename_sliders(panel, name):
    """The sliders of the biases are named after the gates of the cell; those of no gate are hidden."""
    if name == "architecture":
        for k in range(GATES):
            slider_k = panel.live[f"bias_{k}"]
            label = _name(panel.values["architecture"], k)
            slider_k.description = label
            slider_k.layout.display = None if label else "none"


@lru_cache(maxsize=512)
def flow_of(architecture, recurrent_scale, forget_bias, nonlinearity, presentation, biases=()):
    """The flow of one cell; cached, since every move draws the other cells again."""
    choices = cell_of(architecture).nonlinearities
    setting = flow.setting(
        architecture,
        recurrent_scale,
        1.0,
        forget_bias,
        nonlinearity if nonlinearity in choices else None,
        biases,
    )
    return flow.flow(architecture, setting, STEPS, UNITS, presentation, traced=False)


def draw(
    figure,
    theme,
    *,
    architecture,
    recurrent_scale,
    forget_bias,
    nonlinearity,
    presentation,
    **biases,
) -> str:
    """State, gates and gradient; `biases` are bias_0 ..., those of the gates in their order."""
    gates = flow.gates_of(cell_of(architecture))  # type: ignore[arg-type]
    own_biases = tuple(
        (gate, biases[f"bias_{k}"]) for k, gate in enumerate(gates) if f"bias_{k}" in biases
    )
    settings = (recurrent_scale, forget_bias, nonlinearity, presentation)
    own_flow = flow_of(architecture, *settings, own_biases)
    lines = {
        cell: (own_flow if cell == architecture else flow_of(cell, *settings)).gradient_TxM[::-1, 0]
        for cell in PAPER
    }
    style = theme.style_of(PAPER)
    state, gate, back = figure.subplots(1, 3, gridspec_kw=MARGINS)
    _states(state, own_flow.h_TxMxN[:, 0], style[architecture].color, label_of(architecture))
    means = {name: values[:, 0].mean(1) for name, values in own_flow.gates.items()}
    _gates(gate, theme, means, style[architecture].color)
    last_values = _gradients(back, lines, style, architecture)
    for ax in (state, gate, back):
        ax.set_xticks((0, STEPS // 2, STEPS))
    gate_values = ", ".join(f"{name} {values[-1]:.2f}" for name, values in means.items())
    return (
        f"{label_of(architecture)}: {STEPS} steps back, the gradient is {last_values[architecture]:.2g} of"
        f" what it was at the end. {f'Gates at the end: {gate_values}.' if gate_values else 'It has no gate.'}"
    )


def _states(ax, h_TxN, color, label):
    """One line per unit."""
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
    """One line per gate, the mean of its units, with its name at the end."""
    ax.set(title="gates, mean of units", xlabel="time step", ylim=(-0.03, 1.03), xlim=(0, STEPS))
    _few_ticks(ax, (0, 0.5, 1))
    if not means:
        ax.text(0.5, 0.5, "no gate", transform=ax.transAxes, ha="center", color=theme.grey)
    heights = spread([values[-1] for values in means.values()], 0.09)
    for (name, values), line, end in zip(means.items(), GATE_LINES, heights):
        ax.plot(range(1, STEPS + 1), values, color=color, linestyle=line)
        ax.text(STEPS * 1.02, end, name, color=color, va="center", fontsize=13)


def _gradients(ax, lines, style, architecture) -> dict[str, float]:
    """The gradient of every cell on its way back, with the chosen cell in bold; returns the last
    value of each.
    """
    last_values = {cell: max(float(line[-1]), FLOOR) for cell, line in lines.items()}
    for cell, line in lines.items():
        ax.plot(
            range(STEPS + 1),
            np.clip(line, FLOOR / 10, CEILING * 10),
            color=style[cell].color,
            linestyle=style[cell].line,
            linewidth=3.5 if cell == architecture else 1.0,
            zorder=3 if cell == architecture else 2,
        )
    ax.set(
        title="gradient",
        xlabel="steps back from the end",
        yscale="log",
        ylim=(1e-7, 1e3),
        xlim=(0, STEPS),
    )
    # typesetting powers of ten takes long
    ax.set_yticks([1e-6, 1e-3, 1, 1e3], ["1e-6", "1e-3", "1", "1e3"])
    ax.minorticks_off()
    heights = spread(
        [np.log10(np.clip(end, 1e-7, 1e3)) for end in last_values.values()], 0.55, -7, 3
    )
    for cell, height in zip(last_values, heights):
        ax.text(
            STEPS * 1.03,
            10**height,
            label_of(cell),
            color=style[cell].color,
            va="center",
            fontsize=11,
            fontweight="bold" if cell == architecture else "normal",
        )
    return last_values


def _few_ticks(ax, ticks):
    """Sets few labels, since labels take most of the time of a redraw."""
    ax.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
