"""Appendix A's space: its dimensions, names and ranges, against the paper's text and the authors'
own published hyper-parameters.
"""

import json
import math

import numpy as np
import pytest
from scipy.stats import kstest

from rnnkit.cells import CELLS, PAPER, RNN, register
from rnnkit.hparams import LEARNING, Choice, IntLog, Log, Space, Uniform, space_for
from rnnkit.tasks import TASKS

# by hand from Appendix A: three rows a map, two types, one b^fg a gate that has one, the
# nonlinearity of rnn and ugrnn, seven of learning; the IRNN has one row of its own, since its
# recurrent matrix and its biases are given (section 1.4)
DIMENSIONS = {"irnn": 8, "rnn": 13, "ugrnn": 17, "gru": 19, "lstm": 22, "+rnn": 25}
# the authors' best text8 LSTM, in the README of their data
AUTHORS_LSTM = {
    "recurrent_bias_scale_o": 1.2967,
    "recurrent_bias_scale_i": -0.2509,
    "recurrent_bias_scale_f": 0.6313,
    "recurrent_bias_scale_c": -1.6244,  # their gate g is the paper's f
    "input_scale_c": 0.2093,
    "input_scale_f": 0.2222,
    "input_scale_i": 1.2033,
    "input_scale_o": 0.4075,
    "recurrent_matrix_scale_f": 0.0360,
    "recurrent_matrix_scale_c": 0.6195,
    "recurrent_matrix_scale_o": 0.0714,
    "recurrent_matrix_scale_i": 0.5201,
    "recurrent_matrix_init_type": "orthogonal",
    "recurrent_bias_init_type": "delta",
    "forget_gate_bias_hack": 4.8867,
    "optimizer": "RMSProp",
    "lr_init": 0.0039849,
    "lr_decay_rate": 0.10885,
    "optimizer_logit_momentum": 5.8967,
    "gradient_clip_val": 27.660,
    "l2_decay": 1.7923e-7,
    "train_steps": 1176212,
}
EVERY = [(architecture, task) for architecture in (*PAPER, "linear") for task in TASKS]


def rows(architecture, task="per_cap", **settings):
    return {row.name: row for row in space_for(architecture, task, **settings).ranges}


@pytest.mark.parametrize("architecture", PAPER)
def test_space_has_the_dimensions_that_the_appendix_lists(architecture):
    assert len(space_for(architecture, "text8")) == DIMENSIONS[architecture]


def test_capacity_task_has_from_10_to_27_dimensions_as_the_appendix_says():
    counts = {architecture: len(space_for(architecture, "per_cap")) for architecture in PAPER}
    assert counts == {architecture: count + 2 for architecture, count in DIMENSIONS.items()}
    assert (min(counts.values()), max(counts.values())) == (10, 27)


def test_capacity_adds_data_set_size_and_input_presentation():
    added = [
        name
        for name in space_for("gru", "per_cap").names
        if name not in space_for("gru", "text8").names
    ]
    assert added == ["samples_per_param", "input_presentation"]


def test_linear_has_only_learning_and_data_set_size():
    learning = {
        "train_steps",
        "optimizer",
        "lr_init",
        "lr_decay_rate",
        "optimizer_logit_momentum",
        "gradient_clip_val",
        "l2_decay",
    }
    assert set(space_for("linear", "per_cap").names) == learning | {"samples_per_param"}


def test_authors_best_lstm_is_a_point_of_our_space():
    assert set(space_for("lstm", "text8").names) == set(AUTHORS_LSTM)
    assert all(row.holds(AUTHORS_LSTM[row.name]) for row in space_for("lstm", "text8").ranges)


@pytest.mark.parametrize(
    "name, kind, low, high",  # Appendix A
    [
        ("input_scale_c", Log, 1e-3, 2),
        ("recurrent_matrix_scale_c", Log, 1e-2, 2),
        ("recurrent_bias_scale_c", Uniform, -2, 2),
        ("forget_gate_bias_hack", Uniform, 0, 6),
        ("lr_init", Log, 1e-4, 1e-1),
        ("lr_decay_rate", Log, 1e-3, 1),
        ("optimizer_logit_momentum", Uniform, 1, 7),
        ("gradient_clip_val", Log, 1, 100),
        ("l2_decay", Log, 1e-8, 1e-3),
        ("samples_per_param", Log, 0.1, 10),
        ("train_steps", IntLog, 50_000, 20_000_000),
    ],
)
def test_range_is_the_appendix_s(name, kind, low, high):
    row = rows("ugrnn")[name]
    assert (type(row), row.low, row.high) == (kind, low, high)


def test_only_the_scale_of_its_input_is_the_irnn_s_own():
    learning = set(space_for("linear", "per_cap").names) | {"input_presentation"}
    assert set(rows("irnn")) - learning == {"input_scale_h"}


def test_only_rnn_and_ugrnn_choose_their_nonlinearity():
    assert [architecture for architecture in PAPER if "nonlinearity" in rows(architecture)] == [
        "rnn",
        "ugrnn",
    ]


def test_intersection_rnn_has_two_forget_biases_and_its_projection():
    names = {
        "forget_gate_bias_hack_y",
        "forget_gate_bias_hack_h",
        "input_scale_in",
        "recurrent_bias_scale_in",
    }
    assert names <= set(rows("+rnn"))


def test_a_new_cell_has_its_space_at_once():
    class Mine(RNN):
        architecture = "mine"
        maps = ("a", "b")
        forget = {"b": "my_bias"}

        @staticmethod
        def step(W, h, x, s):
            h = s(W.a(h, x)) * W.b(h, x)
            return h, h

    register(Mine)
    try:
        assert {"input_scale_a", "recurrent_matrix_scale_b", "my_bias"} <= set(rows("mine"))
    finally:
        del CELLS["mine"]


@pytest.mark.parametrize("architecture, task", EVERY)
def test_sample_survives_json_unchanged(architecture, task):
    point = space_for(architecture, task).sample(np.random.default_rng(0))
    assert json.loads(json.dumps(point)) == point
    assert {type(value) for value in point.values()} <= {int, float, str}


@pytest.mark.parametrize("architecture, task", EVERY)
def test_unit_coordinates_lead_back_to_the_point(architecture, task):
    space = space_for(architecture, task)
    for seed in range(5):
        point = space.sample(np.random.default_rng(seed))
        back = space.from_unit(space.to_unit(point))
        assert all(
            (
                back[k] == pytest.approx(v, rel=1e-9, abs=1e-12)
                if isinstance(v, float)
                else back[k] == v
            )
            for k, v in point.items()
        )


@pytest.mark.parametrize("corner", [0.0, 1.0])
def test_corners_of_the_cube_lie_in_the_space(corner):
    space = space_for("+rnn", "per_cap")
    point = space.from_unit([corner] * len(space))
    assert all(row.holds(point[row.name]) for row in space.ranges)


def test_log_rows_are_uniform_in_the_logarithm():
    # the median of a log-uniform variable is the geometric mean of its ends
    values = [
        space_for("gru", "per_cap").sample(np.random.default_rng(i))["lr_init"]
        for i in range(2_000)
    ]
    assert math.log10(np.median(values)) == pytest.approx(-2.5, abs=0.1)


def test_every_choice_is_drawn_equally_often():
    values = [
        space_for("gru", "per_cap").sample(np.random.default_rng(i))["optimizer"]
        for i in range(2_000)
    ]
    counts = np.unique(values, return_counts=True)[1]
    expected = len(values) / len(
        LEARNING[0].choices
    )  # 500 of four, with a standard deviation of 19
    assert len(counts) == len(LEARNING[0].choices) and counts.min() > 0.86 * expected


def test_skopt_has_the_same_dimensions_in_the_same_order():
    space = space_for("+rnn", "per_cap")
    theirs = space.skopt()
    assert [d.name for d in theirs.dimensions] == list(space.names)
    for d, row in zip(theirs.dimensions, space.ranges):
        assert (
            tuple(d.categories) == row.choices
            if isinstance(row, Choice)
            else (d.low, d.high) == (row.low, row.high)
        )


@pytest.mark.parametrize("choices", [("x", "y"), ("SGD", "momentum", "RMSProp", "Adam"), (3, 1, 2)])
def test_code_of_a_choice_is_skopt_s(choices):
    from skopt.space import Categorical

    rng = np.random.default_rng(0)
    theirs = Categorical(choices, transform="onehot")
    ours = Space((Choice("c", choices),)).skopt().dimensions[0]
    values = [choices[i] for i in rng.integers(len(choices), size=50)]
    codes = np.reshape(theirs.transform(values), (50, -1))
    assert (
        np.array_equal(ours.transform(values), codes)
        and list(ours.inverse_transform(codes)) == values
    )
    between = rng.random(codes.shape)  # what a candidate may hold before it is brought to the space
    if codes.shape[1] == 1:
        between = between[:, 0]
    assert list(ours.inverse_transform(between)) == list(theirs.inverse_transform(between))


def test_single_choice_has_a_code_too():
    code = Space((Choice("c", ("x",)),)).skopt().dimensions[0].transformer
    assert code.transform(["x", "x"]).tolist() == [[0.0], [0.0]] and code.inverse_transform(
        [0.0, 0.7]
    ) == ["x", "x"]


def test_pinned_value_leaves_the_rows_and_enters_every_point():
    space = space_for("rnn", "per_cap", pinned={"nonlinearity": "relu"})
    assert "nonlinearity" not in space.names and len(space) == 14
    assert space.sample(np.random.default_rng(0))["nonlinearity"] == "relu"


def test_pins_may_be_pairs():
    assert space_for("rnn", "per_cap", pinned=(("nonlinearity", "relu"),)) == space_for(
        "rnn", "per_cap", pinned={"nonlinearity": "relu"}
    )


def test_range_of_one_value_is_no_dimension():
    space = space_for("gru", "per_cap", train_steps=(100, 100))
    assert "train_steps" not in space.names
    assert space.sample(np.random.default_rng(0))["train_steps"] == 100


def test_train_steps_stay_within_their_range():
    space = Space((IntLog("train_steps", 3, 7),))
    drawn = {space.sample(np.random.default_rng(i))["train_steps"] for i in range(300)}
    assert drawn == {3, 4, 5, 6, 7}


# --- what is usual


@pytest.mark.parametrize("architecture, task", EVERY)
def test_usual_values_lie_in_their_ranges_and_name_their_source(architecture, task):
    for row in space_for(architecture, task).ranges:
        assert all(row.holds(value) for value in row.usual) and bool(row.usual) == bool(row.source)
        assert list(row.usual) == sorted(row.usual) and len(row.usual) <= 2


@pytest.mark.parametrize("architecture", PAPER)
def test_every_row_of_the_paper_has_a_usual_value_but_the_compute_steps(architecture):
    for task in TASKS:
        space = space_for(architecture, task)
        assert set(space.names) - set(space.usual()) == (
            {"compute_steps"} if task == "arithmetic" else set()
        )


def test_usual_point_is_the_middle_of_the_usual_values():
    space = Space(
        (
            Log("a", 1e-4, 1.0, usual=(1e-3, 1e-1)),
            Uniform("b", 0, 6, usual=(1,)),
            Choice("c", ("x", "y"), usual=("y",)),
        )
    )
    assert space.usual_point() == pytest.approx(
        {"a": 1e-2, "b": 1.0, "c": "y"}
    )  # the geometric mean, on a logarithmic range


def test_row_without_a_usual_value_stands_in_the_middle_and_varies_everywhere():
    space = Space((Log("a", 1e-4, 1.0), Choice("c", ("x", "y", "z"))))
    assert space.usual_point() == pytest.approx({"a": 1e-2, "c": "y"}) and space.usual() == {}
    points = [space.near_usual(np.random.default_rng(i)) for i in range(2_000)]
    units = np.array([space.to_unit(point) for point in points])
    assert kstest(units[:, 0], "uniform").pvalue > 0.001
    assert (
        min(sum(point["c"] == choice for point in points) for choice in "xyz") > 580
    )  # 667 expected, standard deviation 21


def test_variations_stay_near_the_usual_values_and_change_few_choices():
    space = space_for("lstm", "per_cap")
    points = [space.near_usual(np.random.default_rng(i)) for i in range(2_000)]
    for row in space.ranges:
        units = np.array([row.to_unit(point[row.name]) for point in points])
        if isinstance(row, Choice):
            rate = 0.1 * (1 - 1 / len(row.choices))
            changed = np.mean([point[row.name] != row.usual[0] for point in points])
            assert changed == pytest.approx(rate, abs=5 * math.sqrt(rate / len(points)))
        else:
            low = row.to_unit(row.usual[0])
            high = row.to_unit(row.usual[-1])
            assert (
                low - 0.25 < units.min()
                and units.max() < high + 0.25
                and len(np.unique(units)) > 1_000
            )  # five standard deviations


def test_usual_steps_are_the_upper_quarter_of_their_range():
    assert space_for("gru", "per_cap", train_steps=(100, 10_000)).usual()["train_steps"] == (
        3_162,
        10_000,
    )


def test_pinned_values_stay_in_usual_points():
    space = space_for("rnn", "per_cap", pinned={"nonlinearity": "relu"})
    assert (
        space.usual_point()["nonlinearity"]
        == space.near_usual(np.random.default_rng(0))["nonlinearity"]
        == "relu"
    )
    assert "nonlinearity" not in space.usual()


def test_what_is_usual_is_no_part_of_what_a_row_looks_like():
    """So that texts made of rows, and what was stored under them, outlive a change of the usual
    values.
    """
    row = LEARNING[1]
    assert (
        "usual" not in repr(row)
        and "Bengio" not in repr(row)
        and str(row) == "lr_init in [0.0001, 0.1]"
    )


@pytest.mark.parametrize(
    "call, said",
    [
        (lambda: space_for("gruu", "per_cap"), "architecture must be one of"),
        (lambda: space_for("gru", "per_capita"), "task_type must be one of"),
        (lambda: space_for("gru", "per_cap", train_steps=(10, 5)), "1 <= low <= high"),
        (lambda: space_for("gru", "per_cap", train_steps=(0, 5)), "1 <= low <= high"),
        (lambda: space_for("gru", "per_cap", train_steps=5), "two whole numbers"),
        (lambda: space_for("gru", "per_cap", train_steps=(1.5, 5)), "two whole numbers"),
        (
            lambda: space_for("gru", "per_cap", pinned={"nonlinearity": "relu"}),
            "got 'nonlinearity'",
        ),
        (lambda: space_for("rnn", "per_cap", pinned={"nonlinearity": "gelu"}), "got 'gelu'"),
        (lambda: space_for("rnn", "per_cap").check({}), "needs a value for"),
        (lambda: space_for("rnn", "per_cap").to_unit({"input_scale_h": 3.0}), "got 3.0"),
        (lambda: space_for("rnn", "per_cap").to_unit({"input_scale_h": math.nan}), "got nan"),
    ],
)
def test_bad_input_gets_one_sentence(call, said):
    with pytest.raises(ValueError, match="^[^\n]*$") as error:
        call()
    assert said in str(error.value)
