"""`pledgeworks manifest validate`: the form's validator on the command line. It needs no database."""

from collections.abc import Mapping
from typing import BinaryIO

import click

from core.cli import INFRASTRUCTURE, REFUSED, json_option, print_json
from core.urls import Address, BadAddress, parse
from grants.manifests import fetching, reading
from grants.manifests.provenance import DEFAULT_BRANCHES
from grants.manifests.report import Lists, Report, examine
from grants.manifests.report import as_json as report_json
from grants.manifests.rules import NamedUrl


@click.group()
def manifest() -> None:
    """funding.json manifests."""


@manifest.command()
@click.argument("file", type=click.File("rb"))
@click.option("--manifest-url", required=True, help="Where the manifest is published; provenance depends on it.")
@click.option("--fetch-well-known/--offline", default=False, help="Read the well-known lists. Default: --offline.")
@click.option(
    "--well-known",
    "given",
    multiple=True,
    metavar="TARGET=FILE",
    help="Take FILE as the well-known list of this address (of the page or of the list). May be repeated.",
)
@click.option(
    "--default-branch",
    "branches",
    multiple=True,
    help="A default branch whose file views prove their repository; main and master unless given.",
)
@json_option
def validate(
    file: BinaryIO, manifest_url: str, fetch_well_known: bool, given: tuple[str, ...], branches: tuple[str, ...], as_json: bool
) -> None:
    """Validate FILE (- for standard input) as a funding.json published at --manifest-url.

    Prints every finding with its path, and for every address how its provenance stands: not required, required,
    verified or failed. Exit code: 0 valid, 1 findings of severity error, 2 wrong use, 3 a list could not be fetched.
    """
    try:
        parse(manifest_url)
        texts = _texts(given)
    except BadAddress as error:
        raise click.UsageError(error.message) from None
    content = file.read(reading.SIZE_MAX_BYTES + 1)
    lists = _lists(texts, fetching.lists() if fetch_well_known else None)
    report = examine(content, manifest_url, lists=lists, default_branches=branches or DEFAULT_BRANCHES)
    if as_json:
        print_json(report_json(report))
    else:
        _print(report)
    if not report.is_valid:
        raise SystemExit(REFUSED)
    if report.network_failed:
        raise SystemExit(INFRASTRUCTURE)


def _texts(given: tuple[str, ...]) -> Mapping[Address, str]:
    """The lists given as files. Addresses may have a = themselves, so the last one parts address and file."""
    texts: dict[Address, str] = {}
    for pair in given:
        target, sign, name = pair.rpartition("=")
        if not sign:
            raise click.UsageError(f"“{pair}” is not TARGET=FILE, such as https://example.org=list.txt.")
        try:
            with click.open_file(name, "rb") as file:
                content = file.read(fetching.LIST_SIZE_MAX_BYTES)
        except OSError as error:
            raise click.UsageError(f"{name} can't be read: {error.strerror}.") from None
        texts[parse(target)] = content.decode("utf-8", "replace")
    return texts


def _lists(texts: Mapping[Address, str], online: Lists | None) -> Lists:
    def text_of(named: NamedUrl) -> str | None:
        for url in (named.url, named.well_known):
            if url is not None and parse(url) in texts:
                return texts[parse(url)]
        return online(named) if online else None

    return text_of


def _print(report: Report) -> None:
    for finding in report.findings:
        click.echo(f"{finding.severity:<7}  {finding.place}: {finding.message}")
    if report.provenance:
        click.echo("\nProvenance" if report.findings else "Provenance")
    for each in report.provenance:
        click.echo(f"  {each.outcome.replace('_', ' '):<12}  {each.path}  {each.url}")
        if each.reason:
            click.echo(f"                {each.reason}")
        if each.publish:
            click.echo(f"                Publish at {each.publish.address} one line: {each.publish.content.strip()}")
    errors, warnings = len(report.errors), len(report.warnings)
    counted = f"{_count(errors, 'error')} and {_count(warnings, 'warning')}"
    click.echo(f"{'Valid' if report.is_valid else 'Not valid'}: {counted}.")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")


commands: list[click.Command] = [manifest]
