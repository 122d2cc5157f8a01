/**
 * A WebSocket that comes back by itself and says when what is shown is stale.
 * @param {string} path  e.g. "/ws/lines/demo/"
 * @param {{onMessage: (event: object) => void, onOpen?: () => void, onStale?: (since: Date) => void}} handlers
 * @returns {() => void} closes it for good
 */
export function liveSocket(path, { onMessage, onOpen = () => {}, onStale = () => {} }) {
  const address = `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}${path}`;
  let socket;
  let delayMs = 250;
  let staleSince = null;
  let isClosed = false;

  function connect() {
    socket = new WebSocket(address);
    socket.addEventListener("open", () => {
      delayMs = 250;
      staleSince = null;
      onOpen();
    });
    socket.addEventListener("message", (message) => onMessage(JSON.parse(message.data)));
    socket.addEventListener("close", () => {
      if (isClosed) return;
      staleSince ??= new Date();
      onStale(staleSince);
      setTimeout(connect, delayMs);
      delayMs = Math.min(delayMs * 2, 5000);
    });
  }

  connect();
  return () => {
    isClosed = true;
    socket.close();
  };
}
