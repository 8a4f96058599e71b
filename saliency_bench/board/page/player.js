/* A video that knows which frame it shows. */

/** {video, frame(), toggle(), seek(frame), close()}; `shown(frame)` is called for every frame that appears, `changed()`
 * on play, pause and another volume. */
function createPlayer(clip, shown, changed) {
  const url = mediaUrl(clip),
    last = clip.frames - 1;
  const video = el("video", {
    src: url,
    playsinline: true,
    preload: "auto",
    loop: true,
    "aria-label": `Video ${clip.video}`,
  });
  let frame = 0,
    closed = false,
    asked = null;
  const show = (next) => {
    frame = Math.min(last, Math.max(0, next));
    shown(frame);
  };
  const byTime = () => show(Math.floor(video.currentTime * clip.fps + 1e-4));
  const clock = video.requestVideoFrameCallback
    ? () =>
        video.requestVideoFrameCallback((_, { mediaTime }) => {
          if (closed) return;
          if (asked === null) show(Math.round(mediaTime * clip.fps));
          clock();
        })
    : () =>
        requestAnimationFrame(() => {
          if (closed) return;
          if (!video.paused) byTime();
          clock();
        });
  video.addEventListener("seeked", () => {
    if (asked === null) byTime();
  });
  for (const event of ["play", "pause", "volumechange"]) video.addEventListener(event, changed);
  clock();
  /* A seek aims at the middle of its frame, out of reach of rounding; it counts as shown until the video is there. */
  const seek = (next) => {
    asked = Math.min(last, Math.max(0, next));
    show(asked);
    video.currentTime = (asked + 0.5) / clip.fps;
  };
  video.addEventListener("seeked", () => {
    asked = null;
  });
  return {
    video,
    seek,
    frame: () => frame,
    toggle: () => (video.paused ? video.play() : Promise.resolve(video.pause())),
    close: () => {
      closed = true;
      video.pause();
      video.removeAttribute("src");
      URL.revokeObjectURL(url);
    },
  };
}
