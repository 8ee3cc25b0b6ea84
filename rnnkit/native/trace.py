"""Prints the plan of a cell's step (plan.py) as C++ or CUDA, forward and backward.

So a user's own cell is compiled from the very lines that define it, without a derivative written by
hand.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace

from ..cells import Cell, recurrent_maps
from ..optimizers import all_equations
from .expressions import walk
from .ops import ROWS, Expr, Untraceable
from .plan import STATE, Address, Adjoint, Loop, Plan, Product, plan

__all__ = ["Untraceable", "print_optimizers", "print_plan", "trace"]


@dataclass(frozen=True)
class Language:
    """How a loop over units x batch is written: for a processor, and for the threads of a block."""

    extent: str
    loop: str
    function: str
    constant: str
    vector: str
    load: str
    store: str
    splat: str


LANGUAGES = {
    "c++": Language(
        "const long n = (long)c.N * c.B;",
        "for (long j = 0; j < n; j += VW) {",
        "template <bool RELU> static",
        "constexpr",
        "V",
        "load({} + j)",
        "store({} + j, {})",
        "splat({})",
    ),
    "cuda": Language(
        "constexpr int n = NU * NB;\n    const bool RELU = c.relu;\n    typedef Wide<together(MAPS)> W;",
        '_Pragma("unroll 1") for (int j = threadIdx.x * VW; j < n; j += W::STEP) {',
        "DEVICE",
        "static __device__ constexpr",
        "W",
        "W::at({}, j)",
        "({1}).to({0}, j)",
        "W::of({})",
    ),
}


def pointer(address: Address) -> str:
    """Where a cell's numbers are in memory, as a member of Cell in step.cpp and step.cu."""
    name, k = address
    if name in ("pre", "d_pre"):
        return f"c.{name} + {k} * n"
    return f"c.{name}" if name in ("x", "d_x", "up", "d_up", "d_arg") else f"c.{name}[{k}]"


def print_loop(loop: Loop, language: Language) -> str:
    """A loop, with a statement for each node of its expressions, shared ones once."""
    lines: list[str] = []
    names: dict[Expr, str] = {}

    def load(address: Address) -> str:
        return language.load.format(pointer(address))

    def name(e: Expr) -> str:
        if e.op == "const":
            return language.splat.format(f"(real){e.args[0]!r}")
        if e not in names:
            if e in loop.in_memory or e.op == "leaf":
                code = load(loop.in_memory.get(e) or e.args[0])
            else:
                code = ROWS[e.op].code.format(*map(name, e.args))
            names[e] = f"a{len(names)}"
            lines.append(f"        const {language.vector} {names[e]} = {code};")
        return names[e]

    stores = []
    for store in loop.stores:
        value = language.splat.format(0) if store.value is None else name(store.value)
        if store.add:
            value = f"{load(store.target)} + {value}"
        stores.append(f"        {language.store.format(pointer(store.target), value)};")
    return f"    {language.loop}\n" + "\n".join(lines + stores) + "\n    }"


def print_step(step: Loop | Product, language: Language) -> str:
    """One step of a plan as text."""
    if isinstance(step, Loop):
        return print_loop(step, language)
    run = f"c, {step.first}, {step.count}"
    if isinstance(step, Adjoint):
        to = pointer(("d_s", 0) if step.arg == STATE else ("d_arg", 0))
        return f"    affine_adjoint({run}, {to if step.add else 'nullptr'}, {to});"
    if step.arg < STATE:
        return f"    affine_of_input({run});"
    h = pointer(("s", 0) if step.arg == STATE else ("arg", step.arg))
    return f"    affine({run}, {h});"


def trace(cell: type[Cell], language: str = "c++") -> str:
    """`cell` in C++ or CUDA. Raises Untraceable, with the reason, if its equations use an operation
    that is not in native/ops.py.
    """
    return print_plan(plan(cell), language)


def print_plan(p: Plan, language: str = "c++") -> str:
    """A plan in C++ or CUDA: the text of cell.inc."""
    how = LANGUAGES[language]
    cell = p.cell
    if not cell.maps:
        return NO_CELL.format(how)
    newline = "\n"
    return f"""// {cell.architecture}: written by trace.py from the equations of {cell.__name__}
constexpr int MAPS = {len(cell.maps)}, RECURRENT = {len(recurrent_maps(cell))}, STATES = {len(cell.states)}, SAVES = {p.saves}, ARGS = {p.args};
constexpr bool UP_IS_STATE = {str(p.up_is_state).lower()}, READS_X = {str(p.reads_x).lower()}, EQUAL_SIZES = {str(cell.equal_sizes).lower()};
{how.constant} int MAP_ARG[MAPS + 1] = {{{", ".join(map(str, p.arg_of))}, 0}};
{how.function} void cell_forward(const Cell& c) {{
    {how.extent}
{newline.join(print_step(step, how) for step in p.forward)}
}}
{how.function} void cell_backward(const Cell& c) {{
    {how.extent}
{newline.join(print_step(step, how) for step in p.backward)}
}}
"""


NO_CELL = """constexpr int MAPS = 0, RECURRENT = 0, STATES = 0, SAVES = 0, ARGS = 0;
constexpr bool UP_IS_STATE = true, READS_X = false, EQUAL_SIZES = false;
{0.constant} int MAP_ARG[1] = {{0}};
{0.function} void cell_forward(const Cell&) {{}}
{0.function} void cell_backward(const Cell&) {{}}
"""


# ---- optimisers ----------------------------------------------------------------------------------
COEFFICIENTS = ("m_keep", "m_take", "v_keep", "v_take", "rate", "v_scale")  # see optimizers.py
FUNCTIONS_OF_NUMBERS = {"c++": "static inline", "cuda": "DEVICE"}


def print_optimizers(language: str = "c++") -> str:
    """The equations of all optimisers in C++ or CUDA, for single numbers: `change(k, g, m, v, c)` of
    those with number k, and `reads_v(k)`, whether they read or change v.

    Raises Untraceable for an operation that takes no single numbers.
    """
    how = FUNCTIONS_OF_NUMBERS[language]
    bodies = [_print_equations(equations) for equations in all_equations()]
    cases = "\n".join(f"    case {k}: {{\n{body}\n    }}" for k, (body, _) in enumerate(bodies))
    readers = " || ".join(f"k == {k}" for k, (_, reads_v) in enumerate(bodies) if reads_v)
    return f"""
// the optimisers: written by trace.py from the equations of optimizers.py
struct Coefficients {{
    real {", ".join(COEFFICIENTS)};
}};
constexpr int OPTIMIZERS = {len(bodies)};  // different equations
template <class F, class... X> {how} real each(F f, real x, X... more) {{ return f(x, more...); }}
{how} bool reads_v(int k) {{ return {readers or "false"}; }}
{how} real change(int k, real g, real& m, real& v, const Coefficients& c) {{
    switch (k) {{
{cases}
    }}
    return 0;
}}
"""


def _print_equations(equations: Callable) -> tuple[str, bool]:
    """The body of one case of `change`, and whether it reads v or changes it. What is read once is
    printed where it is read, so that a compiler sees the expressions of optimizers.py.
    """
    g, m, v = (Expr("leaf", name) for name in "gmv")
    c = SimpleNamespace(**{name: Expr("leaf", f"c.{name}") for name in COEFFICIENTS})
    change, new_m, new_v = equations(g, m, v, c)
    new = {name: e for name, e, old in (("m", new_m, m), ("v", new_v, v)) if e is not old}
    nodes = walk([*new.values(), change])
    reads = Counter(id(argument) for e in nodes for argument in e.args)
    results = {id(e) for e in (*new.values(), change)}
    names: dict[Expr, str] = {}
    lines: list[str] = []

    def text(e: Expr) -> str:
        if e.op == "const":
            return f"(real){e.args[0]!r}"
        if e.op == "leaf":
            return e.args[0]
        if e not in names:
            code = ROWS[e.op].code
            if "v_" in code:
                raise Untraceable(f"{equations.__name__} must not use {e.op}, which takes vectors")
            value = code.format(*map(text, e.args))
            if reads[id(e)] == 1 and id(e) not in results:
                return f"({value})"
            names[e] = f"a{len(names)}"
            lines.append(f"const real {names[e]} = {value};")
        return names[e]

    # m and v are changed at the end, since all values may read them as they were
    stores = [f"{name} = {text(e)};" for name, e in new.items()]
    result = text(change)
    lines += [*stores, f"return {result};"]
    return "\n".join(f"        {line}" for line in lines), "v" in new or v in set(nodes)
