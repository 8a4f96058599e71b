/* A video that knows which frame it shows. */

/** {video, frame(), toggle(), seek(frame), close()}; `shown(frame)` is called for every frame that appears, `changed()` on play and pause. */
function createPlayer(clip, shown, changed) {
  const url = mediaUrl(clip), last = clip.frames - 1;
  const video = el("video", { src: url, playsinline: true, preload: "auto", loop: true, "aria-label": `Video ${clip.video}` });
  let frame = 0, closed = false, asked = null;
  const show = (next) => { frame = Math.min(last, Math.max(0, next)); shown(frame); };
  const byTime = () => show(Math.floor(video.currentTime * clip.fps + 1e-4));
  const clock = video.requestVideoFrameCallback ? () => video.requestVideoFrameCallback((_, { mediaTime }) => {
    if (closed) return;
    if (asked === null) show(Math.round(mediaTime * clip.fps));
    clock();
  }) : () => requestAnimationFrame(() => {
    if (closed) return;
    if (!video.paused) byTime();
    clock();
  });
  video.addEventListener("seeked", () => { if (asked === null) byTime(); });
  for (const event of ["play", "pause", "volumechange"]) video.addEventListener(event, changed);
  clock();
  /* A seek aims at the middle of its frame, out of reach of rounding; what is asked for counts until the video is there. */
  const seek = (next) => {
    asked = Math.min(last, Math.max(0, next));
    show(asked);
    video.currentTime = (asked + 0.5) / clip.fps;
  };
  video.addEventListener("seeked", () => { asked = null; });
  return {
    video, seek, frame: () => frame,
    toggle: () => (video.paused ? video.play() : Promise.resolve(video.pause())),
    close: () => { closed = true; video.pause(); video.removeAttribute("src"); URL.revokeObjectURL(url); },
  };
}

/** Icons of the player, drawn, so that no font decides how they look. */
const ICONS = {
  play: "M5 3.5v13l11-6.5z", pause: "M5 3.5h3.5v13H5zM11.5 3.5H15v13h-3.5z", back: "M14 4v12l-8-6zM4 4h2v12H4z", on: "M6 4v12l8-6zM14 4h2v12h-2z",
  loud: "M3 7.5h3L10 4v12l-4-3.5H3zM12.3 6.2a5 5 0 0 1 0 7.6l-.9-1.1a3.5 3.5 0 0 0 0-5.4zM14.4 3.8a8 8 0 0 1 0 12.4l-.9-1.1a6.6 6.6 0 0 0 0-10.2z",
  mute: "M3 7.5h3L10 4v12l-4-3.5H3zM12 7.9l1-1 2 2 2-2 1 1-2 2.1 2 2-1 1-2-2-2 2-1-1 2-2z",
};

function icon(name) {
  return svg("svg", { viewBox: "0 0 20 20", width: 20, height: 20, "aria-hidden": "true" }, svg("path", { d: ICONS[name], fill: "currentColor" }));
}

function iconButton(id, name, label, click) {
  return el("button", { type: "button", class: "icon", id, "aria-label": label, title: label, click }, icon(name));
}

function setIcon(button, name, label) {
  button.replaceChildren(icon(name));
  button.setAttribute("aria-label", label);
  button.title = label;
}
