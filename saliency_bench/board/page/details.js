/* Everything known of one row: what a reader asks for when a number surprises them. */

function rowDetails(row, best) {
  return el(
    "div",
    { class: "details" },
    el("div", {}, scoreTable(row, best), rowLists(row), rowLinks(row, best)),
    rowFacts(row),
  );
}

function rowFacts(row) {
  const measured = row.source === "measured";
  const n = isNumber(row.n_videos)
    ? plural(row.n_videos, "video") + (isNumber(row.n_frames) ? `, ${whole(row.n_frames)} frames` : "")
    : "not stated";
  return facts([
    ["Source", `${measured ? "Measured here" : "Reported"}: ${row.source_text}`],
    ["Protocol", [el("strong", {}, row.protocol), ` ${PROTOCOLS.get(row.protocol) ?? ""}`]],
    ["n", n],
    ["Kind", row.kind && [el("strong", {}, row.kind), ` ${KINDS.get(row.kind) ?? ""}`]],
    ["Sees", row.mode && modeWords(row.mode)],
    ["Weights", row.weights && el("code", {}, row.weights)],
    ["Training", trainingWords(row)],
    [
      "Skill",
      isNumber(row.skill)
        ? `${share(row.skill, row.skill_interval)} (0 is the floor, 1 the best that this mode allows)`
        : null,
    ],
    ...(row.gains ?? []).map((gain) => [
      `Gain by ${gain.told}`,
      `${gain.captured ? share(gain.captured.mean, [gain.captured.low, gain.captured.high]) : "–"} of ` +
        `${signed(gain.offered)} CC that it brings the oracle, ${gain.videos} videos; against the oracle ` +
        share(gain.against_oracle.mean, [gain.against_oracle.low, gain.against_oracle.high]),
    ]),
    ["Parameters", isNumber(row.parameters) ? whole(row.parameters) : null],
    ["Multiply-adds", isNumber(row.macs) ? `${count(row.macs)} a frame` : null],
    [
      "Time",
      isNumber(row.ms_per_frame)
        ? `${figures(row.ms_per_frame)} ms a frame${row.device ? ` on ${row.device}` : ""}`
        : null,
    ],
  ]);
}

function trainingWords(row) {
  if (row.untrained) return "untrained: its weights are as they were drawn";
  if (typeof row.zero_shot !== "boolean") return null;
  return row.zero_shot
    ? "zero-shot: these weights never saw this data set"
    : `trained on this data set's training part${
        row.lessons ? ", with lessons: its windows said which objects words and sounds mean" : ""
      }`;
}

function scoreTable(row, best) {
  const metrics = BOARD.metrics.map((m) => m.name).filter((metric) => isNumber(scoreOf(row, metric).mean));
  const measured = row.source === "measured";
  const heads = [
    "Metric",
    "Mean",
    ...(measured ? ["95 % interval", "Rank (95 %)", "Against the best", "p, corrected"] : []),
  ];
  const lines = metrics.map((metric) => [
    metric,
    scoreOf(row, metric).printed || score(scoreOf(row, metric).mean),
    ...(measured ? measuredCells(row, metric, best.get(metric)) : []),
  ]);
  return smallTable(`Scores of ${row.label}`, heads, lines);
}

function measuredCells(row, metric, best) {
  const { low, high, rank } = scoreOf(row, metric),
    range = rankRange(row, metric);
  const pair = best && best.id !== row.id ? comparison(row.id, best.id, metric) : null;
  const against = pair
    ? `${signed(pair.difference)} ${interval(pair.low, pair.high)}`
    : best?.id === row.id
      ? "is the best"
      : NONE;
  return [
    interval(low, high),
    `${rank ?? NONE}${range ? ` (${range.low}–${range.high})` : ""}`,
    against,
    pair ? probability(pair.p) : NONE,
  ];
}

function rowLists(row) {
  const list = (title, lines, kind) =>
    lines.length ? el("div", { class: `note ${kind}` }, el("p", { class: "note-title" }, title), bullets(lines)) : null;
  return [
    list("Doubts about these numbers", row.doubts, "doubt"),
    list("Problems", row.problems, "doubt"),
    list("Notes", row.notes, ""),
  ];
}

function rowLinks(row, best) {
  const links = [];
  if (CARDS.has(row.system)) links.push(el("a", { href: address("systems", { name: row.system }) }, "Model card"));
  const first = [...best.values()].find((other) => other && other.id !== row.id);
  if (row.videos && first?.videos && first.videos_of === row.videos_of)
    links.push(
      el(
        "a",
        { href: address("compare", { set: row.dataset, a: row.id, b: first.id }) },
        `Compare with ${first.label}, video by video`,
      ),
    );
  const clip = BOARD.clips.find((one) => one.rows.includes(row.id));
  if (clip) links.push(el("a", { href: address("viewer", { clip: clip.id, left: row.id }) }, "See its maps"));
  return links.length ? el("p", { class: "links" }, links) : null;
}
