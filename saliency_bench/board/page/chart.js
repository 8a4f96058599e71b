/* Axes and marks of a chart, in pixels of the screen, so that its text is as large on a phone as anywhere. */

function linearScale([low, high], [from, to]) {
  return (value) => from + ((value - low) / (high - low)) * (to - from);
}

function logScale([low, high], range) {
  const inner = linearScale([Math.log10(low), Math.log10(high)], range);
  return (value) => inner(Math.log10(value));
}

/** Round numbers within a domain, about `n` of them. */
function linearTicks([low, high], n = 5) {
  const raw = (high - low) / n,
    power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((k) => k * power).find((size) => size >= raw * 0.999);
  const first = Math.ceil(low / step - 1e-9);
  const ticks = [];
  for (let k = first; k * step <= high + step * 1e-9; k++) ticks.push(Number((k * step).toPrecision(12)));
  return ticks;
}

/** 1, 2, 5, 10, ... within a domain; powers of ten alone where those are many. */
function logTicks([low, high]) {
  const powers = [];
  for (let k = Math.floor(Math.log10(low)); k <= Math.ceil(Math.log10(high)); k++) powers.push(10 ** k);
  const fine = powers.flatMap((power) => [power, 2 * power, 5 * power]);
  const inside = (values) => values.filter((value) => value >= low * 0.999 && value <= high * 1.001);
  return inside(powers).length > 3 ? inside(powers) : inside(fine);
}

/** The extent of values, a share wider at both ends; never empty. */
function extent(values, wider = 0.08) {
  const low = Math.min(...values),
    high = Math.max(...values);
  const pad = (high - low) * wider || Math.abs(high) * wider || 1;
  return [low - pad, high + pad];
}

function logExtent(values) {
  const [low, high] = extent(values.map(Math.log10), 0.1);
  return [10 ** low, 10 ** high];
}

function chartWidth(most = 960) {
  const main = document.getElementById("main"),
    style = getComputedStyle(main);
  const room = main.clientWidth - Number.parseFloat(style.paddingLeft) - Number.parseFloat(style.paddingRight);
  return Math.max(240, Math.min(most, Math.floor(room)));
}

/** A titled SVG; readers hear the title and the description, and find the numbers in the table beside it. */
function chartFrame(id, width, height, title, description, ...children) {
  return svg(
    "svg",
    {
      class: "chart",
      width,
      height,
      viewBox: `0 0 ${width} ${height}`,
      role: "img",
      "aria-labelledby": `${id}-title ${id}-desc`,
    },
    svg("title", { id: `${id}-title` }, title),
    svg("desc", { id: `${id}-desc` }, description),
    ...children,
  );
}

/** Grid, ticks and labels of both axes. box: {left, right, top, bottom}; an axis: {scale, ticks, label, text}. */
function axes(box, x, y) {
  const parts = [];
  for (const tick of y.ticks) {
    const at = y.scale(tick);
    parts.push(
      svg("line", { class: "grid", x1: box.left, x2: box.right, y1: at, y2: at }),
      svg("text", { class: "tick", x: box.left - 8, y: at, dy: "0.35em", "text-anchor": "end" }, y.text(tick)),
    );
  }
  for (const tick of x.ticks) {
    const at = x.scale(tick);
    parts.push(
      svg("line", { class: "grid", x1: at, x2: at, y1: box.top, y2: box.bottom }),
      svg("text", { class: "tick", x: at, y: box.bottom + 18, "text-anchor": "middle" }, x.text(tick)),
    );
  }
  parts.push(
    svg("text", { class: "axis", x: (box.left + box.right) / 2, y: box.bottom + 40, "text-anchor": "middle" }, x.label),
  );
  parts.push(svg("text", { class: "axis", x: 0, y: box.top - 12 }, y.label));
  return svg("g", {}, parts);
}

/** Places for labels beside points: the first of right, left, above, below where nothing else stands; else none. */
function placeLabels(points, box, size = 12) {
  const taken = points.map((p) => [p.x - 6, p.y - 6, p.x + 6, p.y + 6]);
  const free = (r) =>
    r[0] >= box.left &&
    r[2] <= box.right &&
    r[1] >= box.top &&
    r[3] <= box.bottom &&
    !taken.some((t) => r[0] < t[2] && r[2] > t[0] && r[1] < t[3] && r[3] > t[1]);
  return points.map((point) => {
    const wide = point.text.length * size * 0.58,
      tall = size * 1.1;
    const spots = [
      [point.x + 9, point.y - tall / 2, "start"],
      [point.x - 9 - wide, point.y - tall / 2, "end"],
      [point.x - wide / 2, point.y - 9 - tall, "middle"],
      [point.x - wide / 2, point.y + 9, "middle"],
      [point.x + 7, point.y - 7 - tall, "start"],
      [point.x + 7, point.y + 7, "start"],
      [point.x - 7 - wide, point.y - 7 - tall, "end"],
      [point.x - 7 - wide, point.y + 7, "end"],
    ];
    const spot = spots.find(([x, y]) => free([x, y, x + wide, y + tall]));
    if (!spot) return null;
    const [x, y, anchor] = spot;
    taken.push([x, y, x + wide, y + tall]);
    return { x: anchor === "start" ? x : anchor === "end" ? x + wide : x + wide / 2, y: y + tall * 0.78, anchor };
  });
}
