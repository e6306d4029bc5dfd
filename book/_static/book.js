// The bibliography is a list whose entries docutils does not call list items: say so to readers
// of the page who cannot see it.
document.addEventListener("DOMContentLoaded", () => {
  for (const entry of document.querySelectorAll(".citation-list[role=list] > .citation")) {
    entry.setAttribute("role", "listitem");
  }
});
