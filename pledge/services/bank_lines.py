"""Pay-ins as the books see them: what companies announced or say they sent, to be found on a bank statement."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from core.books.models import Direction
from core.books.sources import Expected, Finding, Posted
from core.files import StoredFile
from core.identity.models import Person
from pledge import host_queries, queries
from pledge.models import InstalmentStatus, PledgeInstalment
from pledge.services import instalments

PATH = "/finance/pay-ins"
WAITING = (InstalmentStatus.AWAITING_PAYMENT, InstalmentStatus.PROCESSING)


class PayIns:
    """Implements core.books.sources.Source."""

    name = "pledge"

    def expected(self, session: Session) -> Sequence[Expected]:
        rows = queries.pay_ins(session, *WAITING, limit=None)
        at_hosts = host_queries.at_hosts(session)  # their money comes on the host's account
        return [
            Expected(
                source=self.name,
                id=row.id,
                direction=Direction.IN,
                reference=row.reference,
                money=row.money,
                who=row.member.name,
                path=PATH,
                said_by=row.entered_by_id if row.status is InstalmentStatus.PROCESSING else None,
                is_said=row.status is InstalmentStatus.PROCESSING,
            )
            for row in rows
            if row.id not in at_hosts
        ]

    def posted(self, session: Session, keys: Collection[str]) -> Mapping[str, Posted]:
        ids = {UUID(key.removeprefix(instalments.ENTRY_PREFIX)): key for key in keys if key.startswith(instalments.ENTRY_PREFIX)}
        rows = session.scalars(select(PledgeInstalment).where(PledgeInstalment.id.in_(ids)))
        return {ids[row.id]: Posted((row.reference,), row.member.name, PATH) for row in rows}

    def note_sent(
        self, session: Session, expected_id: UUID, finding: Finding, evidence: StoredFile, *, actor: Person, now: datetime
    ) -> None:
        instalments.note_arrival(session, expected_id, sent_on=finding.on, evidence=evidence, actor=actor, now=now)

    def found(self, session: Session, expected_id: UUID, finding: Finding, *, actor: Person, now: datetime) -> str:
        row = instalments.confirm(
            session,
            expected_id,
            received_on=min(finding.on, now.date()),
            bank_reference=finding.label,
            cash=finding.set_aside,
            actor=actor,
            now=now,
        )
        return instalments.entry_key(row.id)
