"""The history of the control modes and the function that changes them; the exchange's income; a side's own trade."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

# Runs with the rights of its owner, so that who may call it needs no right on the tables. It never loosens unless
# `p_loosen` says so, and tells what was in force before and what is now. `news`: the mode or its cause is another.
SET_CONTROL = """
CREATE FUNCTION ledger.set_control(p_scope text, p_mode text, p_reason text, p_by text, p_cause text, p_loosen boolean)
RETURNS TABLE (id bigint, previous text, mode text, news boolean)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
DECLARE
    order_of CONSTANT text[] := ARRAY['RUN', 'REDUCE_ONLY', 'HALT', 'FLATTEN'];
    v_previous text;
    v_cause text;
    v_mode text := p_mode;
    v_id bigint;
    v_news boolean;
BEGIN
    IF p_mode IS NULL OR array_position(order_of, p_mode) IS NULL THEN
        RAISE EXCEPTION 'no control mode %', p_mode USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF p_scope IS NULL OR p_scope !~ '^(account|[A-Z0-9_]{1,32})$' THEN
        RAISE EXCEPTION 'no scope %', p_scope USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF coalesce(btrim(p_reason), '') = '' OR length(p_reason) > 1000 OR coalesce(btrim(p_by), '') = '' THEN
        RAISE EXCEPTION 'a control mode needs a reason and a name' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    -- The account before the row, as the executor locks them: or the two could deadlock. A person's HALT does not wait
    -- for an executor that hangs within a transaction.
    BEGIN
        PERFORM set_config('lock_timeout', '500ms', true);
        PERFORM 1 FROM ledger.accounts a WHERE a.name = ledger.writing_account() FOR NO KEY UPDATE;
    EXCEPTION WHEN lock_not_available THEN
        NULL;
    END;
    PERFORM set_config('lock_timeout', '0', true);
    SELECT c.mode INTO v_previous FROM ledger.control c WHERE c.scope = p_scope FOR UPDATE;
    v_previous := coalesce(v_previous, 'RUN');
    SELECT h.cause INTO v_cause FROM ledger.control_history h WHERE h.scope = p_scope ORDER BY h.id DESC LIMIT 1;
    -- what nobody knows is as strict as HALT
    IF NOT p_loosen AND coalesce(array_position(order_of, v_previous), 3) > array_position(order_of, p_mode) THEN
        v_mode := v_previous;
    END IF;
    v_news := v_mode IS DISTINCT FROM v_previous OR p_cause IS DISTINCT FROM v_cause;
    IF v_news OR p_cause = 'command' THEN
        INSERT INTO ledger.control AS c (scope, mode, reason, changed_by) VALUES (p_scope, v_mode, p_reason, p_by)
            ON CONFLICT (scope) DO UPDATE SET mode = v_mode, reason = p_reason, changed_by = p_by, changed = now()
            WHERE v_mode = p_mode;
        INSERT INTO ledger.control_history AS h (scope, previous, mode, asked, reason, changed_by, cause, db_role)
            VALUES (p_scope, v_previous, v_mode, p_mode, p_reason, p_by, p_cause, session_user)
            RETURNING h.id INTO v_id;
    END IF;
    RETURN QUERY SELECT v_id, v_previous, v_mode, v_news;
END
$function$
"""
SIGNATURE = "ledger.set_control(text, text, text, text, text, boolean)"
GRANTS = f"""
DO $grants$ BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'gateway') THEN
        GRANT USAGE ON SCHEMA ledger TO gateway;
        GRANT EXECUTE ON FUNCTION {SIGNATURE} TO gateway;
    END IF;
END $grants$
"""


def upgrade() -> None:
    op.create_table(
        "control_history",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("previous", sa.Text(), nullable=False),
        sa.Column("mode", sa.Text(), nullable=False),
        sa.Column("asked", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("changed_by", sa.Text(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("db_role", sa.Text(), nullable=False),
        sa.Column("changed", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("applied", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        schema="ledger",
    )
    op.create_index(
        "control_not_applied", "control_history", ["id"], schema="ledger", postgresql_where=sa.text("applied IS NULL")
    )
    op.create_table(
        "income",
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("income_type", sa.Text(), nullable=False),
        sa.Column("tran_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("asset", sa.Text(), nullable=False),
        sa.Column("amount", sa.Numeric(), nullable=False),
        sa.Column("time_ms", sa.BigInteger(), nullable=False),
        sa.Column("trade_id", sa.BigInteger(), nullable=True),
        sa.Column("analysis_id", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("account", "income_type", "tran_id", "symbol"),
        schema="ledger",
    )
    op.create_index(op.f("ix_ledger_income_time_ms"), "income", ["time_ms"], schema="ledger")
    op.create_index(op.f("ix_ledger_income_analysis_id"), "income", ["analysis_id"], schema="ledger")
    op.add_column("trades", sa.Column("funding", sa.Numeric(), server_default="0", nullable=False), schema="ledger")
    # a position that somebody else opened on the other side of a symbol is adopted beside ours
    op.drop_index("one_active_trade", "trades", schema="ledger")
    op.create_index(
        "one_active_trade",
        "trades",
        ["account", "symbol", "position_side"],
        unique=True,
        schema="ledger",
        postgresql_where=sa.text("status IN ('pending', 'filled')"),
    )
    op.execute(SET_CONTROL)
    op.execute(f"REVOKE ALL ON FUNCTION {SIGNATURE} FROM PUBLIC")
    op.execute(GRANTS)
