// Small comforts; every page works without this file.
"use strict";

// After a refused form the error summary takes the focus, so that it is read first.
function focusProblems(root) {
  const summary = root.querySelector("[data-focus]");
  if (summary) summary.focus({ preventScroll: false });
}

// Where the tabs don't fit, the current one is brought into view; the page itself stays where it is.
function showCurrentTab(root) {
  for (const tab of root.querySelectorAll(".tabs [aria-current]")) {
    const list = tab.closest(".tabs"), seen = list.getBoundingClientRect(), place = tab.getBoundingClientRect();
    list.scrollLeft += place.left + place.width / 2 - (seen.left + seen.width / 2);
  }
}

// A second press while the first is on its way sends nothing: the server is idempotent, but people shouldn't have to know.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.dataset.sent && form.method === "post") {
    event.preventDefault();
    return;
  }
  form.dataset.sent = "yes";
  setTimeout(() => delete form.dataset.sent, 4000);
});
window.addEventListener("pageshow", () => {
  for (const form of document.forms) delete form.dataset.sent;
});

// Copying a secret or a command, where the browser allows it.
document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  const source = document.getElementById(button.dataset.copy);
  try {
    await navigator.clipboard.writeText(source.textContent.trim());
    button.textContent = "Copied";
  } catch {
    getSelection().selectAllChildren(source);
  }
});

// A log that follows its own end, unless somebody scrolled up to read.
document.addEventListener("htmx:after:swap", () => {
  for (const log of document.querySelectorAll("[data-follow]")) {
    if (log.scrollHeight - log.scrollTop - log.clientHeight < 120) log.scrollTop = log.scrollHeight;
  }
  focusProblems(document);
  showCurrentTab(document);
});

focusProblems(document);
showCurrentTab(document);
