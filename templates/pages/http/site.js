"use strict";
// Everything works without this, but for sending files.

// A file is sent as it is, and the answer says where to go.
for (const form of document.querySelectorAll("form[data-upload]")) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const file = form.querySelector("input[type=file]").files[0];
    const say = form.querySelector("[data-say]");
    if (!file) { say.textContent = "Choose a file first."; return; }
    const query = new URLSearchParams(new FormData(form));
    query.delete("file");
    say.textContent = "Sending " + file.name + " …";
    try {
      const answer = await fetch(form.action + "?" + query, { method: "POST", body: file });
      if (answer.redirected) { location.href = answer.url; return; }  // the session has ended
      const body = await answer.json();
      if (answer.ok) location.href = body.page; else say.textContent = body.message;
    } catch {
      say.textContent = "The file could not be sent; try again.";
    }
  });
}

// A table tells its columns and first rows before it is sent; what they are can be changed.
for (const place of document.querySelectorAll("[data-columns]")) {
  const form = place.closest("form");
  const file = form.querySelector("input[type=file]");
  let asked = 0;  // an answer that comes late would take back what was chosen since
  const show = async () => {
    const chosen = file.files[0], mine = ++asked;
    if (!chosen || !/\.(csv|txt|tsv)$/i.test(chosen.name)) { place.textContent = ""; return; }
    const query = new URLSearchParams(new FormData(form));
    query.delete("file");
    const body = chosen.slice(0, 1 << 20);
    const answer = await fetch("/import/columns?" + query, { method: "POST", body }).catch(() => null);
    const silent = "The server does not answer; choose the file again.";
    const text = !answer ? silent : answer.ok ? await answer.text() : (await answer.json()).message;
    if (mine !== asked) return;
    if (answer?.ok && !answer.redirected) place.innerHTML = text;
    else place.textContent = answer?.redirected ? "" : text;
  };
  file.addEventListener("change", () => { form.elements.columns.value = ""; });
  form.addEventListener("change", (event) => {
    if (event.target.dataset.column) {
      const used = [...place.querySelectorAll("select")].filter((select) => select.value);
      form.elements.columns.value =
        used.map((select) => select.value + "=#" + select.dataset.column).join(",");
    }
    show();
  });
}

for (const button of document.querySelectorAll("[data-copy]")) {
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(button.parentElement.querySelector("pre").textContent);
    button.textContent = "Copied";
  });
}

// What becomes known by itself is asked for after some seconds.
for (const form of document.querySelectorAll("form[data-submit-after]")) {
  setTimeout(() => form.submit(), 1000 * form.dataset.submitAfter);
}

// Where somebody lives, as their browser says.
for (const field of document.querySelectorAll("[data-zone]")) {
  field.value = Intl.DateTimeFormat().resolvedOptions().timeZone || "";
}

document.addEventListener("submit", (event) => {  // also of forms that come later
  const when = event.target.querySelector("[data-not-future]");
  const isToCome = when && when.value !== when.defaultValue && new Date(when.value) > Date.now();
  const question = event.target.dataset.confirm
    || (isToCome && "That is in the future. Log it all the same?");
  if (question && !confirm(question)) event.preventDefault();
});

// What a form held whose sender had to sign in first stands in it again on the next page. Passwords
// are never kept, nor anything for somebody else.
const KEPT = "activelog-form";
const action = (form) => form.getAttribute("action");
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (action(form) === "/sign-out") sessionStorage.removeItem(KEPT);
  const keeps = form.method === "post" && !("upload" in form.dataset) && document.body.dataset.visitor;
  if (!keeps || form.querySelector("input[type=password]")) return;
  const fields = [...new FormData(form)];
  const visitor = document.body.dataset.visitor;
  sessionStorage.setItem(KEPT, JSON.stringify({ action: action(form), fields, visitor }));
});
const kept = JSON.parse(sessionStorage.getItem(KEPT) || "null");
const refused = kept && [...document.forms].find((form) => action(form) === kept.action);
if (refused) {
  sessionStorage.removeItem(KEPT);
  const again = document.referrer.includes("/sign-in");
  if (again && kept.visitor === document.body.dataset.visitor) fill(refused, kept.fields);
}
function fill(form, fields) {
  for (const box of form.querySelectorAll("input[type=checkbox]")) box.checked = false;
  for (const [name, value] of fields) {
    const field = form.elements.namedItem(name);
    if (field && field.type === "checkbox") field.checked = true;
    else if (field && field.type !== "hidden") field.value = value;
  }
}

// Of a form only the fields that go with what is chosen are shown.
for (const choice of document.querySelectorAll("select[data-shows]")) {
  const show = () => {
    for (const field of choice.form.querySelectorAll("[data-with]")) {
      field.hidden = field.dataset.with !== choice.value;
    }
  };
  choice.addEventListener("change", show);
  show();
}

// What changes by itself is fetched anew, every second while something is under way and else every
// five, as long as somebody looks and uses none of it. One request for all of a page: a stream for
// each row would take all the connections that a browser has for a site.
const parts = () => [...document.querySelectorAll("[data-live]")];
const refresh = async () => {
  if (document.hidden || document.activeElement.closest("[data-live]")) return;
  const answer = await fetch(location.href).catch(() => null);
  const stale = document.querySelector("[data-stale]");
  stale.hidden = Boolean(answer && answer.ok && !answer.redirected);
  if (!stale.hidden) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  if (document.activeElement.closest("[data-live]")) return;  // somebody went there meanwhile
  const fresh = page.querySelectorAll("[data-live]");
  parts().forEach((part, place) => { if (fresh[place]) part.replaceWith(fresh[place]); });
};
const again = () => setTimeout(async () => {
  try { await refresh(); } finally { again(); }
}, document.querySelector("[data-busy]") ? 1000 : 5000);
if (parts().length) again();
