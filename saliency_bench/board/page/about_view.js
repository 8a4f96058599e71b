/* About: how to read the boards. */

function aboutView(main) {
  const terms = (map) =>
    el(
      "dl",
      { class: "terms" },
      [...map].map(([term, text]) => el("div", {}, el("dt", {}, term), el("dd", {}, text))),
    );
  const part = (id, title, ...children) =>
    el("section", { class: "prose", "aria-labelledby": id }, el("h2", { id }, title), el("div", {}, ...children));
  main.append(
    heading(
      "How to read this",
      el(
        "p",
        { class: "sub" },
        "Every number comes with its protocol, its n and its interval, or says that it has none.",
      ),
    ),
    part(
      "about-measured",
      "Measured and reported",
      el(
        "p",
        {},
        "Measured rows were scored here, under one named protocol, from kept records; the same records give this page " +
          "again, byte for byte. " +
          "Reported rows are what papers print. The two are never in one table, because their frames, truth and " +
          "evaluation code may differ.",
      ),
    ),
    BOARD.statistics.length > 0 &&
      part(
        "about-statistics",
        "Statistics",
        BOARD.statistics.map((paragraph) => el("p", {}, paragraph)),
      ),
    METRICS.size > 0 &&
      part(
        "about-metrics",
        "Metrics",
        terms(
          new Map(
            BOARD.metrics.map((m) => [m.name, `${m.about} ${m.better === "lower" ? "Lower" : "Higher"} is better.`]),
          ),
        ),
      ),
    PROTOCOLS.size > 0 && part("about-protocols", "Protocols", terms(PROTOCOLS)),
    KINDS.size > 0 && part("about-kinds", "Kinds of systems", terms(KINDS)),
    DATASETS.size > 0 &&
      part(
        "about-sets",
        "Data sets",
        terms(
          new Map(
            BOARD.datasets.map((set) => [
              set.title || set.name,
              `${set.about} ${isNumber(set.videos) ? `${plural(set.videos, "video")}.` : ""}`,
            ]),
          ),
        ),
      ),
    part(
      "about-modes",
      "Modes",
      el("p", {}, "A mode is the set of modalities that a system sees: T the caption, A the sound, V the frames."),
    ),
  );
}
