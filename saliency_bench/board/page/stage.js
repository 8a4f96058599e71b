/* The stage: the video, two heat maps over it with a wipe between them, truth and fixations on top. */

/** {node, draw(frame, look), atlas(side, atlas)}; of a look it takes {view, wipe, opacity, truth, fixations}, wipe and
 * opacity in [0, 1]. */
function createStage(clip, video, truth, wipeInput, tags) {
  const canvas = el("canvas", { class: "heat", "aria-hidden": "true", id: "viewer-canvas" });
  const node = el("div", { class: "stage", id: "viewer-stage" }, video, canvas, tags, wipeInput);
  const small = { left: document.createElement("canvas"), right: document.createElement("canvas") };
  const atlases = { left: null, right: null };
  const [wide, tall] = clip.size;
  node.style.aspectRatio = `${wide} / ${tall}`;
  node.style.setProperty("--wide", wide / tall);

  const half = (context, side, frame, look, from, to) => {
    const atlas = atlases[side],
      bytes = atlas?.at(frame);
    if (!bytes || to <= from) return;
    paintHeat(small[side], atlas, bytes, look.opacity);
    context.save();
    context.beginPath();
    context.rect(from, 0, to - from, canvas.height);
    context.clip();
    context.drawImage(small[side], 0, 0, canvas.width, canvas.height);
    context.restore();
  };

  const draw = (frame, look) => {
    const scale = window.devicePixelRatio || 1;
    const size = [
      Math.max(1, Math.round(node.clientWidth * scale)),
      Math.max(1, Math.round(node.clientHeight * scale)),
    ];
    if (canvas.width !== size[0] || canvas.height !== size[1]) [canvas.width, canvas.height] = size;
    const context = canvas.getContext("2d"),
      [width, height] = size;
    context.clearRect(0, 0, width, height);
    context.imageSmoothingQuality = "high";
    const cut = look.view === "wipe" ? look.wipe * width : look.view === "left" ? width : 0;
    half(context, "left", frame, look, 0, cut);
    half(context, "right", frame, look, cut, width);
    const density = look.truth ? truth.at(frame) : null;
    if (density)
      for (const level of [64, 128]) strokeContour(context, contour(truth, density, level), width, height, scale);
    if (look.fixations) strokeFixations(context, clip.fixations[frame] ?? [], width / wide, scale);
    if (look.view !== "wipe") return;
    context.fillStyle = "rgb(0 0 0 / 0.6)";
    context.fillRect(cut - 2 * scale, 0, 4 * scale, height);
    context.fillStyle = "white";
    context.fillRect(cut - scale, 0, 2 * scale, height);
  };

  return {
    node,
    draw,
    atlas: (side, atlas) => {
      atlases[side] = atlas;
    },
  };
}
