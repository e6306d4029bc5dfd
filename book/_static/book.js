// Text whose formulae are still to be typeset would move below the reader's eyes: it is shown then.
document.documentElement.classList.add("typesetting");
document.addEventListener("DOMContentLoaded", async () => {
  try {
    if (document.querySelector(".math")) await window.MathJax.startup.promise;
  } finally {
    document.documentElement.classList.remove("typesetting");
  }
});

// Names for what the theme leaves nameless to readers who cannot see the page: the entries of the
// bibliography are list items, and an arrow in the contents opens the pages below a chapter.
document.addEventListener("DOMContentLoaded", () => {
  for (const entry of document.querySelectorAll(".citation-list[role=list] > .citation")) {
    entry.setAttribute("role", "listitem");
  }
  for (const arrow of document.querySelectorAll(".bd-links li.has-children > details > summary")) {
    const chapter = arrow.closest("li").querySelector("a").textContent.trim();
    arrow.setAttribute("aria-label", `Pages below ${chapter}`);
  }
});

// Tables that are wider than their page say that they scroll.
const markWide = () => {
  const boxes = ".cell_output, .output, .pst-scrollable-table-container";
  for (const box of document.querySelectorAll(boxes)) {
    const wide = box.scrollWidth > box.clientWidth + 1;
    box.classList.toggle("scrolls", wide && box.querySelector("table") !== null);
  }
};
window.addEventListener("load", markWide);
window.addEventListener("resize", markWide);
