/** The PLC as the line sees it: lamps and numbers. */

const RUN = 1;
const COLOURS = ["status-green", "status-red", "status-secondary"];

function light(lamp, colour) {
  lamp.classList.remove(...COLOURS);
  lamp.classList.add("status", `status-${colour}`);
}

/**
 * @param {Element} root  holds `[data-plc]`
 * @param {object|null} plc  the state in the line's events; null where nothing is known
 * @param {boolean} isLineRunning
 */
export function showPlc(root, plc, isLineRunning) {
  const card = root.querySelector("[data-plc]");
  const lamp = (name) => card.querySelector(`[data-lamp="${name}"]`);
  const isConnected = Boolean(plc?.is_connected);
  const unknown = !isLineRunning || plc === null;
  light(lamp("connected"), unknown ? "secondary" : isConnected ? "green" : "red");
  light(lamp("heartbeat"), unknown || !isConnected ? "secondary" : plc.is_heartbeat_missing ? "red" : "green");
  light(lamp("running"), unknown || !isConnected ? "secondary" : plc.command & RUN ? "green" : "secondary");
  card.querySelector("[data-lamp-text]").textContent = unknown ? "unknown" : isConnected ? "connected" : "not connected";
  card.querySelectorAll("[data-plc-value]").forEach((element) => {
    element.textContent = plc?.[element.dataset.plcValue] ?? "–";
  });
  card.querySelector("[data-plc-error]").textContent = (isLineRunning && plc?.error) || "";
}
