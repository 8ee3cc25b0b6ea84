"""Memorise me: a network learns random labels by heart while you watch, and its stored bits are
counted (section 2.1).
"""

from collections import deque

from rnnkit import paper
from rnnkit.cells import PAPER, cell_of
from rnnkit.exhibits.style import short
from rnnkit.studies import Study
from rnnkit.training.live import watch
from rnnkit.widgets.controls import button, choice, log_slider, slider
from rnnkit.widgets.panel import Panel
from rnnkit.wording import label_of

SIZES = (300, 1_000, 3_000, 10_000)
STEPS = (5_000, 20_000, 80_000)
PAST = 5  # earlier curves that stay visible
WAITING = "Press train."
COMPILING = "The training step is being compiled; the first time, this takes a few seconds."


def widget(architecture="rnn", max_params=1_000, labels=3.0, unroll=5, train_steps=20_000) -> Panel:
    """`labels` are the labels per parameter to learn by heart; `max_params` is one of SIZES and
    `train_steps` one of STEPS.
    """
    cells = [cell for cell in PAPER if cell_of(cell).min_layers == 1]
    controls = {
        "architecture": choice(
            "cell", [(label_of(cell), cell) for cell in cells], architecture, "Which equations"
        ),
        "max_params": log_slider(
            "parameters",
            [(short(size), size) for size in SIZES],
            max_params,
            "The budget of the network",
        ),
        "labels": slider(
            "labels per parameter",
            0.5,
            8.0,
            labels,
            0.5,
            "Random labels to learn by heart, per parameter",
        ),
        "unroll": slider(
            "time steps", 1, 12, unroll, 1, "Steps from the first input to the answer"
        ),
        "train_steps": log_slider(
            "training steps",
            [(short(steps), steps) for steps in STEPS],
            train_steps,
            "How long to train",
        ),
        "train": button("train", _press, "Trains from new weights, or stops"),
        "clear": button("clear", lambda panel: panel.set(past=()), "Forgets the earlier curves"),
    }
    settings = dict(
        architecture=architecture,
        max_params=max_params,
        labels=labels,
        unroll=unroll,
        train_steps=train_steps,
    )
    return Panel(
        draw,
        controls,
        {"curve": (), "past": (), "note": WAITING, "network_name": ()},
        size=(10, 4.2),
        changed=_start_again,
        still=lambda: deque(states(**settings, past=()), maxlen=1)[0],
    )


def study_of(architecture, max_params, unroll) -> Study:
    return Study("per_cap", architecture, 1, max_params, unroll=unroll)


def hparams_of(study, labels, train_steps) -> dict:
    """The usual hyper-parameters of a study, with these labels per parameter and training steps."""
    return study.space.usual_point() | {"samples_per_param": labels, "train_steps": train_steps}


def states(architecture, max_params, labels, unroll, train_steps, past):
    """Trains, and yields the state to be drawn: the curve so far, with (training steps, bits per
    parameter, share of right labels) at each look.
    """
    name = f"{label_of(architecture)}, {short(max_params)}, {labels:g} labels"
    yield {"curve": (), "past": past, "network_name": (architecture, name), "note": COMPILING}
    study = study_of(architecture, max_params, unroll)
    curve = []
    for look in watch(study, hparams_of(study, labels, train_steps)):
        if look["infeasible"]:
            yield {"note": f"It diverged at step {look['steps']:,}."}
            return
        curve.append((look["steps"], -look["valid_loss"] / study.num_params, look["accuracy"]))
        yield {"curve": tuple(curve), "note": ""}


def draw(
    figure,
    theme,
    *,
    architecture,
    max_params,
    labels,
    unroll,
    train_steps,
    curve,
    past,
    note,
    network_name,
) -> str:
    """Bits per parameter and the share of right labels while one network trains; earlier networks
    are pale.
    """
    grid = {
        "width_ratios": [1.5, 1],
        "left": 0.07,
        "right": 0.985,
        "bottom": 0.16,
        "top": 0.9,
        "wspace": 0.24,
    }
    bits_ax, share_ax = figure.subplots(1, 2, gridspec_kw=grid)
    study = study_of(architecture, max_params, unroll)
    units = (
        f"{study.n_units} unit{'s' * (study.n_units != 1)}, {study.num_params:,} parameters,"
        f" {unroll} time step{'s' * (unroll != 1)}"
    )
    count = max(1, round(labels * study.num_params))
    last = 1.25 * max([train_steps, *(old[-1][0] for *_, old in past)])
    for ax, column in ((bits_ax, 1), (share_ax, 2)):
        _curves(ax, theme, architecture, column, curve, past)
        ax.set(xscale="log", xlim=(8, last), xlabel="training steps")
        theme.log(ax.xaxis)
    _bits(bits_ax, theme, labels, past)
    bits_ax.set_title(f"{label_of(architecture)}: {units}")
    share_ax.set(ylim=(0.49, 1.01), yticks=(0.5, 0.75, 1), ylabel="share of right labels")
    share_ax.set_title(f"{count:,} labels")
    network = f"{label_of(architecture)}, {units}, {count:,} labels"
    if not curve:
        return f"{network}. {note}"
    steps, bits, share = curve[-1]
    return (
        f"{network}: {100 * share:.1f} % right after {steps:,} steps, so {bits * study.num_params:,.0f}"
        f" stored bits, {bits:.2f} per parameter. {note}"
    ).rstrip()


def _curves(ax, theme, architecture, column, curve, past):
    """One column of the curves over training, of the present network and of earlier ones."""
    for name, text, old in past:
        ax.plot(
            [look[0] for look in old],
            [look[column] for look in old],
            color=theme.style_of([name])[name].color,
            alpha=0.4,
            linewidth=1.6,
            label=text,
        )
    color = theme.style_of([architecture])[architecture].color
    ax.plot([look[0] for look in curve], [look[column] for look in curve], color=color, linewidth=3)
    if curve:
        ax.plot(curve[-1][0], curve[-1][column], "o", color=color, markersize=10, clip_on=False)


def _bits(ax, theme, labels, past):
    """The axis of bits per parameter, with the lines to compare a curve with."""
    most = max((8.4, labels * 1.05) if labels > 5.5 else (5.6,))
    ax.set(ylim=(0, most), yticks=range(int(most) + 1), ylabel="stored bits per parameter")
    five = paper.BITS_PER_PARAMETER
    two = paper.PERCEPTRON_BITS
    lines = (
        (five, f"{five:g}: the paper's networks", theme.grey, 0.01, "left"),
        (two, f"{two:g}: a perceptron", theme.grey, 0.01, "left"),
        (labels, f"{labels:g}: every label", theme.ink, 0.99, "right"),
    )
    for value, text, shade, x, side in lines:
        ax.axhline(value, color=shade, linewidth=1.2, linestyle=(0, (6, 2)), zorder=0)
        ax.text(
            x,
            value + most / 80,
            text,
            color=shade,
            fontsize=11,
            va="bottom",
            ha=side,
            transform=ax.get_yaxis_transform(),
        )
    if past:
        ax.legend(
            loc="upper left",
            bbox_to_anchor=(0, 4.95 / most),
            title="before",
            alignment="left",
            handlelength=1.2,
            fontsize=11,
        )


def _past_curves(state) -> tuple:
    """The earlier curves and the present one: (cell, name of the network, curve)."""
    if not state["curve"]:
        return state["past"]
    cell, name = state["network_name"]
    return (*state["past"], (cell, f"{name}: {state['curve'][-1][1]:.2f}", state["curve"]))[-PAST:]


def _press(panel):
    if panel.running:
        panel.stop()
        return
    values = panel.values
    settings = {
        name: values[name]
        for name in ("architecture", "max_params", "labels", "unroll", "train_steps")
    }
    panel.live["train"].description = "stop"
    panel.run(
        states(**settings, past=_past_curves(panel.state)),
        done=lambda: setattr(panel.live["train"], "description", "train"),
    )


def _start_again(panel, name):
    """Stops training, since other settings are another network; its curve joins the earlier ones."""
    panel.stop()
    if panel.state["curve"]:
        panel.state |= {"past": _past_curves(panel.state), "curve": (), "note": WAITING}
