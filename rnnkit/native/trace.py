"""Prints the plan of a cell's step (plan.py) as C++ or CUDA, forward and backward.

So a user's own cell is compiled from the very lines that define it, without a derivative written by
hand.
"""

from dataclasses import dataclass

from .ops import ROWS, Untraceable
from .plan import STATE, Adjoint, Loop, Plan, plan

__all__ = ["Untraceable", "trace"]


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


def pointer(target) -> str:
    """Where a cell's numbers are in memory, as a member of Cell in step.cpp and step.cu."""
    name, k = target
    if name in ("pre", "d_pre"):
        return f"c.{name} + {k} * n"
    return f"c.{name}" if name in ("x", "d_x", "up", "d_up", "d_arg") else f"c.{name}[{k}]"


class Printer:
    """Prints a loop's expressions as statements, each shared node once."""

    def __init__(self, language: Language, in_memory):
        self.language = language
        self.in_memory = in_memory
        self.lines = []
        self.names = {}

    def load(self, target) -> str:
        return self.language.load.format(pointer(target))

    def name(self, e) -> str:
        if id(e) in self.names:
            return self.names[id(e)]
        if e.op == "const":
            return self.language.splat.format(f"(real){e.args[0]!r}")
        if id(e) in self.in_memory:
            code = self.load(self.in_memory[id(e)])
        elif e.op == "leaf":
            code = self.load(e.args[0])
        else:
            code = ROWS[e.op].code.format(*[self.name(x) for x in e.args])
        self.names[id(e)] = f"a{len(self.names)}"
        self.lines.append(f"        const {self.language.vector} {self.names[id(e)]} = {code};")
        return self.names[id(e)]


def print_loop(loop: Loop, language: Language) -> str:
    printer = Printer(language, loop.in_memory)
    stores = []
    for store in loop.stores:
        value = printer.name(store.value) if store.value is not None else language.splat.format(0)
        if store.add:
            value = f"{language.load.format(pointer(store.target))} + {value}"
        stores.append(f"        {language.store.format(pointer(store.target), value)};")
    return f"    {language.loop}\n" + "\n".join(printer.lines + stores) + "\n    }"


def print_step(step, language: Language) -> str:
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


def trace(cell, language="c++") -> str:
    """`cell` in C++ or CUDA: the text of cell.inc. Raises Untraceable, with the reason, if its
    equations use an operation that is not in native/ops.py.
    """
    how = LANGUAGES[language]
    if not cell.maps:
        return NO_CELL.format(how)
    p: Plan = plan(cell)
    newline = "\n"
    return f"""// {cell.architecture}: written by trace.py from the equations of {cell.__name__}
constexpr int MAPS = {p.maps}, RECURRENT = {p.recurrent}, STATES = {p.states}, SAVES = {p.saves}, ARGS = {p.args};
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
