"""The exchange takes the order as it is: steps, least and largest quantity, least notional, price band."""

from phoenix95.common.money import ZERO
from phoenix95.executor.core.candidate import Book, Candidate
from phoenix95.executor.core.gates import Finding, gate
from phoenix95.executor.core.limits import Limits
from phoenix95.executor.core.sizing import MIN_NOTIONAL_MARGIN


@gate("position")
def filters(candidate: Candidate, _book: Book, _limits: Limits) -> Finding:
    sized, rules, market = candidate.sized, candidate.rules, candidate.market
    if rules is None:
        return Finding("the exchange's rules are not known")
    quantity = sized.quantity
    # a market order is valued at the mark price, which may lie under ours and fall until it arrives: -4164
    valued = quantity * min((candidate.price, market.lowest or candidate.price))
    numbers = {
        "quantity": str(quantity),
        "step": str(rules.quantity_step),
        "least": str(rules.quantity_min),
        "most": str(rules.quantity_max),
        "valued_at_least": str(valued),
        "notional_at_least": str(rules.notional_min * MIN_NOTIONAL_MARGIN),
        "tick": str(rules.price_tick),
    }
    if sized.problem is not None:
        return Finding(sized.problem, numbers)
    problems = []
    if quantity <= 0 or quantity % rules.quantity_step != 0:
        problems.append(f"quantity {quantity} is no multiple of {rules.quantity_step}")
    if not rules.quantity_min <= quantity <= rules.quantity_max:
        problems.append(f"quantity {quantity} is not in [{rules.quantity_min}, {rules.quantity_max}]")
    if valued < rules.notional_min * MIN_NOTIONAL_MARGIN:
        problems.append(f"notional {valued} is too near to the least that is taken, {rules.notional_min}")
    for what, trigger in (("stop", candidate.stop_price), ("target", candidate.target_price)):
        if trigger is None:
            continue
        if trigger % rules.price_tick != 0:
            problems.append(f"{what} {trigger} is no multiple of {rules.price_tick}")
        least, most = rules.price_min or ZERO, rules.price_max or trigger
        if not least <= trigger <= most:
            problems.append(f"{what} {trigger} is not in [{least}, {most}]")
    met = market.ask if candidate.position_side == "LONG" else market.bid
    if market.mark is not None and rules.percent_up is not None and rules.percent_down is not None:
        share = (met or candidate.price) / market.mark
        numbers |= {"price_to_mark": f"{share:.6f}", "percent_price": f"{rules.percent_down}..{rules.percent_up}"}
        if not rules.percent_down <= share <= rules.percent_up:
            problems.append(f"the market is at {share:.4f} of the mark price, outside of PERCENT_PRICE")
    return Finding("; ".join(problems) or None, numbers)
