// The forms that declare and amend an event, and take somebody out of one. Without this script the
// rows are typed into; with it the grid is a tree to pick from, and what is often ordered one click.
(() => {
    "use strict";

    // Each row suggests what the fleet knows of its type; the whole fleet needs no name.
    const suggest = (row) => {
        const type = row.querySelector("[data-target-type]").value;
        const value = row.querySelector("[data-target-value]");
        value.setAttribute("list", `known-${type}`);
        value.disabled = type === "all";
        if (value.disabled) value.value = "";
    };

    const optOut = () => {
        const row = document.querySelector("#opt-out-form [data-target-row]");
        if (!row) return;
        row.querySelector("[data-target-type]").addEventListener("change", () => suggest(row));
        suggest(row);
    };

    const order = () => {
        const form = document.getElementById("order-form");
        if (!form) return;

        const rows = () => [...form.querySelectorAll("[data-target-row]")];
        const typeOf = (row) => row.querySelector("[data-target-type]");
        const valueOf = (row) => row.querySelector("[data-target-value]");
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
        const tell = () => form.dispatchEvent(new CustomEvent("picked", { bubbles: true }));

        // --- the tree: its boxes and the rows say the same ---
        const aims = (type, value) => rows().find((row) => typeOf(row).value === type && valueOf(row).value === value);
        const tick = () => document.querySelectorAll("#places [data-pick-type]").forEach((box) => {
            box.checked = Boolean(aims(box.dataset.pickType, box.dataset.pickValue));
        });
        const pick = (box) => {
            const { pickType: type, pickValue: value } = box.dataset;
            const present = aims(type, value);
            if (box.checked && !present) {
                const row = rows().find((one) => !one.hidden && !typeOf(one).value && !valueOf(one).value) || add("target");
                typeOf(row).value = type;
                valueOf(row).value = value;
                suggest(row);
            }
            if (!box.checked && present) empty(present);
            tell();
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

        // --- presets ---
        const presets = (button) => JSON.parse(document.getElementById(button.dataset.presets).textContent);
        const mark = () => form.querySelectorAll("[data-preset]").forEach((button) => {
            const fields = Object.entries(presets(button)[button.dataset.preset][1]);
            button.setAttribute("aria-pressed", String(fields.every(([name, value]) => form.elements[name]?.value === value)));
        });
        const fill = (button) => {
            Object.entries(presets(button)[button.dataset.preset][1]).forEach(([name, value]) => {
                if (form.elements[name]) form.elements[name].value = value;
            });
            refresh();
            tell();
        };

        const refresh = () => { choose(); step(); mark(); tick(); };

        form.addEventListener("change", (event) => {
            if (event.target.matches("[data-pick-type]")) return pick(event.target);
            const row = event.target.closest("[data-target-row]");
            if (row) suggest(row);
            refresh();
        });
        form.addEventListener("input", () => { step(); mark(); });
        form.addEventListener("click", (event) => {
            const preset = event.target.closest("[data-preset]");
            if (preset) fill(preset);
            if (event.target.id === "add-target") suggest(add("target"));
            if (event.target.id === "add-step") add("step");
            if (event.target.matches("[data-remove]")) {
                empty(event.target.closest("[data-target-row], [data-step-row]"));
                refresh();
                tell();
            }
            step();
        });
        document.addEventListener("htmx:afterSettle", tick);
        rows().forEach(suggest);
        refresh();
    };

    document.addEventListener("DOMContentLoaded", () => { optOut(); order(); });
})();
