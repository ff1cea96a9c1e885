// What this browser remembers of a study; where it may not, only until the page is closed.

const held = new Map();

export function recall(name) {
  try {
    return localStorage.getItem(name) ?? held.get(name) ?? null;
  } catch {
    return held.get(name) ?? null;
  }
}

export function remember(name, value) {
  held.set(name, value);
  try {
    localStorage.setItem(name, value);
  } catch {
    // It may not; the code on the page is what the person has then.
  }
}

export function forget(name) {
  held.delete(name);
  try {
    localStorage.removeItem(name);
  } catch {
    // It never could remember.
  }
}
