"""The chain of what was done: the database itself appends to it, in the transaction of each fact.

Triggers on the tables of facts call `ledger.keep`, which gives out the number and the hash under the account's row
lock. So nobody can store a fact without its record, whichever program writes; and the writers need no right on the
chain, because the triggers work with the owner's.
"""

from typing import Final

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

GENESIS: Final = "0" * 64

# The same bytes as phoenix95.executor.core.chain.digest: each field behind its length in bytes.
KEEP: Final = """
CREATE FUNCTION ledger.keep(for_account text, at_ms bigint, what text, about text, told text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    head record;
    made text;
    field text;
    bytes text := '';
BEGIN
    SELECT audit_n + 1 AS n, audit_hash AS prev INTO head
    FROM ledger.accounts WHERE name = for_account FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN; -- no executor has ever taken this account: the audit tells of facts without a record
    END IF;
    FOREACH field IN ARRAY ARRAY[head.prev, for_account, head.n::text, at_ms::text, what, coalesce(about, ''), told]
    LOOP
        bytes := bytes || octet_length(field) || ':' || field;
    END LOOP;
    made := encode(sha256(convert_to(bytes, 'UTF8')), 'hex');
    INSERT INTO ledger.audit (account, n, ts_ms, kind, analysis_id, body, prev_hash, hash)
    VALUES (for_account, head.n, at_ms, what, about, told, head.prev, made);
    UPDATE ledger.accounts SET audit_n = head.n, audit_hash = made WHERE name = for_account;
END $$
"""

# Who writes says in the transaction's setting for which account; a hand that does not say it counts to the first.
WRITER: Final = """
CREATE FUNCTION ledger.writing_account() RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT coalesce(
        nullif(current_setting('phoenix95.account', true), ''), (SELECT min(name) FROM ledger.accounts)
    )
$$
"""

# Arguments: kind of the record, column of its time (ms), then the columns whose change alone is no fact.
KEEP_ROW: Final = """
CREATE FUNCTION ledger.keep_row() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    told jsonb := to_jsonb(NEW);
BEGIN
    IF TG_OP = 'UPDATE' AND told - TG_ARGV[2:] = to_jsonb(OLD) - TG_ARGV[2:] THEN
        RETURN NULL;
    END IF;
    PERFORM ledger.keep(
        coalesce(told ->> 'account', ledger.writing_account()), (told ->> TG_ARGV[1])::bigint, TG_ARGV[0],
        told ->> 'analysis_id', told::text
    );
    RETURN NULL;
END $$
"""

KEEP_TRADE: Final = """
CREATE FUNCTION ledger.keep_trade() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    told jsonb := to_jsonb(NEW);
    at timestamptz := greatest(NEW.created, NEW.filled, NEW.closed);
BEGIN
    IF TG_OP = 'UPDATE' AND told - TG_ARGV = to_jsonb(OLD) - TG_ARGV THEN
        RETURN NULL;
    END IF;
    PERFORM ledger.keep(
        NEW.account, (extract(epoch FROM at) * 1000)::bigint, 'trade', NEW.analysis_id, told::text
    );
    RETURN NULL;
END $$
"""

# A person's HALT must not wait for an executor that hangs within a transaction: after a second it stands without a
# record, which the audit tells.
KEEP_CONTROL: Final = """
CREATE FUNCTION ledger.keep_control() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '500ms' AS $$
BEGIN
    IF TG_LEVEL = 'STATEMENT' THEN -- the account before the row, as the executor does: or the two could deadlock
        PERFORM 1 FROM ledger.accounts WHERE name = ledger.writing_account() FOR NO KEY UPDATE;
    ELSIF TG_OP = 'INSERT' OR to_jsonb(NEW) <> to_jsonb(OLD) THEN
        PERFORM ledger.keep(
            ledger.writing_account(), (extract(epoch FROM clock_timestamp()) * 1000)::bigint, 'control', NULL,
            to_jsonb(NEW)::text
        );
    END IF;
    RETURN NULL;
EXCEPTION WHEN lock_not_available THEN
    RETURN NULL;
END $$
"""

KEEP_ALERT: Final = """
CREATE FUNCTION ledger.keep_alert() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM ledger.keep(
        ledger.writing_account(), (NEW.body::jsonb ->> 'ts_wall_ms')::bigint, 'alert', NULL, NEW.body
    );
    RETURN NULL;
END $$
"""

APPEND_ONLY: Final = """
CREATE FUNCTION ledger.append_only() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'ledger.% is append-only: % is refused', TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'insufficient_privilege';
END $$
"""

# Event and table, then what is called. A counter of unanswered questions is no fact, nor is what follows from facts
# that have records of their own.
STORED: Final = "AFTER INSERT OR UPDATE ON ledger."
TRIGGERS: Final = {
    f"kept {STORED}signals FOR EACH ROW": "keep_row('decision', 'decided_ms')",
    f"kept {STORED}intents FOR EACH ROW": "keep_row('order', 'updated_ms', 'not_found', 'updated_ms')",
    f"kept {STORED}fills FOR EACH ROW": "keep_row('fill', 'time_ms')",
    f"kept {STORED}trades FOR EACH ROW": "keep_trade('naked_since_ms', 'fee', 'execution_time_ms')",
    f"kept {STORED}control FOR EACH ROW": "keep_control()",
    "locked BEFORE INSERT OR UPDATE ON ledger.control FOR EACH STATEMENT": "keep_control()",
    "kept AFTER INSERT ON ledger.outbox FOR EACH ROW WHEN (NEW.stream = 'p95:alert')": "keep_alert()",
    "append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger.audit FOR EACH STATEMENT": "append_only()",
}

# What was stored before the chain began gets its records now, each row as it is.
BACKFILL: Final = """
DO $$
DECLARE
    one record;
BEGIN
    FOR one IN
        SELECT 1 AS rank, id AS at, ledger.writing_account() AS account, decided_ms AS ms, 'decision' AS what,
            analysis_id AS about, to_jsonb(t)::text AS told
        FROM ledger.signals AS t
        UNION ALL SELECT 2, id, account, (extract(epoch FROM greatest(created, filled, closed)) * 1000)::bigint,
            'trade', analysis_id, to_jsonb(t)::text
        FROM ledger.trades AS t
        UNION ALL SELECT 3, updated_ms, account, updated_ms, 'order', analysis_id, to_jsonb(t)::text
        FROM ledger.intents AS t
        UNION ALL SELECT 4, time_ms, account, time_ms, 'fill', analysis_id, to_jsonb(t)::text
        FROM ledger.fills AS t
        UNION ALL SELECT 5, 0, ledger.writing_account(), (extract(epoch FROM changed) * 1000)::bigint, 'control', NULL,
            to_jsonb(t)::text
        FROM ledger.control AS t
        ORDER BY 1, 2
    LOOP
        PERFORM ledger.keep(one.account, one.ms, one.what, one.about, one.told);
    END LOOP;
END $$
"""

# The owner may insert, because the triggers act as the owner; nobody may do anything else than read.
RIGHTS: Final = """
DO $$
DECLARE
    given record;
BEGIN
    REVOKE UPDATE, DELETE, TRUNCATE ON ledger.audit FROM CURRENT_USER;
    FOR given IN
        SELECT DISTINCT grantee FROM information_schema.role_table_grants
        WHERE table_schema = 'ledger' AND table_name = 'audit' AND privilege_type <> 'SELECT'
          AND grantee <> CURRENT_USER AND grantee <> 'PUBLIC'
    LOOP
        EXECUTE format('REVOKE INSERT, UPDATE, DELETE, TRUNCATE ON ledger.audit FROM %I', given.grantee);
    END LOOP;
END $$
"""


def upgrade() -> None:
    op.add_column(
        "accounts", sa.Column("audit_n", sa.BigInteger(), server_default="0", nullable=False), schema="ledger"
    )
    op.add_column(
        "accounts", sa.Column("audit_hash", sa.Text(), server_default=GENESIS, nullable=False), schema="ledger"
    )
    op.create_table(
        "audit",
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("n", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("ts_ms", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("analysis_id", sa.Text(), nullable=True),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("prev_hash", sa.Text(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("account", "n"),
        schema="ledger",
    )
    op.create_index(op.f("ix_ledger_audit_analysis_id"), "audit", ["analysis_id"], unique=False, schema="ledger")
    for statement in (KEEP, WRITER, KEEP_ROW, KEEP_TRADE, KEEP_CONTROL, KEEP_ALERT, APPEND_ONLY):
        op.execute(statement)
    for when, call in TRIGGERS.items():
        op.execute(f"CREATE TRIGGER {when} EXECUTE FUNCTION ledger.{call}")
    op.execute(BACKFILL)
    op.execute(RIGHTS)


def downgrade() -> None:
    for table in ("signals", "intents", "fills", "trades", "control", "outbox"):
        op.execute(f"DROP TRIGGER kept ON ledger.{table}")
    op.execute("DROP TRIGGER locked ON ledger.control")
    op.drop_table("audit", schema="ledger")
    for function in ("keep_row", "keep_trade", "keep_control", "keep_alert", "append_only", "writing_account"):
        op.execute(f"DROP FUNCTION ledger.{function}()")
    op.execute("DROP FUNCTION ledger.keep(text, bigint, text, text, text)")
    op.drop_column("accounts", "audit_hash", schema="ledger")
    op.drop_column("accounts", "audit_n", schema="ledger")
