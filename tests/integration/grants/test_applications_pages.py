"""The maintainer's pages, through the web application: nothing typed is ever lost, nothing of others is ever seen."""

import io
import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from click.testing import CliRunner
from manifest_samples import HOME, perfect
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session
from web_client import Client, Page

from core import net
from core.clock import utc_now
from core.errors import InvalidInput
from core.identity import tokens
from core.identity.models import Person
from grants.manifests import fetching
from grants.models import (
    Application,
    ApplicationQuestion,
    ApplicationStatus,
    ManifestOrigin,
    ManifestReading,
    PayeeWish,
    Programme,
    RoundStatus,
)
from grants.services import applications, manifests, screening
from tests.integration.grants import builders
from tests.integration.grants.builders import Funder, usd

LIST = "https://code.other.org/.well-known/funding-manifest-urls"
LONG = "Verein zur Förderung quelloffener Wettervorhersage-Infrastruktur im Alpenraum und angrenzenden Gebieten e. V."

WRITTEN = {
    "project_name": "Widget",
    "project_url": "https://widget.example.org",
    "repository_url": "https://code.example.org/widget",
    "licences": "MIT, Apache-2.0",
    "summary": "Turns cranks.\r\nThousands use it.",
    "use_of_funds": "Half a year of maintenance.",
    "plan": "Two releases.",
    "requested": "25,000.00",
    "months": "6",
    "team": "Mia Maintainer",
    "payee": "person",
    "payee_name": "Mia Maintainer",
    "conflicts": "None.",
}


@pytest.fixture
def call(session: Session, funder: Funder) -> Programme:
    """A programme with a question of its own and a rolling round."""
    made = builders.programme(
        session, funder, request_min_minor=1_000_000, request_step_minor=2_500_000, request_max_minor=10_000_000
    )
    session.add(
        ApplicationQuestion(
            programme_id=made.id, position=1, key="users", label="Who depends on it?", guidance="Names help.", characters_max=300
        )
    )
    builders.round_of(session, made, closes_on=None, decides_on=None)
    session.commit()
    return made


@pytest.fixture
def mia(client: Client, maintainer: Person) -> Client:
    """A browser in which the maintainer is signed in."""
    client.sign_in(maintainer)
    return client


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The public web, as far as these tests go: address → text, or an error."""
    pages: dict[str, Any] = {}

    def fetch(url: str, **_: Any) -> net.Fetched:
        answer = pages.get(url, net.FetchRefused(f"{url} answered 404 Not Found, not 200 OK."))
        if isinstance(answer, Exception):
            raise answer
        return net.Fetched(url, "text/plain", answer.encode())

    monkeypatch.setattr(fetching, "fetch", fetch)
    return pages


def elsewhere() -> dict[str, Any]:
    """A manifest whose second project lives elsewhere and names its list."""
    manifest = perfect()
    other = {**manifest["projects"][0], "guid": "other-one", "name": "Other One", "licenses": ["spdx:MIT", "Own Licence"]}
    other["repositoryUrl"] = {"url": "https://code.other.org/one", "wellKnown": LIST}
    manifest["projects"].append(other)
    return manifest


def start_empty(client: Client, call: Programme) -> Page:
    page = client.get(f"/programmes/{call.slug}/apply")
    return client.submit(page, "Start with an empty form", follow=True)


def only(session: Session) -> Application:
    return session.scalars(select(Application)).unique().one()


def test_strangers_are_led_to_sign_in_and_back(client: Client, call: Programme, maintainer: Person) -> None:
    page = client.get(f"/programmes/{call.slug}/apply")
    assert page.location == f"/sign-in?next=/programmes/{call.slug}/apply"


def test_an_application_from_nothing_to_submitted(mia: Client, session: Session, call: Programme) -> None:
    page = start_empty(mia, call)
    assert page.h1 == "Application to Example call"
    saved = mia.submit(page, "Save and go on", **WRITTEN, **{"answers.users": "Everyone"})
    files = mia.get(saved.location)
    attached = mia.submit(files, "Attach", file=(io.BytesIO(b"%PDF-1.7 letter"), "letter of support.pdf"), follow=True)
    assert "letter of support.pdf" in attached.words
    check = mia.get(f"{files.path.removesuffix('/files')}/submission")
    assert check.problems == []
    assert "25,000.00" in check.words
    shown = mia.submit(check, "Submit the application", follow=True)
    assert shown.h1 == "Widget"
    assert "Submitted" in shown.words
    application = only(session)
    assert application.status is ApplicationStatus.SUBMITTED
    assert application.requested == usd(25_000)
    assert application.summary == "Turns cranks.\nThousands use it."
    assert (application.licences, application.months) == (["MIT", "Apache-2.0"], 6)
    assert (application.payee, application.answers) == (PayeeWish.PERSON, {"users": "Everyone"})
    listed = mia.get("/applications")
    assert "Widget" in listed.words
    assert mia.get(f"/applications/{application.id}/edit").status == 409


def test_a_draft_may_be_empty_and_says_what_is_missing(mia: Client, call: Programme, session: Session) -> None:
    page = start_empty(mia, call)
    mia.submit(page, "Save draft", follow=True)
    application = only(session)
    check = mia.get(f"/applications/{application.id}/submission")
    assert "Say what you will do" not in check.words
    assert len(check.problems) == 11
    for link in check.one("div", id="missing").iter("a"):
        target = link.get("href") or ""
        path, _, anchor = target.partition("#")
        assert mia.get(path).all("*", id=anchor) or any(e.get("id") == anchor for e in mia.get(path).document.iter()), target
    refused = mia.post(f"/applications/{application.id}/submission")
    assert refused.status == 422
    assert application.status is ApplicationStatus.DRAFT


@pytest.mark.parametrize(
    ("field", "typed", "says"),
    [
        ("requested", "a lot", "not an amount"),
        ("requested", "-5", "above zero"),
        ("months", "many", "whole number"),
        ("months", "61", "1 to 60 months"),
        ("summary", "x" * 4001, "4,000 characters"),
        ("project_name", "x" * 251, "250 characters"),
        ("answers.users", "x" * 301, "300 characters"),
    ],
)
def test_a_refused_form_keeps_what_was_typed(
    mia: Client, call: Programme, session: Session, field: str, typed: str, says: str
) -> None:
    page = start_empty(mia, call)
    mia.submit(page, "Save draft", project_name="Kept name")
    again = mia.submit(mia.get(page.path), "Save and go on", **{**WRITTEN, field: typed})
    assert again.status == 422
    assert says in again.problems[0]
    [control] = [e for e in again.document.iter() if e.get("name") == field]
    assert (control.get("value") or (control.text or "").removeprefix("\n")) == typed
    assert control.get("aria-invalid") == "true"
    if field != "summary":
        assert "Thousands use it." in again.text
    assert only(session).project_name == "Kept name"


def test_autosave_keeps_what_is_right_and_names_what_is_not(mia: Client, call: Programme, session: Session) -> None:
    start_empty(mia, call)
    address = f"/applications/{only(session).id}/autosave"

    def autosave(**fields: str) -> str:
        # A fragment for htmx, so no whole page to check.
        session.flush()
        answer = mia.flask.post(address, data={**fields, "csrf_token": mia._csrf_token()}, headers={"HX-Request": "true"})
        session.expire_all()
        assert answer.status_code == 200
        return answer.text

    assert "Draft saved" in autosave(project_name="Half a na")
    assert only(session).project_name == "Half a na"
    assert "Not saved yet: “lots” is not an amount" in autosave(project_name="Half a name", requested="lots")
    assert only(session).project_name == "Half a na"


def test_two_windows_do_not_overwrite_each_other_unseen(mia: Client, call: Programme, session: Session) -> None:
    first = start_empty(mia, call)
    second = mia.get(f"/applications/{only(session).id}/edit")
    mia.submit(first, "Save draft", project_name="From the first window")
    # A window that saves itself never meets itself, however late its button is pressed.
    assert mia.submit(first, "Save draft", project_name="From the first window").status == 303
    refused = mia.submit(second, "Save draft", project_name="From the second window")
    assert refused.status == 409
    assert "saved elsewhere" in refused.problems[0]
    assert refused.one("input", id="project_name").get("value") == "From the second window"
    assert only(session).project_name == "From the first window"
    # Knowing that, saving again does it.
    assert mia.submit(refused, "Save draft").status == 303
    assert only(session).project_name == "From the second window"


def test_starting_from_a_pasted_manifest_fills_the_form(
    mia: Client, call: Programme, session: Session, web: dict[str, Any]
) -> None:
    web[LIST] = f"https://b.org/funding.json\r\n{HOME}\r\n"
    page = mia.get(f"/programmes/{call.slug}/apply")
    body = json.dumps(elsewhere(), indent=1)
    edit = mia.submit(page, "Read it and start", manifest_url=HOME, manifest_text=body, follow=True)
    application = only(session)
    assert application.project_name == "Fast Server"
    assert application.requested == usd(25_000)
    assert application.licences == ["Apache-2.0"]
    assert (application.payee, application.payee_name) == (PayeeWish.TEAM, "The Inference Team")
    assert "All 5 addresses are proven." in edit.words
    reading = session.scalars(select(ManifestReading)).one()
    assert (reading.origin, reading.url, json.loads(reading.text)) == (ManifestOrigin.PASTE, HOME, elsewhere())
    # The other project of the manifest can be chosen; what else was written stays.
    mia.submit(edit, "Save draft", plan="My own plan")
    chosen = mia.submit(mia.get(edit.path), "Fill in this project", guid="other-one", follow=True)
    assert "Other One" in chosen.text
    session.refresh(application)
    assert (application.project_name, application.licences) == ("Other One", ["MIT", "Own Licence"])
    assert application.plan == "My own plan"


def test_a_manifest_is_fetched_from_its_address_forge_pages_included(
    mia: Client, call: Programme, session: Session, web: dict[str, Any]
) -> None:
    at = "https://github.com/u/p/blob/main/funding.json"
    web[f"{at}?raw=true"] = json.dumps(perfect())
    page = mia.get(f"/programmes/{call.slug}/apply")
    assert mia.submit(page, "Read it and start", manifest_url=at, follow=True).status == 200
    reading = session.scalars(select(ManifestReading)).one()
    assert reading.origin is ManifestOrigin.ADDRESS
    outcomes = [each["outcome"] for each in reading.report["provenance"]]
    assert outcomes == ["required"] * 3


def test_a_manifest_with_errors_is_refused_with_every_path_and_nothing_is_lost(
    mia: Client, call: Programme, session: Session, web: dict[str, Any]
) -> None:
    manifest = perfect()
    manifest["entity"]["type"] = "person"
    manifest["funding"]["plans"][0]["channels"] = ["paypal"]
    body = json.dumps(manifest, indent=1)
    page = mia.get(f"/programmes/{call.slug}/apply")
    refused = mia.submit(page, "Read it and start", manifest_url=HOME, manifest_text=body)
    assert refused.status == 422
    assert refused.problems == ["The funding.json has 2 errors, named below. Correct it and have it read again."]
    assert "entity.type" in refused.words
    assert "funding.plans[0].channels[0]" in refused.words
    [area] = refused.all("textarea", id="manifest_text")
    assert json.loads(area.text or "") == manifest
    assert session.scalars(select(Application)).all() == []


def test_an_uploaded_file_with_errors_comes_back_as_text(mia: Client, call: Programme, web: dict[str, Any]) -> None:
    page = mia.get(f"/programmes/{call.slug}/apply")
    upload = (io.BytesIO(b'{"entity": {},\n}'), "funding.json")
    refused = mia.submit(page, "Read it and start", manifest_url=HOME, manifest_file=upload)
    assert "Line 2, column 1" in refused.words
    [area] = refused.all("textarea", id="manifest_text")
    assert (area.text or "").strip() == '{"entity": {},\n}'


@pytest.mark.parametrize(
    ("url", "answer", "says"),
    [
        ("", None, "Say where the funding.json is published"),
        ("example.org/funding.json", None, "start with https://"),
        ("http://127.0.0.1/funding.json", "real", "not on the public internet"),
        ("http://[::ffff:10.0.0.1]/funding.json", "real", "not on the public internet"),
        ("http://169.254.169.254/funding.json", "real", "not on the public internet"),
        ("https://example.org:22/funding.json", "real", "only ports 80 and 443"),
        (HOME, None, "404"),
        (HOME, net.FetchFailed("There is no address for example.org; check the spelling."), "paste the text"),
    ],
)
def test_addresses_that_give_no_manifest_are_refused_beside_the_field(
    client: Client,
    session: Session,
    maintainer: Person,
    call: Programme,
    request: pytest.FixtureRequest,
    url: str,
    answer: Any,
    says: str,
) -> None:
    if answer != "real":
        web = request.getfixturevalue("web")
        web |= {url: answer} if answer else {}
    client.sign_in(maintainer)
    page = client.get(f"/programmes/{call.slug}/apply")
    refused = client.submit(page, "Read it and start", manifest_url=url)
    assert refused.status == 422
    assert says in refused.problems[0]
    assert refused.one("input", id="manifest_url").get("value", "") == url
    assert session.scalars(select(Application)).all() == []


def test_the_assistant_shows_the_file_and_check_again_sees_it(
    mia: Client, call: Programme, session: Session, web: dict[str, Any]
) -> None:
    web[LIST] = "https://nobody.org/funding.json\n"
    page = mia.get(f"/programmes/{call.slug}/apply")
    mia.submit(page, "Read it and start", manifest_url=HOME, manifest_text=json.dumps(elsewhere()))
    shown = mia.get(f"/applications/{only(session).id}/manifest")
    assert "1 of 5 addresses are not proven yet." in shown.words
    assert "The list does not name https://example.org/funding.json; add it on a line of its own." in shown.words
    assert [(pre.text or "").strip() for pre in shown.all("pre")] == [HOME, LIST]
    web[LIST] += f"{HOME}\n"
    again = mia.submit(shown, "Check again", follow=True)
    assert "Read again: every address is proven." in again.text
    assert "Verified" in again.words
    readings = session.scalars(select(ManifestReading).order_by(ManifestReading.read_at)).all()
    assert [each.origin for each in readings] == ["paste", "paste"]
    # Reading it from its address proves that it is published; while it is not, the pasted one goes on counting.
    refused = mia.submit(again, "Read it from its address")
    assert (refused.status, "404" in refused.problems[0]) == (422, True)
    web[HOME] = json.dumps(elsewhere())
    mia.submit(mia.get(again.path), "Read it from its address", follow=True)
    assert manifests.newest(session, only(session).id).origin is ManifestOrigin.ADDRESS  # type: ignore[union-attr]


def test_a_refresh_with_errors_changes_nothing(mia: Client, call: Programme, session: Session, web: dict[str, Any]) -> None:
    web[HOME] = json.dumps(perfect())
    page = mia.get(f"/programmes/{call.slug}/apply")
    mia.submit(page, "Read it and start", manifest_url=HOME)
    application = only(session)
    web[HOME] = json.dumps({**perfect(), "projects": []})
    shown = mia.get(f"/applications/{application.id}/manifest")
    refused = mia.submit(shown, "Check again")
    assert refused.status == 422
    assert "projects" in refused.words
    assert len(session.scalars(select(ManifestReading)).all()) == 1


def test_readings_are_never_changed(mia: Client, call: Programme, session: Session, web: dict[str, Any]) -> None:
    page = mia.get(f"/programmes/{call.slug}/apply")
    mia.submit(page, "Read it and start", manifest_url=HOME, manifest_text=json.dumps(perfect()))
    with pytest.raises(DBAPIError, match="manifest_reading"), session.begin_nested():
        session.execute(text("UPDATE manifest_reading SET text = ''"))


def test_manifest_looks_are_limited_per_person(mia: Client, call: Programme, web: dict[str, Any], monkeypatch: Any) -> None:
    from core.identity import limits
    from grants.applications import reading

    monkeypatch.setattr(reading, "PER_PERSON", limits.Limit(count=2, per=timedelta(minutes=10)))
    page = mia.get(f"/programmes/{call.slug}/apply")
    for _ in range(2):
        assert mia.submit(page, "Read it and start", manifest_url=HOME).status == 422
    refused = mia.submit(page, "Read it and start", manifest_url=HOME)
    assert refused.status == 429
    assert "go on in 10 min" in refused.problems[0]


def test_a_project_of_ones_own_can_be_chosen(mia: Client, call: Programme, session: Session, maintainer: Person) -> None:
    known = builders.project(session, "Known Tool", maintainer)
    page = mia.get(f"/programmes/{call.slug}/apply")
    edit = mia.submit(page, "Start with an empty form", project_id=str(known.id), follow=True)
    assert "Known Tool" in edit.text
    assert only(session).project_id == known.id


def test_nobody_elses_application_is_seen_or_touched(
    client: Client, call: Programme, session: Session, maintainer: Person, web: dict[str, Any]
) -> None:
    client.sign_in(maintainer)
    start_empty(client, call)
    application = only(session)
    attachment = applications.attach(
        session, application.id, person=maintainer, stream=io.BytesIO(b"text"), name="a.txt", now=utc_now()
    )
    session.commit()
    base = f"/applications/{application.id}"
    client.sign_in(builders.person(session, "Stan Stranger"))
    for path in ("", "/edit", "/files", "/submission", "/manifest", f"/files/{attachment.id}"):
        assert client.get(base + path).status == 404, path
    for path in ("/edit", "/autosave", "/files", "/submission", "/withdrawal", "/manifest", "/manifest-readings",
                 "/manifest-project", f"/files/{attachment.id}/removal"):  # fmt: skip
        assert client.post(base + path, {"manifest_url": HOME}).status == 404, path
    assert "Untitled" not in client.get("/applications").text
    session.refresh(application)
    assert application.status is ApplicationStatus.DRAFT


def test_files_are_judged_by_content_and_only_ever_downloaded(mia: Client, call: Programme, session: Session) -> None:
    start_empty(mia, call)
    application = only(session)
    files = mia.get(f"/applications/{application.id}/files")
    for content, name, says in [
        (b"MZ\x90\x00\x00\x00", "letter.pdf", "not a PDF"),
        (b"", "empty.txt", "empty"),
    ]:
        refused = mia.submit(files, "Attach", file=(io.BytesIO(content), name))
        assert (refused.status, says in refused.problems[0]) == (422, True)
    with pytest.raises(InvalidInput, match="larger than 10 MB"):
        applications.attach(
            session,
            application.id,
            person=application.applicant,
            stream=io.BytesIO(b"x" * 10_000_001),
            name="b.txt",
            now=utc_now(),
        )
    assert mia.submit(files, "Attach").problems == ["Choose a file."]
    mia.submit(files, "Attach", file=(io.BytesIO(b"<script>alert(1)</script>"), "../../x<b>.html"))
    [attachment] = only(session).attachments
    got = mia.get(f"/applications/{application.id}/files/{attachment.id}")
    assert got.headers["Content-Disposition"].startswith("attachment")
    assert got.headers["Content-Type"].startswith("text/plain")
    shown = mia.get(f"/applications/{application.id}/files")
    assert mia.submit(shown, "Remove", follow=True).status == 200
    session.expire_all()
    assert only(session).attachments == []


def test_withdrawing_keeps_the_reason_and_ends_it(mia: Client, call: Programme, session: Session) -> None:
    start_empty(mia, call)
    application = only(session)
    shown = mia.get(f"/applications/{application.id}")
    gone = mia.submit(shown, "Withdraw the application", reason="Found other money.", follow=True)
    assert "Withdrawn" in gone.words
    assert "Found other money." in gone.words
    assert "Withdraw the application" not in gone.text
    assert mia.post(f"/applications/{application.id}/withdrawal").status == 409


def test_without_an_open_round_the_page_says_when(mia: Client, session: Session, funder: Funder) -> None:
    programme = builders.programme(session, funder)
    page = mia.get(f"/programmes/{programme.slug}/apply")
    assert "No further round is announced" in page.words
    builders.round_of(
        session,
        programme,
        status=RoundStatus.PLANNED,
        opens_on=utc_now().date() + timedelta(days=40),
        closes_on=None,
        decides_on=None,
    )
    session.expire_all()
    assert "The next round, Round 1, opens on" in mia.get(f"/programmes/{programme.slug}/apply").words
    assert mia.get("/programmes/no-such/apply").status == 404


def test_a_draft_begun_is_offered_again_and_waits_in_my_work(mia: Client, call: Programme) -> None:
    page = start_empty(mia, call)
    mia.submit(page, "Save draft", project_name=LONG)
    assert f"Continue the application of {LONG}" in mia.get(f"/programmes/{call.slug}/apply").words
    assert f"Finish the application of {LONG}" in mia.get("/work").words
    assert LONG in mia.get("/applications").words


def test_the_committees_people_stay_unnamed_to_the_applicant(
    mia: Client, call: Programme, session: Session, funder: Funder, maintainer: Person
) -> None:
    start_empty(mia, call)
    applications.allow_exception(session, only(session).id, officer=funder.officer, reason="Agreed by phone", now=utc_now())
    shown = mia.get(f"/applications/{only(session).id}")
    assert "Request outside the rule allowed" in shown.words
    assert funder.officer.name not in shown.text
    assert maintainer.name in shown.words


def test_an_applicant_reads_why_it_was_screened_out(
    mia: Client, call: Programme, session: Session, funder: Funder, maintainer: Person
) -> None:
    application = builders.submit(
        session, call.rounds[0], maintainer, utc_now(), draft=replace(builders.COMPLETE, answers={"users": "All"})
    )
    first, second = application.programme.checks
    answers = {first.id: screening.Answer(passed=True), second.id: screening.Answer(passed=False, reason="No users were found.")}
    screening.screen(session, application.id, answers=answers, officer=funder.officer, now=utc_now())
    shown = mia.get(f"/applications/{application.id}")
    assert "Is used by others: No users were found." in shown.words
    assert "Screened out" in shown.words
    assert funder.officer.name not in shown.text


def test_the_committee_reads_what_is_not_proven(
    mia: Client, call: Programme, session: Session, funder: Funder, web: dict[str, Any]
) -> None:
    page = mia.get(f"/programmes/{call.slug}/apply")
    edit = mia.submit(page, "Read it and start", manifest_url=HOME, manifest_text=json.dumps(elsewhere()), follow=True)
    mia.submit(edit, "Save and go on", **WRITTEN, **{"answers.users": "Everyone"})
    application = only(session)
    mia.submit(mia.get(f"/applications/{application.id}/submission"), "Submit the application")
    mia.sign_in(funder.officer)
    shown = mia.get(f"/review/applications/{application.id}")
    assert "1 of 5 addresses are not proven yet." in shown.words
    assert "nobody has seen yet that it is published" in shown.words
    assert "https://code.other.org/one" in shown.words
    assert "does not count as approved by the OSI" in shown.words


def test_the_api_validates_for_everybody_within_limits(client: Client, maintainer: Person, monkeypatch: Any) -> None:
    import grants.api
    from core.identity import limits

    answer = client.api("POST", "/api/v1/manifests/validate", body={"manifest_url": HOME, "text": '{"a": 1,}'})
    assert answer.status == 200
    assert answer.json["valid"] is False
    assert answer.json["findings"][0] | {"message": ""} == {
        "severity": "error", "path": "", "message": "", "line": 1, "column": 9,
    }  # fmt: skip
    body = {"manifest_url": HOME, "manifest": elsewhere(), "well_known": {LIST: HOME}}
    report = client.api("POST", "/api/v1/manifests/validate", body=body).json
    assert report["valid"] is True
    assert [each["outcome"] for each in report["provenance"]] == ["not_required"] * 4 + ["verified"]
    for wrong in ({}, {"manifest_url": HOME}, {"manifest_url": "x", "text": "{}"}, {"manifest_url": HOME, "text": "x" * 320_001}):
        assert client.api("POST", "/api/v1/manifests/validate", body=wrong).status == 422, wrong
    assert client.api("POST", "/api/v1/manifests/validate", body={"x": "y" * 2_000_000}).status == 413
    monkeypatch.setattr(grants.api, "VALIDATIONS", limits.Limit(count=1, per=timedelta(minutes=1)))
    busy = client.api("POST", "/api/v1/manifests/validate", body=body)
    assert (busy.status, busy.json["code"]) == (429, "too_many")
    assert int(busy.headers["Retry-After"]) <= 60


def test_form_api_and_command_line_say_the_same(mia: Client, call: Programme, web: dict[str, Any]) -> None:
    from app import main

    manifest = elsewhere()
    manifest["entity"]["phone"] = "+49 30 123"
    body = json.dumps(manifest)
    by_command = CliRunner().invoke(main, ["manifest", "validate", "-", "--manifest-url", HOME, "--json"], input=body)
    by_api = mia.api("POST", "/api/v1/manifests/validate", body={"manifest_url": HOME, "text": body})
    said, answered = json.loads(by_command.output), by_api.json
    for finding in answered["findings"]:
        if finding["line"] is None:
            del finding["line"], finding["column"]
    assert said == answered
    page = mia.get(f"/programmes/{call.slug}/apply")
    refused = mia.submit(page, "Read it and start", manifest_url=HOME, manifest_text=body)
    for finding in said["findings"]:
        assert finding["path"] in refused.words
        assert finding["message"] in refused.words


def test_the_api_lists_a_persons_applications_page_by_page(
    client: Client, session: Session, call: Programme, maintainer: Person
) -> None:
    client.sign_in(maintainer)
    for _ in range(3):
        start_empty(client, call)
    other = builders.person(session, "Stan Stranger")
    client.sign_out()
    assert client.api("GET", "/api/v1/applications").status == 401
    token = make_token(session, maintainer, "applications:read")
    first = client.api("GET", "/api/v1/applications?limit=2", token=token).json
    rest = client.api("GET", f"/api/v1/applications?limit=2&cursor={first['next_cursor']}", token=token).json
    ids = [each["id"] for each in first["items"] + rest["items"]]
    assert len(set(ids)) == 3
    assert rest["next_cursor"] is None
    assert first["items"][0]["status"] == "draft"
    assert client.api("GET", "/api/v1/applications", token=make_token(session, other, "applications:read")).json["items"] == []


def make_token(session: Session, person: Person, *scopes: str) -> str:
    made = tokens.issue(
        session, person, name="test", scopes=scopes, known_scopes=scopes, lifetime=timedelta(days=1), now=utc_now()
    )
    session.commit()
    return made.secret
