// One function for each panel: data in, elements out.

import { bytes, direction, element, number, percent, price, put, signed, time } from "./format.js";

const MEMORY_LIMIT = 500 * 1024 * 1024; // summed over our processes; the promise of the system
let lastSample = null;
const OURS = ["up", "paper", "feed", "engine", "executor", "monitor", "gateway"];

/** The row of totals. Shares of equity are percent; money is in quote currency. */
export function account(row) {
  if (!row) return;
  put("equity", number(row.total_balance));
  put("equity-sub", `${number(row.available_balance)} available`);
  put("today", signed(row.daily_pnl), row.daily_pnl);
  put("today-sub", `${row.daily_trades} closed · ${row.daily_wins} won · ${row.daily_losses} lost`);
  put("risk", percent(row.total_risk));
  put("risk-sub", "if every stop is hit");
  put("exposure", number(row.total_exposure));
  put("exposure-sub", `${number(row.used_margin)} margin used`);
  put("drawdown", percent(row.max_drawdown));
}

/** What a position would bring now, in quote currency; null while there is no price. */
export function result(position, prices) {
  const now = prices[position.symbol]?.price ?? position.current_price;
  if (now === null || now === undefined) return null;
  const sign = position.side === "long" ? 1 : -1;
  return sign * (Number(now) - Number(position.entry_price)) * Number(position.size);
}

/** Open positions with where the price stands between stop and target. */
export function positions(rows, prices) {
  put("positions-count", String(rows.length));
  const sum = rows.reduce((total, row) => total + (result(row, prices) ?? 0), 0);
  put("unrealised", rows.length ? signed(sum) : number(0), rows.length ? sum : 0);
  put("unrealised-sub", `${rows.length} open, before fees`);
  const items = rows.map((row) => position(row, prices));
  document.getElementById("positions").replaceChildren(...(items.length ? items : [element("li", { class: "empty" }, "Nothing is held.")]));
}

function position(row, prices) {
  const now = prices[row.symbol]?.price ?? row.current_price;
  const gain = result(row, prices);
  const long = row.side === "long";
  const stop = Number(row.stop_loss);
  const target = row.take_profit ? Number(row.take_profit) : 2 * Number(row.entry_price) - stop;
  const place = (value) => Math.min(100, Math.max(0, (100 * (Number(value) - stop)) / (target - stop)));
  const entry = element("span", { class: "entry", title: `entry ${price(row.entry_price)}` });
  entry.style.left = `${place(row.entry_price)}%`;
  const here = element("span", { title: `now ${price(now)}` });
  here.style.left = `${place(now)}%`;
  return element("li", { class: "position", "data-symbol": row.symbol },
    element("div", { class: "top" },
      element("b", {}, row.symbol),
      element("span", { class: `side ${long ? "up" : "down"}` }, `${long ? "▲ LONG" : "▼ SHORT"} ${row.leverage}×`),
      element("span", { class: "muted" }, row.size),
      element("span", { class: `value ${direction(gain)}` }, signed(gain))),
    element("div", { class: "range", role: "img", "aria-label": `now ${price(now)} between stop ${price(row.stop_loss)} and target ${price(row.take_profit)}` }, entry, here),
    element("div", { class: "bottom" },
      element("span", {}, `stop ${price(row.stop_loss)}`),
      element("span", { class: row.protected ? "guard" : "guard bad" }, row.protected ? "✓ protected" : "✕ unprotected"),
      element("span", {}, `target ${price(row.take_profit)}`)));
}

/** The last decisions with their reasons; the verdicts of all gates are in the row's title. */
export function decisions(rows, onlyTrades) {
  const shown = rows.filter((row) => !onlyTrades || row.action !== "HOLD");
  const made = shown.map((row) => element("tr", { class: row.accepted ? "picked" : null, title: verdicts(row) },
    element("td", {}, element("a", { href: `/why/${encodeURIComponent(row.analysis_id)}`, title: "why" }, time(row.ts_ms))),
    element("td", {}, row.symbol),
    element("td", {}, ...verdict(row)),
    element("td", { class: "num" }, number(row.confidence)),
    element("td", { class: "num" }, number(row.phoenix95_score)),
    element("td", { class: "why" }, why(row))));
  const empty = element("tr", {}, element("td", { colspan: 6, class: "empty" }, rows.length ? "Only HOLD so far." : "No decision yet: the first bar is still open."));
  document.getElementById("decisions").replaceChildren(...(made.length ? made : [empty]));
}

function verdict(row) {
  const side = row.side ? element("span", { class: row.side === "BUY" ? "up" : "down" }, row.side === "BUY" ? "▲ BUY " : "▼ SELL ") : null;
  if (row.accepted) return [side, element("span", { class: "tag yes" }, row.executed ? "TRADED" : "ACCEPTED")];
  if (row.action === "HOLD") return [element("span", { class: "tag" }, "HOLD")];
  if (row.action === "ERROR") return [element("span", { class: "tag bad" }, "ERROR")];
  return [side, element("span", { class: "tag no" }, "REFUSED")];
}

function why(row) {
  const words = row.accepted && row.reasoning.length ? `${row.reason}: ${row.reasoning.join("; ")}` : row.reason;
  return row.request && !words.includes("asked for") ? `asked for · ${words}` : words;
}

function verdicts(row) {
  const gates = row.verdicts.map((one) => `${one.reason === null ? "✓" : "✕"} ${one.stage}/${one.gate}${one.reason === null ? "" : `: ${one.reason}`}`);
  return [...row.reasoning, ...gates].join("\n") || null;
}

/** Each component, by its heartbeat or by the gateway's own look. */
export function services(report) {
  put("services-note", report.unhealthy.length ? `${report.unhealthy.length} not well` : "all well");
  const items = Object.entries(report.components).map(([name, one]) => element("li", { class: one.healthy ? null : "bad" },
    element("span", {}, name.replace("_", " ")),
    element("small", {}, one.healthy ? state(one) : one.reason)));
  document.getElementById("services").replaceChildren(...items);
}

function state(one) {
  if (!one.instances) return "answers";
  const age = one.progress_age_ms === null ? "" : `worked ${number(one.progress_age_ms / 1000, 0)} s ago`;
  return one.instances > 1 ? `${one.instances} running · ${age}` : age;
}

/** The machine, and our processes by memory. */
export function host(sample) {
  const meters = document.getElementById("meters");
  if (!sample) {
    put("host-note", "no sample: the monitor is silent");
    meters.replaceChildren();
    document.getElementById("processes").replaceChildren();
    return;
  }
  const ours = OURS.map((name) => [name, sample.processes.filter((one) => one.name === name)]).filter(([, found]) => found.length);
  const memory = ours.flatMap(([, found]) => found).reduce((sum, one) => sum + (one.pss ?? one.rss), 0);
  put("host-note", `${sample.cpu_count} cores`);
  put("traffic", traffic(sample, ours.flatMap(([, found]) => found)));
  meters.replaceChildren(
    meter("CPU", sample.cpu_percent, `${number(sample.cpu_percent, 0)} %`, 80),
    meter("Memory", sample.memory_percent, `${bytes(sample.memory_total - sample.memory_available)} of ${bytes(sample.memory_total)}`, 85),
    meter("Disk", sample.disk_percent, `${bytes(sample.disk_free)} free`, 85),
    meter("Phoenix 95", (100 * memory) / MEMORY_LIMIT, `${bytes(memory)} of ${bytes(MEMORY_LIMIT)}`, 99));
  document.getElementById("processes").replaceChildren(...ours.map(([name, found]) => element("li", {},
    element("b", {}, found.length > 1 ? `${name} ×${found.length}` : name),
    bytes(found.reduce((sum, one) => sum + (one.pss ?? one.rss), 0)))));
}

/** Network rates need two samples; the counters are left out while they are zero. */
function traffic(sample, ours) {
  const before = lastSample;
  lastSample = sample;
  const words = [];
  const seconds = before ? (sample.ts_wall_ms - before.ts_wall_ms) / 1000 : 0;
  if (seconds > 0 && sample.bytes_received >= before.bytes_received && sample.bytes_sent >= before.bytes_sent) {
    words.push(`↓ ${bytes((sample.bytes_received - before.bytes_received) / seconds)}/s`, `↑ ${bytes((sample.bytes_sent - before.bytes_sent) / seconds)}/s`);
  }
  const sum = (field) => ours.reduce((total, one) => total + (one[field] ?? 0), 0);
  words.push(`${sum("threads")} threads`);
  if (ours.some((one) => "connections" in one)) words.push(`${sum("connections")} connections`);
  return words.join(" · ");
}

function meter(name, value, words, high) {
  return element("li", {}, element("div", {}, element("span", {}, name), element("span", {}, words)),
    element("progress", { max: 100, value: Math.min(100, value), class: value > high ? "high" : null, "aria-label": `${name} ${words}` }));
}

/** The newest alerts first. */
export function alerts(rows) {
  const known = rows.filter((row) => row);
  put("alerts-count", String(known.length));
  const items = known.map((row) => element("li", { "data-severity": row.severity },
    row.message, element("small", {}, `${row.severity} · ${row.service}${row.symbol ? ` · ${row.symbol}` : ""} · ${new Date(row.ts_wall_ms).toLocaleTimeString("en-GB")} local`)));
  document.getElementById("alerts").replaceChildren(...(items.length ? items : [element("li", { class: "empty" }, "No alerts.")]));
}

/** The buttons that choose a symbol. Buttons stay the same elements, so that focus is not lost. */
export function symbols(prices, chosen, choose) {
  const bar = document.getElementById("symbols");
  const names = Object.keys(prices);
  if (names.join() !== [...bar.children].map((one) => one.dataset.symbol).join()) {
    bar.replaceChildren(...names.map((name) => {
      const made = element("button", { type: "button", "data-symbol": name }, element("b", {}, name.replace(/USDT$/, "")), element("span"), element("i"));
      made.addEventListener("click", () => choose(name));
      return made;
    }));
  }
  for (const button of bar.children) {
    const found = prices[button.dataset.symbol];
    const pressed = String(button.dataset.symbol === chosen);
    if (button.getAttribute("aria-pressed") !== pressed) {
      button.setAttribute("aria-pressed", pressed);
      // On a phone the bar is wider than the screen. Only the bar may move, so no scrollIntoView.
      if (pressed === "true") bar.scrollLeft = button.offsetLeft - bar.offsetLeft - (bar.clientWidth - button.offsetWidth) / 2;
    }
    button.classList.toggle("stale", !found.price);
    button.children[1].textContent = price(found.price);
    button.children[2].textContent = found.change_percent ? `${signed(found.change_percent)} %` : "";
    button.children[2].className = direction(found.change_percent);
  }
}
