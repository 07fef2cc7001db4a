"use strict";
for (const table of document.querySelectorAll("table")) {
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];
  const order = [...body.rows];
  heads.forEach((head, place) => {
    const button = document.createElement("button");
    button.type = "button";
    const count = head.querySelector(".count");
    button.append(...[...head.childNodes].filter((node) => node !== count));
    head.prepend(button);
    head.setAttribute("aria-sort", "none");
    button.addEventListener("click", () => {
      const descending = head.getAttribute("aria-sort") === "ascending";
      const sign = descending ? -1 : 1;
      const numbers = head.classList.contains("number");
      const key = (row) => row.cells[place].dataset.key;
      const rows = [...order].sort((one, other) => {
        const a = key(one), b = key(other);
        if (a === "" || b === "") return (a === "") - (b === "");
        return sign * (numbers ? a - b : a.localeCompare(b, "en", { numeric: true }));
      });
      for (const one of heads) one.setAttribute("aria-sort", "none");
      head.setAttribute("aria-sort", descending ? "descending" : "ascending");
      body.append(...rows);
    });
  });
}
