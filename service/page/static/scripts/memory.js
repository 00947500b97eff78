// Preferences and the last list of models, kept in localStorage if the browser allows it.

/** The value stored under a name, or null. */
export function recall(name) {
  try {
    return JSON.parse(localStorage.getItem(`nightlift-${name}`));
  } catch {
    return null;
  }
}

export function remember(name, value) {
  try {
    localStorage.setItem(`nightlift-${name}`, JSON.stringify(value));
  } catch {
    // Storage is full or not allowed; the page works without it.
  }
}
