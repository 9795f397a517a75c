"""Write the reference pages that follow from the code, or with --check say which are out of date.

python docs/generate.py [--check]
"""

import importlib
import pkgutil
import sys
from collections.abc import Iterator
from pathlib import Path

import click

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import app
from core.config import Settings
from core.errors import DomainError
from core.identity import roles
from core.web.api import SCOPES

HERE = Path(__file__).resolve().parent / "reference"
NOTE = "<!-- Written by docs/generate.py from the code; change the code, then run it. -->\n"
PACKAGES = ("core", "pledge", "grants", "payouts", "compute")


def settings_page() -> str:
    """Every environment variable, its default and its meaning."""
    lines = [
        "# Settings",
        "",
        NOTE,
        "All settings are environment variables.",
        "",
        "| Variable | Default | Meaning |",
        "|---|---|---|",
    ]
    for name, field in Settings.model_fields.items():
        default = "" if field.default is None else str(getattr(field.default, "value", field.default))
        if name == "pledgeworks_data":
            default = "`var/` beside app.py"
        lines.append(f"| `{name.upper()}` | {default} | {field.description} |")
    return "\n".join(lines) + "\n"


def commands_page() -> str:
    """Every command with its help text."""
    lines = ["# Commands", "", NOTE]
    lines += ["Exit codes: 0 done · 1 refused by a rule · 2 wrong use · 3 infrastructure (database, disk, network).", ""]
    for path, command in _commands(app.main, "pledgeworks"):
        with click.Context(command, info_name=path, max_content_width=100, terminal_width=100) as context:
            lines += [f"## `{path}`", "", "```text", command.get_help(context), "```", ""]
    return "\n".join(lines)


def errors_page() -> str:
    """Every refusal with its stable code and HTTP status."""
    for package in PACKAGES:
        for module in pkgutil.walk_packages(importlib.import_module(package).__path__, f"{package}."):
            importlib.import_module(module.name)
    lines = [
        "# Error codes",
        "",
        NOTE,
        "The `code` of problem+json answers is stable; the sentence is for people and may improve.",
        "",
    ]
    lines += ["| Code | Status | Meaning |", "|---|---|---|"]
    classes = {(cls.code, cls.__name__): cls for cls in _subclasses(DomainError)}
    for (code, _), cls in sorted(classes.items()):
        meaning = " ".join((cls.__doc__ or "").strip().split("\n\n")[0].split())
        lines.append(f"| `{code}` | {cls.status} | {meaning.replace('|', chr(92) + '|')} |")
    return "\n".join(lines) + "\n"


def roles_page() -> str:
    """Roles and API scopes in words."""
    lines = ["# Roles and scopes", "", NOTE]
    lines += [
        "A role is a dated membership row of a person: in one organisation, in one project, or (with neither) on the platform.",
        "",
        "| Role | What it does |",
        "|---|---|",
        *(f"| {name} (`{role.value}`) | {what} |" for role, (name, what) in roles.WORDS.items()),
        "",
        "- A role on the platform counts everywhere.",
        "- An owner of an organisation has every role of that organisation, and of the projects it is the parent of.",
        "- A role in an organisation counts for the projects it is the parent of.",
        "- An administrator reads everything and manages people and programmes. It replaces no second person: finance, approvals",
        "  and reviews need the role itself.",
        "- An auditor of the platform reads everything and changes nothing.",
        "- A role ends on the day it is ended: that day is the first without it. The row stays as history.",
        "- Giving and ending roles asks for a second factor no older than ten minutes, as approving payouts does.",
        "",
        "Organisations play roles too, several at once, each with dates: "
        + ", ".join(words.lower() for words in roles.ORGANISATION_WORDS.values())
        + ".",
        "",
        "## Scopes of API tokens",
        "",
        "A token may do no more than its person, and of that only its scopes.",
        "",
        "| Scope | What it allows |",
        "|---|---|",
        *(f"| `{name}` | {words} |" for name, words in sorted(SCOPES.items())),
    ]
    return "\n".join(lines) + "\n"


PAGES = {"settings.md": settings_page, "commands.md": commands_page, "error-codes.md": errors_page, "roles.md": roles_page}


def _commands(command: click.Command, path: str) -> Iterator[tuple[str, click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        for name in sorted(command.commands):
            yield from _commands(command.commands[name], f"{path} {name}")


def _subclasses(cls: type[DomainError]) -> Iterator[type[DomainError]]:
    for subclass in cls.__subclasses__():
        yield subclass
        yield from _subclasses(subclass)


def main() -> None:
    """Write or check all pages."""
    stale = []
    for name, make in PAGES.items():
        path, wanted = HERE / name, make()
        if path.exists() and path.read_text(encoding="utf-8") == wanted:
            continue
        stale.append(name)
        if "--check" not in sys.argv:
            path.write_text(wanted, encoding="utf-8")
    if stale and "--check" in sys.argv:
        sys.exit(f"Out of date: {', '.join(stale)}. Run: python docs/generate.py")


if __name__ == "__main__":
    main()
