/* The player's controls: play, frame by frame, scrub, sound, speed. */

/** Icons, drawn, so that no font decides how they look. */
const ICONS = {
  play: "M5 3.5v13l11-6.5z",
  pause: "M5 3.5h3.5v13H5zM11.5 3.5H15v13h-3.5z",
  back: "M14 4v12l-8-6zM4 4h2v12H4z",
  on: "M6 4v12l8-6zM14 4h2v12h-2z",
  loud:
    "M3 7.5h3L10 4v12l-4-3.5H3z" +
    "M12.3 6.2a5 5 0 0 1 0 7.6l-.9-1.1a3.5 3.5 0 0 0 0-5.4zM14.4 3.8a8 8 0 0 1 0 12.4l-.9-1.1a6.6 6.6 0 0 0 0-10.2z",
  mute: "M3 7.5h3L10 4v12l-4-3.5H3zM12 7.9l1-1 2 2 2-2 1 1-2 2.1 2 2-1 1-2-2-2 2-1-1 2-2z",
};

function icon(name) {
  return svg(
    "svg",
    { viewBox: "0 0 20 20", width: 20, height: 20, "aria-hidden": "true" },
    svg("path", { d: ICONS[name], fill: "currentColor" }),
  );
}

function iconButton(id, name, label, click) {
  return el("button", { type: "button", class: "icon", id, "aria-label": label, title: label, click }, icon(name));
}

function setIcon(button, name, label) {
  button.replaceChildren(icon(name));
  button.setAttribute("aria-label", label);
  button.title = label;
}

/** {node, shown(frame), changed()}; `step(by)` moves by frames. */
function transport(clip, player, step) {
  const toggle = iconButton("viewer-play", "play", "Play", () => player.toggle());
  const scrub = el("input", {
    type: "range",
    id: "viewer-scrub",
    class: "scrub",
    min: 0,
    max: clip.frames - 1,
    step: 1,
    value: 0,
    "aria-label": "Frame",
    input: () => player.seek(scrub.valueAsNumber),
  });
  const time = el("span", { class: "time", id: "viewer-time" });
  const sound = clip.sound
    ? iconButton("viewer-sound", "loud", "Mute", () => {
        player.video.muted = !player.video.muted;
      })
    : el("span", { class: "quiet" }, "no sound");
  const speed = el(
    "select",
    {
      id: "viewer-speed",
      "aria-label": "Speed",
      change: () => {
        player.video.playbackRate = Number(speed.value);
      },
    },
    [
      ["1", "1×"],
      ["0.5", "½×"],
      ["0.25", "¼×"],
    ].map(([value, text]) => el("option", { value }, text)),
  );
  const node = el(
    "div",
    { class: "transport", role: "group", "aria-label": "Playing" },
    toggle,
    iconButton("viewer-back", "back", "Previous frame", () => step(-1)),
    iconButton("viewer-next", "on", "Next frame", () => step(1)),
    scrub,
    time,
    sound,
    speed,
  );
  return {
    node,
    shown: (frame) => {
      scrub.value = frame;
      scrub.setAttribute("aria-valuetext", `frame ${frame + 1} of ${clip.frames}`);
      time.textContent = `${frame + 1} / ${clip.frames} · ${(frame / clip.fps).toFixed(2)} s`;
    },
    changed: () => {
      setIcon(toggle, player.video.paused ? "play" : "pause", player.video.paused ? "Play" : "Pause");
      if (clip.sound) setIcon(sound, player.video.muted ? "mute" : "loud", player.video.muted ? "Sound on" : "Mute");
    },
  };
}
