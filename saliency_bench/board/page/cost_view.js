/* Cost against score: what a better map costs in time, size or arithmetic. */
const COST_AXES = [
  ["ms", "Time", "ms a frame", (row) => row.ms_per_frame],
  ["parameters", "Parameters", "parameters", (row) => row.parameters],
  ["macs", "Multiply-adds", "multiply-adds a frame", (row) => row.macs],
];

function costView(main) {
  main.append(
    heading(
      "Cost against score",
      el(
        "p",
        { class: "sub" },
        "Up and to the left is better. The line joins the systems that no other one beats at the same cost or less.",
      ),
    ),
  );
  const costed = (row) => !row.reference && COST_AXES.some((axis) => isNumber(axis[3](row)));
  const sets = BOARD.datasets.map((d) => d.name).filter((name) => rowsOf(name, "measured").some(costed));
  if (!sets.length) return void main.append(empty("No measured row says what it costs yet."));
  const dataset = param("set", sets),
    protocol = param("protocol", protocolsOf(dataset));
  const measured = rowsOf(dataset, "measured").filter((row) => row.protocol === protocol);
  const present = COST_AXES.filter((axis) => measured.some((row) => !row.reference && isNumber(axis[3](row))));
  const axis =
    present.find(
      ([key]) =>
        key ===
        param(
          "cost",
          present.map(([key]) => key),
        ),
    ) ?? COST_AXES[0];
  const metrics = BOARD.metrics
    .map((m) => m.name)
    .filter((name) => measured.some((row) => isNumber(scoreOf(row, name).mean)));
  const metric = param("metric", metrics);
  const onAxis = measured.filter((row) => !row.reference && axis[3](row) > 0 && isNumber(scoreOf(row, metric).mean));
  const devices = unique(onAxis.map((row) => row.device).filter(Boolean));
  const device = axis[0] === "ms" && devices.length > 1 ? param("device", devices) : null;
  const rows = onAxis.filter((row) => !device || row.device === device);
  main.append(
    el(
      "form",
      { class: "controls", "aria-label": "Choose axes", submit: (event) => event.preventDefault() },
      datasetChoice("cost-set", sets, dataset, (set) => change({ set, protocol: "", device: "" })),
      protocolsOf(dataset).length > 1 &&
        choice(
          "cost-protocol",
          "Protocol",
          protocolsOf(dataset).map((p) => [p, p]),
          protocol,
          (p) => change({ protocol: p }),
        ),
      choice(
        "cost-metric",
        "Score",
        metrics.map((m) => [m, m]),
        metric,
        (m) => change({ metric: m }),
      ),
      segments(
        "cost-axis",
        "Cost",
        present.map(([key, text]) => [key, text]),
        axis[0],
        (cost) => change({ cost }),
      ),
      device &&
        choice(
          "cost-device",
          "Device",
          devices.map((d) => [d, d]),
          device,
          (d) => change({ device: d }),
        ),
    ),
  );
  if (!rows.length) return void main.append(empty("No system here has both numbers."));
  const references = measured.filter((row) => row.reference && isNumber(scoreOf(row, metric).mean));
  main.append(
    el(
      "figure",
      {},
      costChart(rows, references, metric, axis),
      el(
        "figcaption",
        { class: "quiet" },
        `Measured on ${DATASETS.get(dataset)?.title || dataset} under ${protocol}. ` +
          `Whiskers are 95 % intervals over videos, dashed lines are references.`,
        axis[0] === "ms" ? ` Times are of ${device ?? (devices[0] || "the device of each run")}.` : "",
        " Costs are on a logarithmic axis.",
      ),
    ),
    costTable(rows, metric, axis),
  );
  announce(`${plural(rows.length, "system")} in the chart`);
}

function costChart(rows, references, metric, [, name, unit, cost]) {
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

function costTable(rows, metric, [, name, unit, cost]) {
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
