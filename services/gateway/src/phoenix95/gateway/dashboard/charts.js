// The two charts, drawn by Plotly from the installed package. Without it the page works, only without charts.

const UP = "#2fc48d";
const DOWN = "#ff5c70";
const FIRE = "#ff8a3d";
const MUTED = "#93a0b4";
const LINE = "#1c2532";
const SHOWN = 90; // minutes on a wide screen
const SHOWN_NARROW = 40;
const CONFIG = { displayModeBar: false, responsive: true, scrollZoom: false, doubleClick: false };

const axis = { gridcolor: LINE, zeroline: false, color: MUTED, tickfont: { size: 11 }, fixedrange: true };

function layout(more) {
  return {
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", showlegend: false, dragmode: false,
    font: { family: "system-ui, sans-serif", color: MUTED, size: 11 },
    hoverlabel: { bgcolor: "#18202c", bordercolor: "#212b3a", font: { color: "#e8ecf2", size: 12 } },
    ...more,
  };
}

const utc = (ms) => new Date(ms).toISOString().slice(0, 23);

/** Candles of a symbol with its volume, its position's entry, stop and target, and the trades that were decided. */
export class CandleChart {
  constructor(target) {
    this.target = target;
    this.symbol = null;
    this.rows = [];
  }

  take({ symbol, whole, rows }) {
    if (whole || symbol !== this.symbol) {
      this.symbol = symbol;
      this.rows = rows;
      return;
    }
    const from = rows.length ? rows[0][0] : Infinity;
    this.rows = this.rows.filter((row) => row[0] < from).concat(rows).slice(-180);
  }

  draw(position, decisions) {
    if (!window.Plotly || !this.rows.length) return;
    const narrow = this.target.clientWidth < 600;
    const rows = this.rows.slice(narrow ? -SHOWN_NARROW : -SHOWN);
    const x = rows.map((row) => utc(row[0]));
    const rising = rows.map((row) => row[4] >= row[1]);
    const candles = {
      type: "candlestick", x, open: rows.map((r) => r[1]), high: rows.map((r) => r[2]), low: rows.map((r) => r[3]),
      close: rows.map((r) => r[4]), increasing: { line: { color: UP, width: 1 }, fillcolor: UP },
      decreasing: { line: { color: DOWN, width: 1 }, fillcolor: DOWN }, yaxis: "y", name: this.symbol,
    };
    const volume = {
      type: "bar", x, y: rows.map((r) => r[5]), yaxis: "y2", hoverinfo: "skip",
      marker: { color: rising.map((up) => (up ? "rgba(47,196,141,.28)" : "rgba(255,92,112,.28)")) },
    };
    const { shapes, annotations } = lines(position, rows.at(-1), narrow);
    window.Plotly.react(this.target, [volume, candles, ...marks(decisions, rows)], layout({
      margin: { l: 8, r: narrow ? 58 : 74, t: 6, b: 24 }, shapes, annotations, bargap: 0.25, hovermode: "x",
      xaxis: { ...axis, anchor: "y2", rangeslider: { visible: false }, type: "date", hoverformat: "%H:%M UTC", tickformat: "%H:%M", nticks: narrow ? 5 : 12 },
      yaxis: { ...axis, side: "right", domain: [0.17, 1], tickformat: ",~f", nticks: 8 },
      yaxis2: { ...axis, domain: [0, 0.13], showgrid: false, showticklabels: false },
    }), CONFIG);
    const last = rows.at(-1);
    this.target.setAttribute("aria-label", `Candles of one minute of ${this.symbol}, last ${last[4]}, in ${rows.length} minutes from ${Math.min(...rows.map((r) => r[3]))} to ${Math.max(...rows.map((r) => r[2]))}`);
  }
}

function lines(position, last, narrow) {
  const wanted = [[last[4], last[4] >= last[1] ? UP : DOWN, "dot", ""]];
  if (position) {
    wanted.push([Number(position.entry_price), MUTED, "dash", "entry"]);
    wanted.push([Number(position.stop_loss), DOWN, "solid", "stop"]);
    if (position.take_profit) wanted.push([Number(position.take_profit), UP, "solid", "target"]);
  }
  const shapes = wanted.map(([y, color, dash]) => ({
    type: "line", xref: "paper", x0: 0, x1: 1, y0: y, y1: y, line: { color, width: 1, dash }, layer: "above",
  }));
  const annotations = wanted.map(([y, color, , words]) => words
    ? { xref: "paper", x: 0, xanchor: "left", y, yanchor: "bottom", text: words, showarrow: false, font: { color, size: 11 } }
    : { xref: "paper", x: 1, xanchor: "left", y, text: y.toLocaleString("en", { maximumFractionDigits: 5 }), showarrow: false,
        font: { color: "#0a0d13", size: narrow ? 10 : 11 }, bgcolor: color, borderpad: 2 });
  return { shapes, annotations };
}

function marks(decisions, rows) {
  const shown = decisions.filter((one) => one.accepted && one.price && one.ts_ms >= rows[0][0]);
  if (!shown.length) return [];
  const buys = shown.map((one) => one.side === "BUY");
  return [{
    type: "scatter", mode: "markers", x: shown.map((one) => utc(one.ts_ms - (one.ts_ms % 60000))), y: shown.map((one) => one.price),
    text: shown.map((one) => `${one.side === "BUY" ? "bought" : "sold"} at ${one.price}`), hovertemplate: "%{text}<extra></extra>",
    marker: { symbol: buys.map((buy) => (buy ? "triangle-up" : "triangle-down")), size: 11, color: FIRE, line: { color: "#0a0d13", width: 1 } },
  }];
}

/** The account's equity at each reconciliation. */
export function drawEquity(target, points) {
  if (!window.Plotly || points.length < 2) return;
  const y = points.map((point) => Number(point[1]));
  const color = y.at(-1) >= y[0] ? UP : DOWN;
  const low = Math.min(...y), high = Math.max(...y), pad = Math.max((high - low) * 0.15, high * 1e-5);
  window.Plotly.react(target, [{
    type: "scatter", mode: "lines", x: points.map((point) => point[0].replace("Z", "")), y, line: { color, width: 1.8 },
    fill: "tozeroy", fillcolor: color === UP ? "rgba(47,196,141,.10)" : "rgba(255,92,112,.10)",
    hovertemplate: "%{y:,.2f}<extra></extra>",
  }], layout({
    margin: { l: 8, r: 62, t: 4, b: 24 }, hovermode: "x",
    xaxis: { ...axis, type: "date", tickformat: "%H:%M", hoverformat: "%H:%M:%S UTC", nticks: 6, showgrid: false },
    yaxis: { ...axis, side: "right", range: [low - pad, high + pad], tickformat: ",.2f", nticks: 5 },
  }), CONFIG);
  target.setAttribute("aria-label", `Equity from ${y[0].toFixed(2)} to ${y.at(-1).toFixed(2)}`);
}
