// What the views do beyond links and forms: signing in and out, copying, and showing changes as they happen.
// Without it, every view can still be read.

const DONE = "chatstore done";
const UNREACHABLE = "The server does not answer.";

async function post(path, body) {
  return fetch(path, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
}

// Sends a form as JSON. An error is shown in the form, in the server's words. The `message` of an answer is shown on the next view.
function submits(form, path, content, following) {
  form?.addEventListener("submit", async (event) => {
    event.preventDefault();
    const refused = form.querySelector("[data-refused]");
    refused.textContent = "";
    form.elements.key?.removeAttribute("aria-invalid");
    try {
      const answer = await post(path, content());
      const body = await answer.json();
      if (answer.ok) {
        if (body.message) showOnNextView(body.message);
        return location.assign(following());
      }
      refused.textContent = body.error.message;
      form.elements.key?.setAttribute("aria-invalid", "true");
      form.elements.key?.select();
    } catch {
      refused.textContent = UNREACHABLE;
    }
  });
}

// The result of an action is shown once, on the view that follows. A screen reader announces a text that is added to a
// view, so the script adds it. In a browser that forbids storage, the result is not shown, and all else works.
function showOnNextView(text) {
  try {
    sessionStorage.setItem(DONE, text);
  } catch {}
}

try {
  const done = sessionStorage.getItem(DONE);
  sessionStorage.removeItem(DONE);
  if (done !== null) document.querySelector("[data-done]").textContent = done;
} catch {}

const signIn = document.querySelector("[data-sign-in]");
submits(signIn, "/page/sign-in", () => ({ key: signIn.elements.key.value.trim() }), () => signIn.dataset.next);

const deletion = document.querySelector("[data-delete]");
const named = () => ({ layout: deletion.dataset.layout, id: deletion.dataset.id });
submits(deletion, "/page/session/delete", named, () => deletion.dataset.next);

// The browser knows where its user is. Without it, the zone is chosen from the list.
const ownZone = document.querySelector("[data-own-zone]");
if (ownZone !== null) {
  const { timeZone } = Intl.DateTimeFormat().resolvedOptions();
  const choice = ownZone.form.elements.timezone;
  const known = [...choice.options].some((option) => option.value === timeZone);
  ownZone.hidden = !known || choice.value === timeZone;
  ownZone.textContent = `Use that of this browser: ${timeZone}`;
  ownZone.addEventListener("click", () => {
    choice.value = timeZone;
    ownZone.form.requestSubmit();
  });
}

const notice = document.querySelector("[data-notice]");

document.querySelector("[data-sign-out]")?.addEventListener("click", async () => {
  try {
    await post("/page/sign-out", {});
    location.assign("/page/sign-in");
  } catch {
    notice.textContent = UNREACHABLE;
  }
});

for (const button of document.querySelectorAll("[data-copy]")) button.addEventListener("click", () => copy(button));

async function copy(button) {
  const said = document.querySelector("[data-copied]");
  const field = document.querySelector("[data-copy-text]");
  field.hidden = true;
  said.textContent = "Copying …";
  let text;
  let note;
  try {
    const answer = await fetch(button.dataset.copy);
    if (!answer.ok) throw new Error();
    text = await answer.text();
    note = answer.headers.get("x-chatstore-note") ?? "";
  } catch {
    said.textContent = "The text could not be read.";
    return;
  }
  try {
    await navigator.clipboard.writeText(text);
    said.textContent = `Copied. ${note}`;
  } catch {
    // Without https, or without the permission, a browser lets only the user copy.
    field.hidden = false;
    field.value = text;
    field.focus();
    field.select();
    said.textContent = `The text is selected. Press Ctrl+C (⌘C) to copy it. ${note}`;
  }
}

// A change is shown without losing the place: only the live part of the view is replaced, and only while nobody has the
// focus or selects text in it.
const live = document.querySelector("[data-live]");
if (live !== null) {
  let waiting = null;
  const isUsed = () => {
    const selection = document.getSelection();
    const selects = selection !== null && !selection.isCollapsed && live.contains(selection.anchorNode);
    return selects || document.activeElement.closest("[data-live] :is(a, summary)") !== null;
  };
  const refresh = () => {
    if (waiting === null) waiting = setTimeout(replace, 1000);
  };
  const replace = async () => {
    waiting = null;
    if (document.visibilityState !== "visible") return;
    if (isUsed()) return refresh();
    try {
      const answer = await fetch(location.href, { headers: { accept: "text/html" } });
      if (answer.redirected) return location.assign(answer.url); // the key was revoked, or the cookie has ended
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      const part = fresh.querySelector("[data-live]");
      if (part === null) notice.textContent = fresh.querySelector("h1")?.textContent ?? UNREACHABLE;
      else if (isUsed()) refresh();
      else show(part);
    } catch {
      notice.textContent = "The server does not answer. The view shows its last state.";
    }
  };
  const show = (part) => {
    notice.textContent = "";
    const opened = [...live.querySelectorAll("details[open]")].map(placeOf);
    const before = live.querySelector(".scroll");
    const [left, hadFocus] = [before?.scrollLeft ?? 0, before !== null && before === document.activeElement];
    live.replaceChildren(...part.childNodes);
    const after = live.querySelector(".scroll");
    if (after !== null) after.scrollLeft = left;
    if (hadFocus) after?.focus({ preventScroll: true });
    for (const each of live.querySelectorAll("details")) each.open = opened.includes(placeOf(each));
  };
  const placeOf = (details) => {
    const message = details.closest("article");
    return `${message?.id} ${[...(message ?? live).querySelectorAll("details")].indexOf(details)}`;
  };
  document.addEventListener("visibilitychange", refresh);
  if (live.dataset.live === "storage") setInterval(refresh, 5000);
  else {
    const isOther = (change) => live.dataset.live === "session" && change.session_id !== live.dataset.id;
    if (!new URLSearchParams(location.search).has("cursor")) {
      const events = new EventSource("/store/events");
      const changed = (event) => isOther(JSON.parse(event.data)) || refresh();
      for (const kind of ["new", "changed", "deleted", "missed"]) events.addEventListener(kind, changed);
    }
  }
}
