"""Taking member files in and giving them out."""

import enum
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from core import audit
from core.db import new_id
from core.errors import DomainError, InvalidInput, NotFound
from core.identity import access
from core.identity.models import Organisation, Person, Role
from pledge import queries
from pledge.member_file import FileReport, Form, MemberFile, RefusedFile, WrittenMember, WrittenReport, read, read_rows, write
from pledge.models import AnnualReport, InKindHelp, InKindKind, MemberOrigin, MembershipStatus, PledgeMember
from pledge.policies.standing import minimum_on
from pledge.services import membership

CURRENCY = "USD"
NO_LONGER_IN_FILE = "The member file no longer has it."
CHANGED_IN_FILE = "The member file was corrected."
IN_KIND_FROM_FILE = "As stated in the member file."
REFUSALS_SHOWN = 20


class Outcome(enum.StrEnum):
    """What an import did to one member."""

    NEW = "new"
    CHANGED = "changed"
    UNCHANGED = "unchanged"


class RefusedFiles(RefusedFile):
    """Several files were refused; nothing of any of them was written."""


class ForeignFile(DomainError):
    """The file belongs to another company."""

    code = "foreign_member_file"


class ReportDiffers(DomainError):
    """A report published here is corrected here, with a reason, not by a file."""

    code = "report_differs"


@dataclass(slots=True)
class ImportResult:
    """What an import did."""

    by_member: dict[str, Outcome] = field(default_factory=dict)
    """What happened to each member; with a file and rows of a table for one member, the larger change."""
    reports: Counter[Outcome] = field(default_factory=Counter)
    skipped: list[str] = field(default_factory=list)
    """Files of a folder that are neither .json nor .csv."""

    @property
    def members(self) -> Counter[Outcome]:
        return Counter(self.by_member.values())


def read_paths(paths: Iterable[Path]) -> tuple[list[MemberFile], list[str]]:
    """Read files and folders: `.json` member files of both forms, `.csv` tables of reports.

    Returns the members in order of their paths (tables last: files know more of a member), and the files passed over.

    Raises:
        RefusedFiles: every refused file with its sentence.
        InvalidInput: a path that is not there, or nothing to read in it.
    """
    files, skipped = _files(paths)
    found: list[MemberFile] = []
    refusals: list[RefusedFile] = []
    for path in sorted(files, key=lambda path: (path.suffix.lower() == ".csv", path)):
        try:
            content = path.read_bytes()
            found += read_rows(content, name=str(path)) if path.suffix.lower() == ".csv" else [read(content, name=str(path))]
        except RefusedFile as refusal:
            refusals.append(refusal)
    if len(refusals) == 1:
        raise refusals[0]
    if refusals:
        more = len(refusals) - REFUSALS_SHOWN
        lines = [refusal.message for refusal in refusals[:REFUSALS_SHOWN]] + ([f"… and {more} more."] if more > 0 else [])
        raise RefusedFiles(
            f"{len(refusals)} files were refused, so nothing was imported:\n  " + "\n  ".join(lines),
            refusals=[refusal.message for refusal in refusals],
        )
    _refuse_doubles(found)
    return found, skipped


def import_all(
    session: Session,
    files: Sequence[MemberFile],
    *,
    now: datetime,
    actor: Person | None = None,
    is_demo: bool = False,
    figures_on: date | None = None,
) -> ImportResult:
    """Import many members in the caller's transaction: all of them or none.

    Importing the same files again changes nothing. `figures_on` is the day the figures describe, if it is not today.
    """
    result = ImportResult()
    for file in files:
        _, outcome = import_member(
            session, file, now=now, actor=actor, is_demo=is_demo, figures_on=figures_on, reports=result.reports
        )
        result.by_member[file.member_id] = min(outcome, result.by_member.get(file.member_id, outcome), key=list(Outcome).index)
    return result


def import_own(session: Session, member: PledgeMember, file: MemberFile, *, actor: Person, now: datetime) -> Outcome:
    """Import a company's own member file from its dashboard.

    Raises:
        ForeignFile: the file's id is another member's.
        ReportDiffers: it contradicts a report published here.
        NotAllowed: the actor may not edit the pledge.
    """
    access.require_role(session, actor, Role.PLEDGE_EDITOR, organisation_id=member.organisation_id, on=now.date())
    if file.member_id != member.member_id:
        raise ForeignFile(
            f"This file is of “{file.member_id}”, not of “{member.member_id}”. Choose your own, or correct its `id`.",
            field="file",
        )
    return import_member(session, file, now=now, actor=actor)[1]


def import_member(
    session: Session,
    file: MemberFile,
    *,
    now: datetime,
    actor: Person | None = None,
    is_demo: bool = False,
    figures_on: date | None = None,
    reports: Counter[Outcome] | None = None,
) -> tuple[PledgeMember, Outcome]:
    """Import one member file; a file that says what we know already changes nothing."""
    counts = reports if reports is not None else Counter[Outcome]()
    on = now.date()
    member, is_new = _member(session, file, now=now, is_demo=is_demo, figures_on=figures_on)
    changed = not is_new and _take_over(member, file, figures_on)
    session.flush()
    before = counts.copy()
    _take_reports(session, member, file, now=now, counts=counts)
    in_kind = _take_in_kind(session, member, file, now=now)
    session.flush()
    if member.status not in {MembershipStatus.APPLIED, MembershipStatus.CHECKED, MembershipStatus.WITHDRAWN}:
        changed |= member.listed != file.active and not is_new
        if is_new:
            member.listed = file.active
            if not file.active:
                member.status, member.status_reason = MembershipStatus.LAPSED, membership.FILE_SAYS_INACTIVE
        else:
            membership.follow_file(session, member, listed=file.active, on=on, now=now)
    membership.renew(session, member, on=on, now=now, actor=actor)
    touched = any(counts[outcome] != before[outcome] for outcome in (Outcome.NEW, Outcome.CHANGED))
    outcome = Outcome.NEW if is_new else Outcome.CHANGED if changed or touched or in_kind else Outcome.UNCHANGED
    if outcome is not Outcome.UNCHANGED:
        audit.record(session, "member_file.imported", member, actor=actor, at=now, source=file.source, outcome=str(outcome))
    session.flush()
    return member, outcome


def export(session: Session, member: PledgeMember, *, form: Form = Form.PRESENT) -> str:
    """The member file of a member. What was imported in this form and not changed is written as it was.

    Raises:
        InvalidInput: the member has published nothing, so it has no member file.
    """
    reports = [report for report in queries.reports_of(session, member) if report.currency == CURRENCY]
    if not reports:
        raise NotFound(f"{member.name} has published no report in {CURRENCY} yet; the first one makes its member file.")
    newest = reports[0]
    return write(
        WrittenMember(
            member_id=member.member_id,
            role=member.role,
            active=member.listed,
            name=member.name,
            description=member.description,
            short_description=member.short_description,
            url=member.url or newest.url,
            jobs_url=member.jobs_url,
            blog_profile_slug=member.blog_profile_slug,
            joined_on=member.joined_on,
            reports=[
                WrittenReport(report.url, report.year, report.report_on, report.developers, report.declared) for report in reports
            ],
        ),
        document=member.document,
        form=form,
    )


def _files(paths: Iterable[Path]) -> tuple[list[Path], list[str]]:
    files: list[Path] = []
    skipped: list[str] = []
    for path in paths:
        if path.is_dir():
            inside = sorted(entry for entry in path.iterdir() if entry.is_file() and not entry.name.startswith("."))
            readable = [entry for entry in inside if entry.suffix.lower() in {".json", ".csv"}]
            skipped += [str(entry) for entry in inside if entry not in readable]
            if not readable:
                raise InvalidInput(f"{path} has no .json and no .csv file.", field="path")
            files += readable
        elif path.is_file():
            files.append(path)
        else:
            raise InvalidInput(f"{path} is not there.", field="path")
    return files, skipped


def _refuse_doubles(files: Sequence[MemberFile]) -> None:
    """Two member files of one id contradict each other; a table beside a file only adds to it."""
    seen: dict[str, str] = {}
    for file in files:
        first = seen.get(file.member_id)
        if first is not None and file.document is not None:
            raise RefusedFile(
                f"{file.source}: id “{file.member_id}” is the id of {first} too; give every member one file.", file=file.source
            )
        seen.setdefault(file.member_id, file.source)


def _member(
    session: Session, file: MemberFile, *, now: datetime, is_demo: bool, figures_on: date | None
) -> tuple[PledgeMember, bool]:
    """The member of this id, made with its organisation if it is new."""
    found = session.scalars(select(PledgeMember).where(PledgeMember.member_id == file.member_id)).first()
    if found is not None:
        return queries.locked_member(session, found.id), False
    slug = membership.slug_of(file.member_id)
    organisation = session.scalars(select(Organisation).where(Organisation.slug == slug)).first()
    if organisation is None:
        organisation = Organisation(id=new_id(), slug=slug, name=file.name, url=file.url, is_demo=is_demo, created_at=now)
        session.add(organisation)
        session.flush()
    elif queries.member_of_organisation(session, organisation.id) is not None:
        raise RefusedFile(
            f"{file.source}: id “{file.member_id}” would have the address of another member, “{slug}”; change the id.",
            file=file.source,
            path="id",
        )
    membership.add_company_role(session, organisation, on=file.joined_on)
    latest = max(report.report_on for report in file.reports)
    member = membership.new_member(
        organisation,
        status=MembershipStatus.ACTIVE,
        origin=MemberOrigin.FILE,
        now=now,
        member_id=file.member_id,
        joined_on=file.joined_on,
    )
    member.status_since, member.figures_on = latest, figures_on
    # Until the reports are in; a new due day then moves the state to where the dates put it.
    member.due_on = latest
    session.add(member)
    _take_over(member, file, figures_on)
    return member, True


def _take_over(member: PledgeMember, file: MemberFile, figures_on: date | None) -> bool:
    """What a file says about the member itself. Rows of a table say nothing of it beyond its role and dates."""
    wanted: dict[str, object] = {"role": file.role, "joined_on": file.joined_on}
    if file.document is not None:
        wanted |= {
            "description": file.description,
            "short_description": file.short_description,
            "url": file.url,
            "jobs_url": file.jobs_url,
            "blog_profile_slug": file.blog_profile_slug,
            "document": file.document,
        }
        member.organisation.name = file.name
    if member.origin is MemberOrigin.FILE:
        wanted["figures_on"] = figures_on
    changed = False
    for name, value in wanted.items():
        if getattr(member, name) != value:
            setattr(member, name, value)
            changed = True
    return changed


def _take_reports(session: Session, member: PledgeMember, file: MemberFile, *, now: datetime, counts: Counter[Outcome]) -> None:
    """Add what is new, supersede what changed, and what a member file no longer has."""
    standing = {(report.year, report.report_on): report for report in queries.reports_of(session, member)}
    minimums = queries.minimums(session)
    for index, report in enumerate(file.reports):
        old = standing.pop((report.year, report.report_on), None)
        if old is not None and _same(old, report):
            counts[Outcome.UNCHANGED] += 1
            continue
        if old is not None and old.pledge_id is not None:
            raise ReportDiffers(
                f"{file.source}: annualReports[{index}] differs from the report {report.year} published here "
                f"({old.developers.normalize():f} developers, {old.declared}, {old.url}). Publish a correction here instead.",
                file=file.source,
                path=f"annualReports[{index}]",
            )
        if old is not None:
            _supersede(session, old, CHANGED_IN_FILE, now)
        counts[Outcome.NEW if old is None else Outcome.CHANGED] += 1
        minimum = minimum_on(minimums, report.paid.currency, report.report_on)
        session.add(
            AnnualReport(
                id=new_id(),
                member_id=member.id,
                year=report.year,
                report_on=report.report_on,
                url=report.url,
                developers=report.developers,
                declared_minor=report.paid.amount_minor,
                currency=report.paid.currency,
                minimum_minor=minimum.amount_minor,
                rules_version=minimum.rules_version,
                published_at=now,
            )
        )
    if file.document is not None:
        for gone in standing.values():
            if gone.pledge_id is None:
                _supersede(session, gone, NO_LONGER_IN_FILE, now)
                counts[Outcome.CHANGED] += 1


def _take_in_kind(session: Session, member: PledgeMember, file: MemberFile, *, now: datetime) -> bool:
    """The past form's values of time and materials, kept apart. Returns whether anything changed."""
    changed = False
    for report in file.reports:
        known = {
            row.kind: row for row in queries.in_kind_of(session, member, report.year) if row.description == IN_KIND_FROM_FILE
        }
        stated = {InKindKind(word): value for word, value in report.in_kind.items()}
        for kind, old in known.items():
            if stated.get(kind) == old.value:
                del stated[kind]
            else:
                old.superseded_at, old.superseded_reason = now, CHANGED_IN_FILE
                changed = True
        for kind, value in stated.items():
            changed = True
            session.add(
                InKindHelp(
                    id=new_id(),
                    member_id=member.id,
                    year=report.year,
                    kind=kind,
                    description=IN_KIND_FROM_FILE,
                    value_minor=value.amount_minor,
                    currency=value.currency,
                    entered_at=now,
                )
            )
    return changed


def _same(old: AnnualReport, new: FileReport) -> bool:
    return (old.url, old.developers, old.declared) == (new.url, new.developers, new.paid)


def _supersede(session: Session, report: AnnualReport, reason: str, now: datetime) -> None:
    report.superseded_at, report.superseded_reason = now, reason
    session.flush()
