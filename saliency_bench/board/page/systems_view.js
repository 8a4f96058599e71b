/* Systems: a list, and a page for each model card. */
const CARD_FIELDS = [
  ["paper", "Paper"],
  ["year", "Year"],
  ["modalities", "Modalities"],
  ["kind", "Kind"],
  ["parameters", "Parameters"],
  ["code", "Code"],
  ["weights", "Weights"],
  ["training_data", "Training data"],
  ["protocol", "Its protocol"],
  ["reported", "Reported in"],
];

function systemsView(main) {
  const name = route.params.get("name");
  if (name !== null && CARDS.has(name)) return void cardPage(main, name, CARDS.get(name));
  main.append(
    heading("Systems", el("p", { class: "sub" }, "What each one is, where it comes from and what is known about it.")),
  );
  if (!CARDS.size) return void main.append(empty("No model cards in this page."));
  main.append(
    el(
      "ul",
      { class: "cards" },
      [...CARDS].map(([key, card]) =>
        el(
          "li",
          {},
          el("h2", {}, el("a", { href: address("systems", { name: key }) }, cardTitle(key, card))),
          el("p", { class: "badges" }, [card.modalities, card.kind, card.year].filter(Boolean).join(" · ")),
          card.paper && el("p", {}, card.paper),
        ),
      ),
    ),
  );
}

function cardTitle(key, card) {
  return String(card.title || key);
}

function cardText(value) {
  if (Array.isArray(value)) return value.map(String).join(", ");
  return typeof value === "number" && value >= 10000 ? whole(value) : String(value);
}

function cardPage(main, key, card) {
  const known = CARD_FIELDS.filter(
    ([field]) => card[field] !== undefined && card[field] !== null && card[field] !== "",
  );
  main.append(
    el("p", { class: "crumb" }, el("a", { href: address("systems") }, "All systems")),
    heading(cardTitle(key, card), el("p", { class: "sub" }, el("code", {}, key))),
    el(
      "div",
      { class: "split" },
      el(
        "section",
        { "aria-labelledby": "card-facts" },
        el("h2", { id: "card-facts" }, "Card"),
        facts(
          known.map(([field, term]) => [
            term,
            field === "kind" && KINDS.has(card.kind)
              ? [el("strong", {}, card.kind), ` ${KINDS.get(card.kind)}`]
              : cardText(card[field]),
          ]),
        ),
      ),
      el(
        "div",
        {},
        presetTable(card.presets),
        (card.notes ?? []).length > 0 &&
          el(
            "section",
            { "aria-labelledby": "card-notes" },
            el("h2", { id: "card-notes" }, "Notes"),
            bullets(card.notes.map(String)),
          ),
      ),
    ),
    results(key, "measured", "Measured here"),
    results(key, "reported", "Reported by papers"),
  );
}

function presetTable(presets) {
  const named = Object.entries(presets ?? {});
  if (!named.length) return null;
  const modes = unique(named.flatMap(([, counts]) => Object.keys(counts))).sort(byMode);
  const cells = (counts) => modes.map((mode) => (Object.hasOwn(counts, mode) ? count(counts[mode]) : NONE));
  const lines = named.map(([preset, counts]) => [preset, ...cells(counts)]);
  const title = "Parameters of its presets",
    table = smallTable(title, ["Preset", ...modes], lines);
  return el(
    "section",
    { "aria-labelledby": "card-presets" },
    el("h2", { id: "card-presets" }, title),
    scroller("preset-scroll", title, table),
  );
}

/** The rows of a system on every set, of one source only. */
function results(key, source, title) {
  const rows = BOARD.rows.filter((row) => row.system === key && row.source === source);
  if (!rows.length) return null;
  const metrics = BOARD.metrics
    .map((m) => m.name)
    .filter((metric) => rows.some((row) => isNumber(scoreOf(row, metric).mean)));
  const cell = (row, metric) => {
    const value = scoreOf(row, metric);
    return el(
      "td",
      { class: "num" },
      el("span", { class: { 1: "best", 2: "second" }[value.rank] }, value.printed || score(value.mean)),
      isNumber(value.low) && el("span", { class: "range" }, ` ${interval(value.low, value.high)}`),
    );
  };
  const heads = ["System", "Data set", "Protocol", "n"],
    words = (row) => [
      el("th", { scope: "row", class: "first" }, shortName(row), " ", modeChip(row.mode)),
      el(
        "td",
        {},
        el(
          "a",
          {
            href: address("board", {
              set: row.dataset,
              show: source,
              open: row.id,
              protocol: source === "measured" ? row.protocol : "",
            }),
          },
          DATASETS.get(row.dataset)?.title || row.dataset,
        ),
      ),
      el("td", {}, row.protocol),
      el("td", {}, isNumber(row.n_videos) ? String(row.n_videos) : "not stated"),
    ];
  return el(
    "section",
    { "aria-labelledby": `card-${source}` },
    el("h2", { id: `card-${source}` }, title),
    scroller(
      `card-${source}-scroll`,
      title,
      el(
        "table",
        { class: "wide" },
        el("caption", { class: "unseen" }, title),
        el(
          "thead",
          {},
          el(
            "tr",
            {},
            heads.map((head, i) => el("th", { scope: "col", class: i ? null : "first" }, head)),
            metrics.map((m) => el("th", { scope: "col", class: "num" }, m)),
          ),
        ),
        el(
          "tbody",
          {},
          rows.map((row) =>
            el(
              "tr",
              {},
              words(row),
              metrics.map((m) => cell(row, m)),
            ),
          ),
        ),
      ),
    ),
  );
}
