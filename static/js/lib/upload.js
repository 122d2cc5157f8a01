/** An upload that says how far it is; fetch can't. */
import { ApiError } from "./api.js";

/**
 * @param {string} url
 * @param {FormData} form  with its CSRF token
 * @param {(share: number) => void} onProgress  0 to 1
 * @returns {Promise<{status: number, body: any}>} the answer and its JSON
 * @throws {ApiError}
 */
export function upload(url, form, onProgress) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", url);
    request.setRequestHeader("Accept", "application/json");
    request.setRequestHeader("X-CSRFToken", form.get("csrfmiddlewaretoken"));
    request.responseType = "json";
    request.upload.addEventListener("progress", (event) => {
      if (event.lengthComputable) onProgress(event.loaded / event.total);
    });
    request.addEventListener("load", () => {
      if (request.status < 400 && request.response) resolve({ status: request.status, body: request.response });
      else reject(new ApiError(reasonOf(request), request.status, request.response));
    });
    request.addEventListener("error", () =>
      reject(new ApiError("The server can't be reached, or it broke the upload off.", 0, null)),
    );
    request.send(form);
  });
}

function reasonOf(request) {
  const body = request.response;
  if (body?.detail) return body.detail;
  const errors = body && Object.values(body).flat();
  return errors?.length ? errors.join(" ") : `The server answered ${request.status}.`;
}
