/* Cost against score: what a better map costs in time, size or arithmetic. */
const COST_AXES = [
  { key: "ms", name: "Time", unit: "ms a frame", of: (row) => row.ms_per_frame },
  { key: "parameters", name: "Parameters", unit: "parameters", of: (row) => row.parameters },
  { key: "macs", name: "Multiply-adds", unit: "multiply-adds a frame", of: (row) => row.macs },
];

function costView(main) {
  const lead = "The line joins the systems that no other one beats at the same cost or less.";
  main.append(heading("Cost against score", el("p", { class: "sub" }, lead)));
  const costed = (name) => systems(rowsOf(name, "measured")).some((row) => COST_AXES.some((axis) => axis.of(row) > 0));
  const sets = BOARD.datasets.map((d) => d.name).filter(costed);
  if (!sets.length) return void main.append(empty("No measured row says what it costs yet."));
  const state = costState(sets);
  main.append(costControls(sets, state));
  if (!state.rows.length) return void main.append(empty("No system here has both numbers."));
  const { dataset, protocol, axis, metric, rows } = state;
  const caption = [
    `Measured on ${DATASETS.get(dataset).title || dataset} under ${protocol}.`,
    "Whiskers are 95 % intervals over videos, dashed lines are references.",
    axis.key === "ms" ? `Times are of ${state.device || "the device of each run"}.` : "",
    `Costs are on a logarithmic axis; ${betterIsHigher(metric) ? "up" : "down"} and to the left is better.`,
  ];
  main.append(
    el("figure", {}, costChart(state), el("figcaption", { class: "quiet" }, caption.filter(Boolean).join(" "))),
    costTable(rows, metric, axis),
  );
  announce(`${plural(rows.length, "system")} in the chart`);
}

/** What the address asks of the chart: rows with a cost and a score, on one device where time is the cost. */
function costState(sets) {
  const dataset = param("set", sets),
    protocols = protocolsOf(dataset),
    protocol = param("protocol", protocols);
  const measured = rowsOf(dataset, "measured").filter((row) => row.protocol === protocol);
  const has = (metric) => measured.some((row) => isNumber(scoreOf(row, metric).mean));
  const metrics = BOARD.metrics.map((m) => m.name).filter(has),
    metric = param("metric", metrics);
  const present = COST_AXES.filter((axis) => systems(measured).some((row) => axis.of(row) > 0));
  const key = param(
    "cost",
    present.map((axis) => axis.key),
  );
  const axis = COST_AXES.find((one) => one.key === key) ?? COST_AXES[0];
  const scored = measured.filter((row) => isNumber(scoreOf(row, metric).mean));
  const onAxis = systems(scored).filter((row) => axis.of(row) > 0);
  const devices = axis.key === "ms" ? unique(onAxis.map((row) => row.device).filter(Boolean)) : [];
  const device = param("device", devices);
  const rows = onAxis.filter((row) => !device || row.device === device);
  const references = scored.filter((row) => row.reference);
  return { dataset, protocols, protocol, metrics, metric, present, axis, devices, device, rows, references };
}

function costControls(sets, state) {
  const same = (list) => list.map((value) => [value, value]);
  const costs = state.present.map((axis) => [axis.key, axis.name]);
  return el(
    "form",
    { class: "controls", "aria-label": "Choose axes", submit: (event) => event.preventDefault() },
    datasetChoice("cost-set", sets, state.dataset, (set) => change({ set, protocol: "", device: "" })),
    state.protocols.length > 1 &&
      choice("cost-protocol", "Protocol", same(state.protocols), state.protocol, (protocol) => change({ protocol })),
    choice("cost-metric", "Score", same(state.metrics), state.metric, (metric) => change({ metric })),
    segments("cost-axis", "Cost", costs, state.axis.key, (cost) => change({ cost })),
    state.devices.length > 1 &&
      choice("cost-device", "Device", same(state.devices), state.device, (device) => change({ device })),
  );
}

function costChart({ rows, references, metric, axis: { name, unit, of: cost } }) {
  const width = chartWidth(1280),
    height = Math.round(Math.min(600, Math.max(360, width * 0.5)));
  const box = { left: 52, right: width - 16, top: 36, bottom: height - 52 };
  const domainX = logExtent(rows.map(cost));
  const domainY = extent(
    [...rows, ...references]
      .map((row) => scoreOf(row, metric))
      .flatMap((s) => [s.mean, s.low, s.high])
      .filter(isNumber),
    0.06,
  );
  const x = logScale(domainX, [box.left, box.right]),
    y = linearScale(domainY, [box.bottom, box.top]);
  const front = frontier(rows, metric, cost);
  const order = [...front, ...rows.filter((row) => !front.includes(row))];
  const at = (row) => ({ x: x(cost(row)), y: y(scoreOf(row, metric).mean), text: row.label });
  const lines = referenceLines(references, metric, y, box);
  const labels = placeLabels(order.map(at), box);
  const path = front.map((row, i) => `${i ? "L" : "M"}${at(row).x.toFixed(1)},${at(row).y.toFixed(1)}`).join("");
  return chartFrame(
    "cost",
    width,
    height,
    `${metric} against ${name.toLowerCase()}`,
    `Scatter of ${plural(rows.length, "system")}; the table below holds the same numbers. ` +
      `Best at their cost: ${front.map((row) => row.label).join(", ")}.`,
    axes(
      box,
      { scale: x, ticks: logTicks(domainX), text: count, label: unit },
      {
        scale: y,
        ticks: linearTicks(domainY, 7),
        text: (v) => String(v).replace("-", "−"),
        label: `${metric}, ${betterIsHigher(metric) ? "higher" : "lower"} is better`,
      },
    ),
    lines,
    svg("path", { class: "frontier", d: path }),
    order.map((row, i) => costPoint(row, at(row), labels[i], metric, y, front.includes(row))),
  );
}

function costPoint(row, at, label, metric, y, best) {
  const value = scoreOf(row, metric);
  return svg(
    "g",
    { class: best ? "point on-front" : "point" },
    svg("title", {}, `${row.label}: ${score(value.mean)}`),
    isNumber(value.low) && svg("line", { class: "whisker", x1: at.x, x2: at.x, y1: y(value.low), y2: y(value.high) }),
    svg("circle", { cx: at.x, cy: at.y, r: 4.5 }),
    label && svg("text", { x: label.x, y: label.y, "text-anchor": label.anchor }, row.label),
  );
}

/** Dashed lines at the references, labelled at the right where their labels do not run into each other. */
function referenceLines(references, metric, y, box) {
  let last = -Infinity;
  return references
    .map((row) => [y(scoreOf(row, metric).mean), row])
    .sort((a, b) => a[0] - b[0])
    .map(([at, row]) => {
      const room = at - last > 13;
      if (room) last = at;
      return svg(
        "g",
        { class: "reference" },
        svg("line", { x1: box.left, x2: box.right, y1: at, y2: at }),
        svg("title", {}, row.label),
        room && svg("text", { x: box.right, y: at - 4, "text-anchor": "end" }, row.label),
      );
    });
}

/** Rows that no other one beats at the same cost or less, by cost. */
function frontier(rows, metric, cost) {
  const value = (row) => (betterIsHigher(metric) ? 1 : -1) * scoreOf(row, metric).mean;
  const cheapFirst = [...rows].sort((a, b) => cost(a) - cost(b) || value(b) - value(a));
  return cheapFirst.filter((row, i) => cheapFirst.slice(0, i).every((cheaper) => value(cheaper) < value(row)));
}

function costTable(rows, metric, { name, unit, of: cost }) {
  const lines = [...rows]
    .sort((a, b) => cost(a) - cost(b))
    .map((row) => {
      const { mean, low, high } = scoreOf(row, metric);
      return [row.label, count(cost(row)), score(mean), interval(low, high)];
    });
  const table = smallTable(`${metric} and ${name.toLowerCase()}`, ["System", unit, metric, "95 % interval"], lines);
  return el(
    "details",
    { class: "more" },
    el("summary", {}, "The same as a table"),
    scroller("cost-table", "Cost and score", table),
  );
}
