/* What the address asks of the board, and the controls that change it. */

const SHOWN = [
  ["measured", "Measured"],
  ["reported", "Reported"],
  ["both", "Both"],
];

function boardState(names, filled) {
  const dataset = param("set", names, filled);
  const rows = BOARD.rows.filter((row) => row.dataset === dataset);
  const present = BOARD.metrics
    .map((m) => m.name)
    .filter((metric) => rows.some((row) => isNumber(scoreOf(row, metric).mean)));
  const chosen = listParam("metrics", present);
  const protocols = protocolsOf(dataset);
  const metrics = chosen.length ? chosen : present;
  const kinds = unique(
    systems(rows)
      .map((row) => row.kind)
      .filter(Boolean),
  );
  const sort = route.params.get("sort") ?? metrics[0];
  const fallback = metrics.includes(sort) && !betterIsHigher(sort) ? "asc" : "desc";
  return {
    dataset,
    rows,
    present,
    metrics,
    protocols,
    protocol: protocols.length ? param("protocol", protocols) : null,
    show: param(
      "show",
      ["measured", "reported", "both"],
      rows.some((row) => row.source === "measured") ? "measured" : "reported",
    ),
    modes: unique(rows.map((row) => row.mode).filter(Boolean)).sort(byMode),
    chosenModes: listParam("modes", unique(rows.map((row) => row.mode))),
    kinds,
    kind: param("kind", ["", ...kinds]),
    query: route.params.get("q") ?? "",
    costs: route.params.get("costs") === "1",
    sort,
    down: param("dir", ["desc", "asc"], sort === "system" ? "asc" : fallback) === "desc",
    open: route.params.get("open"),
  };
}

function boardControls(state, names) {
  const reset = { open: "", protocol: "", kind: "", modes: "" };
  const protocols = state.protocols.map((name) => [name, name]),
    kinds = state.kinds.map((name) => [name, name]);
  const modes = state.modes.map((mode) => [mode, mode, modeWords(mode)]);
  const metrics = state.present.map((name) => [name, name, METRICS.get(name)?.about]);
  const every = (list) => list.length === state.present.length;
  const columns = [
    datasetChoice("board-set", names, state.dataset, (set) => change({ ...reset, set })),
    segments("board-show", "Numbers", SHOWN, state.show, (show) => change({ show })),
    protocols.length > 0 &&
      choice("board-protocol", "Protocol", protocols, state.protocol, (protocol) => change({ protocol, open: "" })),
    chips("board-metrics", "Metrics", metrics, state.metrics, (list) =>
      change({ metrics: every(list) ? "" : writeList(list) }),
    ),
    el(
      "div",
      { class: "field" },
      checkbox("board-costs", "Show costs", state.costs, (on) => change({ costs: on ? "1" : "" })),
    ),
  ];
  const filters = [
    modes.length > 0 &&
      chips("board-modes", "What systems see", modes, state.chosenModes, (list) => change({ modes: writeList(list) })),
    kinds.length > 0 &&
      choice("board-kind", "Kind", [["", "all kinds"], ...kinds], state.kind, (kind) => change({ kind })),
    searchField("board-filter", "Filter by name", state.query, (q) => change({ q })),
  ];
  const submit = (event) => event.preventDefault();
  return el(
    "form",
    { class: "controls", role: "search", "aria-label": "Choose rows and columns", submit },
    el("div", { class: "row" }, columns),
    el("div", { class: "row" }, filters),
  );
}

/** Whether a row passes the filters; references are context: they pass unless they are of another mode. */
function passes(row, state) {
  const words = [row.label, row.system, row.kind, row.weights, CARDS.get(row.system)?.title].join(" ").toLowerCase();
  const sees = !state.chosenModes.length || state.chosenModes.includes(row.mode);
  if (row.reference) return sees || !row.mode;
  const named = state.query
    .toLowerCase()
    .split(/\s+/)
    .every((word) => words.includes(word));
  return sees && named && (!state.kind || row.kind === state.kind);
}
