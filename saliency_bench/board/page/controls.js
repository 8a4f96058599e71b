/* Controls. Each has a fixed id, by which focus is found again after its view was drawn anew. */

/** A labelled select; options are [value, text]. */
function choice(id, label, options, value, chosen) {
  const select = el(
    "select",
    { id, change: (event) => chosen(event.target.value) },
    options.map(([key, text]) => el("option", { value: key, selected: key === value }, text)),
  );
  return el("div", { class: "field" }, el("label", { for: id }, label), select);
}

/** Radio buttons in one row; options are [value, text]. */
function segments(id, label, options, value, chosen) {
  const buttons = options.map(([key, text], index) =>
    el(
      "label",
      { class: "segment" },
      el("input", {
        type: "radio",
        name: id,
        id: `${id}-${index}`,
        value: key,
        checked: key === value,
        change: () => chosen(key),
      }),
      el("span", {}, text),
    ),
  );
  return el("fieldset", { class: "field" }, el("legend", {}, label), el("div", { class: "segments" }, buttons));
}

/** Buttons that each switch one value on or off; options are [value, text, title]. */
function chips(id, label, options, on, chosen) {
  const buttons = options.map(([key, text, title], index) =>
    el(
      "button",
      {
        type: "button",
        class: "chip",
        id: `${id}-${index}`,
        title,
        "aria-pressed": String(on.includes(key)),
        click: () => chosen(on.includes(key) ? on.filter((other) => other !== key) : [...on, key]),
      },
      text,
    ),
  );
  return el("fieldset", { class: "field" }, el("legend", {}, label), el("div", { class: "chips" }, buttons));
}

function searchField(id, label, value, chosen) {
  const input = el("input", {
    id,
    type: "search",
    autocomplete: "off",
    spellcheck: "false",
    value,
    input: (event) => chosen(event.target.value),
  });
  return el("div", { class: "field" }, el("label", { for: id }, label), input);
}

function checkbox(id, label, on, chosen) {
  return el(
    "label",
    { class: "check" },
    el("input", { type: "checkbox", id, checked: on, change: (event) => chosen(event.target.checked) }),
    el("span", {}, label),
  );
}

/** A labelled slider; `value` and `text` are what it shows now. */
function slider(id, label, range, value, moved) {
  const input = el("input", {
    id,
    type: "range",
    min: range[0],
    max: range[1],
    step: range[2],
    value,
    input: (event) => moved(Number(event.target.value)),
  });
  return el("div", { class: "field" }, el("label", { for: id }, label), input);
}

/** The heading of a view; focus comes here when the reader moves from view to view. */
function heading(title, ...lead) {
  return el("div", { class: "lead" }, el("h1", { tabindex: "-1", id: "view-title" }, title), ...lead);
}

function datasetChoice(id, names, value, chosen) {
  return choice(
    id,
    "Data set",
    names.map((name) => [name, DATASETS.get(name)?.title || name]),
    value,
    chosen,
  );
}
