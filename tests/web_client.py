"""A client for the web application that checks every page it fetches, and sends forms as a browser would.

page = client.get("/projects/vllm")                 # checked: HTML, title and h1, ids, labels, nonces, CSRF
page = client.submit(page, "Save", name="vLLM")     # the form with this button: its own fields, ours on top
assert page.status == 303
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlencode, urljoin
from xml.etree import ElementTree

import html5lib
from flask.testing import FlaskClient
from flask_wtf.csrf import generate_csrf
from sqlalchemy.orm import Session
from werkzeug.datastructures import Headers, MultiDict
from werkzeug.test import TestResponse

from core.clock import utc_now
from core.identity import sign_in
from core.identity.models import Person
from core.web.context import Application
from core.web.visitor import cookie_name

Element = ElementTree.Element
LABELLED = ("input", "select", "textarea")


class Page:
    """An answer, parsed if it is a page."""

    def __init__(self, response: TestResponse, path: str) -> None:
        self.response, self.path = response, path
        self.status: int = response.status_code
        self.headers: Headers = response.headers
        self.content: bytes = response.get_data()
        self.text: str = self.content.decode("utf-8", errors="replace")
        response.close()  # a file that was sent stays open until then
        self.is_page = response.mimetype == "text/html" and not 300 <= self.status < 400
        self.document: Element | None = None

    @property
    def location(self) -> str:
        """Where a redirect leads."""
        return self.headers["Location"]

    @property
    def json(self) -> Any:
        return json.loads(self.text)

    @property
    def h1(self) -> str:
        return words(self.one("h1"))

    @property
    def words(self) -> str:
        """Everything the page says, spaces squeezed."""
        assert self.document is not None, f"{self.path} is no page but {self.response.mimetype}"
        return words(self.one("main"))

    def all(self, tag: str, **attributes: str) -> list[Element]:
        assert self.document is not None, f"{self.path} is no page but {self.response.mimetype}"
        wanted = {name.replace("_", "-").strip("-"): value for name, value in attributes.items()}
        return [e for e in self.document.iter(tag) if all(e.get(name) == value for name, value in wanted.items())]

    def one(self, tag: str, **attributes: str) -> Element:
        found = self.all(tag, **attributes)
        assert len(found) == 1, f"{self.path} has {len(found)} <{tag}> {attributes or ''}"
        return found[0]

    def form(self, button: str) -> Element:
        """The form whose submit button says this."""
        found = [form for form in self.all("form") if any(words(b).startswith(button) for b in form.iter("button"))]
        assert len(found) == 1, f"{self.path} has {len(found)} forms with a button “{button}”"
        return found[0]

    @property
    def problems(self) -> list[str]:
        """The sentences of the error summary."""
        boxes = [e for e in self.all("div") if e.get("class") == "error-summary"]
        return [words(item) for box in boxes for item in box.iter("li")] or [words(p) for box in boxes for p in box.iter("p")]


class Client:
    """Fetches and posts like a browser; keeps cookies; refuses pages that break the rules of the house."""

    def __init__(self, app: Application, session: Session) -> None:
        self._app, self._session = app, session
        self.flask: FlaskClient = app.test_client()

    def sign_in(self, person: Person, *, fresh_factor: bool = False, now: datetime | None = None) -> None:
        """Be this person, by a real session row."""
        opened = sign_in.open_session(
            self._session, person, user_agent="Test", address="127.0.0.1", second_factor=fresh_factor, now=now or utc_now()
        )
        self._session.commit()
        self.flask.set_cookie(cookie_name(), opened.token)

    def sign_out(self) -> None:
        self.flask.delete_cookie(cookie_name())

    def get(self, path: str, *, headers: Mapping[str, str] | None = None, follow: bool = False) -> Page:
        return self._answer(lambda: self.flask.get(path, headers=headers), path, follow=follow)

    def post(
        self,
        path: str,
        data: Mapping[str, Any] | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        csrf: bool = True,
        follow: bool = False,
        **options: Any,
    ) -> Page:
        fields: Any = MultiDict(data) if data is not None and not isinstance(data, MultiDict) else data
        if csrf and "json" not in options:
            fields = fields if fields is not None else MultiDict()
            fields["csrf_token"] = self._csrf_token()
        return self._answer(lambda: self.flask.post(path, data=fields, headers=headers, **options), path, follow=follow)

    def submit(self, page: Page, button: str, *, follow: bool = False, **values: Any) -> Page:
        """Press a button: the form's own values, with ours in the fields of these names (which must exist)."""
        form = page.form(button)
        fields: MultiDict[str, Any] = MultiDict()
        for name, value in _successful(form):
            fields.add(name, value)
        present = {e.get("name") for e in form.iter() if e.get("name")}
        for name, value in values.items():
            assert name in present, f"the form “{button}” of {page.path} has no field {name}; it has {sorted(present)}"
            fields.setlist(name, value if isinstance(value, list) else [value])
        pressed = next(b for b in form.iter("button") if words(b).startswith(button))
        if pressed.get("name"):
            fields.add(pressed.get("name"), pressed.get("value", ""))
        target = urljoin(page.path, pressed.get("formaction") or form.get("action") or page.path)
        if form.get("method", "get").lower() == "get":
            return self.get(f"{target.split('?')[0]}?{urlencode(list(fields.items(multi=True)))}", follow=follow)
        return self._answer(lambda: self.flask.post(target, data=fields), target, follow=follow)

    def api(
        self, method: str, path: str, *, token: str | None = None, body: Any = None, key: str | None = None, **headers: str
    ) -> Page:
        """A program's request to /api/v1."""
        sent = {**headers, **({"Authorization": f"Bearer {token}"} if token else {}), **({"Idempotency-Key": key} if key else {})}
        return self._answer(lambda: self.flask.open(path, method=method, json=body, headers=sent), path)

    def _answer(self, fetch: Callable[[], TestResponse], path: str, *, follow: bool = False) -> Page:
        self._session.flush()  # the request looks at the same transaction: give it what the test arranged,
        response = fetch()
        self._session.expire_all()  # and let the test see what the request did
        page = Page(response, path)
        check_headers(page)
        if page.is_page:
            check_page(page)
        elif page.status >= 400 and "json" in (response.mimetype or ""):
            check_problem(page)
        if follow and 300 <= page.status < 400:
            return self.get(page.location, follow=True)
        return page

    def _csrf_token(self) -> str:
        with self.flask.session_transaction() as cookie:
            secret = cookie.get("csrf_token")
        with self._app.test_request_context():
            from flask import session as cookie_here

            if secret:
                cookie_here["csrf_token"] = secret
            token: str = generate_csrf()
            secret = cookie_here["csrf_token"]
        with self.flask.session_transaction() as cookie:
            cookie["csrf_token"] = secret
        return token


def check_headers(page: Page) -> None:
    """Every answer, whatever it is, carries the headers of the house."""
    for name in ("Content-Security-Policy", "X-Content-Type-Options", "Referrer-Policy", "X-Request-Id"):
        assert page.headers.get(name), f"{page.path} lacks {name}"
    assert "frame-ancestors 'none'" in page.headers["Content-Security-Policy"], page.path


def check_problem(page: Page) -> None:
    """RFC 9457, with our stable code."""
    assert page.response.mimetype == "application/problem+json", page.path
    body = page.json
    assert {"type", "title", "status", "detail", "code"} <= body.keys(), body
    assert body["status"] == page.status
    assert body["detail"].strip()


def check_page(page: Page) -> None:
    """The rules every page keeps."""
    page.document = parse(page.text, page.path)
    html, where = page.document, page.path
    assert html.get("lang"), f"{where}: no language"
    assert page.text.lower().count("<!doctype html>") == 1, where
    title = words(page.one("title"))
    assert title.split(" · ")[0] == page.h1, f"{where}: the title “{title}” does not begin with the h1 “{page.h1}”"
    page.one("main")
    check_references(html, where)
    check_names(html, where)
    check_policy(page, html)


def check_references(html: Element, where: str) -> None:
    """Ids are unique, and whatever points at one finds it."""
    ids = [e.get("id") for e in html.iter() if e.get("id")]
    twice = {one for one in ids if ids.count(one) > 1}
    assert not twice, f"{where}: ids used twice: {twice}"
    for element in html.iter():
        for attribute in ("for", "aria-describedby", "aria-labelledby", "popovertarget", "aria-controls", "list"):
            for target in (element.get(attribute) or "").split():
                assert target in ids, f"{where}: {attribute}={target} points nowhere"
        href = element.get("href", "")
        if element.tag == "a" and len(href) > 1 and href.startswith("#"):
            assert href[1:] in ids, f"{where}: the link {href} points nowhere"


def check_names(html: Element, where: str) -> None:
    """Whatever one can use or look at says what it is; forms that post carry a CSRF token."""
    labels = {e.get("for") for e in html.iter("label")}
    wrapped = {id(child) for label in html.iter("label") for child in label.iter()}
    for element in _elements(html, LABELLED):
        if element.get("type") not in {"hidden", "submit", "button"}:
            named = element.get("id") in labels or id(element) in wrapped or element.get("aria-label")
            assert named or element.get("aria-labelledby"), f"{where}: <{element.tag} name={element.get('name')}> has no label"
    for element in _elements(html, ("a", "button")):
        name = words(element) or element.get("aria-label") or "".join(i.get("alt", "") for i in element.iter("img"))
        assert name.strip(), f"{where}: an empty <{element.tag}> to {element.get('href')}"
    assert all(image.get("alt") is not None for image in html.iter("img")), f"{where}: an image without alt"
    assert all(table.find("caption") is not None for table in html.iter("table")), f"{where}: a table without caption"
    for form in html.iter("form"):
        if form.get("method", "get").lower() == "post":
            assert any(e.get("name") == "csrf_token" for e in form.iter("input")), f"{where}: a form without CSRF token"


def check_policy(page: Page, html: Element) -> None:
    """Nothing inline, and every script and style sheet carries this answer's nonce."""
    where, policy = page.path, page.headers["Content-Security-Policy"]
    nonce = re.search(r"script-src 'nonce-([^']+)'", policy)
    assert nonce, f"{where}: no nonce in {policy}"
    assert "unsafe" not in policy, f"{where}: {policy}"
    for element in html.iter():
        assert element.get("style") is None, f"{where}: inline style on <{element.tag}>"
        handlers = [name for name in element.attrib if re.match("on[a-z]+$", str(name))]
        assert not handlers, f"{where}: inline handler {handlers} on <{element.tag}>"
        if element.tag in {"script", "style"} or (element.tag == "link" and element.get("rel") == "stylesheet"):
            assert element.get("nonce") == nonce[1], f"{where}: <{element.tag}> without the nonce"
            assert element.tag == "link" or (element.tag == "script" and element.get("src")), f"{where}: inline <{element.tag}>"


def parse(text: str, where: str) -> Element:
    """Strictly: what a browser would silently repair is an error here."""
    parser = html5lib.HTMLParser(namespaceHTMLElements=False)
    document: Element = parser.parse(text)
    errors = [f"line {place[0]}: {kind} {details}" for place, kind, details in parser.errors]
    assert not errors, f"{where}: {errors[:5]}"
    return document


def words(element: Element) -> str:
    """The text of an element, spaces squeezed."""
    return " ".join("".join(element.itertext()).split())


def _elements(root: Element, tags: tuple[str, ...]) -> Iterator[Element]:
    return (element for element in root.iter() if element.tag in tags)


def _successful(form: Element) -> Iterator[tuple[str, str]]:
    """What a browser would send of a form as it stands."""
    for element in form.iter():
        name = element.get("name")
        if not name or element.get("disabled") is not None:
            continue
        if element.tag == "input" and element.get("type") in {"checkbox", "radio"}:
            if element.get("checked") is not None:
                yield name, element.get("value", "on")
        elif element.tag == "input" and element.get("type") not in {"file", "submit"}:
            yield name, element.get("value", "")
        elif element.tag == "textarea":
            yield name, (element.text or "").removeprefix("\n")
        elif element.tag == "select":
            options = list(element.iter("option"))
            chosen = [o for o in options if o.get("selected") is not None]
            if not chosen and element.get("multiple") is None:
                chosen = options[:1]
            for option in chosen:
                yield name, option.get("value", words(option))
