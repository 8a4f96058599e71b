/* One table of the board: measured or reported rows of one data set, never both. */

/** table: {id, title, lead, rows, all, metrics, costs, sort, down, open}; `turn` gets changes of the address. */
function boardTable(table, turn) {
  const ranked = sorted(systems(table.rows), table);
  const references = sorted(
    table.rows.filter((row) => row.reference),
    table,
  );
  const perMetric = (value) => new Map(table.metrics.map((metric) => [metric, value(metric)]));
  const context = {
    ...table,
    columns: columnsOf(table),
    best: perMetric((metric) => systems(table.all).find((row) => scoreOf(row, metric).rank === 1)),
    domains: perMetric((metric) => barDomain(table.rows, metric)),
    ticks: perMetric((metric) => references.map((row) => scoreOf(row, metric).mean)),
  };
  const lines = (rows) => rows.map((row) => tableRow(row, context, turn));
  const label = el(
    "th",
    { scope: "rowgroup", colspan: context.columns.length },
    el("span", {}, "References, drawn apart: not ranked"),
  );
  const apart =
    references.length > 0 && el("tbody", { class: "apart" }, el("tr", { class: "group" }, label), lines(references));
  const heads = context.columns.map((column) => headCell(column, table, turn));
  const whole = el(
    "table",
    { class: "wide", id: table.id },
    el("caption", { class: "unseen" }, table.title),
    el("thead", {}, el("tr", {}, heads)),
    el("tbody", {}, lines(ranked)),
    apart,
  );
  return el(
    "section",
    { class: "board", "aria-labelledby": `${table.id}-title` },
    el("h2", { id: `${table.id}-title` }, table.title),
    table.lead,
    scroller(`${table.id}-scroll`, table.title, whole),
  );
}

/** Columns of a table: {key, text, value(row)}, and {metric} or how to `show` a value of a row. */
function columnsOf(table) {
  const system = { key: "system", text: "System", value: (row) => row.label.toLowerCase() };
  const others = [
    {
      key: "skill",
      text: "Skill",
      about: "(score − floor) / (oracle − floor) of CC; not to be compared across modes",
      value: (row) => row.skill,
      show: (value, row) => share(value, row.skill_interval),
    },
    {
      key: "gain",
      text: "Gain captured",
      about: "what words and sound bring, as a share of what they bring the oracle (CC)",
      value: (row) => row.gain,
      show: (value, row) => share(value, row.gain_interval),
    },
    { key: "parameters", text: "Parameters", cost: true, value: (row) => row.parameters, show: count },
    { key: "ms", text: "Time", unit: "ms a frame", cost: true, value: (row) => row.ms_per_frame, show: figures },
  ];
  const shown = others.filter(
    (column) => (table.costs || !column.cost) && table.rows.some((row) => isNumber(column.value(row))),
  );
  return [system, ...table.metrics.map(metricColumn), ...shown];
}

function metricColumn(name) {
  const higher = betterIsHigher(name);
  const words = higher ? "higher is better" : "lower is better";
  return {
    key: name,
    text: name,
    about: METRICS.get(name).about,
    arrow: higher ? "↑" : "↓",
    words,
    value: (row) => scoreOf(row, name).mean,
    metric: name,
  };
}

/** Rows in the order of the sorted column; rows without a value come last, either way. */
function sorted(rows, table) {
  const column = columnsOf(table).find(({ key }) => key === table.sort);
  if (!column) return rows;
  const without = (row) => (column.value(row) ?? null) === null;
  const order = (a, b) => (a < b ? -1 : a > b ? 1 : 0) * (table.down ? -1 : 1);
  const known = rows.filter((row) => !without(row)).sort((a, b) => order(column.value(a), column.value(b)));
  return [...known, ...rows.filter(without)];
}

function headCell(column, table, turn) {
  const here = table.sort === column.key;
  const descendsFirst = column.metric ? betterIsHigher(column.metric) : column.key === "skill" || column.key === "gain";
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
