/** The controls of the map's overlay, remembered between pages. One plain object, read by whoever draws. */

const STORED = "overlay";
const DEFAULTS = { isShown: true, opacity: 60, scale: "inferno", isMasked: false, maskFrom: null };

/**
 * @param {Element} root  holds `[data-overlay-controls]`
 * @param {() => void} onChange
 * @returns {{look: (map: {max: number, ngAt: number|null}) => object, setMap: (max: number, ngAt: number|null) => void}}
 */
export function overlayControls(root, onChange) {
  const controls = Object.fromEntries([...root.querySelectorAll("[data-overlay]")].map((input) => [input.dataset.overlay, input]));
  const output = root.querySelector("[data-mask-value]");
  const kept = { ...DEFAULTS, ...JSON.parse(localStorage.getItem(STORED) ?? "{}") };
  let map = { max: 1, ngAt: null };

  controls.shown.checked = kept.isShown;
  controls.opacity.value = kept.opacity;
  controls.scale.value = kept.scale;
  controls.masked.checked = kept.isMasked;

  /** The mask begins at NG's threshold where the map has the score's scale, else at half of it, until someone moves it. */
  function maskFrom() {
    if (kept.maskFrom !== null) return kept.maskFrom;
    const { max, ngAt } = map;
    return ngAt !== null && ngAt > 0 && ngAt < max ? Math.round((255 * ngAt) / max) : 128;
  }

  function show() {
    controls.maskFrom.value = maskFrom();
    output.textContent = ((maskFrom() / 255) * map.max).toPrecision(2);
  }

  function changed(event) {
    kept.isShown = controls.shown.checked;
    kept.opacity = Number(controls.opacity.value);
    kept.scale = controls.scale.value;
    kept.isMasked = controls.masked.checked;
    if (event?.target === controls.maskFrom) kept.maskFrom = Number(controls.maskFrom.value);
    localStorage.setItem(STORED, JSON.stringify(kept));
    show();
    onChange();
  }

  Object.values(controls).forEach((input) => input.addEventListener("input", changed));
  document.addEventListener("keydown", (event) => {
    if (isTyping(event)) return;
    const control = { m: controls.shown, t: controls.masked }[event.key.toLowerCase()];
    if (!control) return;
    control.checked = !control.checked;
    changed();
  });
  show();

  return {
    look: () => ({ isShown: kept.isShown, opacity: kept.opacity / 100, scale: kept.scale, isMasked: kept.isMasked, maskFrom: maskFrom() }),
    setMap: (max, ngAt) => {
      map = { max, ngAt };
      show();
    },
  };
}

/** Shortcuts rest while someone types, or holds a modifier. */
export function isTyping(event) {
  return event.ctrlKey || event.metaKey || event.altKey || event.target.closest?.("input[type=text], input[type=number], input:not([type]), textarea, select") !== null;
}
