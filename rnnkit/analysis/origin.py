"""From which trials something was drawn: who trained them, and when. Words made of the columns that
each trial carries.
"""

import pandas as pd


def origin(frame: pd.DataFrame) -> str:
    """The versions of rnnkit and torch, commits, devices and days of a frame of trials, in one
    sentence; and the source files, where the commits do not tell them.
    """
    if not len(frame):
        return "Of no trials."
    days = sorted({created[:10] for created in frame.created})
    parts = [f"rnnkit {_some(frame.version)}"]
    commits = set(frame.commit) if "commit" in frame else {""}
    parts.append(
        f"commit{'s' * (len(commits) > 1)} {_some(commits)}"
        if commits != {""}
        else "commit not noted"
    )
    if "source" in frame and any(not text or text.endswith("-dirty") for text in commits):
        sources = set(frame.source) - {""}
        parts += [f"source {_some(sources)}"] if sources else []
    if "torch" in frame and set(frame.torch) != {""}:
        parts.append(f"torch {_some(frame.torch)}")
    parts.append(_some(frame.device))
    parts.append(days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}")
    return f"Trained by {', '.join(parts)}."


def short_origin(frame: pd.DataFrame) -> str:
    """rnnkit 0.1.0 at 4590c9d0a1b2: what fits on a figure."""
    commits = sorted(set(frame.commit) - {""}) if "commit" in frame else []
    return f"rnnkit {_some(frame.version)}" + (f" at {_some(commits, 1)}" if commits else "")


def _some(values, most=3) -> str:
    """Different values in order, no more than some of them; "unknown" for an empty one."""
    values = sorted({str(value) or "unknown" for value in values})
    return ", ".join(values[:most]) + (
        f" and {len(values) - most} more" if len(values) > most else ""
    )
