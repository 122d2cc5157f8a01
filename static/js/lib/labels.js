/** Saving labels one request after the other, painting at once and taking back what was not saved. */
import { api } from "./api.js";
import { toast } from "./toast.js";

/**
 * @typedef {{number: number, name: string}|null} LabelClass
 * @typedef {{class: LabelClass, isDisputed: boolean}} Standing
 * @param {{labelsUrl: string, undoUrl: string, paint: (id: number, standing: Standing, isSaving: boolean) => void,
 *          paintCounts: (counts: object) => void}} page
 */
export function labelQueue({ labelsUrl, undoUrl, paint, paintCounts }) {
  /** @type {Map<number, Standing>} what the server has said last */
  const confirmed = new Map();
  /** @type {Map<number, number>} requests under way, by image */
  const pending = new Map();
  /** @type {number[][]} what each action changed, for undo */
  const history = [];
  let last = Promise.resolve();

  function count(ids, by) {
    ids.forEach((id) => pending.set(id, (pending.get(id) ?? 0) + by));
  }

  // While a later request for the same image is under way, its paint stays.
  function settle(ids) {
    count(ids, -1);
    ids.filter((id) => !pending.get(id)).forEach((id) => paint(id, confirmed.get(id), false));
  }

  function learn(answer) {
    answer.images.forEach((image) =>
      confirmed.set(image.id, { class: image.class, isDisputed: image.is_disputed }),
    );
    paintCounts(answer.counts);
  }

  async function send(url, body, ids) {
    try {
      const answer = await api(url, { method: "POST", body });
      learn(answer);
      return answer.changed;
    } catch (error) {
      toast(`${error.message} (${ids.length === 1 ? "1 image" : `${ids.length} images`} not labelled)`, "error");
      return [];
    } finally {
      settle(ids);
    }
  }

  return {
    /** The page's own standing of an image, before anything was sent. */
    know(id, standing) {
      if (!confirmed.has(id)) confirmed.set(id, standing);
    },

    /** @param {number[]} ids @param {LabelClass} labelClass */
    label(ids, labelClass) {
      count(ids, 1);
      ids.forEach((id) => paint(id, { ...confirmed.get(id), class: labelClass }, true));
      last = last.then(async () => {
        const changed = await send(labelsUrl, { images: ids, class: labelClass.name }, ids);
        if (changed.length) history.push(changed);
      });
      return last;
    },

    undo() {
      last = last.then(async () => {
        const ids = history.pop();
        if (!ids) {
          toast("There is nothing to undo since this page was opened.", "warning");
          return;
        }
        count(ids, 1);
        await send(undoUrl, { images: ids }, ids);
      });
      return last;
    },
  };
}
