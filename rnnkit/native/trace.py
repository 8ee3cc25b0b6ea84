"""From a cell's Python equations to the C++ of its forward and backward step.

`Cell.step` is run once on symbols. What comes back is an expression graph; its derivative is taken
here by reverse mode on the same graph, and both are printed as loops over the units x batch. So a
user's own cell is compiled from the very lines that define it, and no derivative is written by
hand.
"""

from ..cells import recurrent_maps
from .expressions import Expr, Untraceable, adjoints, walk

LOOPS = {  # how the units x batch are walked: on a processor, and by the threads of a block
    "c++": (
        "const long n = (long)c.N * c.B;",
        "for (long j = 0; j < n; j += VW) {",
        "template <bool RELU> static",
        "constexpr",
        "load(c.d_up + j)",
    ),
    "cuda": (
        "constexpr int n = NU * NB;\n    const bool RELU = c.relu;",
        '_Pragma("unroll 1") for (int j = threadIdx.x * VW; j < n; j += THREADS * VW) {',
        "DEVICE",
        "static __device__ constexpr",
        "load_or_zero(c.d_up, j)",
    ),
}
# worth a load in the backward pass instead of computing again
SAVED = {"sigmoid", "tanh", "relu", "exp", "s", "div"}


class Printer:
    """Prints expressions as C++ statements, each shared node once."""

    def __init__(self, leaf_code, saved, stored=()):
        self.lines, self.names, self.leaf_code = [], {}, leaf_code
        self.stored = dict(stored) | {
            key: f"load(c.save[{place}] + j)" for key, place in saved.items()
        }

    def name(self, e):
        if id(e) in self.names:
            return self.names[id(e)]
        if e.op == "const":
            return f"splat((real){e.args[0]!r})"
        if id(e) in self.stored:
            code = self.stored[id(e)]
        elif e.op == "leaf":
            code = self.leaf_code[e]
        else:
            a = [self.name(x) for x in e.args]
            code = {
                "add": "{0} + {1}",
                "sub": "{0} - {1}",
                "mul": "{0} * {1}",
                "div": "{0} / {1}",
                "neg": "-{0}",
                "sigmoid": "v_sigmoid({0})",
                "tanh": "v_tanh({0})",
                "relu": "v_relu({0})",
                "exp": "v_exp({0})",
                "s": "(RELU ? v_relu({0}) : v_tanh({0}))",
                "positive": "v_positive({0})",
                "s_slope": "(RELU ? v_positive({0}) : splat(1) - {0} * {0})",
            }[e.op].format(*a)
        self.names[id(e)] = f"a{len(self.names)}"
        self.lines.append(f"        const V {self.names[id(e)]} = {code};")
        return self.names[id(e)]


class _Maps:
    """Stands for W while the equations run: remembers what each map read."""

    def __init__(self, cell, x):
        self._cell, self._x, self._read, self._leaves = cell, x, {}, {}

    def __getattr__(self, name):
        if name not in self._cell.maps:
            raise AttributeError(
                f"A cell calls only maps that it names, {self._cell.maps}, got {name!r}. Add it to"
                " `maps`."
            )

        def affine(h, x):
            if (
                x is not self._x
                or name in self._read
                or not (isinstance(h, Expr) or h is None and name in self._cell.input_only)
            ):
                raise Untraceable(
                    f"map {name} must be called once, with the layer's input as its second argument"
                )
            self._read[name] = h
            self._leaves[name] = Expr("leaf", f"pre_{name}")
            return self._leaves[name]

        return affine


def trace(cell, language="c++") -> str:
    """`cell` in C++ or CUDA (the text of cell.inc). Raises Untraceable where its equations use an
    operation not known here.
    """
    extent, loop, function, constant, error_from_above = LOOPS[language]
    if not cell.maps:
        return NO_CELL.replace("template <bool RELU> static", function).replace(
            "constexpr int MAP_ARG", f"{constant} int MAP_ARG"
        )
    maps, n_states = cell.maps, len(cell.states)
    x = Expr("leaf", "x")
    states = [Expr("leaf", f"s{i}") for i in range(n_states)]
    W = _Maps(cell, x)
    up, after = cell.step(
        W, states[0] if n_states == 1 else tuple(states), x, lambda e: Expr("s", e)
    )
    after = [after] if n_states == 1 else list(after)
    if set(W._read) != set(maps):
        raise Untraceable(f"every map must be read, got {sorted(W._read)} of {sorted(maps)}")
    if not all(isinstance(e, Expr) for e in (up, *after)):
        raise Untraceable("a step must return expressions of its maps, state and input")
    pre = {leaf: m for m, leaf in W._leaves.items()}

    # rounds: a map whose argument needs another map's result comes after it
    def round_of(m):
        needs = (
            [round_of(pre[e]) for e in walk([W._read[m]]) if e in pre]
            if W._read[m] is not None
            else []
        )
        return 1 + max(needs) if needs else 0

    rounds = {m: round_of(m) for m in maps}
    args, arg_of = [], {}
    for m in maps:
        h = W._read[m]
        if h is states[0]:
            arg_of[m] = -1
        elif h is None:
            arg_of[m] = -2  # the input alone
        else:
            known = [i for i, a in enumerate(args) if a is h]
            arg_of[m] = known[0] if known else len(args)
            if not known:
                args.append(h)
    arg_round = [min(rounds[m] for m in maps if arg_of[m] == i) for i in range(len(args))]
    runs = []  # consecutive maps that share argument and round become one product
    for k, m in enumerate(maps):
        if runs and arg_of[maps[k - 1]] == arg_of[m] and rounds[maps[k - 1]] == rounds[m]:
            runs[-1][1] += 1
        else:
            runs.append([k, 1])
    last = max(rounds.values(), default=-1)

    # derivative, stage by stage: the outputs first, then each argument
    d_up, d_after = Expr("leaf", "d_up"), [Expr("leaf", f"d_s{i}") for i in range(n_states)]
    d_arg = Expr("leaf", "d_arg")
    stages = [(None, adjoints([(up, d_up), *zip(after, d_after)]))]
    stages += [
        (i, adjoints([(args[i], d_arg)]))
        for i in sorted(range(len(args)), key=lambda i: -arg_round[i])
    ]

    # what the backward pass reads: transcendental values and the maps' own results are saved, the
    # rest is computed again
    computed = set(
        map(id, walk([up, *after, *args]))
    )  # a quotient may also be one of adjoints, which is not known yet
    saveable = lambda e: id(e) in computed and (e.op in SAVED or e in pre)
    needed = [
        e for _, grads in stages for e in walk(list(grads.values()), stop=saveable) if saveable(e)
    ]
    # the states stand in memory anyway
    saved, stored = ({}, {id(e): f"load(c.s_next[{i}] + j)" for i, e in enumerate(after)})
    for e in needed:
        if id(e) not in stored:
            saved.setdefault(id(e), len(saved))
    nodes = {id(e): e for e in needed}

    index = {m: k for k, m in enumerate(maps)}
    leaf_code = {leaf: f"load(c.pre + {index[m]} * n + j)" for leaf, m in pre.items()}
    leaf_code[x] = "load(c.x + j)"
    leaf_code |= {s: f"load(c.s[{i}] + j)" for i, s in enumerate(states)}
    up_is_state = up is after[0] if after else False
    forward, done = [], set()
    for r in range(last + 2):
        wanted = [i for i in range(len(args)) if arg_round[i] == r]
        block = Printer(leaf_code, {k: v for k, v in saved.items() if k in done})
        stores = []
        below = [args[i] for i in wanted] + (([up, *after]) if r == last + 1 else [])
        for i in wanted:
            stores.append(f"        store(c.arg[{i}] + j, {block.name(args[i])});")
        if r == last + 1:
            stores += [
                f"        store(c.s_next[{i}] + j, {block.name(e)});" for i, e in enumerate(after)
            ]
            if not up_is_state:
                stores.append(f"        store(c.up + j, {block.name(up)});")
            below += [nodes[k] for k in saved if k not in done]
        for e in walk(below, stop=lambda e: id(e) in done):
            if id(e) in saved and id(e) not in done:
                stores.append(f"        store(c.save[{saved[id(e)]}] + j, {block.name(e)});")
                done.add(id(e))
        if stores:
            forward.append(f"    {loop}\n" + "\n".join(block.lines + stores) + "\n    }")
        for k, count in runs:
            if rounds[maps[k]] == r:
                h = {-2: None, -1: "c.s[0]"}.get(arg_of[maps[k]], f"c.arg[{arg_of[maps[k]]}]")
                forward.append(
                    f"    affine(c, {k}, {count}, {h});"
                    if h
                    else f"    affine_of_input(c, {k}, {count});"
                )

    backward_code = dict(leaf_code)
    backward_code[d_up] = error_from_above
    backward_code[d_arg] = "load(c.d_arg + j)"
    backward_code |= {d: f"load(c.d_s[{i}] + j)" for i, d in enumerate(d_after)}
    backward, written = [], set()
    reads_x = any(x in grads for _, grads in stages)
    for i, grads in stages:
        if i is not None:
            first = True
            for k, count in runs:
                if arg_of[maps[k]] == i:
                    backward.append(
                        f"    affine_adjoint(c, {k}, {count}, {'nullptr' if first else 'c.d_arg'},"
                        " c.d_arg);"
                    )
                    first = False
        block, stores = Printer(backward_code, saved, stored), []
        targets = [(leaf, f"c.d_pre + {index[m]} * n") for leaf, m in pre.items()]
        targets += [(s, f"c.d_s[{k}]") for k, s in enumerate(states)] + [(x, "c.d_x")]
        for leaf, where in targets:
            value = block.name(grads[leaf]) if leaf in grads else None
            if leaf in written:
                if value:
                    stores.append(f"        store({where} + j, load({where} + j) + {value});")
            elif (
                leaf in grads or leaf in states
                # the first stage overwrites the adjoint of the state after by that of the state
                # before
            ):
                stores.append(f"        store({where} + j, {value or 'splat(0)'});")
                written.add(leaf)
        if stores:
            backward.append(f"    {loop}\n" + "\n".join(block.lines + stores) + "\n    }")
    for k, count in runs:
        if arg_of[maps[k]] == -1:
            backward.append(f"    affine_adjoint(c, {k}, {count}, c.d_s[0], c.d_s[0]);")
    missing = [m for leaf, m in pre.items() if leaf not in written]
    if missing:
        raise Untraceable(f"maps {missing} do not reach the output")

    newline = "\n"
    return f"""// {cell.architecture}: written by trace.py from the equations of {cell.__name__}
constexpr int MAPS = {len(maps)}, RECURRENT = {len(recurrent_maps(cell))}, STATES = {n_states}, SAVES = {len(saved)}, ARGS = {len(args)};
constexpr bool UP_IS_STATE = {str(up_is_state).lower()}, READS_X = {str(reads_x).lower()}, EQUAL_SIZES = {str(cell.equal_sizes).lower()};
{constant} int MAP_ARG[MAPS + 1] = {{{", ".join(str(arg_of[m]) for m in maps)}{", " if maps else ""}0}};
{function} void cell_forward(const Cell& c) {{
    {extent}
{newline.join(forward)}
}}
{function} void cell_backward(const Cell& c) {{
    {extent}
{newline.join(backward)}
}}
"""


NO_CELL = """constexpr int MAPS = 0, RECURRENT = 0, STATES = 0, SAVES = 0, ARGS = 0;
constexpr bool UP_IS_STATE = true, READS_X = false, EQUAL_SIZES = false;
constexpr int MAP_ARG[1] = {0};
template <bool RELU> static void cell_forward(const Cell&) {}
template <bool RELU> static void cell_backward(const Cell&) {}
"""
