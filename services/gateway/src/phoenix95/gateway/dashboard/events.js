// Server-sent events by fetch: unlike EventSource it can carry the API key.

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 8000;
const SILENT_MS = 25000; // the server speaks every ten seconds
const KEY = "phoenix95-key";

/** Follow `path` until `stop()`. `on` has `event(name, data)`, `state(name, words)` and `refused(words)`. */
export function follow(path, on) {
  let controller = null;
  let stopped = false;
  let wait = FIRST_WAIT_MS;

  async function once() {
    controller = new AbortController();
    const mine = controller;
    let silence = setTimeout(() => mine.abort(), SILENT_MS);
    try {
      const key = sessionStorage.getItem(KEY);
      const headers = key ? { "X-API-Key": key } : {};
      const answer = await fetch(path, { headers, cache: "no-store", signal: mine.signal });
      if (!answer.ok) return await refusal(answer);
      on.state("live", "live");
      const frames = split((name, text) => {
        try {
          on.event(name, JSON.parse(text));
        } catch (error) {
          console.error(name, error); // one panel's fault must not stop the others
        }
      });
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      for (;;) {
        const { value, done } = await reader.read();
        if (done) return true;
        clearTimeout(silence);
        silence = setTimeout(() => mine.abort(), SILENT_MS);
        wait = FIRST_WAIT_MS;
        frames(value);
      }
    } finally {
      clearTimeout(silence);
    }
  }

  async function refusal(answer) {
    const words = (await answer.json().catch(() => ({}))).detail ?? `answer ${answer.status}`;
    if (answer.status === 401 || answer.status === 403) {
      sessionStorage.removeItem(KEY);
      on.refused(words);
      stopped = true;
    }
    on.state("lost", words);
    return false;
  }

  async function forever() {
    while (!stopped) {
      const ended = await once().catch(() => true); // a broken connection; the browser's console has the reason
      if (stopped) return;
      if (ended) on.state("lost", "reconnecting");
      await new Promise((resume) => setTimeout(resume, wait * (0.5 + Math.random() / 2)));
      wait = Math.min(LONGEST_WAIT_MS, wait * 2);
    }
  }

  forever();
  return function stop() {
    stopped = true;
    controller?.abort();
  };
}

/** Keep the key for this tab. */
export function keep(key) {
  sessionStorage.setItem(KEY, key);
}

/** A reader of chunks that calls `tell(name, text)` for each whole event. */
export function split(tell) {
  let rest = "";
  return (chunk) => {
    const blocks = (rest + chunk).split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) {
      let name = "message";
      const data = [];
      for (const line of block.split("\n")) {
        if (line.startsWith("event: ")) name = line.slice(7);
        else if (line.startsWith("data: ")) data.push(line.slice(6));
      }
      if (data.length) tell(name, data.join("\n"));
    }
  };
}
