"""What the draws of `rnnkit.flow.at_random` have in common: medians, bands, and how many gradients
vanish or explode.
"""

import pandas as pd

LOST, BURST = 1e-3, 1e3  # a gradient that shrank or grew by more than this has vanished or exploded
QUANTILES = {"q10": 0.1, "q25": 0.25, "q50": 0.5, "q75": 0.75, "q90": 0.9}


def gradient_bands(frame: pd.DataFrame) -> pd.DataFrame:
    """Median and quantiles over the draws: a row for each architecture, quantity (gradient, trace)
    and number of steps `back`.
    """
    parts = []
    for what in ("gradient", "trace"):
        table = (
            frame.groupby(["architecture", "back"], sort=False)[what]
            .quantile(list(QUANTILES.values()))
            .unstack()
        )
        table.columns = list(QUANTILES)
        parts.append(table.reset_index().assign(quantity=what))
    return pd.concat(parts, ignore_index=True)


def gradient_shares(frame: pd.DataFrame) -> pd.DataFrame:
    """By architecture, at the largest number of steps back: the median gradient, its factor a step,
    and the shares of draws whose gradient vanished (fell below 1/1000) and exploded (rose above
    1000).
    """
    steps = int(frame.back.max())
    first = frame[frame.back == steps].groupby("architecture", sort=False).gradient
    middle = first.median()
    return pd.DataFrame(
        {
            "median": middle,
            "factor_a_step": middle ** (1 / steps),
            "vanished": first.agg(lambda g: float((g < LOST).mean())),
            "exploded": first.agg(lambda g: float((g > BURST).mean())),
        }
    ).reset_index()
