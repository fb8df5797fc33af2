"""Rows to structs and back."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec

from phoenix95.common.events import OrderChanged
from phoenix95.common.money import plain
from phoenix95.executor.core.decide import Decision
from phoenix95.executor.core.group import Fill, Group, Trade
from phoenix95.executor.core.intents import Intent
from phoenix95.executor.core.options import Options
from phoenix95.executor.ledger.models import FillRow, IntentRow, TradeRow


def when(ms: int) -> datetime:
    """Exchange ms as a timestamp."""
    return datetime.fromtimestamp(ms / 1000, UTC)


def group_of(trade: TradeRow, intents: list[IntentRow], fills: list[FillRow]) -> Group:
    return Group(
        trade=Trade(
            analysis_id=trade.analysis_id,
            symbol=trade.symbol,
            position_side=trade.position_side,  # type: ignore[arg-type]
            leverage=trade.leverage,
            price=trade.price,
            stop_price=trade.stop_loss,
            target_price=trade.take_profit,
            hold_ms=trade.hold_ms,
            expires_ms=trade.expires_ms,
            stage=trade.stage,  # type: ignore[arg-type]
            opened_ms=trade.opened_ms,
            naked_since_ms=trade.naked_since_ms,
            close_reason=trade.close_reason,  # type: ignore[arg-type]
            request=trade.request,
            quote=trade.quote,
            strategy=trade.strategy,
            decided_ms=round(trade.created.timestamp() * 1000),
            options=msgspec.convert(trade.options, Options),
            best_price=trade.best_price,
        ),
        intents=tuple(_struct(Intent, row) for row in intents),
        fills=tuple(_struct(Fill, row) for row in fills),
    )


def intent_values(intent: Intent, account: str) -> dict[str, Any]:
    return {"account": account, **msgspec.structs.asdict(intent)}


def fill_values(fill: Fill, account: str, analysis_id: str) -> dict[str, Any]:
    return {"account": account, "analysis_id": analysis_id, **msgspec.structs.asdict(fill)}


def signal_values(decision: Decision) -> dict[str, Any]:
    """The row of an analysis. Indicators that it does not carry are null, and so is what its stamps do not tell."""
    analysis, decided = decision.analysis, decision.decided
    return {
        "analysis_id": analysis.id,
        "symbol": analysis.symbol,
        "action": analysis.action,
        "side": analysis.side,
        "confidence": analysis.confidence,
        "phoenix95_score": analysis.phoenix95_score,
        "rsi": _indicator(analysis.indicators, "rsi"),
        "macd": _indicator(analysis.indicators, "macd"),
        "volume": analysis.bar.volume if analysis.bar is not None else None,
        "price": analysis.price,
        "position_size": analysis.position_fraction,
        "stop_loss": analysis.stop_loss,
        "take_profit": analysis.take_profit,
        "leverage": analysis.leverage,
        "risk_level": analysis.risk_level,
        "accepted": decided.accepted,
        "reason": decided.reason,
        "verdicts": msgspec.to_builtins(decided.verdicts),
        "reasoning": list(analysis.reasoning),
        "request": analysis.request,
        "processing_time_ms": decision.processing_time_ms,
        "cache_hit": decision.cache_hit,
        "ts_ms": analysis.ts,
        "decided_ms": decided.ts,
        "created": when(decided.ts),
        "details": msgspec.to_builtins(
            {
                "strategy": analysis.strategy,
                "cause": analysis.cause,
                "as_of": analysis.as_of,
                "config": analysis.config,
                "expires_at": analysis.expires_at,
                "hold_ms": analysis.hold_ms,
                "win_probability": analysis.win_probability,
                "win_samples": analysis.win_samples,
                "indicators": analysis.indicators,
                "factors": analysis.factors,
                "quality": analysis.quality,
                "bar": analysis.bar,
                "brier": analysis.brier,
            }
        ),
    }


def trade_values(decision: Decision, group: Group, account: str) -> dict[str, Any]:
    analysis, trade = decision.analysis, group.trade
    return {
        "analysis_id": trade.analysis_id,
        "account": account,
        "symbol": trade.symbol,
        "side": group.entry.side,
        "position_side": trade.position_side,
        "amount": group.entry.quantity,
        "price": trade.price,
        "leverage": trade.leverage,
        "confidence": analysis.confidence,
        "phoenix95_score": analysis.phoenix95_score,
        "risk_level": analysis.risk_level,
        "stop_loss": trade.stop_price,
        "take_profit": trade.target_price,
        "status": "pending",
        "stage": trade.stage,
        "hold_ms": trade.hold_ms,
        "expires_ms": trade.expires_ms,
        "quote": trade.quote,
        "request": trade.request,
        "strategy": trade.strategy,
        "options": msgspec.to_builtins(trade.options),
        "created": when(decision.decided.ts),
        "reasoning": list(analysis.reasoning),
    }


def changed(intent: Intent, request: str | None) -> OrderChanged:
    """The event of an intent's present state."""
    return OrderChanged(
        analysis_id=intent.analysis_id,
        symbol=intent.symbol,
        ts=intent.updated_ms,
        client_id=intent.client_id,
        role=intent.role,
        state=intent.state,
        side=intent.side,
        quantity=plain(intent.quantity),
        filled=plain(intent.filled),
        average_price=_plain(intent.average_price),
        trigger_price=_plain(intent.trigger_price),
        venue_id=intent.venue_id,
        reason=intent.reason,
        request=request,
    )


def _plain(number: Decimal | None) -> str | None:
    return None if number is None else plain(number)


def _struct(kind: type, row: IntentRow | FillRow) -> Any:
    return kind(**{name: getattr(row, name) for name in kind.__struct_fields__})  # type: ignore[attr-defined]


def _indicator(indicators: dict[str, float | None], prefix: str) -> float | None:
    """An indicator by its plain name, or by its name with parameters (`rsi14`, `macd_12_26_9`)."""
    if prefix in indicators:
        return indicators[prefix]
    return next((value for name, value in sorted(indicators.items()) if name.startswith(prefix)), None)
