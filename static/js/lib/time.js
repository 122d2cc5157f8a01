/**
 * Times as the server writes them: 24 hours, in the plant's zone, whatever the browser's.
 * @param {string|Date} at
 * @param {string} timeZone  of the plant, as `data-time-zone` has it
 */
export function clockTime(at, timeZone) {
  return new Date(at).toLocaleTimeString("en-GB", { timeZone, hourCycle: "h23" });
}
