/* Outlines of a map by marching squares, with the crossing of each edge found by linear interpolation. */

/** Segments [x0, y0, x1, y1] in [0, 1] of the picture where the map crosses `level` (bytes), which is sampled at the
 * centres of its pixels. */
function contour({ width, height }, bytes, level) {
  const segments = [],
    value = (x, y) => bytes[y * width + x] - level;
  const cross = (x0, y0, x1, y1) => {
    const a = value(x0, y0),
      b = value(x1, y1),
      t = a / (a - b);
    return [(x0 + t * (x1 - x0) + 0.5) / width, (y0 + t * (y1 - y0) + 0.5) / height];
  };
  for (let y = 0; y + 1 < height; y++) {
    for (let x = 0; x + 1 < width; x++) {
      const corners = [
        [x, y],
        [x + 1, y],
        [x + 1, y + 1],
        [x, y + 1],
      ];
      const above = corners.map(([cx, cy]) => value(cx, cy) >= 0);
      const points = [];
      for (let side = 0; side < 4; side++)
        if (above[side] !== above[(side + 1) % 4]) points.push(cross(...corners[side], ...corners[(side + 1) % 4]));
      for (let i = 0; i + 1 < points.length; i += 2) segments.push([...points[i], ...points[i + 1]]);
    }
  }
  return segments;
}

/** Draw segments with a dark rim, so that they show on any picture. */
function strokeContour(context, segments, width, height, scale) {
  context.beginPath();
  for (const [x0, y0, x1, y1] of segments) {
    context.moveTo(x0 * width, y0 * height);
    context.lineTo(x1 * width, y1 * height);
  }
  for (const [style, line] of [
    ["rgb(0 0 0 / 0.7)", 3.5],
    ["white", 1.6],
  ]) {
    context.strokeStyle = style;
    context.lineWidth = line * scale;
    context.lineCap = "round";
    context.stroke();
  }
}

/** Rings with a dark rim at fixations [x, y] in pixels of the video. */
function strokeFixations(context, points, ratio, scale) {
  for (const [style, line] of [
    ["rgb(0 0 0 / 0.8)", 4],
    ["#ffd60a", 1.8],
  ]) {
    context.strokeStyle = style;
    context.lineWidth = line * scale;
    for (const [x, y] of points) {
      context.beginPath();
      context.arc(x * ratio, y * ratio, 5 * scale, 0, 2 * Math.PI);
      context.stroke();
    }
  }
}
