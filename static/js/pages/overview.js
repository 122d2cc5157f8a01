import { liveSocket } from "../lib/socket.js";
import { sayStale } from "../lib/stale.js";
import { clockTime } from "../lib/time.js";

const REFRESH_MS = 10_000;
const root = document.querySelector('[data-page="overview"]');
const cards = root.querySelector("[data-cards]");
let isRefreshing = false;

/** The cards again as the server draws them: yields, pace, alarms, who runs. */
async function refresh() {
  if (isRefreshing || document.hidden) return;
  isRefreshing = true;
  try {
    const response = await fetch(root.dataset.cardsUrl, { headers: { "HX-Request": "true" } });
    if (response.ok && !response.redirected) cards.innerHTML = await response.text();
  } catch {
    // The socket says when the server is away.
  } finally {
    isRefreshing = false;
  }
}

function showPart(part) {
  const card = cards.querySelector(`[data-line-card="${CSS.escape(part.line)}"]`);
  if (!card) return refresh();
  const tile = card.querySelector("[data-verdict]");
  tile.className = `verdict-tile verdict-${part.verdict.toLowerCase()}`;
  tile.setAttribute("aria-label", `Last verdict: ${part.verdict}`);
  tile.querySelector("[data-verdict-word]").textContent = part.verdict;
  card.querySelector("[data-last]").textContent = `#${part.sequence} · ${clockTime(part.judged_at, root.dataset.timeZone)}`;
}

liveSocket("/ws/overview/", {
  onMessage: (event) => (event.type === "part_judged" ? showPart(event) : refresh()),
  onOpen: () => {
    sayStale(root, null);
    refresh();
  },
  onStale: (since) => sayStale(root, since),
});
setInterval(refresh, REFRESH_MS);
document.addEventListener("visibilitychange", refresh);
