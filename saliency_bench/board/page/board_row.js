/* One row of a board's table: its name, its scores, and what opens below it. */

function tableRow(row, context, turn) {
  const open = context.open === row.id,
    panel = `${context.id}-details`;
  const name = el(
    "th",
    { scope: "row", class: "first" },
    el(
      "div",
      { class: "name" },
      rankOf(row, context.sort),
      el(
        "button",
        {
          type: "button",
          class: "row-name",
          id: `row-${row.id}`,
          "aria-expanded": String(open),
          "aria-controls": open ? panel : null,
          click: () => turn({ open: open ? "" : row.id }),
        },
        el("span", { class: "caret", "aria-hidden": "true" }, open ? "▾" : "▸"),
        shortName(row),
        modeChip(row.mode),
      ),
    ),
    badges(row),
  );
  const cells = context.columns
    .slice(1)
    .map((column) =>
      column.metric
        ? scoreCell(row, column.metric, context)
        : el("td", { class: "num" }, isNumber(column.value(row)) ? column.show(column.value(row), row) : NONE),
    );
  const main = el("tr", { class: open ? "is-open" : null, "data-row": row.id }, name, cells);
  if (!open) return [main];
  return [
    main,
    el(
      "tr",
      { class: "open", id: panel },
      el("td", { colspan: context.columns.length }, rowDetails(row, context.best)),
    ),
  ];
}

/** The rank by the metric that the table is sorted by; nothing where it is sorted by something else. */
function rankOf(row, metric) {
  const rank = METRICS.has(metric) && !row.reference ? scoreOf(row, metric).rank : null;
  return el("span", { class: "rank" }, rank ?? "", rank && unseen(` by ${metric}, `));
}

function badges(row) {
  const flags = row.doubts.length + row.problems.length;
  const words = [
    row.source === "reported" ? row.source_text : row.kind,
    row.untrained ? "untrained" : row.zero_shot ? "zero-shot" : null,
    row.lessons ? "with lessons" : null,
  ].filter(Boolean);
  if (!words.length && !flags) return null;
  return el(
    "div",
    { class: "badges" },
    words.join(" · "),
    flags > 0 &&
      el(
        "span",
        { class: "flag" },
        words.length ? " · " : "",
        row.doubts.length ? plural(row.doubts.length, "doubt") : plural(row.problems.length, "problem"),
      ),
  );
}

function scoreCell(row, metric, context) {
  const value = scoreOf(row, metric),
    mark = row.reference ? "" : markAgainst(context.best.get(metric), row, metric);
  const place = row.reference ? null : { 1: "best", 2: "second" }[value.rank];
  const known = isNumber(value.low) && isNumber(value.high);
  return el(
    "td",
    { class: "score" },
    el(
      "div",
      {},
      el("span", { class: "value" }, el("span", { class: place }, value.printed || score(value.mean))),
      el("span", { class: "mark", "aria-hidden": "true" }, mark || "\u2007"),
      place && unseen(place === "best" ? ", best" : ", second"),
      known && unseen(`, 95 % interval ${score(value.low)} to ${score(value.high)}`),
      mark && unseen(mark === "*" ? ", differs from the best" : ", not told apart from the best"),
      row.source === "measured" &&
        (intervalBar(value, context.domains.get(metric), row.reference ? [] : context.ticks.get(metric)) ??
          el("span", { class: "bar none" })),
    ),
  );
}
