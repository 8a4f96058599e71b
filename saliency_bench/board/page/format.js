/* Numbers and words as they are shown. */
const NONE = "–";
const MODES = ["TAV", "AV", "TV", "TA", "T", "A", "V"];
const MODE_WORDS = { T: "caption", A: "sound", V: "frames" };

function isNumber(value) {
  return typeof value === "number" && Number.isFinite(value);
}

/** A score: three decimals, fewer where it is large; a true minus sign. */
function score(value) {
  if (!isNumber(value)) return NONE;
  const size = Math.abs(value);
  return value.toFixed(size >= 100 ? 1 : size >= 10 ? 2 : 3).replace("-", "−");
}

function signed(value) {
  return isNumber(value) && value > 0 ? `+${score(value)}` : score(value);
}

function interval(low, high) {
  return isNumber(low) && isNumber(high) ? `[${score(low)}, ${score(high)}]` : "not known";
}

/** A share with its interval, for example "0.62 [0.55, 0.70]"; without one where there is none. */
function share(mean, ends) {
  const two = (value) => value.toFixed(2).replace("-", "−");
  return two(mean) + (ends && isNumber(ends[0]) ? ` [${two(ends[0])}, ${two(ends[1])}]` : "");
}

/** 978000 as 0.98 M: three figures and a unit. */
function count(value) {
  if (!isNumber(value)) return NONE;
  for (const [unit, size] of [
    ["G", 1e9],
    ["M", 1e6],
    ["k", 1e3],
  ])
    if (value >= 0.95 * size) return `${figures(value / size)} ${unit}`;
  return figures(value);
}

function figures(value) {
  return value >= 100 ? value.toFixed(0) : String(Number(value.toPrecision(value >= 1 ? 3 : 2)));
}

/** Thousands set apart. */
function whole(value) {
  return isNumber(value) ? String(Math.round(value)).replace(/\B(?=(\d{3})+$)/g, "\u202f") : NONE;
}

function probability(p) {
  if (!isNumber(p)) return "not known";
  return p > 0.999 ? "> 0.999" : p < 0.001 ? "< 0.001" : p.toFixed(3);
}

function plural(n, one, many = `${one}s`) {
  return `${n} ${n === 1 ? one : many}`;
}

/** What a mode shows a system, in words. */
function modeWords(mode) {
  const words = [...mode].map((letter) => MODE_WORDS[letter]);
  return words.length && words.every(Boolean) ? words.join(" + ") : mode;
}

/** A label without the mode at its end, which stands beside it as a chip. */
function shortName(row) {
  const end = `(${row.mode})`;
  return row.mode && row.label.endsWith(end) && row.label !== end ? row.label.slice(0, -end.length) : row.label;
}

function byMode(a, b) {
  const place = (mode) => (MODES.indexOf(mode) + MODES.length + 1) % (MODES.length + 1);
  return place(a) - place(b) || (a < b ? -1 : 1);
}

function modeChip(mode) {
  return mode ? el("span", { class: "mode", title: modeWords(mode) }, mode) : null;
}
