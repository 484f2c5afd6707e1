// Charts of what the page carries as JSON: `<div data-chart="load" data-source="id of the JSON">`.
// Drawn anew when the JSON changes (a live part fetched it), when the theme does, and on resizing. A
// null is a gap and is drawn as one.
(() => {
    "use strict";
    const drawn = new Map();
    const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--ctl-${name}`).trim();
    const power = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });
    // As the page itself writes 1,234.5 for this reader.
    const separators = () => document.querySelector("[data-sample]").dataset.sample;
    const numeral = (value) => power.format(value).replace(/[,.]/g, (char) => separators()[char === "," ? 1 : 5]);
    const kilowatts = (kw) => (kw === null || kw === undefined ? "–" : `${numeral(kw)} kW`);

    // Lines are joined by time: where one says nothing, what it said last still holds.
    const lastKnown = (column, index) => {
        while (index > 0 && column[index] === undefined) index -= 1;
        return column[index];
    };

    const DASHES = { limit: [], metered: [], expected: [8, 5], before: [2, 4], wanted: [8, 5], confirmed: [] };
    const line = (name, label, more = {}) => ({
        label,
        stroke: () => colour(more.colour || name),
        width: name === "metered" ? 2.5 : 2,
        dash: DASHES[name],
        points: { show: (chart, index) => name === "metered" && chart.data[index].filter((kw) => kw !== null).length < 30, size: 4 },
        spanGaps: false,
        value: (_, kw) => kilowatts(kw),
        ...more.series,
    });
    const stepped = { paths: uPlot.paths.stepped({ align: 1 }) };

    const bands = (ranges, zone) => ({
        hooks: {
            drawClear: (chart) => ranges().forEach(([from, to], number) => {
                const { left, top, width, height } = chart.bbox;
                const begin = Math.max(chart.valToPos(from, "x", true), left);
                const end = Math.min(chart.valToPos(to ?? chart.scales.x.max, "x", true), left + width);
                if (end <= begin) return;
                chart.ctx.fillStyle = colour(number % 2 ? "band-other" : "band");
                chart.ctx.fillRect(begin, top, end - begin, height);
            }),
        },
    });

    const marks = (found) => ({
        hooks: {
            draw: (chart) => {
                const { top, height } = chart.bbox;
                const { ctx } = chart;
                ctx.save();
                ctx.textAlign = "left";
                const free = [0, 0, 0, 0];
                ctx.font = `${11 * devicePixelRatio}px Inter, sans-serif`;
                found().forEach(({ at, text, kind }) => {
                    const x = chart.valToPos(at, "x", true);
                    if (x < chart.bbox.left || x > chart.bbox.left + chart.bbox.width) return;
                    ctx.strokeStyle = ctx.fillStyle = colour(kind);
                    ctx.setLineDash(kind === "pending" ? [3, 3] : []);
                    ctx.lineWidth = devicePixelRatio;
                    ctx.beginPath();
                    ctx.moveTo(x, top);
                    ctx.lineTo(x, top + height);
                    ctx.stroke();
                    // A label where it would cover another is left out: the tables have it.
                    const row = free.findIndex((until) => until < x);
                    if (row < 0) return;
                    ctx.fillText(text, x + 3, top + (12 + 13 * row) * devicePixelRatio);
                    free[row] = x + 8 + ctx.measureText(text).width;
                });
                ctx.restore();
            },
        },
    });

    const tip = (zone) => {
        const box = document.createElement("div");
        box.className = "ctl-chart-tip";
        const clock = new Intl.DateTimeFormat("en-GB", { timeZone: zone, timeStyle: "medium" });
        return {
            hooks: {
                init: (chart) => chart.over.append(box),
                setCursor: (chart) => {
                    const { idx, left, top } = chart.cursor;
                    box.style.display = idx === null || idx === undefined || left < 0 ? "none" : "block";
                    if (box.style.display === "none") return;
                    box.textContent = [clock.format(new Date(chart.data[0][idx] * 1000)),
                        ...chart.series.slice(1).map((series, number) => `${series.label}: ${kilowatts(lastKnown(chart.data[number + 1], idx))}`)].join("\n");
                    const isRight = left > chart.over.clientWidth / 2;
                    box.style.left = isRight ? "auto" : `${left + 12}px`;
                    box.style.right = isRight ? `${chart.over.clientWidth - left + 12}px` : "auto";
                    box.style.top = `${Math.min(top, chart.over.clientHeight - 70)}px`;
                },
            },
        };
    };

    const axes = (zone) => {
        const look = { stroke: () => colour("text"), grid: { stroke: () => colour("grid"), width: 1 }, ticks: { show: false } };
        const clock = (options) => new Intl.DateTimeFormat("en-GB", { timeZone: zone, hourCycle: "h23", ...options });
        const [minutes, withSeconds] = [clock({ timeStyle: "short" }), clock({ timeStyle: "medium" })];
        const times = (chart, splits, _, __, step) => splits.map((at) => (step < 60 ? withSeconds : minutes).format(new Date(at * 1000)));
        return [
            { ...look, values: times, space: 70, size: 28 },
            { ...look, values: (_, splits) => splits.map(numeral), size: 62, label: "kW", labelSize: 18 },
        ];
    };

    const KINDS = {
        load: (now) => ({
            headroom: 1.08,
            columns: (data) => [data.at, data.metered, data.limit, data.expected, data.before],
            series: [line("metered", "metered"), line("limit", "limit", { series: stepped }), line("expected", "expected"), line("before", "before")],
            plugins: [bands(() => now().bands, now().zone)],
        }),
        session: (now) => ({
            // What the marks say stands above the lines.
            headroom: 1.35,
            columns: (data) => uPlot.join(data.lines.map(({ at, kw }) => [at, kw])),
            series: [
                line("metered", "metered"),
                line("wanted", "wanted limit", { colour: "expected", series: { ...stepped, spanGaps: false } }),
                line("confirmed", "confirmed limit", { colour: "limit", series: stepped }),
            ],
            plugins: [marks(() => now().marks)],
        }),
    };

    const draw = (box) => {
        const source = document.getElementById(box.dataset.source);
        const known = drawn.get(box);
        if (!source || (known && known.text === source.textContent)) return;
        const data = JSON.parse(source.textContent);
        if (known) {
            Object.assign(known, { text: source.textContent, data });
            known.chart.setData(known.kind.columns(data));
            return;
        }
        if (!(data.at || data.lines.flatMap(({ at }) => at)).length) return;
        const entry = { text: source.textContent, data };
        const now = () => entry.data;
        const kind = KINDS[box.dataset.chart](now);
        entry.kind = kind;
        entry.chart = new uPlot({
            width: box.clientWidth,
            height: box.clientHeight,
            tzDate: (at) => uPlot.tzDate(new Date(at * 1000), data.zone),
            scales: {
                x: { range: () => [now().from, now().to] },
                y: { range: (_, __, most) => [0, Math.max(most || 0, 1) * kind.headroom] },
            },
            legend: { show: false },
            cursor: { drag: { x: false, y: false }, points: { size: 6 } },
            axes: axes(data.zone),
            series: [{}, ...kind.series],
            plugins: [...kind.plugins, tip(data.zone)],
        }, kind.columns(data), box);
        drawn.set(box, entry);
        new ResizeObserver(() => entry.chart.setSize({ width: box.clientWidth, height: box.clientHeight })).observe(box);
    };

    const drawAll = () => document.querySelectorAll("[data-chart]").forEach(draw);
    const redraw = () => drawn.forEach(({ chart }) => chart.redraw());
    document.addEventListener("DOMContentLoaded", () => {
        drawAll();
        new MutationObserver(redraw).observe(document.documentElement, { attributes: true, attributeFilter: ["class"] });
    });
    document.addEventListener("htmx:afterSettle", drawAll);
})();
