// The form of an order: rows that come and go, and what is asked for only where it counts.
(() => {
    const form = document.getElementById("order-form");

    // Each row suggests what the fleet knows of its type; the whole fleet needs no name.
    const suggest = (row) => {
        const type = row.querySelector("[data-target-type]").value;
        const value = row.querySelector("[data-target-value]");
        value.setAttribute("list", `known-${type}`);
        value.disabled = type === "all";
        if (value.disabled) value.value = "";
    };
    const rows = () => form.querySelectorAll("[data-target-row]");
    const add = (name) => {
        const total = form.querySelector(`[name=${name}s-TOTAL_FORMS]`);
        const row = document.getElementById(`${name}-row`).content.firstElementChild.cloneNode(true);
        row.innerHTML = row.innerHTML.replaceAll("__prefix__", total.value++);
        document.getElementById(`${name}-rows`).append(row);
        return row;
    };
    const empty = (row) => {
        row.querySelectorAll("input, select").forEach((field) => { field.value = ""; });
        row.hidden = true;
    };

    // What is asked for only where something is chosen: a time, a unit, the words about it.
    const choose = () => form.querySelectorAll("[data-shown-for*='=']").forEach((part) => {
        const [name, values] = part.dataset.shownFor.split("=");
        part.hidden = !values.split("|").includes(form.elements[name]?.value);
    });

    // Steps stand instead of the one limit; all are of its kind, in its unit.
    const unit = () => ({
        per_session: form.elements.limit_unit.value === "current" ? "A" : "W",
        percent: "%",
    })[form.elements.limit_kind.value] || "W";
    const step = () => {
        const filled = [...form.querySelectorAll("[data-step-row] input")].some((field) => field.value);
        form.elements.limit_value.disabled = filled;
        form.elements.limit_value.placeholder = filled ? "by steps, below" : "";
        form.querySelectorAll("[data-unit]").forEach((part) => { part.textContent = unit(); });
    };

    form.addEventListener("change", (event) => {
        const row = event.target.closest("[data-target-row]");
        if (row) suggest(row);
        choose();
        step();
    });
    form.addEventListener("input", step);
    form.addEventListener("click", (event) => {
        if (event.target.id === "add-target") suggest(add("target"));
        if (event.target.id === "add-step") add("step");
        if (event.target.matches("[data-remove]")) empty(event.target.closest("[data-target-row], [data-step-row]"));
        step();
    });
    rows().forEach(suggest);
    choose();
    step();
})();
