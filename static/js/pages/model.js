// The model page: the threshold tuner, and the figures that follow its line.
import { mountDiscovery } from "./discovery.js";
import { mountEvaluation } from "./evaluation.js";
import { mountTuner } from "./tuner.js";

mountDiscovery();
const follow = mountEvaluation();
const place = document.querySelector('[data-page="tuner"]');
if (place) mountTuner(place, follow);
