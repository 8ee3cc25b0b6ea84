"""The drawings of cells have the maps, gates and operations of the cells' own equations, and their
wires reach every node.
"""

import re

import pytest

from rnnkit import cells, figures, flow
from rnnkit.exhibits.section_1_4 import NODES, WIRES


def inside(text):
    """The map in a box: σ(gh) -> gh; None for a function without a map."""
    found = re.fullmatch(r".+\((\w+)\)", text)
    return found and found[1]


@pytest.mark.parametrize("name", NODES)
def test_each_map_of_a_cell_is_a_box_and_each_gate_a_gate(name):
    boxes = [
        (inside(text), kind)
        for _, _, kind, text in NODES[name].values()
        if kind in ("gate", "map") and inside(text)
    ]
    cell = cells.cell_of(name)
    assert sorted(m for m, _ in boxes) == sorted(cell.maps)
    assert sorted(m for m, kind in boxes if kind == "gate") == sorted(flow.gates_of(cell))


@pytest.mark.parametrize("name", NODES)
def test_each_product_and_sum_of_the_equations_is_a_circle(name):
    import inspect

    source = re.sub(r"#.*", "", inspect.getsource(cells.cell_of(name).step))
    circles = [text for _, _, kind, text in NODES[name].values() if kind == "op"]
    assert circles.count("×") == source.count(" * ") and circles.count("+") == source.count(" + ")


@pytest.mark.parametrize("name", NODES)
def test_wires_run_between_nodes_and_every_node_is_wired(name):
    assert set(WIRES[name].replace(",", "").split()) == set(NODES[name])


def test_every_cell_of_the_paper_is_drawn_and_the_irnn_with_the_rnn():
    figure = figures.wiring()
    assert [ax.get_title() for ax in figure.axes[:5]] == [
        "RNN and IRNN",
        "UGRNN",
        "GRU",
        "LSTM",
        "+RNN",
    ]
    assert set(NODES) == set(cells.PAPER)
    assert "LSTM 5" in figure.alt and "GRU 3" in figure.alt


def test_one_cell_alone_is_drawn_too():
    assert figures.wiring(("irnn",)).axes[0].get_title() == "IRNN"


@pytest.mark.parametrize("wrong", [("mgu",), (), ("rnn", 3)])
def test_a_cell_without_a_drawing_is_refused(wrong):
    with pytest.raises(ValueError, match="Cells are drawn for rnn, "):
        figures.wiring(wrong)


@pytest.mark.parametrize(("steps", "depth"), [(2, 1), (4, 2), (12, 8)])
def test_an_unrolled_network_has_a_cell_for_each_step_and_layer(steps, depth):
    figure = figures.unrolled(steps, depth)
    assert (
        [text.get_text() for text in figure.axes[0].texts].count("cell")
        == steps * depth
        == len(figure.tables["unrolled"])
    )


@pytest.mark.parametrize(("steps", "depth"), [(1, 1), (4, 0), (13, 1), ("4", 1)])
def test_an_unrolled_network_of_another_size_is_refused(steps, depth):
    with pytest.raises(ValueError, match="2 to 12 steps"):
        figures.unrolled(steps, depth)
