// What is asked of the server. Whoever asks learns why it was not done, or waits until it is.

export class Refused extends Error {
  constructor(told, wait) {
    super(told.error);
    this.why = told.why;
    this.wait = wait; // Milliseconds until it may be asked again; undefined: that would not help.
  }
}

const LONGEST = 15000; // Milliseconds between two tries.
const AFTER = {often: 2000, full: LONGEST, slow: 1000}; // Milliseconds.

async function once(path, message) {
  let answer;
  let told;
  try {
    const given = message && {method: 'POST', body: JSON.stringify(message)};
    answer = await fetch(`api/${path}`, given);
    told = await answer.json();
  } catch {
    if (answer?.status === 403) throw new Refused({error: 'Open the study by the address that you were given.'});
    throw new Refused({why: 'lost', error: 'The study cannot be reached; this page goes on trying.'}, 1000);
  }
  if (answer.ok) return told;
  const wait = 1000 * Number(answer.headers.get('retry-after')) || AFTER[told.why];
  throw new Refused(told, answer.status === 500 ? LONGEST : wait);
}

/** Asks until there is an answer; tell(text) while there is none, tell('') in the end.
 * Throws Refused where asking again would not help. */
export async function ask(path, message, tell) {
  for (let tries = 0; ; tries++) {
    try {
      const told = await once(path, message);
      tell('');
      return told;
    } catch (error) {
      if (error.wait === undefined) throw error;
      tell(error.message);
      await new Promise((done) => setTimeout(done, Math.min(error.wait * 1.5 ** tries, LONGEST)));
    }
  }
}
