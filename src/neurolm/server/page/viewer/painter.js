/**
 * The thread in which tiles of traces are drawn, so that the page's own thread is free to move what is drawn already.
 */

import { paint } from "./paint.js";

const canvas = new OffscreenCanvas(1, 1);

addEventListener("message", ({ data }) => {
  paint(canvas, data);
  const picture = canvas.transferToImageBitmap();
  postMessage({ number: data.number, picture }, [picture]);
});
