/* The page around the views: navigation, theme, and drawing whatever the address says. */
const VIEWS = new Map([
  ["board", ["Board", boardView]],
  ["cost", ["Cost", costView]],
  ["compare", ["Compare", compareView]],
  ["viewer", ["Viewer", viewerView]],
  ["systems", ["Systems", systemsView]],
  ["about", ["About", aboutView]],
]);
let current = null;
let drawnWidth = 0;

/** Draw the view of the address; `moved` where the reader came from another view. */
function draw(moved) {
  const name = VIEWS.has(route.view) ? route.view : "board",
    [title, view] = VIEWS.get(name);
  const main = document.getElementById("main");
  keepingPlace(() => {
    current?.close?.();
    main.replaceChildren();
    current = view(main) ?? null;
  });
  drawnWidth = window.innerWidth;
  document.title = `${title} · ${BOARD.title}`;
  for (const link of document.querySelectorAll("#nav a")) {
    if (link.dataset.view === name) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  if (!moved) return;
  window.scrollTo(0, 0);
  document.getElementById("view-title")?.focus({ preventScroll: true });
}

function buildTop() {
  const links = [...VIEWS].map(([name, [title]]) =>
    el("li", {}, el("a", { href: address(name), "data-view": name }, title)),
  );
  const theme = el("button", {
    type: "button",
    id: "theme",
    class: "plain-button",
    click: () => setTheme(dark() ? "light" : "dark"),
  });
  document
    .getElementById("top")
    .append(
      el(
        "div",
        { class: "top-inner" },
        el("a", { class: "wordmark", href: address("board") }, BOARD.title),
        el("nav", { id: "nav", "aria-label": "Views" }, el("ul", {}, links)),
        theme,
      ),
    );
  document
    .getElementById("foot")
    .append(
      el("p", {}, `${BOARD.title} ${BOARD.version}. `, "Made from kept records; the same records give the same page."),
    );
  setTheme(kept(), false);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () =>
    setTheme(document.documentElement.dataset.theme ?? null, false),
  );
}

function dark() {
  return (
    (document.documentElement.dataset.theme ??
      (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark"
  );
}

function setTheme(theme, keep = true) {
  if (theme) document.documentElement.dataset.theme = theme;
  document.getElementById("theme").textContent = dark() ? "Light theme" : "Dark theme";
  if (!keep) return;
  try {
    localStorage.setItem("theme", theme);
  } catch {
    /* a page from disk may not keep anything: then it follows the system */
  }
}

function kept() {
  try {
    return ["light", "dark"].find((theme) => theme === localStorage.getItem("theme")) ?? null;
  } catch {
    return null;
  }
}

/* The skip link must not change the address, which is the view. */
document.getElementById("skip").addEventListener("click", (event) => {
  event.preventDefault();
  document.getElementById("main").focus();
});
window.addEventListener("hashchange", () => {
  followAddress();
  draw(true);
});
window.addEventListener("resize", () => {
  if (window.innerWidth === drawnWidth) return;
  if (current?.fluid) current.resize();
  else draw(false);
});
buildTop();
draw(false);
