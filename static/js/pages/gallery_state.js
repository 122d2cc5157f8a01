/**
 * Cursor and selection of the gallery, without a page: ids in, ids out.
 * @typedef {{ids: number[], cursor: number, anchor: number, selected: Set<number>}} State
 */

/** @returns {State} */
export function begin(ids) {
  return { ids, cursor: 0, anchor: 0, selected: new Set() };
}

/** More images came in behind the ones that are there. @returns {State} */
export function extended(state, ids) {
  return { ...state, ids };
}

/** How far a key moves the cursor when a row holds so many images; 0 for any other key. */
export function stepOf(key, columns) {
  return { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns }[key] ?? 0;
}

/**
 * The cursor moved by a step. A step beyond an end stays put, so that no row is skipped by half;
 * with `isExtending` everything between the anchor and the cursor is selected.
 * @returns {State}
 */
export function moved(state, step, isExtending = false) {
  const wanted = state.cursor + step;
  const cursor = wanted < 0 || wanted >= state.ids.length ? state.cursor : wanted;
  return at(state, cursor, isExtending);
}

/** The cursor put on one image by a click. @returns {State} */
export function clicked(state, id, { isExtending = false, isToggling = false } = {}) {
  const index = state.ids.indexOf(id);
  if (index < 0) return state;
  if (!isToggling) return at(state, index, isExtending);
  const selected = new Set(state.selected);
  if (!selected.delete(id)) selected.add(id);
  return { ...state, cursor: index, anchor: index, selected };
}

/** @returns {State} */
export function allSelected(state) {
  return { ...state, selected: new Set(state.ids) };
}

/** @returns {State} */
export function noneSelected(state) {
  return { ...state, anchor: state.cursor, selected: new Set() };
}

/** What a key acts on: the selection, or without one the image under the cursor. @returns {number[]} */
export function targets(state) {
  if (state.selected.size) return state.ids.filter((id) => state.selected.has(id));
  return state.ids.length ? [state.ids[state.cursor]] : [];
}

/** After a label: on to the next image, unless several were labelled at once. @returns {State} */
export function afterLabelling(state) {
  return state.selected.size ? state : moved(state, 1);
}

function at(state, cursor, isExtending) {
  if (!isExtending) return { ...state, cursor, anchor: cursor, selected: new Set() };
  const [from, to] = [Math.min(state.anchor, cursor), Math.max(state.anchor, cursor)];
  return { ...state, cursor, selected: new Set(state.ids.slice(from, to + 1)) };
}
