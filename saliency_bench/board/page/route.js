/* The address: #/view?name=value. A view is a function of it, so every state can be shared. */
const WRITE_EVERY = 350; // ms
let route = readRoute();
let knownHash = location.hash;
let writtenAt = -WRITE_EVERY;
let waiting = 0;

function readRoute() {
  const [path, query] = location.hash.replace(/^#\/?/, "").split("?");
  return { view: path || "board", params: new URLSearchParams(query ?? "") };
}

/** The address of a view with the given values; empty ones are left out. */
function address(view, values = {}) {
  const params = new URLSearchParams();
  for (const [name, value] of Object.entries(values))
    if (value !== null && value !== undefined && value !== "") params.set(name, value);
  const query = params.toString();
  return `#/${view}${query ? `?${query}` : ""}`;
}

/** Change values of the present address; the reader's way back is not filled with every click. */
function change(values, redraw = true) {
  const params = new URLSearchParams(route.params);
  for (const [name, value] of Object.entries(values)) {
    if (value === null || value === undefined || value === "") params.delete(name);
    else params.set(name, value);
  }
  route = { view: route.view, params };
  writeAddress();
  if (redraw) draw(false);
}

/** Browsers refuse an address that changes many times a second, as it does under a slider: the last one is written. */
function writeAddress() {
  clearTimeout(waiting);
  if (location.hash !== knownHash) return;
  const rest = writtenAt + WRITE_EVERY - performance.now();
  if (rest > 0) {
    waiting = setTimeout(writeAddress, rest);
    return;
  }
  history.replaceState(null, "", address(route.view, Object.fromEntries(route.params)));
  knownHash = location.hash;
  writtenAt = performance.now();
}

/** Take over the address as it is now. */
function followAddress() {
  clearTimeout(waiting);
  knownHash = location.hash;
  route = readRoute();
}

/** The value of a name where it is one of `allowed`, else `otherwise`. */
function param(name, allowed, otherwise = allowed[0]) {
  const value = route.params.get(name);
  return value !== null && allowed.includes(value) ? value : otherwise;
}

/** The values of a list in the address that are allowed, in the order of `allowed`. */
function listParam(name, allowed) {
  const values = route.params.getAll(name).flatMap(readList);
  return allowed.filter((value) => values.includes(value));
}

function readList(text) {
  try {
    const list = JSON.parse(text);
    return Array.isArray(list) ? list.map(String) : [text];
  } catch {
    return text.split(",");
  }
}

/** A list for the address: comma-separated, as JSON where a value holds a comma or a bracket. */
function writeList(values) {
  return values.some((value) => /[,[\]"]/.test(value)) ? JSON.stringify(values) : values.join(",");
}

function numberParam(name, low, high, otherwise) {
  const value = Number.parseFloat(route.params.get(name));
  return Number.isFinite(value) ? Math.min(high, Math.max(low, value)) : otherwise;
}
