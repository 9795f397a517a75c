"""Reading XML that strangers wrote: no document type, so no entities and nothing fetched, and bounds on size and depth."""

from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from core.books.parsed import StatementUnreadable

SIZE_MAX_BYTES = 10_000_000
DEPTH_MAX = 40
ELEMENTS_MAX = 500_000


def read_xml(content: bytes) -> Element:
    """The root element; names are `{namespace}name`.

    Raises:
        StatementUnreadable: not well-formed, with a document type, too deep, or with too many elements.
    """
    if len(content) > SIZE_MAX_BYTES:
        raise StatementUnreadable(f"The file is larger than {SIZE_MAX_BYTES // 1_000_000} MB.", field="file")
    builder, bounds = TreeBuilder(), _Bounds()
    parser = expat.ParserCreate(namespace_separator="}")
    parser.buffer_text = True

    def start(name: str, attributes: dict[str, str]) -> None:
        bounds.enter()
        builder.start(f"{{{name}" if "}" in name else name, attributes)

    def end(name: str) -> None:
        bounds.depth -= 1
        builder.end(f"{{{name}" if "}" in name else name)

    def refuse(*_: object) -> None:
        raise StatementUnreadable("The file has a document type (DOCTYPE), which no bank's statement has.", field="file")

    parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = start, end, builder.data
    # Entities can only be declared in a document type: refusing it refuses them all, before any is expanded.
    parser.StartDoctypeDeclHandler = parser.EntityDeclHandler = refuse
    try:
        parser.Parse(content, True)
    except expat.ExpatError as error:
        raise StatementUnreadable(
            f"Line {error.lineno}, column {error.offset + 1}: this is no XML ({expat.ErrorString(error.code)}).", field="file"
        ) from None
    except (ValueError, LookupError):  # an encoding that Python does not know, or that it can't hand to the parser
        raise StatementUnreadable("The file names an encoding that can't be read; save it as UTF-8.", field="file") from None
    return builder.close()


class _Bounds:
    """A tree that is deeper or larger than any statement would only eat memory."""

    def __init__(self) -> None:
        self.depth = self.elements = 0

    def enter(self) -> None:
        self.depth += 1
        self.elements += 1
        if self.depth > DEPTH_MAX:
            raise StatementUnreadable(f"The file nests more than {DEPTH_MAX} elements.", field="file")
        if self.elements > ELEMENTS_MAX:
            raise StatementUnreadable(f"The file has more than {ELEMENTS_MAX:,} elements; split it.", field="file")
