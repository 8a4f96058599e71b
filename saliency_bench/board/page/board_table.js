/* One table of the board: measured or reported rows of one data set, never both. */

/** Columns beside the metrics: [key, heading, unit, value of a row, text]. */
const COSTS = [
  ["parameters", "Parameters", "", (row) => row.parameters, count],
  ["ms", "Time", "ms a frame", (row) => row.ms_per_frame, (value) => (isNumber(value) ? figures(value) : NONE)],
];

/** table: {id, title, lead, rows, metrics, costs, sort, down, open}; `turn` gets changes of the address. */
function boardTable(table, turn) {
  const ranked = sorted(
    table.rows.filter((row) => !row.reference),
    table,
  );
  const references = sorted(
    table.rows.filter((row) => row.reference),
    table,
  );
  const columns = columnsOf(table);
  const best = new Map(
    table.metrics.map((metric) => [metric, table.all.find((row) => !row.reference && scoreOf(row, metric).rank === 1)]),
  );
  const domains = new Map(table.metrics.map((metric) => [metric, barDomain(table.rows, metric)]));
  const ticks = new Map(table.metrics.map((metric) => [metric, references.map((row) => scoreOf(row, metric).mean)]));
  const context = { ...table, columns, best, domains, ticks };
  const group = (rows, label) =>
    rows.length
      ? el(
          "tbody",
          { class: label ? "apart" : null },
          label &&
            el(
              "tr",
              { class: "group" },
              el("th", { scope: "rowgroup", colspan: columns.length }, el("span", {}, label)),
            ),
          rows.flatMap((row) => tableRow(row, context, turn)),
        )
      : null;
  return el(
    "section",
    { class: "board", "aria-labelledby": `${table.id}-title` },
    el("h2", { id: `${table.id}-title` }, table.title),
    table.lead,
    scroller(
      `${table.id}-scroll`,
      table.title,
      el(
        "table",
        { class: "wide", id: table.id },
        el("caption", { class: "unseen" }, table.title),
        el(
          "thead",
          {},
          el(
            "tr",
            {},
            columns.map((column) => headCell(column, table, turn)),
          ),
        ),
        group(ranked, null),
        group(references, "References, drawn apart: not ranked"),
      ),
    ),
  );
}

function columnsOf(table) {
  const metrics = table.metrics.map((name) => ({
    key: name,
    text: name,
    about: METRICS.get(name)?.about,
    arrow: betterIsHigher(name) ? "↑" : "↓",
    words: betterIsHigher(name) ? "higher is better" : "lower is better",
    value: (row) => scoreOf(row, name).mean,
    metric: name,
  }));
  const skill = table.rows.some((row) => isNumber(row.skill))
    ? [
        {
          key: "skill",
          text: "Skill",
          about: "(score − floor) / (oracle − floor) of CC",
          value: (row) => row.skill,
          show: (value) => (isNumber(value) ? value.toFixed(2) : NONE),
        },
      ]
    : [];
  const costs = COSTS.filter(([, , , value]) => table.costs && table.rows.some((row) => isNumber(value(row)))).map(
    ([key, text, unit, value, show]) => ({ key, text, unit, value, show, small: true }),
  );
  return [
    { key: "system", text: "System", value: (row) => row.label.toLowerCase(), words: "A to Z", small: true },
    ...metrics,
    ...skill,
    ...costs,
  ];
}

/** Rows in the order of the sorted column; rows without a value come last, either way. */
function sorted(rows, table) {
  const column = columnsOf(table).find(({ key }) => key === table.sort);
  if (!column) return rows;
  const order = (a, b) => (a < b ? -1 : a > b ? 1 : 0),
    sign = table.down ? -1 : 1;
  return [...rows].sort((a, b) => {
    const [x, y] = [column.value(a), column.value(b)];
    if (x === null || y === null || x === undefined || y === undefined)
      return (x ?? null) === (y ?? null) ? 0 : (x ?? null) === null ? 1 : -1;
    return sign * order(x, y);
  });
}

function headCell(column, table, turn) {
  const here = table.sort === column.key;
  const descendsFirst = column.metric ? betterIsHigher(column.metric) : column.key === "skill";
  const down = here ? !table.down : descendsFirst;
  return el(
    "th",
    {
      scope: "col",
      class: column.key === "system" ? "first" : column.metric ? "score" : "num",
      "aria-sort": here ? (table.down ? "descending" : "ascending") : "none",
    },
    el(
      "button",
      {
        type: "button",
        class: "sort",
        id: `${table.id}-sort-${column.key}`,
        title: column.about,
        click: () => turn({ sort: column.key, dir: down ? "desc" : "asc" }),
      },
      el(
        "span",
        {},
        column.text,
        column.arrow && el("span", { class: "arrow", "aria-hidden": "true" }, ` ${column.arrow}`),
        column.arrow && unseen(`, ${column.words}`),
      ),
      el("span", { class: here ? "sorted" : "sorted off", "aria-hidden": "true" }, here && !table.down ? "▴" : "▾"),
    ),
    column.unit && el("span", { class: "unit" }, column.unit),
  );
}

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
        : el("td", { class: "num" }, column.show(column.value(row))),
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
  return el("span", { class: "rank" }, rank ?? "", rank && unseen(`. by ${metric}`));
}

function badges(row) {
  const flags = row.doubts.length + row.problems.length;
  const words = [
    row.source === "reported" ? row.source_text : row.kind,
    row.untrained ? "untrained" : row.zero_shot ? "zero-shot" : null,
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
      el("span", { class: "value" }, el("span", { class: place }, score(value.mean))),
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
