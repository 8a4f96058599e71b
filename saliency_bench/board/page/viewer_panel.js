/* What is drawn over the video: the controls beside it, and the scores of what they choose. */
const LOOKS = [
  ["wipe", "Wipe"],
  ["left", "Left only"],
  ["right", "Right only"],
];

/** What the address asks of the viewer; `keys` are the sources that a side can show. */
function viewerLook(keys) {
  return {
    left: param("left", keys),
    right: param("right", keys, keys[1]),
    view: param("view", ["wipe", "left", "right"]),
    wipe: numberParam("wipe", 0, 100, 50) / 100,
    opacity: numberParam("opacity", 0, 100, 75) / 100,
    truth: route.params.get("truth") === "1",
    fixations: route.params.get("fixations") === "1",
  };
}

/** The panel; `set(values)` gets what was changed of the look. */
function viewerPanel(sources, look, set) {
  const percent = Math.round(look.opacity * 100);
  return el(
    "form",
    { class: "panel", "aria-label": "What is drawn over the video", submit: (event) => event.preventDefault() },
    choice("viewer-left", "Left", sources, look.left, (left) => set({ left })),
    choice("viewer-right", "Right", sources, look.right, (right) => set({ right })),
    segments("viewer-view", "Show", LOOKS, look.view, (view) => set({ view })),
    slider("viewer-opacity", "Strength of the maps", [0, 100, 1], percent, (value) => set({ opacity: value / 100 })),
    el("div", { class: "strip-line" }, el("span", {}, "least"), colourStrip(), el("span", {}, "most")),
    el(
      "div",
      { class: "checks" },
      checkbox("viewer-truth", "Truth, outlined at ¼ and ½ of its peak", look.truth, (truth) => set({ truth })),
      checkbox("viewer-fixations", "Fixations of this frame", look.fixations, (fixations) => set({ fixations })),
    ),
  );
}

/** Values of a look as the address holds them: shares in percent, switches as 1 or nothing. */
function lookInAddress(values) {
  const word = (value) => (typeof value === "number" ? Math.round(value * 100) : value === true ? 1 : value || "");
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, word(value)]));
}

function wipeSlider(look, set) {
  const input = el("input", {
    type: "range",
    class: "wipe",
    id: "viewer-wipe",
    min: 0,
    max: 100,
    step: 1,
    value: Math.round(look.wipe * 100),
    "aria-label": "Wipe between left and right",
    input: () => set({ wipe: input.valueAsNumber / 100 }),
  });
  return input;
}

/** What the chosen systems score on this very video. */
function clipScores(entry, keys) {
  const rows = unique(keys)
    .map((key) => ROWS.get(key))
    .filter((row) => row?.videos);
  const value = (row, metric) => perVideo(row, metric)?.[(VIDEOS.get(row.videos_of) ?? []).indexOf(entry.video)];
  const metrics = BOARD.metrics.map((m) => m.name).filter((metric) => rows.some((row) => isNumber(value(row, metric))));
  if (!metrics.length) return "";
  const lines = metrics.map((metric) => [metric, ...rows.map((row) => score(value(row, metric)))]);
  const title = "Scores on this video";
  const table = smallTable(title, ["Metric", ...rows.map((row) => row.label)], lines, false);
  return scroller("viewer-scores", title, table);
}
