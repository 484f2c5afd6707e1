// The name field suggests what the fleet knows of the type chosen.
(() => {
    const row = document.querySelector("#opt-out-form [data-target-row]");
    const type = row.querySelector("[data-target-type]");
    const suggest = () => row.querySelector("[data-target-value]").setAttribute("list", `known-${type.value}`);
    type.addEventListener("change", suggest);
    suggest();
})();
