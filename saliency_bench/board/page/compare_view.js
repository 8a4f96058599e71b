/* Two systems, video by video. */

function compareView(main) {
  main.append(
    heading(
      "Two systems, video by video",
      el(
        "p",
        { class: "sub" },
        "Each point is a video. Above the diagonal the second system scores higher on it, below the first.",
      ),
    ),
  );
  const comparable = BOARD.rows.filter((row) => row.source === "measured" && row.videos);
  const sets = BOARD.datasets.map((d) => d.name).filter((name) => groupsOf(comparable, name).length);
  if (!sets.length)
    return void main.append(
      empty("Nothing to compare yet.", el("p", {}, "It takes two measured systems on the same videos.")),
    );
  const dataset = param("set", sets),
    groups = groupsOf(comparable, dataset);
  const asked = ROWS.get(route.params.get("a"));
  const group =
    groups.find(([key]) => asked && groupKey(asked) === key) ??
    groups.find(([key]) => key === route.params.get("group")) ??
    groups[0];
  const rows = group[1],
    ids = rows.map((row) => row.id);
  const a = ROWS.get(param("a", ids)),
    b = ROWS.get(
      param(
        "b",
        ids.filter((id) => id !== a.id),
      ),
    );
  const metrics = BOARD.metrics.map((m) => m.name).filter((m) => perVideo(a, m) && perVideo(b, m));
  const options = (except) =>
    rows
      .filter((row) => row.id !== except)
      .map((row) => [row.id, row.reference ? `${row.label} (reference)` : fullName(row)]);
  main.append(
    el(
      "form",
      { class: "controls", "aria-label": "Choose two systems", submit: (event) => event.preventDefault() },
      datasetChoice("compare-set", sets, dataset, (set) => change({ set, a: "", b: "", group: "" })),
      groups.length > 1 &&
        choice(
          "compare-group",
          "Protocol and videos",
          groups.map(([key, members]) => [
            key,
            `${members[0].protocol}, ${plural(VIDEOS.get(members[0].videos_of)?.length ?? 0, "video")}`,
          ]),
          group[0],
          (key) => change({ group: key, a: "", b: "" }),
        ),
      choice("compare-a", "First (across)", options(null), a.id, (id) =>
        change({ a: id, b: id === b.id ? a.id : b.id }),
      ),
      choice("compare-b", "Second (up)", options(a.id), b.id, (id) => change({ a: a.id, b: id })),
      el(
        "div",
        { class: "field end" },
        el(
          "button",
          { type: "button", id: "compare-swap", class: "plain-button", click: () => change({ a: b.id, b: a.id }) },
          "Swap",
        ),
      ),
      metrics.length > 0 &&
        segments(
          "compare-metric",
          "Metric",
          metrics.map((m) => [m, m]),
          param("metric", metrics),
          (metric) => change({ metric }),
        ),
    ),
  );
  if (!metrics.length) return void main.append(empty("These two share no metric video by video."));
  const metric = param("metric", metrics),
    names = VIDEOS.get(a.videos_of) ?? [];
  const points = names
    .map((name, i) => ({ name, x: perVideo(a, metric)[i], y: perVideo(b, metric)[i] }))
    .filter((p) => isNumber(p.x) && isNumber(p.y));
  main.append(
    el("div", { class: "split" }, el("figure", {}, compareChart(points, a, b, metric)), verdict(a, b, metric, points)),
    compareTable(points, a, b, metric),
  );
  announce(`${a.label} and ${b.label}: ${plural(points.length, "video")}`);
}

function groupKey(row) {
  return JSON.stringify([row.protocol, row.videos_of]);
}

/** Rows of a set that share protocol and videos: [key, rows], at least two rows each. */
function groupsOf(rows, dataset) {
  const groups = new Map();
  for (const row of rows.filter((one) => one.dataset === dataset))
    groups.set(groupKey(row), [...(groups.get(groupKey(row)) ?? []), row]);
  return [...groups].filter(([, members]) => members.length > 1);
}

function compareChart(points, a, b, metric) {
  const width = chartWidth(560),
    height = width;
  const box = { left: 48, right: width - 12, top: 32, bottom: height - 52 };
  const domain = extent(points.length ? points.flatMap((p) => [p.x, p.y]) : [0, 1], 0.06);
  const x = linearScale(domain, [box.left, box.right]),
    y = linearScale(domain, [box.bottom, box.top]);
  const text = (v) => String(v).replace("-", "−");
  const wins = points.filter((p) => (betterIsHigher(metric) ? p.y > p.x : p.y < p.x)).length;
  return chartFrame(
    "compare",
    width,
    height,
    `${metric} of ${b.label} against ${a.label}`,
    `Scatter of ${plural(points.length, "video")}; ${b.label} is better on ${wins}. The table below holds every value.`,
    axes(
      box,
      { scale: x, ticks: linearTicks(domain), text, label: `${metric} of ${a.label}` },
      { scale: y, ticks: linearTicks(domain), text, label: `${metric} of ${b.label}` },
    ),
    svg("line", { class: "diagonal", x1: x(domain[0]), y1: y(domain[0]), x2: x(domain[1]), y2: y(domain[1]) }),
    points.map((p) =>
      svg(
        "circle",
        { class: "dot", cx: x(p.x), cy: y(p.y), r: 4.5 },
        svg("title", {}, `${p.name}: ${score(p.x)}, ${score(p.y)}`),
      ),
    ),
  );
}

function verdict(a, b, metric, points) {
  const pair = comparison(a.id, b.id, metric),
    higher = betterIsHigher(metric);
  const mean = points.reduce((sum, p) => sum + p.x - p.y, 0) / (points.length || 1);
  const wins = points.filter((p) => (higher ? p.x > p.y : p.x < p.y)).length,
    ties = points.filter((p) => p.x === p.y).length;
  const winner = pair && pair.difference > 0 === higher ? a.label : b.label;
  const words = !pair
    ? "This pair was not tested; the difference is the plain mean over videos."
    : !pair.significant
      ? `The videos do not tell ${a.label} from ${b.label} on ${metric}.`
      : `${winner} is better on ${metric}, beyond what the choice of videos explains.`;
  return el(
    "section",
    { class: "verdict", "aria-labelledby": "verdict-title" },
    el("h2", { id: "verdict-title" }, `${a.label} − ${b.label}`),
    el("p", { class: "big" }, signed(pair ? pair.difference : mean), el("span", { class: "unit" }, ` ${metric}`)),
    pair && differenceBar(pair),
    el("p", {}, words),
    facts([
      ["95 % interval", pair && interval(pair.low, pair.high)],
      [`P(${a.label} beats ${b.label}), share of draws of videos`, pair && probability(pair.probability)],
      ["p, corrected for all comparisons of its table", pair && probability(pair.p)],
      [`Videos on which ${a.label} is better`, `${wins} of ${points.length}${ties ? `, ${plural(ties, "tie")}` : ""}`],
      ["n", plural(pair ? pair.n : points.length, "video")],
      ["Protocol", a.protocol],
    ]),
    el(
      "p",
      { class: "quiet" },
      `${metric}: ${higher ? "higher" : "lower"} is better. `,
      el("a", { href: address("about") }, "How these are computed"),
    ),
  );
}

/** The interval of a difference on a line with zero marked. */
function differenceBar(pair) {
  if (!isNumber(pair.low) || !isNumber(pair.high)) return null;
  const width = 260,
    reach = Math.max(Math.abs(pair.low), Math.abs(pair.high)) * 1.15 || 1,
    x = linearScale([-reach, reach], [6, width - 6]);
  return svg(
    "svg",
    { class: "difference", width, height: 40, viewBox: `0 0 ${width} 40`, "aria-hidden": "true" },
    svg("line", { class: "bar-track", x1: 0, x2: width, y1: 14, y2: 14 }),
    svg("line", { class: "zero", x1: x(0), x2: x(0), y1: 2, y2: 26 }),
    svg("line", { class: "bar-interval", x1: x(pair.low), x2: x(pair.high), y1: 14, y2: 14 }),
    svg("circle", { class: "bar-mean", cx: x(pair.difference), cy: 14, r: 5 }),
    svg("text", { class: "tick", x: x(0), y: 38, "text-anchor": "middle" }, "0"),
  );
}

function compareTable(points, a, b, metric) {
  const byGap = [...points].sort((p, q) => p.x - p.y - (q.x - q.y));
  const lines = byGap.map((p) => [p.name, score(p.x), score(p.y), signed(p.x - p.y)]);
  const table = smallTable(`${metric} of every video`, ["Video", a.label, b.label, "Difference"], lines);
  return el(
    "details",
    { class: "more" },
    el("summary", {}, "Every video as a table"),
    scroller("compare-table", "Scores of every video", table),
  );
}
