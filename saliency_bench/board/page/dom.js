/* Elements. Whatever comes from the data reaches the document as a text node or a plain attribute, never as markup. */
const SVG = "http://www.w3.org/2000/svg";

/** An HTML element: attributes by name, listeners where the value is a function; null, undefined and false are none. */
function el(tag, attributes, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** The same for SVG. */
function svg(tag, attributes, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") node.addEventListener(name, value);
    else if (name === "checked") node.checked = value;
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

/** Text for screen readers alone. */
function unseen(text) {
  return el("span", { class: "unseen" }, text);
}

/** Say something in the live region; the same words twice are said once. */
function announce(text) {
  const status = document.getElementById("status");
  if (status.textContent !== text) status.textContent = text;
}

/** A box that scrolls sideways on its own, so that the page never does. */
function scroller(id, label, ...children) {
  return el("div", { class: "scroll", id, tabindex: "0", role: "group", "aria-label": label }, ...children);
}

/** A small table: heads, then rows whose first cell names them; `heard` captions are for screen readers alone. */
function smallTable(caption, heads, rows, heard = true) {
  const head = heads.map((text, i) => el("th", { scope: "col", class: i ? "num" : null }, text));
  const line = ([name, ...cells]) =>
    el(
      "tr",
      {},
      el("th", { scope: "row" }, name),
      cells.map((cell) => el("td", { class: "num" }, cell)),
    );
  return el(
    "table",
    { class: "small" },
    el("caption", { class: heard ? "unseen" : null }, caption),
    el("thead", {}, el("tr", {}, head)),
    el("tbody", {}, rows.map(line)),
  );
}

/** Pairs of term and description; pairs without a description are left out. */
function facts(pairs) {
  const kept = pairs.filter(([, value]) => value !== null && value !== undefined && value !== "" && value.length !== 0);
  return el(
    "dl",
    { class: "facts" },
    kept.map(([term, value]) => el("div", {}, el("dt", {}, term), el("dd", {}, value))),
  );
}

function bullets(lines) {
  return el(
    "ul",
    { class: "plain" },
    lines.map((line) => el("li", {}, line)),
  );
}

/** What a view says where there is nothing to show. */
function empty(title, ...children) {
  return el("div", { class: "empty" }, el("p", { class: "empty-title" }, title), ...children);
}

/** Remember where the reader was, build again, and put them back there. */
function keepingPlace(build) {
  const active = document.activeElement,
    id = active?.id;
  const caret = active?.type === "search" ? [active.selectionStart, active.selectionEnd] : null;
  const scrolled = [...document.querySelectorAll(".scroll[id]")].map((box) => [box.id, box.scrollLeft]);
  build();
  for (const [box, left] of scrolled) {
    const again = document.getElementById(box);
    if (again) again.scrollLeft = left;
  }
  const again = id ? document.getElementById(id) : null;
  if (!again || again === document.activeElement) return;
  again.focus({ preventScroll: true });
  if (caret) again.setSelectionRange(...caret);
}
