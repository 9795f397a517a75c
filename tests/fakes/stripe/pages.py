"""The pages of Stripe that people see here: onboarding, the page to pay at, and, of no Stripe, what the banks do."""

from collections.abc import Mapping
from html import escape
from http import HTTPStatus
from typing import Protocol
from urllib.parse import parse_qs

from tests.fakes.stripe import checkout, connect, global_payouts, invoice_books, invoices, refunds
from tests.fakes.stripe.world import Object, World

PAGE = """<!doctype html><html lang="en"><title>{title} (stand-in of Stripe)</title><h1>{title} (stand-in of Stripe)</h1>
{body}</html>"""
ONBOARDING = """<p>Here Stripe would ask for name, address, an identity document and a bank account.</p>
<form method="post"><button>Tell Stripe everything</button></form>"""
METHODS = {
    "card": "Pay by card", "us_bank_account": "Pay by bank debit", "customer_balance": "Pay by bank transfer",
    "sepa_debit": "Pay by SEPA debit",
}  # fmt: skip
MONEY = "/_stand_in/money"
OUTBOUND = "v2.money_management.outbound_payment"
KINDS = ("payment_intent", "dispute", "refund", OUTBOUND)


class Answering(Protocol):
    def send(self, status: int, content: bytes, kind: str, headers: Mapping[str, str]) -> None: ...


def serve(handler: Answering, world: World, method: str, path: str, body: str) -> None:
    """One page, or what somebody does on it."""
    given = {name: values[0] for name, values in parse_qs(body).items()}
    with world.lock:
        if path == MONEY:
            _money(handler, world, method, given)
        elif path.startswith("/c/pay/"):
            _checkout(handler, world, method, path.rsplit("/", 1)[1], given)
        elif path.startswith("/i/"):
            _invoice(handler, world, method, path.split("/")[2], given)
        else:
            _onboarding(handler, world, method, path.rsplit("/", 1)[1])


def _onboarding(handler: Answering, world: World, method: str, token: str) -> None:
    """GET opens the link, once; POST is the payee's last click."""
    link = world.links.get(token)
    if link is None:
        handler.send(HTTPStatus.NOT_FOUND, b"There is no such page.", "text/plain", {})
    elif method == "POST" and link["used"]:
        kind = connect if world.objects[link["account"]]["object"] == "account" else global_payouts
        kind.finish_onboarding(world, link["account"])
        _go(handler, link["return_url"])
    elif method == "POST" or link["used"] or world.now() > link["expires_at"]:
        _go(handler, link["refresh_url"])
    else:
        link["used"] = True
        _show(handler, "Onboarding", ONBOARDING)


def _checkout(handler: Answering, world: World, method: str, session_id: str, given: Mapping[str, str]) -> None:
    """The page where a company pays, while its session is open."""
    session = world.objects.get(session_id)
    if session is None or session["object"] != "checkout.session":
        handler.send(HTTPStatus.NOT_FOUND, b"There is no such page.", "text/plain", {})
    elif session["status"] != "open":
        _show(handler, "Checkout", f"<p>This page is {session['status']}.</p>")
    elif method == "POST" and given.get("method") in session["payment_method_types"]:
        checkout.choose(world, session_id, given["method"])
        _go(handler, session["success_url"])
    else:
        buttons = "".join(
            f'<button name="method" value="{each}">{METHODS[each]}</button> ' for each in session["payment_method_types"]
        )
        about = f"<p>{escape(session['_title'])}</p><p>{_amount(session['amount_total'], session['currency'])}</p>"
        _show(
            handler, "Checkout", f'{about}<form method="post">{buttons}</form><a href="{escape(session["cancel_url"])}">Back</a>'
        )


def _invoice(handler: Answering, world: World, method: str, invoice_id: str, given: Mapping[str, str]) -> None:
    """The page where an invoice is read and paid; its PDF is the same page here."""
    invoice = world.objects.get(invoice_id)
    if invoice is None or invoice["object"] != "invoice":
        handler.send(HTTPStatus.NOT_FOUND, b"There is no such page.", "text/plain", {})
        return
    if method == "POST" and invoice["status"] in invoice_books.PAYABLE:
        if given.get("method") == "customer_balance":
            amount = int(given.get("amount") or invoice["amount_remaining"])
            invoices.transfer(world, invoice["customer"], amount, invoice["currency"])
        else:
            invoices.agree(world, invoice_id)
        _go(handler, f"/i/{invoice_id}")
        return
    fields = "".join(f"<p>{escape(each['name'])}: {escape(each['value'])}</p>" for each in invoice["custom_fields"] or [])
    about = f"<p>{escape(invoice['description'] or '')}</p>{fields}<p>{_amount(invoice['total'], invoice['currency'])}</p>"
    buttons = "".join(
        f'<button name="method" value="{each}">{METHODS[each]}</button> '
        for each in invoice["payment_settings"]["payment_method_types"]
    )
    form = f'<form method="post">{buttons}</form>' if invoice["status"] in invoice_books.PAYABLE else ""
    _show(handler, f"Invoice {invoice['number']}", f"{about}<p>This invoice is {invoice['status']}.</p>{form}")


def _money(handler: Answering, world: World, method: str, given: Mapping[str, str]) -> None:
    """What banks do, by a click: money on its way arrives or bounces, money that came is taken back."""
    if method == "POST":
        {
            "arrive": lambda: checkout.arrive(world, given["id"], int(given["amount"]) if given.get("amount") else None),
            "bounce": lambda: checkout.bounce(world, given["id"]),
            "return": lambda: refunds.dispute(world, given["id"], reason="insufficient_funds", lost=True),
            "dispute": lambda: refunds.dispute(world, given["id"]),
            "won": lambda: refunds.decide(world, given["id"], won=True),
            "lost": lambda: refunds.decide(world, given["id"], won=False),
            "finish_refund": lambda: refunds.finish_refund(world, given["id"]),
            "fail_refund": lambda: refunds.fail_refund(world, given["id"]),
            "leave": lambda: global_payouts.settle(world, given["id"], "posted"),
            "stay": lambda: global_payouts.settle(world, given["id"], "failed", "payout_method_declined"),
            "send_back": lambda: global_payouts.settle(world, given["id"], "returned", "payout_method_closed"),
        }[given["do"]]()
        _go(handler, MONEY)
        return
    rows = [_row(each) for kind in KINDS for each in world.all(kind)]
    _show(handler, "What the banks do", f"<ul>{''.join(rows)}</ul>" if rows else "<p>Nobody has paid yet.</p>")


def _row(found: Object) -> str:
    kind, status = found["object"], found["status"]
    deeds: dict[tuple[str, str], dict[str, str]] = {
        ("payment_intent", "processing"): {"arrive": "It arrives", "bounce": "It bounces"},
        ("payment_intent", "requires_action"): {"arrive": "The transfer comes in"},
        ("payment_intent", "succeeded"): {"return": "The bank returns the debit", "dispute": "The payer disputes it"},
        ("dispute", "needs_response"): {"won": "We win", "lost": "We lose"},
        ("refund", "pending"): {"finish_refund": "It arrives", "fail_refund": "The company's bank refuses it"},
        (OUTBOUND, "processing"): {"leave": "It leaves", "stay": "It can't be sent"},
        (OUTBOUND, "posted"): {"send_back": "The payee's bank sends it back"},
    }
    buttons = "".join(
        f'<button name="do" value="{deed}">{words}</button> ' for deed, words in deeds.get((kind, status), {}).items()
    )
    form = f'<form method="post"><input type="hidden" name="id" value="{found["id"]}">{buttons}</form>' if buttons else ""
    amount = found["amount"] if isinstance(found["amount"], dict) else {"value": found["amount"], "currency": found["currency"]}
    return f"<li>{found['id']}: {_amount(amount['value'], amount['currency'])}, {status}{form}</li>"


def _amount(minor: int, currency: str) -> str:
    return f"{minor / 100:,.2f} {currency.upper()}"


def _show(handler: Answering, title: str, body: str) -> None:
    handler.send(HTTPStatus.OK, PAGE.format(title=title, body=body).encode(), "text/html; charset=utf-8", {})


def _go(handler: Answering, place: str) -> None:
    handler.send(HTTPStatus.SEE_OTHER, b"", "text/html", {"Location": place})
