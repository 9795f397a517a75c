"""The text exports, judged by the real tools."""

import re
import shutil
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pytest
from ledger_book import Book, lively
from sqlalchemy.orm import Session

from core import ledger
from core.ledger import Side
from core.ledger.export import Format, export
from core.ledger.export.beancount import account_names

HLEDGER_CHECKS = ["check", "-s", "ordereddates", "accounts", "commodities", "balancednoautoconversion"]


def beancount_accepts(path: Path) -> tuple[bool, str]:
    tool = Path(sys.executable).with_name("bean-check")
    done = subprocess.run([tool, "--no-cache", path], capture_output=True, text=True, check=False)
    return done.returncode == 0, done.stdout + done.stderr


def hledger_accepts(path: Path) -> tuple[bool, str]:
    tool = shutil.which("hledger")
    if tool is None:
        pytest.skip("hledger is not installed; get it with `apt-get install hledger`")
    done = subprocess.run([tool, "-f", path, *HLEDGER_CHECKS], capture_output=True, text=True, check=False)
    return done.returncode == 0, done.stdout + done.stderr


ACCEPTS = {Format.BEANCOUNT: beancount_accepts, Format.HLEDGER: hledger_accepts}
FORMATS = pytest.mark.parametrize("form", [Format.BEANCOUNT, Format.HLEDGER])


def written(session: Session, form: Format, now: datetime, tmp_path: Path) -> Path:
    path = tmp_path / f"ledger.{'beancount' if form is Format.BEANCOUNT else 'journal'}"
    path.write_text("".join(export(session, form, now=now)), encoding="utf-8")
    return path


@FORMATS
def test_the_real_tool_accepts_a_lively_ledger(session: Session, now: datetime, tmp_path: Path, form: Format) -> None:
    lively(session, now)
    assert ACCEPTS[form](written(session, form, now, tmp_path)) == (True, "")


@FORMATS
def test_the_real_tool_accepts_an_empty_ledger(session: Session, now: datetime, tmp_path: Path, form: Format) -> None:
    assert ACCEPTS[form](written(session, form, now, tmp_path)) == (True, "")


@FORMATS
def test_the_real_tool_accepts_accounts_without_movements(session: Session, now: datetime, tmp_path: Path, form: Format) -> None:
    Book(session, now).open_accounts()
    assert ACCEPTS[form](written(session, form, now, tmp_path)) == (True, "")


PLANTED = {
    "one cent unbalanced": (r"(?m)^(  .* )1000\.00 (USD)$", r"\g<1>1000.01 \2"),
    "an undeclared account": (r"(?mi)^  liabilities:grant:1:usd  ", "  Liabilities:Grant:9:Usd  "),
    "a wrong closing balance": (r"(?m)^(.*(?:balance .*|= ))-300\.04( ~ 0)? USD$", r"\g<1>-300.05\2 USD"),
    "two commodities in one transfer": (r"(?m)^(  .*-)1000\.00 USD$", r"\g<1>920.00 EUR"),
}


@FORMATS
@pytest.mark.parametrize("planted", PLANTED)
def test_the_real_tool_refuses_planted_errors(
    session: Session, now: datetime, tmp_path: Path, form: Format, planted: str
) -> None:
    lively(session, now)
    path = written(session, form, now, tmp_path)
    pattern, replacement = PLANTED[planted]
    changed, count = re.subn(pattern, replacement, path.read_text(encoding="utf-8"), count=1)
    assert count == 1
    path.write_text(changed, encoding="utf-8")
    accepted, _ = ACCEPTS[form](path)
    assert not accepted


@FORMATS
def test_holds_that_moved_nothing_are_left_out(session: Session, now: datetime, tmp_path: Path, form: Format) -> None:
    lively(session, now)
    content = written(session, form, now, tmp_path).read_text(encoding="utf-8")
    keys = re.findall(r'key: "?([^"\n]+)', content)
    assert "paid" in keys
    assert not {"voided", "void", "expired", "open", "settled"} & set(keys)


def test_accounts_that_look_alike_in_beancount_stay_apart() -> None:
    names = account_names(["assets:a.b", "assets:a-b", "assets:c_d"])
    assert len(set(names.values())) == 3
    assert names["assets:c_d"] == "Assets:C-d"


@FORMATS
def test_currencies_without_minor_units(session: Session, now: datetime, tmp_path: Path, form: Format) -> None:
    for code, normal in (("assets:bank:jpy", Side.DEBIT), ("income:gifts:jpy", Side.CREDIT)):
        ledger.ensure_account(session, code, "JPY", normal=normal)
    legs = [ledger.Leg(debit="assets:bank:jpy", credit="income:gifts:jpy", amount=1_500)]
    ledger.post(session, key="gift", kind="gift", legs=legs, at=now)
    path = written(session, form, now, tmp_path)
    assert "  1500 JPY" in path.read_text(encoding="utf-8")
    assert ACCEPTS[form](path) == (True, "")
