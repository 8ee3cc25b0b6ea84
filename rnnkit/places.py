"""Where the kit's own notebooks and trials are: in the source checkout, or packed with the package.

Beside `notebooks` stands `figures` in both, so that a notebook's ../figures/trials.parquet is there.
"""

from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
PACKED = PACKAGE / "packed"  # of a wheel; setup.py fills it
HOME = PACKED if PACKED.is_dir() else PACKAGE.parent

NOTEBOOKS = HOME / "notebooks"
FIGURES = HOME / "figures"
TRIALS = FIGURES / "trials.parquet"  # beside it, trials.weights has the best networks
