// Small things that the browser remembers, where it lets the page: preferences, and the last list of models.

/** What was remembered under a name, or null. */
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
    // Forgotten, then: storage is full, or not allowed.
  }
}
