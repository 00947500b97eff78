// Bars for the time of each stage, from the header Server-Timing. The rest of the elapsed time is the transfer.

const MEANING = {
  read: "Receive",
  decode: "Decode",
  queue: "Wait",
  infer: "Network",
  restore: "Denoise",
  render: "Render",
  encode: "Encode",
};

/** Fill `list`, an <ol>, from a report of `enhance`. */
export function showTiming(list, { stages, elapsed }) {
  const inside = stages.reduce((sum, { milliseconds }) => sum + milliseconds, 0);
  const rows = stages.map(({ name, milliseconds }) => [MEANING[name] ?? name, milliseconds]);
  rows.push(["Transfer", Math.max(0, elapsed - inside)]);
  list.replaceChildren(...rows.map(([name, milliseconds]) => row(name, milliseconds, milliseconds / elapsed)));
}

export function duration(milliseconds) {
  return milliseconds < 1000 ? `${milliseconds.toFixed(0)} ms` : `${(milliseconds / 1000).toFixed(1)} s`;
}

function row(name, milliseconds, share) {
  const item = document.createElement("li");
  const [label, bar, time] = ["span", "span", "span"].map((tag) => document.createElement(tag));
  label.textContent = name;
  bar.className = "bar";
  bar.style.setProperty("--share", Math.min(1, share));
  time.textContent = duration(milliseconds);
  item.append(label, bar, time);
  return item;
}
