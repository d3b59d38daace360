// What the views do beyond links and forms: signing in and out, copying, and showing changes as they happen.
// Without it, every view can still be read.

async function post(path, body) {
  return fetch(path, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
}

const signIn = document.querySelector("[data-sign-in]");
signIn?.addEventListener("submit", async (event) => {
  event.preventDefault();
  const refused = signIn.querySelector("[data-refused]");
  refused.textContent = "";
  try {
    const answer = await post("/page/sign-in", { key: signIn.elements.key.value });
    if (answer.ok) location.assign(signIn.dataset.next);
    else refused.textContent = (await answer.json()).error.message;
  } catch {
    refused.textContent = "The server does not answer.";
  }
});

const deletion = document.querySelector("[data-delete]");
deletion?.addEventListener("submit", async (event) => {
  event.preventDefault();
  const { layout, id } = deletion.dataset;
  const answer = await post("/page/session/delete", { layout, id });
  if (answer.ok) location.assign("/page/sessions");
  else deletion.querySelector("[data-refused]").textContent = (await answer.json()).error.message;
});

document.querySelector("[data-sign-out]")?.addEventListener("click", async () => {
  await post("/page/sign-out", {});
  location.assign("/page/sign-in");
});

for (const button of document.querySelectorAll("[data-copy]")) {
  button.addEventListener("click", async () => {
    const said = document.querySelector("[data-copied]");
    said.textContent = "Copying …";
    const answer = await fetch(button.dataset.copy);
    if (!answer.ok) {
      said.textContent = "The text could not be read.";
      return;
    }
    try {
      await navigator.clipboard.writeText(await answer.text());
      said.textContent = ["Copied.", answer.headers.get("x-chatstore-note")].join(" ").trim();
    } catch {
      said.textContent = "The browser does not allow copying here.";
    }
  });
}

// A changed session is shown without losing the place: only the live part of the view is replaced.
const live = document.querySelector("[data-live]");
if (live !== null) {
  let waiting = null;
  const refresh = () => {
    if (waiting === null && document.visibilityState === "visible") waiting = setTimeout(replace, 1000);
  };
  const replace = async () => {
    waiting = null;
    const answer = await fetch(location.href, { headers: { accept: "text/html" } });
    if (!answer.ok) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    const part = fresh.querySelector("[data-live]");
    if (part !== null && !live.contains(document.activeElement)) live.replaceChildren(...part.childNodes);
  };
  if (live.dataset.live === "storage") setInterval(refresh, 5000);
  else {
    const shown = new URLSearchParams(location.search);
    const isOther = (change) => live.dataset.live === "session" && change.session_id !== live.dataset.id;
    if (!shown.has("cursor")) {
      const events = new EventSource("/store/events");
      const changed = (event) => isOther(JSON.parse(event.data)) || refresh();
      for (const kind of ["new", "changed", "deleted", "missed"]) events.addEventListener(kind, changed);
    }
  }
}
