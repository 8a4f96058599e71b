/* The board and what is looked up in it. Keys that come from the data live in Maps, so that no name is special. */
const BOARD = JSON.parse(document.getElementById("board-data").textContent);
const METRICS = new Map(BOARD.metrics.map((metric) => [metric.name, metric]));
const DATASETS = new Map(BOARD.datasets.map((dataset) => [dataset.name, dataset]));
const ROWS = new Map(BOARD.rows.map((row) => [row.id, row]));
const CARDS = new Map(Object.entries(BOARD.cards));
const PROTOCOLS = new Map(Object.entries(BOARD.protocols));
const KINDS = new Map(Object.entries(BOARD.kinds));
const VIDEOS = new Map(Object.entries(BOARD.videos));
const SCORES = new Map(BOARD.rows.map((row) => [row.id, new Map(Object.entries(row.metrics))]));
const NO_SCORE = { mean: null, low: null, high: null, rank: null };

function scoreOf(row, metric) {
  return SCORES.get(row.id).get(metric) ?? NO_SCORE;
}

function perVideo(row, metric) {
  return row.videos && Object.hasOwn(row.videos, metric) ? row.videos[metric] : null;
}

function betterIsHigher(metric) {
  return METRICS.get(metric)?.better !== "lower";
}

function unique(values) {
  return [...new Set(values)];
}

/** The rows of a set from one source. */
function rowsOf(dataset, source) {
  return BOARD.rows.filter((row) => row.dataset === dataset && row.source === source);
}

/** Rows that are ranked: all but the references. */
function systems(rows) {
  return rows.filter((row) => !row.reference);
}

/** Protocols of a set's measured rows, the one with most rows first. */
function protocolsOf(dataset) {
  const counts = new Map();
  for (const row of rowsOf(dataset, "measured")) counts.set(row.protocol, (counts.get(row.protocol) ?? 0) + 1);
  return [...counts.keys()].sort((a, b) => counts.get(b) - counts.get(a) || (a < b ? -1 : 1));
}

const PLACES = new Map(BOARD.rows.map((row, place) => [row.id, place]));
const METRIC_PLACES = new Map(BOARD.metrics.map((metric, place) => [metric.name, place]));
let comparisonIndex = null;

function comparisonKey(a, b, metric) {
  return (a * PLACES.size + b) * METRIC_PLACES.size + metric;
}

/** The comparison of two rows, turned so that it reads a minus b; null where the board holds none. */
function comparison(a, b, metric) {
  comparisonIndex ??= new Map(BOARD.comparisons.map((pair) => [comparisonKey(pair[0], pair[1], pair[2]), pair]));
  const [first, second, third] = [PLACES.get(a), PLACES.get(b), METRIC_PLACES.get(metric)];
  const straight = comparisonIndex.get(comparisonKey(first, second, third));
  const pair = straight ?? comparisonIndex.get(comparisonKey(second, first, third));
  if (!pair) return null;
  const [difference, low, high, chance, p, significant, n] = pair.slice(3);
  if (straight) return { difference, low, high, probability: chance, p, significant, n };
  const minus = (value) => (isNumber(value) ? -value : null);
  const probability = isNumber(chance) ? 1 - chance : null;
  return { difference: minus(difference), low: minus(high), high: minus(low), probability, p, significant, n };
}

/** Where bootstrap samples of the videos rank a row: {low, high}, or null. */
function rankRange(row, metric) {
  const table = stability(row.dataset, row.protocol, metric);
  const range = row.source === "measured" && table && Object.hasOwn(table.ranks, row.id) ? table.ranks[row.id] : null;
  return range && isNumber(range.low) ? range : null;
}

function stability(dataset, protocol, metric) {
  return BOARD.stability.find((s) => s.dataset === dataset && s.protocol === protocol && s.metric === metric) ?? null;
}

/** "=" where a row cannot be told from the best of its table, "*" where it can, "" where nobody compared them. */
function markAgainst(best, row, metric) {
  if (!best || best.id === row.id) return "";
  const pair = comparison(row.id, best.id, metric);
  return pair ? (pair.significant ? "*" : "=") : "";
}

/** A row's name where several sets, protocols and weights meet. */
function fullName(row) {
  return [row.label, row.weights].filter(Boolean).join(", ");
}
