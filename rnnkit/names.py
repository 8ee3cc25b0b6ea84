"""Names as people write them: "GRU" means "gru", and a misspelling is answered with the nearest
name.
"""

import re
from collections.abc import Iterable
from difflib import SequenceMatcher

NEAR = 0.6  # a name is suggested if its similarity, from 0 to 1, is at least this
MOST = 3  # if more names than these are equally similar, none is suggested


def resolve_name(
    kind: str, name: object, names: Iterable[str], else_do: str = "Check the spelling."
) -> str:
    """The one of `names` that `name` means; case, spaces, hyphens and underscores do not matter.

    ValueError for any other name; it says what a `kind` may be and which name is nearest.
    """
    names = list(names)
    match = matching(name, names)
    if match is None:
        raise ValueError(
            f"{kind} must be one of {', '.join(names)}, got {name!r}."
            f" {nearest(name, names) or else_do}"
        )
    return match


def matching(name: object, names: Iterable[str]) -> str | None:
    """The one of `names` that `name` spells, or None."""
    names = list(names)
    if not isinstance(name, str) or name in names:
        return name if name in names else None
    matches = [candidate for candidate in names if _fold(candidate) == _fold(name)]
    return matches[0] if len(matches) == 1 else None


def nearest(name: object, names: Iterable[str]) -> str:
    """The sentence "The nearest is 'gru'."; empty if none of `names` is near. Where several of
    them stand in one place, the sentence asks for one at a time.
    """
    names = list(names)
    if several := _several(name, names):
        return f"Give {' and '.join(map(repr, several))} one at a time."
    if not isinstance(name, str):
        return ""
    similarity = {
        candidate: SequenceMatcher(None, _fold(name), _fold(candidate)).ratio()
        for candidate in dict.fromkeys(names)
    }
    best = max(similarity.values(), default=0.0)
    near = [repr(candidate) for candidate, ratio in similarity.items() if ratio == best]
    if best < NEAR or len(near) > MOST:
        return ""
    return f"The nearest {'is' if len(near) == 1 else 'are'} {' and '.join(near)}."


def _several(name: object, names: list[str]) -> list[str]:
    """The names in a list, or in a text such as "gru, lstm"; empty if there is one alone, or if one
    is not among `names`.
    """
    parts = re.split(r"[\s,;]+", name.strip()) if isinstance(name, str) else name
    if not isinstance(parts, (list, tuple)) or len(parts) < 2:
        return []
    matches = [match for part in parts if (match := matching(part, names))]
    return matches if len(matches) == len(parts) else []


def _fold(name: str) -> str:
    return "".join(letter for letter in name.casefold() if letter not in " _-")
