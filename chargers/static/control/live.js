// Parts of a page that fetch themselves anew, and the banner for when they do not.
//
// A live part has `data-live` and htmx's own attributes. It is morphed, not replaced: scroll, focus,
// selection and open parts stay. A part that got no answer for STALE_S (or its own data-stale-s) is greyed out, and the banner
// says of which moment its figures are, so that nobody takes it for a live one.
(() => {
    "use strict";
    const STALE_S = 8;
    const answeredAt = new Map();
    const parts = () => [...document.querySelectorAll("[data-live]")];
    const staleMs = (part) => (Number(part.dataset.staleS) || STALE_S) * 1000;
    const seconds = (ms) => Math.round(ms / 1000);

    htmx.config.timeout = 5000;
    htmx.config.includeIndicatorStyles = false;

    const shownAsOf = (part) => part.querySelector("[data-as-of]")?.textContent || "the time this page was loaded";

    const banner = () => {
        let found = document.getElementById("stale-banner");
        if (!found) {
            found = document.createElement("div");
            found.id = "stale-banner";
            found.hidden = true;
            found.setAttribute("role", "alert");
            found.append(document.createElement("span"), document.createElement("span"));
            found.lastChild.setAttribute("aria-hidden", "true");
            document.body.append(found);
        }
        return found;
    };

    const tell = (stale) => {
        const shown = banner();
        const [said, age] = shown.children;
        shown.hidden = !stale;
        if (!stale) {
            said.textContent = "";
            return;
        }
        const text = `Updates have stopped: the gateway does not answer. These figures are of ${shownAsOf(stale)}.`;
        if (said.textContent !== text) said.textContent = text;
        age.textContent = `${seconds(Date.now() - answeredAt.get(stale.id))} s without an answer`;
    };

    const watch = () => {
        let worst = null;
        for (const part of parts()) {
            if (!answeredAt.has(part.id)) answeredAt.set(part.id, Date.now());
            const isStale = Date.now() - answeredAt.get(part.id) > staleMs(part);
            part.classList.toggle("ctl-stale", isStale);
            if (isStale) worst ||= part;
        }
        tell(worst);
    };

    const answered = (part) => {
        answeredAt.set(part.id, Date.now());
        const shown = document.getElementById("as-of");
        const asOf = part.querySelector("[data-as-of]");
        if (shown && asOf) {
            shown.textContent = asOf.dataset.asOf;
            shown.title = asOf.title;
        }
    };

    // What nobody has asked for is no sign that somebody is there.
    document.addEventListener("htmx:configRequest", (event) => {
        // htmx knows of an event where somebody did something, and of none where its clock did.
        if (!event.detail.triggeringEvent) event.detail.headers["X-Polled"] = "true";
    });

    document.addEventListener("htmx:afterRequest", (event) => {
        const part = event.detail.elt;
        if (part.matches?.("[data-live]") && event.detail.successful) answered(part);
    });

    // Where the answer is another page, such as the log-in, that page is gone to.
    document.addEventListener("htmx:beforeSwap", (event) => {
        const { elt, xhr, serverResponse } = event.detail;
        if (!elt.matches?.("[data-live]") || xhr.status !== 200 || xhr.getResponseHeader("HX-Refresh")) return;
        if (!serverResponse.includes(`id="${elt.id}"`)) {
            event.detail.shouldSwap = false;
            location.reload();
        }
    });

    // What is typed or opened in a live part is the reader's, not the server's.
    Idiomorph.defaults.ignoreActiveValue = true;
    Idiomorph.defaults.callbacks.beforeAttributeUpdated = (name, node) =>
        !((name === "open" && node.tagName === "DETAILS") || (name === "class" && node.matches?.("[data-live]")));

    // A sleeping tab is behind: it asks at once when it is looked at again.
    document.addEventListener("visibilitychange", () => {
        if (document.hidden) return;
        parts().forEach((part) => {
            answeredAt.set(part.id, Date.now() - staleMs(part) + 4000);
            htmx.trigger(part, "refresh");
        });
    });

    document.addEventListener("DOMContentLoaded", () => {
        if (!parts().length) return;
        document.body.toggleAttribute("data-has-live", true);
        watch();
        setInterval(watch, 500);
    });
})();
