/** Requests to this site's own REST API, with its errors in words. */

export class ApiError extends Error {
  constructor(message, status, body) {
    super(message);
    this.status = status;
    this.body = body;
  }
}

function csrfToken() {
  return JSON.parse(document.body.getAttribute("hx-headers"))["X-CSRFToken"];
}

function firstWords(body) {
  if (typeof body === "string") return body;
  if (body?.detail) return body.detail;
  const [field, errors] = Object.entries(body ?? {})[0] ?? [];
  return field ? `${field}: ${[].concat(errors).join(" ")}` : "The server gave no reason.";
}

/**
 * @param {string} url
 * @param {{method?: string, body?: object|FormData}} options
 * @returns {Promise<any>} the answer's JSON
 * @throws {ApiError} with what the server said
 */
export async function api(url, { method = "GET", body } = {}) {
  const headers = { Accept: "application/json", "X-CSRFToken": csrfToken() };
  const isForm = body instanceof FormData;
  if (body && !isForm) headers["Content-Type"] = "application/json";
  let response;
  try {
    response = await fetch(url, { method, headers, body: isForm || !body ? body : JSON.stringify(body) });
  } catch {
    throw new ApiError("The server can't be reached. Nothing was changed.", 0, null);
  }
  const text = await response.text();
  let parsed = null;
  try {
    parsed = text ? JSON.parse(text) : null;
  } catch {
    parsed = null;
  }
  if (!response.ok) throw new ApiError(firstWords(parsed ?? `The server answered ${response.status}.`), response.status, parsed);
  return parsed;
}
