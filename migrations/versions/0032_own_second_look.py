"""a second look that was at just this booking of the line

Revision: 0032_own_second_look
Follows: 0031_approved_totals
"""

from alembic import op

revision = "0032_own_second_look"
down_revision = "0031_approved_totals"
branch_labels = None
depends_on = None

# A booking that two people took back again vouches for nothing: the decision and the line carry the same person and moment.
OF_THIS = " AND deed = NEW.match AND decided_by_id = NEW.matched_by_id AND decided_at = NEW.matched_at"
SECOND_LOOK = """
CREATE OR REPLACE FUNCTION bank_line_second_look() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    most bigint := COALESCE((
        SELECT amount_minor FROM books_alone_limit
        WHERE currency = NEW.currency AND valid_from <= (NEW.matched_at AT TIME ZONE 'UTC')::date
        ORDER BY valid_from DESC LIMIT 1), 0);
BEGIN
    IF EXISTS (SELECT FROM books_proposal WHERE line_id = NEW.id AND confirmed{of_this}) THEN
        RETURN NULL;
    END IF;
    IF NEW.match = 'several' OR NEW.amount_minor > most OR EXISTS (
        SELECT FROM bank_statement
        WHERE id = NEW.statement_id AND format = 'csv' AND imported_by_id = NEW.matched_by_id) THEN
        RAISE EXCEPTION 'line % takes two people', NEW.id USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NULL;
END
$$
"""


def upgrade() -> None:
    op.execute(SECOND_LOOK.format(of_this=OF_THIS))


def downgrade() -> None:
    op.execute(SECOND_LOOK.format(of_this=""))
