/* The viewer: a clip with the maps of two systems over it. */
const COMMAND = "saliency-bench leaderboard build --site DIR --runs runs";
const LOOKS = [["wipe", "Wipe"], ["left", "Left only"], ["right", "Right only"]];

function viewerView(main) {
  main.append(heading("What the maps look like", el("p", { class: "sub" }, "A clip with its sound, and two systems’ heat maps over it. Each frame is scaled to its own maximum.")));
  const entries = BOARD.clips;
  if (!entries.length) {
    main.append(empty("No clips in this page.", el("p", {}, "Build it from runs that kept their maps:"), el("pre", {}, el("code", {}, COMMAND))));
    return null;
  }
  const entry = entries.find((clip) => clip.id === route.params.get("clip")) ?? entries[0];
  const room = el("div", { class: "viewer", "aria-busy": "true" }, el("p", { class: "quiet" }, "Loading the clip…"));
  main.append(clipPicker(entries, entry), room);
  let open = null, closed = false;
  loadClip(entry).then(async (clip) => ({ clip, truth: await loadAtlas(clip.truth) })).then(({ clip, truth }) => {
    if (closed) return;
    open = openClip(clip, entry, truth, room);
    room.setAttribute("aria-busy", "false");
  }).catch((error) => { if (!closed) room.replaceChildren(empty("This clip cannot be shown.", el("p", {}, error.message))); });
  return { fluid: true, resize: () => open?.redraw(), close: () => { closed = true; open?.close(); } };
}

function clipPicker(entries, entry) {
  const text = (clip) => `${DATASETS.get(clip.dataset)?.title || clip.dataset}: ${clip.video}${clip.caption ? ` (${clip.caption})` : ""}`;
  return el("form", { class: "controls", "aria-label": "Choose a clip", submit: (event) => event.preventDefault() },
    el("div", { class: "field wide-field" }, choice("viewer-clip", `Clip (${plural(entries.length, "clip")})`, entries.map((clip) => [clip.id, text(clip)]), entry.id, (clip) => change({ clip, frame: "" }))));
}

function openClip(clip, entry, truth, room) {
  const maps = new Map(Object.entries(clip.maps)), ids = entry.rows.filter((id) => maps.has(id));
  const sources = [...ids.map((id) => [id, ROWS.has(id) ? fullName(ROWS.get(id)) : id]), ["truth", "People (truth)"], ["none", "Video alone"]];
  const keys = sources.map(([key]) => key);
  const look = { view: param("view", LOOKS.map(([key]) => key)), wipe: numberParam("wipe", 0, 100, 50) / 100, opacity: numberParam("opacity", 0, 100, 75) / 100,
    truth: route.params.get("truth") === "1", fixations: route.params.get("fixations") === "1" };
  const chosen = { left: param("left", keys), right: param("right", keys, keys[1]) };
  const atlases = new Map([["truth", Promise.resolve(truth)], ["none", Promise.resolve(null)]]);
  const atlasOf = (key) => { if (!atlases.has(key)) atlases.set(key, loadAtlas(maps.get(key))); return atlases.get(key); };

  const tags = { left: el("span", { class: "tag left" }), right: el("span", { class: "tag right" }) };
  const wipe = el("input", { type: "range", class: "wipe", id: "viewer-wipe", min: 0, max: 100, step: 1, value: Math.round(look.wipe * 100), "aria-label": "Wipe between left and right",
    input: () => set({ wipe: wipe.valueAsNumber / 100 }, { wipe: wipe.value }) });
  const player = createPlayer(clip, shown, changed);
  const stage = createStage(clip, player.video, truth, wipe, [tags.left, tags.right]);
  const bar = transport(clip, player, step);
  const caption = el("p", { class: "caption", id: "viewer-caption" });
  const scores = el("div", {});
  const redraw = () => stage.draw(player.frame(), look);
  const source = (side, label) => choice(`viewer-${side}`, label, sources, chosen[side], (key) => { chosen[side] = key; change({ [side]: key }, false); fit(); });
  const panel = el("form", { class: "panel", "aria-label": "What is drawn over the video", submit: (event) => event.preventDefault() },
    source("left", "Left"), source("right", "Right"),
    segments("viewer-view", "Show", LOOKS, look.view, (view) => set({ view }, { view })),
    slider("viewer-opacity", "Strength of the maps", [0, 100, 1], Math.round(look.opacity * 100), (value) => set({ opacity: value / 100 }, { opacity: value })),
    el("div", { class: "strip-line" }, el("span", {}, "least"), colourStrip(), el("span", {}, "most")),
    el("div", { class: "checks" }, checkbox("viewer-truth", "Truth, outlined at ¼ and ½ of its peak", look.truth, (on) => set({ truth: on }, { truth: on ? 1 : "" })),
      checkbox("viewer-fixations", "Fixations of this frame", look.fixations, (on) => set({ fixations: on }, { fixations: on ? 1 : "" }))));

  function set(values, inAddress) { Object.assign(look, values); change(inAddress, false); arrange(); }
  function arrange() {
    wipe.hidden = look.view !== "wipe";
    tags.left.hidden = look.view === "right";
    tags.right.hidden = look.view === "left";
    wipe.setAttribute("aria-valuetext", `${Math.round(look.wipe * 100)} % left, ${nameOf(chosen.left)}`);
    redraw();
  }
  function nameOf(key) { return ROWS.get(key)?.label ?? sources.find(([one]) => one === key)[1]; }
  async function fit() {
    for (const side of ["left", "right"]) {
      tags[side].textContent = nameOf(chosen[side]);
      const key = chosen[side], atlas = await atlasOf(key);
      if (key === chosen[side]) stage.atlas(side, atlas);
    }
    scores.replaceChildren(clipScores(entry, chosen));
    arrange();
  }
  function shown(frame) {
    bar.shown(frame);
    const text = captionAt(clip, frame);
    if (caption.dataset.text !== text) { caption.dataset.text = text; caption.replaceChildren(el("span", { class: "quiet" }, "Caption "), text || "none in force"); }
    redraw();
  }
  function changed() { bar.changed(); if (player.video.paused && player.video.isConnected) change({ frame: player.frame() || "" }, false); }
  function step(by) { player.video.pause(); player.seek(player.frame() + by); change({ frame: player.frame() || "" }, false); }
  function keys_(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("select")) return;
    const act = { ",": () => step(-1), ".": () => step(1), x: swap, " ": event.target.matches("button, input[type=checkbox], input[type=radio]") ? null : player.toggle }[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  }
  function swap() {
    [chosen.left, chosen.right] = [chosen.right, chosen.left];
    for (const side of ["left", "right"]) document.getElementById(`viewer-${side}`).value = chosen[side];
    change({ left: chosen.left, right: chosen.right }, false);
    fit();
  }

  player.video.addEventListener("click", player.toggle);
  player.video.addEventListener("error", () => { if (player.video.isConnected) stage.node.after(el("p", { class: "note doubt", role: "alert" }, "This browser cannot play the clip’s video.")); });
  room.replaceChildren(el("div", { class: "screen", keydown: keys_ }, stage.node, bar.node, caption,
    el("p", { class: "quiet keys" }, "Keys in the viewer: ", [["space", "play"], [", .", "frame by frame"], ["x", "swap sides"], ["arrows", "move the slider in focus"]]
      .map(([key, does], i) => [i ? ", " : "", el("kbd", {}, key), ` ${does}`]))), el("div", { class: "side" }, panel, scores));
  player.seek(Math.round(numberParam("frame", 0, clip.frames - 1, 0)));
  fit();
  return { redraw, close: player.close };
}

function transport(clip, player, step) {
  const toggle = iconButton("viewer-play", "play", "Play", () => player.toggle());
  const scrub = el("input", { type: "range", id: "viewer-scrub", class: "scrub", min: 0, max: clip.frames - 1, step: 1, value: 0, "aria-label": "Frame", input: () => player.seek(scrub.valueAsNumber) });
  const time = el("span", { class: "time", id: "viewer-time" });
  const sound = clip.sound ? iconButton("viewer-sound", "loud", "Mute", () => { player.video.muted = !player.video.muted; }) : el("span", { class: "quiet" }, "no sound");
  const speed = el("select", { id: "viewer-speed", "aria-label": "Speed", change: () => { player.video.playbackRate = Number(speed.value); } },
    [["1", "1×"], ["0.5", "½×"], ["0.25", "¼×"]].map(([value, text]) => el("option", { value }, text)));
  const node = el("div", { class: "transport", role: "group", "aria-label": "Playing" }, toggle, iconButton("viewer-back", "back", "Previous frame", () => step(-1)),
    iconButton("viewer-next", "on", "Next frame", () => step(1)), scrub, time, sound, speed);
  return { node,
    shown: (frame) => { scrub.value = frame; scrub.setAttribute("aria-valuetext", `frame ${frame + 1} of ${clip.frames}`); time.textContent = `${frame + 1} / ${clip.frames} · ${(frame / clip.fps).toFixed(2)} s`; },
    changed: () => { setIcon(toggle, player.video.paused ? "play" : "pause", player.video.paused ? "Play" : "Pause"); if (clip.sound) setIcon(sound, player.video.muted ? "mute" : "loud", player.video.muted ? "Sound on" : "Mute"); } };
}

/** What the chosen systems score on this very video. */
function clipScores(entry, chosen) {
  const rows = unique([chosen.left, chosen.right]).map((key) => ROWS.get(key)).filter((row) => row?.videos);
  const value = (row, metric) => perVideo(row, metric)?.[(VIDEOS.get(row.videos_of) ?? []).indexOf(entry.video)];
  const metrics = BOARD.metrics.map((m) => m.name).filter((metric) => rows.some((row) => isNumber(value(row, metric))));
  if (!metrics.length) return "";
  return el("table", { class: "small clip-scores" }, el("caption", {}, "Scores on this video"),
    el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "System"), metrics.map((m) => el("th", { scope: "col", class: "num" }, m)))),
    el("tbody", {}, rows.map((row) => el("tr", {}, el("th", { scope: "row" }, row.label), metrics.map((m) => el("td", { class: "num" }, score(value(row, m))))))));
}
