/** Time left of something with a progress, from how fast it went lately. Pure. */

const WINDOW_S = 60;
const ENOUGH_S = 3;

/**
 * @param {[number, number][]} samples  (seconds, progress 0 to 1), oldest first
 * @returns {number|null} seconds left; null while it can't be told
 */
export function secondsLeft(samples) {
  if (samples.length < 2) return null;
  const [now, progress] = samples.at(-1);
  const [then, before] = samples.find(([at]) => at >= now - WINDOW_S);
  if (now - then < ENOUGH_S || progress <= before) return null;
  return ((1 - progress) * (now - then)) / (progress - before);
}

/**
 * @param {[number, number][]} samples
 * @param {{seconds: string, minutes: string, hours: string}} words  with {s}, {m} and {h} for the numbers
 * @returns {string} empty while it can't be told
 */
export function timeLeft(samples, words) {
  const seconds = secondsLeft(samples);
  if (seconds === null) return "";
  if (seconds < 60) return words.seconds.replace("{s}", Math.max(1, Math.round(seconds)));
  const minutes = Math.round(seconds / 60);
  if (minutes < 60) return words.minutes.replace("{m}", minutes);
  return words.hours.replace("{h}", Math.floor(minutes / 60)).replace("{m}", minutes % 60);
}
