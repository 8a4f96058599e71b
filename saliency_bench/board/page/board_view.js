/* The board: where every system stands on one data set. */
function boardView(main) {
  const names = BOARD.datasets.map((dataset) => dataset.name);
  main.append(
    heading(
      "Where every system stands",
      el(
        "p",
        { class: "sub" },
        "Saliency in video from frames, sound and captions. What was measured here and what papers report stand " +
          "in tables of their own.",
      ),
    ),
  );
  if (!names.length || !BOARD.rows.length) {
    main.append(
      empty(
        "No rows yet.",
        el(
          "p",
          {},
          "Score a system with ",
          el("code", {}, "saliency-bench run"),
          ", add it with ",
          el("code", {}, "saliency-bench leaderboard add RUN"),
          ", then build this page again.",
        ),
      ),
    );
    return;
  }
  const filled = names.find((name) => rowsOf(name, "measured").length) ?? names[0];
  const state = boardState(names, filled);
  main.append(boardControls(state, names), datasetLine(state.dataset));
  const tables = [];
  if (state.show !== "reported") tables.push(measuredTable(state));
  if (state.show !== "measured") tables.push(reportedTable(state));
  main.append(...tables.map((table) => table.node));
  announce(tables.map(({ shown, of, what }) => `${shown} of ${of} ${what} systems shown`).join("; "));
}

function datasetLine(name) {
  const set = DATASETS.get(name);
  const size = isNumber(set.videos)
    ? `${plural(set.videos, "video")}${isNumber(set.frames) ? `, ${whole(set.frames)} frames` : ""}.`
    : "";
  return el(
    "p",
    { class: "set-line" },
    el("strong", {}, set.title || name),
    " ",
    set.about,
    " ",
    size && el("span", { class: "quiet" }, size),
  );
}

function measuredTable(state) {
  const all = state.rows.filter((row) => row.source === "measured" && row.protocol === state.protocol);
  const n = unique(all.map((row) => row.n_videos).filter(isNumber));
  const stable = state.metrics
    .map((metric) => stability(state.dataset, state.protocol, metric))
    .filter((s) => s && isNumber(s.tau));
  const lead = el(
    "div",
    { class: "table-lead" },
    el(
      "p",
      {},
      "Protocol ",
      el("strong", {}, state.protocol ?? "none"),
      n.length === 1 ? `, n = ${plural(n[0], "video")}` : n.length ? `, n differs from row to row (see each)` : "",
      ". Bars are 95 % intervals over videos; ticks in them are the references. Open a row for its protocol, n, " +
        "weights and notes.",
    ),
    el(
      "p",
      { class: "legend" },
      el("span", {}, "↑ higher is better, ↓ lower"),
      el("span", {}, el("b", { class: "best" }, "bold"), " best"),
      el("span", {}, el("span", { class: "second" }, "underlined"), " second"),
      el("span", {}, el("b", {}, "*"), " differs from the best"),
      el("span", {}, el("b", {}, "="), " cannot be told from the best"),
      el("span", { class: "quiet" }, "after correction for all comparisons of the table; no mark: not compared"),
    ),
    stable.length > 0 &&
      el(
        "p",
        { class: "quiet" },
        "How stable is the order? Kendall’s tau between it and that of resampled videos: ",
        stable.map((s) => `${s.metric} ${s.tau.toFixed(2)}${tauRange(s.low, s.high)}`).join(", "),
        ".",
      ),
  );
  return finished("measured", "Measured here", lead, all, state);
}

/** " [0.82, 0.98]", nothing where there are too few videos for an interval. */
function tauRange(low, high) {
  return isNumber(low) && isNumber(high) ? ` [${low.toFixed(2)}, ${high.toFixed(2)}]` : "";
}

function reportedTable(state) {
  const all = state.rows.filter((row) => row.source === "reported");
  const lead = el(
    "div",
    { class: "table-lead" },
    el(
      "p",
      {},
      "Numbers as their papers print them. Frames, n and evaluation code are the papers’ own, so a difference to the " +
        "measured table is not a result. Open a row for its source and known doubts.",
    ),
  );
  return finished("reported", "Reported by papers", lead, all, state);
}

/** A table, or what stands in its place where nothing is left of it; references are context and are not counted. */
function finished(what, title, lead, all, state) {
  const rows = all.filter((row) => passes(row, state)),
    shown = systems(rows).length,
    of = systems(all).length;
  const metrics = state.metrics.filter((metric) => all.some((row) => isNumber(scoreOf(row, metric).mean)));
  const sortable = columnsOf({ ...state, metrics, rows }).some((column) => column.key === state.sort);
  const sort = sortable ? state.sort : metrics[0],
    down = sortable ? state.down : betterIsHigher(sort);
  if (shown < of) lead.append(el("p", { class: "quiet" }, `${shown} of ${of} systems pass the filters.`));
  const table = { ...state, id: what, title, lead, rows, all, metrics, sort, down };
  const node = shown || (rows.length && !of) ? boardTable(table, change) : emptyTable(what, title, of > 0);
  return { node, shown, of, what };
}

function emptyTable(what, title, filtered) {
  const clear = () => change({ q: "", kind: "", modes: "" });
  const button = el(
    "button",
    { type: "button", id: `${what}-clear`, class: "plain-button", click: clear },
    "Clear the filters",
  );
  const nothing =
    what === "measured" ? "Nothing was measured on this set yet." : "No paper’s numbers are kept for this set.";
  const words = filtered ? empty("No system passes the filters.", el("p", {}, button)) : empty(nothing);
  return el(
    "section",
    { class: "board", "aria-labelledby": `${what}-title` },
    el("h2", { id: `${what}-title` }, title),
    words,
  );
}
