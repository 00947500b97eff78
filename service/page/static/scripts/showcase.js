// The samples on the welcome screen: a photo before and after, with a divider that moves once by itself, then by hand.

const SECONDS = 3.2;
const DELAY = 500; // milliseconds
/** Key frames: [time from 0 to 1, position of the divider in percent]. */
const PATH = [
  [0, 96],
  [0.45, 12],
  [1, 50],
];

/** Set up a `figure` that has two pictures, one on top of the other, and a range input from 0 to 100. */
export function showBeforeAndAfter(figure) {
  const slider = figure.querySelector("input");
  const follow = () => figure.style.setProperty("--place", `${slider.value}%`);
  let wasTouched = false;
  slider.addEventListener("input", () => {
    wasTouched = true;
    follow();
  });
  follow();
  if (matchMedia("(prefers-reduced-motion: reduce)").matches) return;
  const move = (started) => (now) => {
    const time = Math.min(1, (now - started) / (1000 * SECONDS));
    if (wasTouched) return;
    slider.value = placeAt(time);
    follow();
    if (time < 1) requestAnimationFrame(move(started));
  };
  const pictures = [...figure.querySelectorAll("img")];
  Promise.all(pictures.map((picture) => picture.decode())).then(
    () => setTimeout(() => requestAnimationFrame(move(performance.now())), DELAY),
    () => {},
  );
}

function placeAt(time) {
  const next = PATH.findIndex(([end]) => end >= time);
  const [[start, from], [end, to]] = [PATH[Math.max(0, next - 1)], PATH[next]];
  const part = end === start ? 1 : (time - start) / (end - start);
  return from + (to - from) * part * part * (3 - 2 * part);
}
