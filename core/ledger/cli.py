"""`pledgeworks ledger`: export, verify, rebuild, seal."""

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import IO

import click
from sqlalchemy.orm import Session

from core.cli import REFUSED, Commands, json_option, print_json, print_table
from core.clock import utc_now
from core.db import engine, session_scope
from core.errors import InfrastructureError
from core.ledger.export import Format, export, snapshot
from core.ledger.reader import NotAnExport
from core.ledger.rebuild import rebuild
from core.ledger.sealing import head_record, latest_seal, seal_all
from core.ledger.signing import fingerprint
from core.ledger.verify import Report, verify


@click.group(cls=Commands)
def ledger() -> None:
    """The ledger: take it out, check it, seal it."""


@ledger.command("export")
@click.option("--format", "form", type=click.Choice([form.value for form in Format]), required=True)
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), help="Write to this file instead of standard output.")
def export_command(form: str, output: Path | None) -> None:
    """Write the whole ledger, as of one moment.

    json can be verified with `ledger verify`; beancount passes bean-check; hledger passes
    `hledger check -s ordereddates accounts commodities balancednoautoconversion`.
    """
    with _written(output) as target, snapshot(engine()) as session:
        for piece in export(session, Format(form), now=utc_now()):
            target.write(piece)


@contextmanager
def _written(output: Path | None) -> Iterator[IO[str]]:
    """Standard output, or a file that appears only when it is complete."""
    if output is None:
        yield sys.stdout
        return
    unfinished = output.with_name(f"{output.name}.part")
    try:
        with unfinished.open("w", encoding="utf-8") as target:
            yield target
        unfinished.replace(output)
    except OSError as error:
        raise InfrastructureError(f"{output} can't be written: {error.strerror}.") from error
    finally:
        unfinished.unlink(missing_ok=True)


@ledger.command("verify")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True, allow_dash=True))
@click.option("--public-key", help="The installation's public key in hex, noted elsewhere: every seal must be signed with it.")
@click.option("--head", help="A head noted or published earlier, as NUMBER:HASH; it must still stand in the chain.")
@json_option
def verify_command(file: Path, public_key: str | None, head: str | None, as_json: bool) -> None:
    """Check a JSON export by itself: chain, signatures, rules, balances. Needs no database. FILE may be - for standard input.

    Exit code 1 if anything is wrong.
    """
    if public_key is not None and not re.fullmatch("[0-9a-fA-F]{64}", public_key):
        raise click.UsageError("--public-key takes 64 hexadecimal digits.")
    noted = _noted_head(head)
    key = public_key.lower() if public_key else None
    try:
        with click.open_file(str(file), encoding="utf-8") as stream:
            report = verify(stream, public_key=key, noted_head=noted)
    except UnicodeDecodeError:
        raise NotAnExport(f"{file} is not a ledger export in JSON: it is not UTF-8 text.") from None
    if as_json:
        print_json({**asdict(report), "unsealed_entries": report.unsealed_entries, "ok": report.ok})
    else:
        _tell(report)
    if not report.ok:
        raise SystemExit(REFUSED)


def _noted_head(head: str | None) -> tuple[int, str] | None:
    if head is None:
        return None
    found = re.fullmatch(r"(\d{1,18}):([0-9a-fA-F]{64})", head)
    if not found:
        raise click.UsageError("--head takes a seal's number and hash: 12:9f86d0…")
    return int(found[1]), found[2].lower()


def _tell(report: Report) -> None:
    click.echo(
        f"{report.entries} entries with {report.transfers} transfers, "
        f"{report.sealed_entries} of them under {report.seals} seals, {report.unsealed_entries} not sealed yet."
    )
    if report.head_hash and report.public_key:
        click.echo(f"Head: {report.seals}:{report.head_hash}")
        click.echo(f"Signed with: {report.public_key} (fingerprint {fingerprint(bytes.fromhex(report.public_key))})")
    for finding in report.findings:
        click.echo(f"{finding.where}: {finding.message} [{finding.code}]")
    click.echo("The export is whole and unchanged." if report.ok else "The export is NOT in order.")


@ledger.command("rebuild")
@click.option("--repair", is_flag=True, help="Correct the kept balances that differ; each repair is recorded.")
@json_option
def rebuild_command(repair: bool, as_json: bool) -> None:
    """Recompute every balance from the transfers and compare with the kept ones. Exit code 1 if any differed and stays so."""
    with session_scope() as session:
        result = rebuild(session, now=utc_now(), repair=repair)
    if as_json:
        print_json({"accounts": result.accounts, "repaired": repair, "differences": [asdict(d) for d in result.differences]})
    else:
        rows = [
            {"account": d.account, "sums": name.replace("_", " "), "kept": kept, "recomputed": getattr(d.recomputed, name)}
            for d in result.differences
            for name, kept in asdict(d.kept).items()
            if kept != getattr(d.recomputed, name)
        ]
        columns = {"account": "Account", "sums": "Sum", "kept": "Kept", "recomputed": "Recomputed"}
        print_table(rows, columns, empty=f"The kept balances of {result.accounts} accounts equal their transfers.")
        if result.differences and repair:
            click.echo(f"{len(result.differences)} accounts were repaired.")
    if result.differences and not repair:
        raise SystemExit(REFUSED)


@ledger.command("seal")
@click.option("--thorough", is_flag=True, help="Look through the whole ledger for entries without a seal.")
@json_option
def seal_command(thorough: bool, as_json: bool) -> None:
    """Seal what is not sealed yet, and print the signed head to note or publish."""
    with Session(engine(), expire_on_commit=False) as session:
        made = seal_all(session, now=utc_now(), thorough=thorough)
        head = latest_seal(session)
    if as_json:
        print_json({"sealed_entries": sum(seal.entries for seal in made), "head": head_record(head) if head else None})
    elif head is None:
        click.echo("The ledger is empty; there is nothing to seal.")
    else:
        click.echo(f"{sum(seal.entries for seal in made)} entries sealed.")
        click.echo(f"Head: {head.no}:{head.hash.hex()}")
        click.echo(f"Signature: {head.signature.hex()}")
        click.echo(f"Public key: {head.public_key.hex()} (fingerprint {fingerprint(head.public_key)})")


commands: list[click.Command] = [ledger]
