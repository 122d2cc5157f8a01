// The model page: mounts the threshold tuner.
import { mountTuner } from "./tuner.js";

const place = document.querySelector('[data-page="tuner"]');
if (place) mountTuner(place);
