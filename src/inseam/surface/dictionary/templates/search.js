const root = document.documentElement, field = document.getElementById("find"), list = document.getElementById("found");
const kept = localStorage.getItem("theme");
if (kept) root.dataset.theme = kept;
document.getElementById("theme").addEventListener("click", () => {
  const isDark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = isDark ? "light" : "dark";
  localStorage.setItem("theme", root.dataset.theme);
});
const score = (entry, word) => {
  const name = entry.name.toLowerCase();
  if (name === word || name.endsWith("." + word)) return 10;
  if (name.includes(word)) return 5;
  return (entry.what + " " + entry.more).toLowerCase().includes(word) ? 1 : 0;
};
const find = () => {
  const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
  const found = ENTRIES.map(entry => [words.map(word => score(entry, word)), entry])
    .filter(([scores]) => words.length && scores.every(Boolean))
    .map(([scores, entry]) => [scores.reduce((a, b) => a + b) + 10 * entry.name.toLowerCase().endsWith(words.join("_")), entry])
    .sort((a, b) => b[0] - a[0]).slice(0, 12);
  list.replaceChildren(...found.map(([, entry]) => {
    const item = document.createElement("li"), link = document.createElement("a");
    link.href = entry.page;
    for (const [kind, text] of [["b", entry.name], ["em", entry.kind], ["span", entry.what]]) {
      const part = document.createElement(kind);
      part.textContent = text;
      link.append(part);
    }
    item.append(link);
    return item;
  }));
  if (words.length && !found.length) list.innerHTML = "<li class=none>nothing found</li>";
  list.hidden = !words.length;
};
field.addEventListener("input", find);
field.addEventListener("keydown", event => {
  if (event.key === "Enter") list.querySelector("a")?.click();
  if (event.key === "Escape") { field.value = ""; find(); field.blur(); }
});
addEventListener("keydown", event => {
  if (event.key === "/" && document.activeElement !== field) { event.preventDefault(); field.focus(); }
});
