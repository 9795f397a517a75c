"""JSON that loses nothing: numbers as written, keys in order, bounded in size, depth and digits."""

import json
import re
from decimal import Decimal
from typing import Any, NoReturn

from core.errors import InvalidInput

SIZE_MAX_BYTES = 256_000
DEPTH_MAX = 16
NUMBER_CHARACTERS_MAX = 24
EXPONENT_MAX = 18

_TOKENS = re.compile(r'"(?:[^"\\]|\\.)*"?|[\[\]{}]')


class RefusedFile(InvalidInput):
    """A file that can't be taken as it is. It says where: line and column of its text, or the path of the value."""

    code = "member_file_refused"


class JsonNumber(str):
    """A number with the digits it was written with."""

    __slots__ = ()

    @property
    def decimal(self) -> Decimal:
        return Decimal(self)


class _Object(dict[str, Any]):
    """An object that remembers a key that came twice, for the path in the message."""

    repeated: str | None = None


def parse(content: bytes | str, *, name: str) -> Any:
    """Read JSON text.

    Raises:
        RefusedFile: not UTF-8, not JSON, too large, too deep, a number too long, a key twice, or text PostgreSQL can't keep.
    """
    if len(content) > SIZE_MAX_BYTES:
        _refuse(name, f"it has more than {SIZE_MAX_BYTES:,} bytes; a member file has a few thousand.")
    try:
        text = content.decode("utf-8-sig") if isinstance(content, bytes) else content
    except UnicodeDecodeError as error:
        _refuse(name, f"byte {error.start + 1} is not UTF-8; save the file as UTF-8.")
    _check_depth(text, name)
    try:
        value = json.loads(
            text,
            parse_int=JsonNumber,
            parse_float=JsonNumber,
            parse_constant=lambda word: _refuse(name, f"{word} is not a number in JSON; write a plain number."),
            object_pairs_hook=_object,
        )
    except json.JSONDecodeError as error:
        _refuse(name, f"line {error.lineno}, column {error.colno}: {error.msg}.", line=error.lineno, column=error.colno)
    _check(value, "", name)
    return value


def text_of(value: Any) -> str:
    """The canonical text: two spaces, characters as themselves, numbers as written, one line break at the end."""
    return _text(value, "") + "\n"


def join(path: str, step: str | int) -> str:
    """The path of a member or an element: annualReports[0].url."""
    if isinstance(step, int):
        return f"{path}[{step}]"
    return f"{path}.{step}" if path else step


def refuse_at(name: str, path: str, sentence: str) -> NoReturn:
    """Refuse a value, naming its path.

    Raises:
        RefusedFile: always.
    """
    raise RefusedFile(f"{name}: {path} {sentence}" if path else f"{name}: {sentence}", file=name, path=path)


def _refuse(name: str, sentence: str, **where: Any) -> NoReturn:
    raise RefusedFile(f"{name}: {sentence}", file=name, **where)


def _object(pairs: list[tuple[str, Any]]) -> _Object:
    made = _Object(pairs)
    if len(made) != len(pairs):
        seen: set[str] = set()
        made.repeated = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
    return made


def _check_depth(text: str, name: str) -> None:
    """Count brackets outside of strings before the parser recurses into them."""
    depth = 0
    for token in _TOKENS.finditer(text):
        if token[0] in "[{":
            depth += 1
            if depth > DEPTH_MAX:
                line = text.count("\n", 0, token.start()) + 1
                column = token.start() - (text.rfind("\n", 0, token.start()) + 1) + 1
                _refuse(
                    name,
                    f"line {line}, column {column}: more than {DEPTH_MAX} levels deep; a member file has three.",
                    line=line,
                    column=column,
                )
        elif token[0] in "]}":
            depth -= 1


def _check(value: Any, path: str, name: str) -> None:
    """Refuse what is JSON but can't be kept, with its path."""
    match value:
        case JsonNumber():
            if not _is_plausible(value):
                refuse_at(name, path, f"is the number {value[:40]}, larger or finer than any real figure; correct it.")
        case str():
            _check_text(value, path, name)
        case _Object():
            if value.repeated is not None:
                refuse_at(name, join(path, value.repeated), "is there twice in one object; keep one of them.")
            for key, member in value.items():
                _check_text(key, path, name)
                _check(member, join(path, key), name)
        case list():
            for index, element in enumerate(value):
                _check(element, join(path, index), name)


def _is_plausible(number: JsonNumber) -> bool:
    """Bounded before it is ever computed with: 1e999999999 is short to write and long to expand."""
    written, _, power = number.lower().partition("e")
    return len(written) <= NUMBER_CHARACTERS_MAX and (not power or (len(power) < 4 and abs(int(power)) <= EXPONENT_MAX))


def _check_text(value: str, path: str, name: str) -> None:
    if "\0" in value or any("\ud800" <= character <= "\udfff" for character in value):
        refuse_at(name, path, "has a character that is no text (a NUL or half of a surrogate pair); remove it.")


def _text(value: Any, indent: str) -> str:
    deeper = indent + "  "
    match value:
        case JsonNumber():
            return str(value)
        case dict() if value:
            members = (f"{deeper}{json.dumps(key, ensure_ascii=False)}: {_text(v, deeper)}" for key, v in value.items())
            return "{\n" + ",\n".join(members) + f"\n{indent}}}"
        case list() if value:
            return "[\n" + ",\n".join(deeper + _text(element, deeper) for element in value) + f"\n{indent}]"
    return json.dumps(value, ensure_ascii=False)
