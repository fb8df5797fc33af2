// Figures and elements. Nothing here knows what is shown.

const plain = new Map();

function digits(count) {
  if (!plain.has(count)) {
    plain.set(count, new Intl.NumberFormat("en", { minimumFractionDigits: count, maximumFractionDigits: count }));
  }
  return plain.get(count);
}

/** A number with so many decimals; a dash for what is not known. */
export function number(value, decimals = 2) {
  return value === null || value === undefined || Number.isNaN(Number(value)) ? "–" : digits(decimals).format(Number(value));
}

/** A number with its sign, which says the same as its colour. */
export function signed(value, decimals = 2) {
  if (value === null || value === undefined || Number.isNaN(Number(value))) return "–";
  const text = digits(decimals).format(Math.abs(Number(value)));
  return (Number(value) < 0 ? "−" : "+") + text;
}

/** A price with as many decimals as the exchange writes, at most six. */
export function price(text) {
  if (text === null || text === undefined) return "–";
  const decimals = (String(text).split(".")[1] ?? "").replace(/0+$/, "").length;
  return number(text, Math.min(6, Math.max(2, decimals)));
}

/** A share as percent. */
export function percent(share, decimals = 2) {
  return share === null || share === undefined ? "–" : number(Number(share) * 100, decimals) + " %";
}

/** Bytes in the largest fitting unit. */
export function bytes(count) {
  const units = ["B", "KB", "MB", "GB", "TB"];
  let at = 0;
  let left = count;
  while (left >= 1024 && at < units.length - 1) {
    left /= 1024;
    at += 1;
  }
  return number(left, left < 10 && at > 0 ? 1 : 0) + " " + units[at];
}

/** Exchange time as UTC `08:05:59`. */
export function time(ms) {
  return new Date(ms).toISOString().slice(11, 19);
}

/** Exchange time as UTC `2026-01-05 08:05:59`. */
export function moment(ms) {
  return new Date(ms).toISOString().slice(0, 19).replace("T", " ");
}

/** The class for gains and losses. */
export function direction(value) {
  return Number(value) > 0 ? "up" : Number(value) < 0 ? "down" : "";
}

/** An element with attributes (`class`, `title`, ...) and children; text is never read as HTML. */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined && value !== false) made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

/** Put a text into the element of an id, and optionally the class of its direction. */
export function put(id, text, of) {
  const target = document.getElementById(id);
  if (target.textContent !== text) target.textContent = text;
  if (of !== undefined) target.classList.toggle("up", Number(of) > 0), target.classList.toggle("down", Number(of) < 0);
}
