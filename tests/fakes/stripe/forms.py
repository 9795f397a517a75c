"""v1's form encoding, `a[b][0]=c`, taken apart again."""

import itertools
from typing import Any
from urllib.parse import parse_qsl


def decode(text: str) -> dict[str, Any]:
    """Nested dictionaries of strings; what was indexed or `[]` is a list.

    Raises:
        ValueError: a name that no object could have.
    """
    tree: dict[str, Any] = {}
    for name, value in parse_qsl(text, keep_blank_values=True, strict_parsing=bool(text)):
        head, *rest = name.replace("]", "").split("[")
        place, keys = tree, [head, *rest]
        for here, below in itertools.pairwise(keys):
            place = place.setdefault(here or str(len(place)), {})
            if not isinstance(place, dict):
                raise ValueError(f"{name} is both a value and an object ({below})")
        place[keys[-1] or str(len(place))] = value
    return {name: _lists(value) for name, value in tree.items()}


def _lists(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    if value and all(name == str(number) for number, name in enumerate(value)):
        return [_lists(each) for each in value.values()]
    return {name: _lists(each) for name, each in value.items()}
