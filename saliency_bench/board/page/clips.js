/* Clips lie in scripts of their own and come when they are chosen: a page from disk may load a script, but not fetch
 * a file. */
const clipsComing = new Map();
const clipsAsked = new Map();

window.boardClip = (clip) => clipsComing.get(clip.id)?.(clip);

/** The clip of an entry of the board; rejects where its script is missing. */
function loadClip({ id, file }) {
  if (!clipsAsked.has(id))
    clipsAsked.set(
      id,
      new Promise((resolve, reject) => {
        const lost = () => {
          clipsAsked.delete(id);
          reject(new Error(`The file ${file} beside this page is missing or broken.`));
        };
        if (!/^clips\/[\w-][\w.-]*\.js$/.test(file)) return lost();
        clipsComing.set(id, resolve);
        document.head.append(el("script", { src: file, error: lost, load: () => setTimeout(lost) }));
      }),
    );
  return clipsAsked.get(id);
}

/** A URL of the clip's video, which must be freed. Some browsers cannot seek in data URLs, all can in blobs. */
function mediaUrl(clip) {
  const found = /^data:(video\/[\w.+-]+)(?:;[^;,]+)*;base64,/.exec(clip.media);
  if (!found) throw new Error("The clip holds no video.");
  const text = atob(clip.media.slice(found[0].length));
  return URL.createObjectURL(new Blob([Uint8Array.from(text, (letter) => letter.charCodeAt(0))], { type: found[1] }));
}

/** The caption in force at a frame, "" where there is none. */
function captionAt(clip, frame) {
  const index = tileInForce(
    clip.captions.map(([first]) => first),
    frame,
  );
  return index < 0 ? "" : clip.captions[index][1];
}
