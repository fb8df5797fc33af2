// Takes the events and tells the panels. Draws at most once a second, and not in a hidden tab.

import { CandleChart, drawEquity } from "./charts.js";
import { follow, keep } from "./events.js";
import { moment, number, put } from "./format.js";
import * as panels from "./panels.js";

const DRAW_MS = 1000;

const state = { symbol: null, prices: {}, positions: [], decisions: [], equity: [], dirty: false };
const chart = new CandleChart(document.getElementById("candles"));
const keyForm = document.getElementById("key");
const onlyTrades = document.getElementById("only-trades");
let stop = null;

const take = {
  account: (row) => panels.account(row),
  services: (report) => panels.services(report),
  host: (sample) => panels.host(sample),
  alerts: (rows) => panels.alerts(rows),
  equity(points) {
    state.equity = points;
    put("curve-note", points.length > 1 ? `last ${Math.max(1, Math.round((Date.parse(points.at(-1)[0]) - Date.parse(points[0][0])) / 60000))} min` : "after the second reconciliation");
    state.dirty = true;
  },
  positions(rows) {
    state.positions = rows;
    panels.positions(rows, state.prices);
    state.dirty = true;
  },
  decisions(rows) {
    state.decisions = rows;
    panels.decisions(rows, onlyTrades.checked);
    state.dirty = true;
  },
  pipeline({ total }) {
    put("rate", number(total.ticks_per_s, 1));
    put("lag", total.lag_ms === null ? "–" : `${number(total.lag_ms, 0)} ms`);
  },
  prices(prices) {
    state.prices = prices;
    const newest = Math.max(0, ...Object.values(prices).map((one) => Number(one.timestamp ?? 0)));
    if (newest) put("clock", moment(newest));
    if (!(state.symbol in prices)) choose(state.symbol === null ? firstOf(prices) : Object.keys(prices)[0] ?? null);
    panels.symbols(prices, state.symbol, choose);
    panels.positions(state.positions, prices);
  },
  candles(news) {
    if (news.symbol !== state.symbol) return;
    chart.take(news);
    state.dirty = true;
  },
};

function firstOf(prices) {
  const wanted = location.hash.slice(1).toUpperCase();
  if (wanted in prices) return wanted;
  return "BTCUSDT" in prices ? "BTCUSDT" : Object.keys(prices)[0] ?? null;
}

function choose(symbol) {
  if (symbol === state.symbol) return;
  state.symbol = symbol;
  if (symbol) history.replaceState(null, "", `#${symbol}`);
  connect();
}

function connect() {
  stop?.();
  const query = state.symbol ? `?symbol=${encodeURIComponent(state.symbol)}` : "";
  let mine = true;
  const end = follow(`/api/events${query}`, {
    event: (name, data) => mine && take[name]?.(data),
    state: (name, words) => mine && linked(name, words),
    refused: (words) => mine && askForKey(words),
  });
  stop = () => {
    mine = false;
    end();
  };
}

function linked(name, words) {
  const link = document.getElementById("link");
  link.dataset.state = name;
  if (link.textContent !== words) link.textContent = words;
  document.getElementById("main").classList.toggle("stale", name === "lost");
}

function askForKey(words) {
  keyForm.hidden = false;
  put("key-said", words);
  document.getElementById("key-value").focus();
}

function draw() {
  if (!state.dirty || document.hidden) return;
  state.dirty = false;
  const held = state.positions.find((one) => one.symbol === chart.symbol);
  chart.draw(held, state.decisions.filter((one) => one.symbol === chart.symbol));
  drawEquity(document.getElementById("curve"), state.equity);
}

keyForm.addEventListener("submit", (event) => {
  event.preventDefault();
  keep(document.getElementById("key-value").value);
  keyForm.reset();
  keyForm.hidden = true;
  connect();
});
onlyTrades.addEventListener("change", () => panels.decisions(state.decisions, onlyTrades.checked));
addEventListener("resize", () => (state.dirty = true));
setInterval(draw, DRAW_MS);
connect();
