"""Reports as rows of a CSV table (one row per report), as they are published in bulk."""

import csv
import io
from collections.abc import Iterator

from pledge.member_file.json_text import JsonNumber, refuse_at, text_of
from pledge.member_file.reader import MemberFile, read

COLUMNS = ("member_id", "role", "active", "join_date", "year", "report_date", "devs", "usd_paid", "report_url")
SIZE_MAX_BYTES = 5_000_000
ROWS_MAX = 50_000


def read_rows(content: bytes, *, name: str) -> list[MemberFile]:
    """Read a table with the columns COLUMNS (others are ignored) into one member per `member_id`, in order of appearance.

    Rows know little of a member but its reports: without a column `name` it is named by its id, and its document stays empty.

    Raises:
        RefusedFile: the sentence names the line and the column.
    """
    if len(content) > SIZE_MAX_BYTES:
        refuse_at(name, "", f"it has more than {SIZE_MAX_BYTES:,} bytes; split it.")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        refuse_at(name, "", f"byte {error.start + 1} is not UTF-8; save the file as UTF-8.")
    table = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    missing = [column for column in COLUMNS if column not in (table.fieldnames or ())]
    if missing:
        refuse_at(name, "line 1", f"has no column {', '.join(missing)}; the table needs {', '.join(COLUMNS)}.")
    members: dict[str, dict[str, object]] = {}
    lines: dict[str, list[int]] = {}
    for line, row in _rows(table, name):
        member = members.setdefault(row["member_id"], _member(row))
        reports = member["annualReports"]
        assert isinstance(reports, list)
        reports.append(_report(row))
        lines.setdefault(row["member_id"], []).append(line)
    # The same checks as for a file; a report's place in its member leads back to the line of the table.
    return [_checked(member, lines[member_id], name) for member_id, member in members.items()]


def _rows(table: "csv.DictReader[str]", name: str) -> Iterator[tuple[int, dict[str, str]]]:
    try:
        for count, row in enumerate(table):
            if count >= ROWS_MAX:
                refuse_at(name, f"line {table.line_num}", f"is beyond the {ROWS_MAX:,} rows one table may have; split it.")
            if None in row or None in row.values():
                refuse_at(name, f"line {table.line_num}", "does not have as many cells as the first line.")
            yield table.line_num, row
    except csv.Error as error:
        refuse_at(name, f"line {table.line_num}", f"is not CSV: {error}.")


def _member(row: dict[str, str]) -> dict[str, object]:
    return {
        "id": row["member_id"],
        "role": row["role"],
        "active": {"true": True, "false": False}.get(row["active"].strip().lower(), row["active"]),
        "name": row.get("name") or " ".join(part.capitalize() for part in row["member_id"].replace("_", "-").split("-")),
        "url": row["report_url"],
        "joinDate": row["join_date"],
        "annualReports": [],
    }


def _report(row: dict[str, str]) -> dict[str, object]:
    return {
        "url": row["report_url"],
        "year": row["year"],
        "reportDate": row["report_date"],
        "averageNumberOfDevs": _number(row["devs"]),
        "usdAmountPaid": _number(row["usd_paid"]),
    }


def _number(cell: str) -> object:
    """A JSON number if the cell is one; else the text, which the reader refuses with its place."""
    digits = cell.strip()
    plain = digits.replace(".", "", 1).isdecimal() and digits.isascii() and digits[0] != "." and digits[-1] != "."
    return JsonNumber(digits.lstrip("0") or "0") if plain and digits.isdecimal() else (JsonNumber(digits) if plain else cell)


def _checked(member: dict[str, object], lines: list[int], name: str) -> MemberFile:
    where = f"{name}, lines {lines[0]} to {lines[-1]}" if len(lines) > 1 else f"{name}, line {lines[0]}"
    found = read(text_of(member), name=where)
    return MemberFile(
        source=where,
        member_id=found.member_id,
        active=found.active,
        role=found.role,
        name=found.name,
        joined_on=found.joined_on,
        reports=found.reports,
    )
