// Before anything is drawn, so that the page does not flash in the other colours. No module: those wait.
(() => {
  try {
    const theme = localStorage.getItem("autotrack.theme");
    if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
  } catch {
    // Storage is off; the system's colours are used.
  }
})();
