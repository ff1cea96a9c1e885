// Requests to the study's server, repeated while it cannot answer.

export class RequestError extends Error {
  constructor(response, wait) {
    super(response.error);
    this.why = response.why;
    this.wait = wait; // Milliseconds until a retry; undefined: a retry would not help.
  }
}

const MAX_WAIT = 15000; // Milliseconds between two tries.
const WAIT = {often: 2000, full: MAX_WAIT, slow: 1000}; // Milliseconds, by the reason.

async function send(path, message) {
  let response;
  let body;
  try {
    response = await fetch(`api/${path}`, message && {method: 'POST', body: JSON.stringify(message)});
    body = await response.json();
  } catch {
    if (response?.status === 403) throw new RequestError({error: 'Open the study with the link that you were given.'});
    throw new RequestError({why: 'lost', error: 'The study cannot be reached; trying again.'}, 1000);
  }
  if (response.ok) return body;
  const wait = 1000 * Number(response.headers.get('retry-after')) || WAIT[body.why];
  throw new RequestError(body, response.status === 500 ? MAX_WAIT : wait);
}

/** Sends until there is an answer; showMessage(text) while there is none, showMessage('') in the end.
 * Throws RequestError where a retry would not help. */
export async function request(path, message, showMessage) {
  for (let tries = 0; ; tries++) {
    try {
      const body = await send(path, message);
      showMessage('');
      return body;
    } catch (error) {
      if (error.wait === undefined) throw error;
      showMessage(error.message);
      await new Promise((done) => setTimeout(done, Math.min(error.wait * 1.5 ** tries, MAX_WAIT)));
    }
  }
}
