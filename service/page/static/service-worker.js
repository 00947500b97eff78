// Caches the page's own files, so that it opens without a connection. It handles these files and no other requests:
// photos, answers and the list of models never pass through it. The server's version is used if it can be reached.

const CACHE = "nightlift-page";
const PAGE = "./";
const FILES = [
  PAGE,
  "models.html",
  "static/colours.css",
  "static/style.css",
  "static/favicon.svg",
  "static/icon-192.png",
  "static/manifest.json",
  ...["street.jpg", "street-after.webp", "meadow.jpg", "meadow-after.webp", "festival.jpg", "sunset.jpg"].map(
    (name) => `static/samples/${name}`,
  ),
  ...[
    "api",
    "app",
    "comparison",
    "controls",
    "copies",
    "download",
    "explain",
    "files",
    "film",
    "finals",
    "grading",
    "histogram",
    "history",
    "inspect",
    "intake",
    "keys",
    "library",
    "memory",
    "models",
    "models_page",
    "offer",
    "painter_canvas",
    "painter_webgl",
    "photo",
    "pixels",
    "previews",
    "problems",
    "queue",
    "session",
    "settings",
    "shadows",
    "sharing",
    "shortcuts",
    "showcase",
    "stage",
    "thumbnails",
    "timing",
    "view",
    "viewer",
    "zip",
  ].map((name) => `static/scripts/${name}.js`),
];
const URLS = new Set(FILES.map((file) => new URL(file, registration.scope).href));

addEventListener("install", (event) => {
  event.waitUntil(caches.open(CACHE).then((cache) => cache.addAll(FILES)));
  skipWaiting();
});

addEventListener("activate", (event) => event.waitUntil(clients.claim()));

addEventListener("fetch", (event) => {
  const { request } = event;
  const url = request.url.split(/[?#]/)[0];
  if (request.method === "GET" && URLS.has(url)) event.respondWith(fresh(request, url));
});

/** The server's file, which is also cached; the cached file if the server, perhaps behind a proxy, does not answer. */
async function fresh(request, url) {
  const cache = await caches.open(CACHE);
  const response = await fetch(request).catch(() => Response.error());
  if (response.ok) await cache.put(url, response.clone()).catch(() => {}); // storage may be full
  const isAway = response.type === "error" || response.status >= 500;
  return (isAway && (await cache.match(url))) || response;
}
