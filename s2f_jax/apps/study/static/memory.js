// Local storage of the browser; if it is blocked, values last until the page is closed.

const fallback = new Map();

export function recall(name) {
  try {
    return localStorage.getItem(name) ?? fallback.get(name) ?? null;
  } catch {
    return fallback.get(name) ?? null;
  }
}

export function remember(name, value) {
  fallback.set(name, value);
  try {
    localStorage.setItem(name, value);
  } catch {
    // Blocked; the participant has the code on the page.
  }
}

export function forget(name) {
  fallback.delete(name);
  try {
    localStorage.removeItem(name);
  } catch {
    // Blocked.
  }
}
