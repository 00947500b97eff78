// The geometry of zoom and pan. A view is {scale, left, top}: canvas pixels per photo pixel, and the position of the
// photo's top left corner in canvas pixels. `photo` and `room` are {width, height}, of the photo and of the canvas.

const LARGEST_SCALE = 32;

/** The whole photo, as large as it can be shown. */
export function fitted(photo, room) {
  return settled({ scale: fittingScale(photo, room), left: 0, top: 0 }, photo, room);
}

/** `view` enlarged by `factor` around `point`, {x, y} in canvas pixels. */
export function zoomed(view, factor, point, photo, room) {
  const fitting = fittingScale(photo, room);
  const scale = Math.min(Math.max(LARGEST_SCALE, fitting), Math.max(Math.min(1, fitting), view.scale * factor));
  const grown = scale / view.scale;
  const left = point.x - (point.x - view.left) * grown;
  const top = point.y - (point.y - view.top) * grown;
  return settled({ scale, left, top }, photo, room);
}

/** `view` moved by (x, y) canvas pixels. */
export function moved(view, x, y, photo, room) {
  return settled({ ...view, left: view.left + x, top: view.top + y }, photo, room);
}

/** Whether the photo is larger than the canvas, so that it can be moved. */
export function exceeds(view, photo, room) {
  return photo.width * view.scale > room.width + 1 || photo.height * view.scale > room.height + 1;
}

/** The columns of the canvas that the photo covers, [first, last). */
export function covered(view, photo, room) {
  return [Math.max(0, view.left), Math.min(room.width, view.left + photo.width * view.scale)];
}

function fittingScale(photo, room) {
  return Math.min(room.width / photo.width, room.height / photo.height);
}

/** Centre the photo where it is smaller than the canvas, else leave no gap. Whole pixels keep 100 % zoom sharp. */
function settled({ scale, left, top }, photo, room) {
  return {
    scale,
    left: settle(left, photo.width * scale, room.width),
    top: settle(top, photo.height * scale, room.height),
  };
}

function settle(start, length, room) {
  const settled = length <= room ? (room - length) / 2 : Math.min(0, Math.max(room - length, start));
  return Math.round(settled);
}
