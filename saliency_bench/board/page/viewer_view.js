/* The viewer: a clip with the maps of two systems over it. */
const COMMAND = "saliency-bench leaderboard build --site DIR --runs runs";
function viewerView(main) {
  main.append(
    heading(
      "What the maps look like",
      el(
        "p",
        { class: "sub" },
        "A clip with its sound, and two systems’ heat maps over it. Each frame is scaled to its own maximum.",
      ),
    ),
  );
  const entries = BOARD.clips;
  if (!entries.length) {
    main.append(
      empty(
        "No clips in this page.",
        el("p", {}, "Build it from runs that kept their maps:"),
        el("pre", {}, el("code", {}, COMMAND)),
      ),
    );
    return null;
  }
  const entry = entries.find((clip) => clip.id === route.params.get("clip")) ?? entries[0];
  const room = el("div", { class: "viewer", "aria-busy": "true" }, el("p", { class: "quiet" }, "Loading the clip…"));
  main.append(clipPicker(entries, entry), room);
  let open = null,
    closed = false;
  loadClip(entry)
    .then(async (clip) => ({ clip, truth: await loadAtlas(clip.truth) }))
    .then(({ clip, truth }) => {
      if (closed) return;
      open = openClip(clip, entry, truth, room);
      return open.fitted.then(() => room.setAttribute("aria-busy", "false"));
    })
    .catch((error) => {
      if (!closed) room.replaceChildren(empty("This clip cannot be shown.", el("p", {}, error.message)));
    });
  return {
    fluid: true,
    resize: () => open?.redraw(),
    close: () => {
      closed = true;
      open?.close();
    },
  };
}

function clipPicker(entries, entry) {
  const text = (clip) =>
    `${DATASETS.get(clip.dataset)?.title || clip.dataset}: ${clip.video}${clip.caption ? ` (${clip.caption})` : ""}`;
  return el(
    "form",
    { class: "controls", "aria-label": "Choose a clip", submit: (event) => event.preventDefault() },
    el(
      "div",
      { class: "field wide-field" },
      choice(
        "viewer-clip",
        `Clip (${plural(entries.length, "clip")})`,
        entries.map((clip) => [clip.id, text(clip)]),
        entry.id,
        (clip) => change({ clip, frame: "" }),
      ),
    ),
  );
}

/** Fill `room` with the open clip; returns {redraw, close}. */
function openClip(clip, entry, truth, room) {
  const maps = new Map(Object.entries(clip.maps));
  const drawn = entry.rows.filter((id) => maps.has(id));
  const sources = [
    ...drawn.map((id) => [id, sourceName(id, fullName)]),
    ["truth", "People (truth)"],
    ["none", "Video alone"],
  ];
  const names = new Map(sources.map(([key, text]) => [key, ROWS.get(key)?.label ?? text]));
  const look = viewerLook([...names.keys()]);
  const atlases = new Map([
    ["truth", Promise.resolve(truth)],
    ["none", Promise.resolve(null)],
  ]);
  const tags = { left: el("span", { class: "tag left" }), right: el("span", { class: "tag right" }) };
  const caption = el("p", { class: "caption", id: "viewer-caption" });
  const scores = el("div", {});

  const atlasOf = (key) => {
    if (!atlases.has(key)) atlases.set(key, loadAtlas(maps.get(key)));
    return atlases.get(key);
  };
  const set = (values) => {
    Object.assign(look, values);
    change(lookInAddress(values), false);
    if ("left" in values || "right" in values) fit();
    else arrange();
  };
  const wipe = wipeSlider(look, set);
  const player = createPlayer(clip, shown, changed);
  const stage = createStage(clip, player.video, truth, wipe, [tags.left, tags.right]);
  const bar = transport(clip, player, step);
  const redraw = () => stage.draw(player.frame(), look);

  /* The names and maps of both sides; what was chosen meanwhile wins over what loads late. */
  async function fit() {
    const load = async (side) => {
      const key = look[side];
      tags[side].textContent = names.get(key);
      const atlas = await atlasOf(key);
      if (key === look[side]) stage.atlas(side, atlas);
    };
    scores.replaceChildren(clipScores(entry, [look.left, look.right]));
    await Promise.all([load("left"), load("right")]).catch((error) =>
      complain(`A map cannot be shown: ${error.message}`),
    );
    arrange();
  }
  function complain(text) {
    if (stage.node.isConnected) stage.node.after(el("p", { class: "note doubt", role: "alert" }, text));
  }
  function arrange() {
    wipe.hidden = look.view !== "wipe";
    tags.left.hidden = look.view === "right";
    tags.right.hidden = look.view === "left";
    wipe.setAttribute(
      "aria-valuetext",
      `${Math.round(look.wipe * 100)} % ${names.get(look.left)}, the rest ${names.get(look.right)}`,
    );
    redraw();
  }
  function shown(frame) {
    bar.shown(frame);
    const text = captionAt(clip, frame) || "none in force";
    if (caption.lastChild?.textContent !== text)
      caption.replaceChildren(el("span", { class: "quiet" }, "Caption "), text);
    redraw();
  }
  function changed() {
    bar.changed();
    if (player.video.paused && player.video.isConnected) change({ frame: player.frame() || "" }, false);
  }
  function step(by) {
    player.video.pause();
    player.seek(player.frame() + by);
    change({ frame: player.frame() || "" }, false);
  }
  function swap() {
    set({ left: look.right, right: look.left });
    for (const side of ["left", "right"]) document.getElementById(`viewer-${side}`).value = look[side];
  }

  player.video.addEventListener("click", player.toggle);
  player.video.addEventListener("error", () => complain("This browser cannot play the clip’s video."));
  const keys = (event) => viewerKey(event, { step, swap, toggle: player.toggle });
  const panel = viewerPanel(sources, look, set);
  room.replaceChildren(
    el("div", { class: "screen", keydown: keys }, stage.node, bar.node, caption, keyHint()),
    el("div", { class: "side" }, panel, scores),
  );
  player.seek(Math.round(numberParam("frame", 0, clip.frames - 1, 0)));
  return { redraw, close: player.close, fitted: fit() };
}

function sourceName(id, name) {
  return ROWS.has(id) ? name(ROWS.get(id)) : id;
}

/** Keys work while focus is in the viewer, and leave to a control what the control does with them. */
function viewerKey(event, { step, swap, toggle }) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("select")) return;
  const acts = { ",": () => step(-1), ".": () => step(1), x: swap };
  if (!event.target.matches("button")) acts[" "] = toggle;
  if (!Object.hasOwn(acts, event.key)) return;
  event.preventDefault();
  acts[event.key]();
}

function keyHint() {
  const keys = [
    ["space", "play"],
    [", .", "frame by frame"],
    ["x", "swap sides"],
    ["arrows", "move the slider in focus"],
  ];
  const text = keys.map(([key, does], i) => [i ? ", " : "", el("kbd", {}, key), ` ${does}`]);
  return el("p", { class: "quiet keys" }, "Keys in the viewer: ", text);
}
