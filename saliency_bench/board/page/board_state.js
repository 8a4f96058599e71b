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
    kinds: unique(rows.map((row) => row.kind).filter(Boolean)),
    kind: route.params.get("kind") ?? "",
    query: route.params.get("q") ?? "",
    costs: route.params.get("costs") === "1",
    sort,
    down: param("dir", ["desc", "asc"], sort === "system" ? "asc" : fallback) === "desc",
    open: route.params.get("open"),
  };
}

function boardControls(state, names) {
  const every = (list, words) => [["", words], ...list.map((value) => [value, value])];
  return el(
    "form",
    {
      class: "controls",
      id: "board-controls",
      role: "search",
      "aria-label": "Choose rows and columns",
      submit: (event) => event.preventDefault(),
    },
    datasetChoice("board-set", names, state.dataset, (set) =>
      change({ set, open: "", protocol: "", kind: "", modes: "" }),
    ),
    segments("board-show", "Numbers", SHOWN, state.show, (show) => change({ show })),
    state.protocols.length > 0 &&
      choice(
        "board-protocol",
        "Protocol",
        state.protocols.map((p) => [p, p]),
        state.protocol,
        (protocol) => change({ protocol, open: "" }),
      ),
    chips(
      "board-metrics",
      "Metrics",
      state.present.map((m) => [m, m, METRICS.get(m)?.about]),
      state.metrics,
      (metrics) => change({ metrics: metrics.length === state.present.length ? "" : writeList(metrics) }),
    ),
    state.kinds.length > 0 &&
      choice("board-kind", "Kind", every(state.kinds, "all kinds"), state.kind, (kind) => change({ kind })),
    searchField("board-filter", "Filter by name", state.query, (q) => change({ q })),
    chips(
      "board-modes",
      "What systems see",
      state.modes.map((mode) => [mode, mode, modeWords(mode)]),
      state.chosenModes,
      (modes) => change({ modes: writeList(modes) }),
    ),
    el(
      "div",
      { class: "field end" },
      checkbox("board-costs", "Show costs", state.costs, (on) => change({ costs: on ? "1" : "" })),
    ),
  );
}

/** Whether a row passes the filters; references without a mode pass any mode. */
function passes(row, state) {
  const words = [row.label, row.system, row.kind, row.weights, CARDS.get(row.system)?.title].join(" ").toLowerCase();
  return (
    (!state.chosenModes.length || state.chosenModes.includes(row.mode) || (row.reference && !row.mode)) &&
    (!state.kind || row.kind === state.kind) &&
    state.query
      .toLowerCase()
      .split(/\s+/)
      .every((word) => words.includes(word))
  );
}
