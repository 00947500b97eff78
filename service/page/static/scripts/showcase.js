// A photo before and after on the first page: a divider that moves by itself once, and then by whoever likes to.

const SECONDS = 3.2;
const DELAY = 500; // milliseconds
/** [time from 0 to 1, place of the divider in percent]. */
const PATH = [
  [0, 96],
  [0.45, 12],
  [1, 50],
];

/** `figure` holds two pictures, one over the other, and a range input from 0 to 100. */
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
