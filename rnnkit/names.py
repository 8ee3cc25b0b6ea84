"""Names as people write them: "GRU" is "gru", and a misspelling is answered with the nearest name."""

from collections.abc import Iterable
from difflib import SequenceMatcher

NEAR = 0.6  # the least likeness, from 0 to 1, of a name that is worth suggesting
MOST = 3  # a misspelling as near to more names than these suggests none of them


def resolve_name(
    kind: str, name, names: Iterable[str], else_do: str = "Check the spelling."
) -> str:
    """The one of `names` that is meant by `name`, whatever its case, spaces, hyphens and
    underscores.

    ValueError, which says what a `kind` may be and which name is nearest, for another one.
    """
    names = list(names)
    meant = matching(name, names)
    if meant is None:
        raise ValueError(
            f"{kind} must be one of {', '.join(names)}, got {name!r}."
            f" {nearest(name, names) or else_do}"
        )
    return meant


def matching(name, names: Iterable[str]) -> str | None:
    """The one of `names` that `name` spells, or None."""
    names = list(names)
    if not isinstance(name, str) or name in names:
        return name if name in names else None
    alike = [other for other in names if _folded(other) == _folded(name)]
    return alike[0] if len(alike) == 1 else None


def nearest(name, names: Iterable[str]) -> str:
    """ "The nearest is 'gru'.", of some names; nothing where none is near."""
    if not isinstance(name, str):
        return ""
    likeness = {
        other: SequenceMatcher(None, _folded(name), _folded(other)).ratio()
        for other in dict.fromkeys(names)
    }
    best = max(likeness.values(), default=0.0)
    near = [repr(other) for other, ratio in likeness.items() if ratio == best]
    if best < NEAR or len(near) > MOST:
        return ""
    return f"The nearest {'is' if len(near) == 1 else 'are'} {' and '.join(near)}."


def _folded(name: str) -> str:
    return "".join(letter for letter in name.casefold() if letter not in " _-")
