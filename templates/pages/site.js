"use strict";
// Everything works without this, but for sending files.

// A job's row follows it until it ends, and then the page shows what came of it.
for (const row of document.querySelectorAll("[data-events]")) {
  const source = new EventSource(row.dataset.events);
  source.addEventListener("status", (event) => {
    const job = JSON.parse(event.data);
    const bar = row.querySelector("progress");
    const state = row.querySelector(".state");
    if (bar) { bar.value = job.progress; bar.textContent = job.progress + " %"; }
    if (state) { state.className = "state " + job.status; state.textContent = job.status; }
    const message = row.querySelector("[data-message]");
    if (message) message.textContent = job.message || "";
    if (!["pending", "processing"].includes(job.status)) { source.close(); location.reload(); }
  });
}

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

for (const form of document.querySelectorAll("form[data-confirm]")) {
  form.addEventListener("submit", (event) => {
    if (!confirm(form.dataset.confirm)) event.preventDefault();
  });
}

// What changes by itself is fetched anew every five seconds while somebody looks and does not type.
const parts = () => [...document.querySelectorAll("[data-live]")];
if (parts().length) setInterval(async () => {
  if (document.hidden || document.activeElement.closest("[data-live]")) return;
  const answer = await fetch(location.href).catch(() => null);
  if (!answer || !answer.ok || answer.redirected) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const fresh = page.querySelectorAll("[data-live]");
  parts().forEach((part, place) => { if (fresh[place]) part.replaceWith(fresh[place]); });
}, 5000);
