/**
 * A map of suspicion over an image: values 0 to 255 at the method's own resolution, enlarged smoothly, coloured here.
 * Everything above `loadMap` is pure, so it is tested without a browser.
 */

/** Colour scales as a few stops, [position 0..1, r, g, b]; between them it is linear. */
const STOPS = {
  inferno: [[0, 0, 0, 4], [0.25, 87, 16, 110], [0.5, 188, 55, 84], [0.75, 249, 142, 9], [1, 252, 255, 164]],
  viridis: [[0, 68, 1, 84], [0.25, 59, 82, 139], [0.5, 33, 145, 140], [0.75, 94, 201, 98], [1, 253, 231, 37]],
  turbo: [[0, 48, 18, 59], [0.2, 65, 105, 225], [0.4, 27, 207, 212], [0.6, 164, 252, 60], [0.8, 251, 128, 34], [1, 122, 4, 3]],
  red: [[0, 255, 210, 210], [1, 255, 0, 0]],
};

/** @returns {string[]} the names of the colour scales */
export const SCALES = Object.keys(STOPS);

/**
 * @param {string} name
 * @returns {Uint8ClampedArray} 256 × RGB
 */
export function colourTable(name) {
  const stops = STOPS[name] ?? STOPS.inferno;
  const table = new Uint8ClampedArray(256 * 3);
  for (let value = 0; value < 256; value++) {
    const at = value / 255;
    const upper = Math.max(1, stops.findIndex(([position]) => position >= at));
    const [from, to] = [stops[upper - 1], stops[upper]];
    const share = (at - from[0]) / (to[0] - from[0]);
    for (let channel = 0; channel < 3; channel++) {
      table[3 * value + channel] = from[channel + 1] + share * (to[channel + 1] - from[channel + 1]);
    }
  }
  return table;
}

/**
 * Bilinear, with pixel centres aligned: what the map says lies where it said it.
 * @param {Uint8Array|Uint8ClampedArray} values  row by row
 * @param {number} height @param {number} width  of `values`
 * @param {number} toHeight @param {number} toWidth
 * @returns {Float32Array}
 */
export function enlarge(values, height, width, toHeight, toWidth) {
  const enlarged = new Float32Array(toHeight * toWidth);
  const columns = Array.from({ length: toWidth }, (_, x) => neighbours(x, width / toWidth, width));
  for (let y = 0; y < toHeight; y++) {
    const [top, bottom, down] = neighbours(y, height / toHeight, height);
    for (let x = 0; x < toWidth; x++) {
      const [left, right, across] = columns[x];
      const upper = values[top * width + left] * (1 - across) + values[top * width + right] * across;
      const lower = values[bottom * width + left] * (1 - across) + values[bottom * width + right] * across;
      enlarged[y * toWidth + x] = upper * (1 - down) + lower * down;
    }
  }
  return enlarged;
}

function neighbours(position, step, count) {
  const at = Math.min(Math.max((position + 0.5) * step - 0.5, 0), count - 1);
  const first = Math.floor(at);
  return [first, Math.min(first + 1, count - 1), at - first];
}

/**
 * @param {Float32Array|Uint8Array} values  0 to 255
 * @param {{table: Uint8ClampedArray, opacity: number, isMasked: boolean, maskFrom: number}} look
 *   opacity 0 to 1; with a mask only values from `maskFrom` on show, all alike; without it, faint values are faint
 * @returns {Uint8ClampedArray} RGBA
 */
export function colourise(values, { table, opacity, isMasked, maskFrom }) {
  const rgba = new Uint8ClampedArray(values.length * 4);
  for (let index = 0; index < values.length; index++) {
    const value = values[index];
    const colour = 3 * Math.round(value);
    rgba[4 * index] = table[colour];
    rgba[4 * index + 1] = table[colour + 1];
    rgba[4 * index + 2] = table[colour + 2];
    const alpha = isMasked ? Number(value >= maskFrom) : Math.min(1, value / 200);
    rgba[4 * index + 3] = 255 * opacity * alpha;
  }
  return rgba;
}

/** The largest size of the image's shape that fits a box and no more than the image's own pixels. */
export function fitted(height, width, boxHeight, boxWidth) {
  const share = Math.min(boxHeight / height, boxWidth / width);
  return { height: Math.max(1, Math.round(height * share)), width: Math.max(1, Math.round(width * share)), share };
}

/**
 * @param {string} url  of an 8-bit grey PNG
 * @returns {Promise<{values: Uint8Array, height: number, width: number}>}
 */
export async function loadMap(url) {
  const bitmap = await loadBitmap(url);
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  const { data } = context.getImageData(0, 0, bitmap.width, bitmap.height);
  const values = new Uint8Array(bitmap.width * bitmap.height);
  for (let index = 0; index < values.length; index++) values[index] = data[4 * index];
  return { values, height: bitmap.height, width: bitmap.width };
}

/**
 * @param {string} url
 * @returns {Promise<ImageBitmap>} decoded off the main thread, values as stored
 */
export async function loadBitmap(url) {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${response.status} for ${url}`);
  return createImageBitmap(await response.blob(), { colorSpaceConversion: "none" });
}

/**
 * Draw an image, and its map over the box that it covers.
 * @param {HTMLCanvasElement} canvas  takes the size of its element
 * @param {ImageBitmap} image
 * @param {{values: Uint8Array, height: number, width: number, box: number[]}|null} map  box: top, left, height, width in image pixels
 * @param {{isShown: boolean, opacity: number, scale: string, isMasked: boolean, maskFrom: number}} look
 */
export function drawView(canvas, image, map, look) {
  const ratio = Math.min(window.devicePixelRatio || 1, 2);
  const stage = canvas.parentElement;
  const size = fitted(image.height, image.width, stage.clientHeight * ratio, stage.clientWidth * ratio);
  if (canvas.width !== size.width || canvas.height !== size.height) {
    canvas.width = size.width;
    canvas.height = size.height;
    canvas.style.width = `${size.width / ratio}px`;
    canvas.style.height = `${size.height / ratio}px`;
  }
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(image, 0, 0, size.width, size.height);
  if (map && look.isShown) drawMap(context, size, map, look);
}

function drawMap(context, size, map, look) {
  const [top, left, height, width] = map.box;
  const onCanvas = { height: Math.max(1, Math.round(height * size.share)), width: Math.max(1, Math.round(width * size.share)) };
  const values = enlarge(map.values, map.height, map.width, onCanvas.height, onCanvas.width);
  const rgba = colourise(values, { ...look, table: colourTable(look.scale) });
  const layer = new OffscreenCanvas(onCanvas.width, onCanvas.height);
  layer.getContext("2d").putImageData(new ImageData(rgba, onCanvas.width, onCanvas.height), 0, 0);
  context.drawImage(layer, left * size.share, top * size.share);
}
