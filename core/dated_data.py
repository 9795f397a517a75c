"""Files of dated data in TOML: those that the project brings, and those that an installation puts in their place."""

import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Any

from core.errors import InvalidInput


def text_of(package: str, name: str, *, own: Path | None, setting: str) -> str:
    """The text of an installation's own file, which `setting` names, or of the package's data/`name`.

    Raises:
        InvalidInput: its own file can't be read; names the setting.
    """
    if own is None:
        return (files(package) / "data" / name).read_text(encoding="utf-8")
    try:
        return own.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{setting}: {own} can't be read ({type(error).__name__}).") from error


def parsed(text: str, what: str) -> dict[str, Any]:
    """What stands in a file; `what` it is ("the tax rules") begins the sentence of a refusal.

    Raises:
        InvalidInput: it is no TOML; says where.
    """
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InvalidInput(f"{what[:1].upper()}{what[1:]} are no TOML: {error}.") from error
