/* An interval as a small bar: a thin line from its low to its high end, a dot at the mean, ticks at the references. */
const BAR = { width: 96, height: 16, pad: 4 };

/** The range that the bars of one column share. */
function barDomain(rows, metric) {
  const values = rows
    .map((row) => scoreOf(row, metric))
    .flatMap((s) => [s.mean, s.low, s.high])
    .filter(isNumber);
  return values.length ? extent(values, 0.02) : null;
}

function intervalBar(value, domain, references = []) {
  if (!domain || !isNumber(value.mean)) return null;
  const scale = linearScale(domain, [BAR.pad, BAR.width - BAR.pad]),
    middle = BAR.height / 2;
  const known = isNumber(value.low) && isNumber(value.high);
  return svg(
    "svg",
    { class: "bar", width: BAR.width, height: BAR.height, "aria-hidden": "true" },
    svg("line", { class: "bar-track", x1: 0, x2: BAR.width, y1: middle, y2: middle }),
    references
      .filter(isNumber)
      .map((at) => svg("line", { class: "bar-reference", x1: scale(at), x2: scale(at), y1: 2, y2: BAR.height - 2 })),
    known
      ? svg("line", { class: "bar-interval", x1: scale(value.low), x2: scale(value.high), y1: middle, y2: middle })
      : null,
    svg("circle", { class: known ? "bar-mean" : "bar-mean open", cx: scale(value.mean), cy: middle, r: 2.75 }),
  );
}
