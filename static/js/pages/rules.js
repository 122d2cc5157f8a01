// Thresholds by rule: the server chooses from the held-out scores, the tuner's line moves there.
import { ApiError, api } from "../lib/api.js";

/**
 * @param {HTMLElement} place  the rules' part of the tuner
 * @param {{hasNg: boolean, onChosen: (choice: {value: number, reason: string}) => void}} options
 */
export function mountRules(place, { hasNg, onChosen }) {
  const part = (role) => place.querySelector(`[data-role="${role}"]`);
  const buttons = [...place.querySelectorAll("[data-rule]")];
  const fields = (rule) => place.querySelector(`[data-rule-fields="${rule}"]`);
  let asked = 0;

  function parametersOf(rule) {
    const inputs = [...(fields(rule)?.querySelectorAll("[data-parameter]") ?? [])].filter(({ value }) => value !== "");
    return new URLSearchParams(inputs.map((input) => [input.dataset.parameter, input.value]));
  }

  function say(reason, advice) {
    part("rule-reason").textContent = reason;
    part("rule-reason").hidden = !reason;
    part("rule-advice").textContent = advice;
    part("rule-advice").hidden = !advice;
  }

  async function choose(rule) {
    for (const button of buttons) button.setAttribute("aria-pressed", button.dataset.rule === rule);
    for (const button of buttons) button.classList.toggle("active", button.dataset.rule === rule);
    for (const row of place.querySelectorAll("[data-rule-fields]")) row.hidden = row.dataset.ruleFields !== rule;
    asked += 1;
    const number = asked;
    try {
      const choice = await api(`${place.dataset.address}${rule}/?${parametersOf(rule)}`);
      if (number !== asked) return; // a later choice is on its way
      say(choice.reason, choice.advice);
      onChosen(choice);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      if (number === asked) say("", error.message);
    }
  }

  for (const button of buttons) {
    button.disabled = button.dataset.needsNg === "yes" && !hasNg;
    button.addEventListener("click", () => choose(button.dataset.rule));
  }
  for (const row of place.querySelectorAll("[data-rule-fields]")) {
    row.addEventListener("change", () => choose(row.dataset.ruleFields));
  }

  /** The line was moved by hand: no rule stands behind it any longer. */
  return function forget() {
    asked += 1;
    for (const button of buttons) {
      button.setAttribute("aria-pressed", false);
      button.classList.remove("active");
    }
    say("", "");
  };
}
