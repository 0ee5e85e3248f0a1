// What is said of one box: in the tooltip, in the status line, as copied text.
"use strict";

/** Functions from the root to a box, as text. */
function stackText(app, box) {
    const {view, model} = app;
    const fnOf = functionOf(model, view);
    const lines = [];
    for (let at = box; at !== 0; at = view.parent[at]) {
        const f = fnOf(at);
        if (f === null) {
            lines.push("  " + labeller(model, view)(at));
            continue;
        }
        const line = view.by === "line" ? model.items.line[view.key[at]] : 0;
        lines.push("  " + f.name + (f.file === "~" ? "" : " (" + f.file
            + (line || f.line ? ":" + (line || f.line) : "") + ")"));
    }
    if (view.kind !== "inverted") {
        lines.reverse();
    }
    return (view.kind === "inverted" ? "Innermost first" : "Outermost first")
        + ", " + amount(app, box) + "\n" + lines.join("\n") + "\n";
}

/** How much a box is. */
function amount(app, box) {
    const {view, model} = app;
    if (view.kind === "time") {
        return seconds((view.x1[box] - view.x0[box]) * model.meta.tick / 1e9);
    }
    const whole = view.total[0];
    return count(view.total[box]) + " samples, "
        + percent(view.total[box], whole) + " \u00b1 "
        + digits(uncertainty(view.total[box], whole)) + ", "
        + seconds(view.total[box] * (view.isGone ? app.beforeSeconds
            : model.sampleSeconds));
}

function statusText(app, box) {
    return labeller(app.model, app.view)(box) + ": " + amount(app, box);
}

/** The hottest lines of a box's function, or the line that it is. */
function sourceOf(app, box) {
    const {view, model} = app;
    const {source, line} = model.items;
    if (view.by !== "line") {
        return null;
    }
    const item = view.key[box];
    const text = source ? source[item - 1] : "";
    return text ? line[item] + "  " + text : null;
}

function opcodesOf(app, box) {
    const {view, model} = app;
    if (model.items.opcodes.size === 0) {
        return [];
    }
    const sums = new Map();
    const add = (item) => (model.items.opcodes.get(item) || []).forEach(
        ([opcode, n]) => sums.set(opcode, (sums.get(opcode) || 0) + n));
    if (view.by === "line") {
        add(view.key[box]);
    } else {
        model.items.fn.forEach((f, item) => {
            if (f === view.key[box]) {
                add(item);
            }
        });
    }
    return [...sums].sort((a, b) => b[1] - a[1]).slice(0, 8);
}

function changeText(app, box) {
    const {view} = app;
    const before = view.before[box] * app.scaleBefore;
    const now = view.isGone ? 0 : view.total[box];
    if (view.isGone) {
        return "Only in the baseline.";
    }
    if (before === 0) {
        return "New: the baseline does not have it.";
    }
    const change = 100 * (now - before) / before;
    return "Baseline: " + digits(before) + " samples of the same scale; "
        + (change >= 0 ? "+" : "\u2212") + digits(Math.abs(change)) + " %";
}

function line(text, isSoft) {
    return make("p", isSoft ? {class: "soft"} : {}, text);
}

function fillTip(app, box) {
    const tip = byId("tip");
    const {view, model} = app;
    const f = functionOf(model, view)(box);
    const parts = [make("b", {}, labeller(model, view)(box))];
    if (f === null) {
        parts.push(line("Each of these is smaller than what is shown; "
            + "their samples are all here."));
    } else if (functionPlace(f) !== "") {
        parts.push(line(functionPlace(f), true));
    }
    const source = sourceOf(app, box);
    if (source) {
        parts.push(make("code", {}, source));
    }
    parts.push(line(amount(app, box)));
    if (view.kind === "top") {
        parts.push(line("Self " + count(view.self[box]) + ", "
            + percent(view.self[box], view.total[0])));
    }
    const parent = view.parent[box];
    if (parent !== 0) {
        parts.push(line(percent(view.total[box], view.total[parent])
            + " of the frame " + (view.kind === "inverted" ? "that it calls"
                : "that calls it"), true));
    }
    if (view.before) {
        parts.push(line(changeText(app, box)));
    }
    const opcodes = opcodesOf(app, box);
    if (opcodes.length > 0) {
        parts.push(line("Opcodes: " + opcodes.map(([code, n]) =>
            code + " \u00d7" + count(n)).join(", "), true));
    }
    tip.replaceChildren(...parts);
}

function placeTip(x, y) {
    const tip = byId("tip");
    tip.hidden = false;
    const box = tip.getBoundingClientRect();
    const left = x + 14 + box.width > innerWidth ? x - 10 - box.width : x + 14;
    const top = y + 18 + box.height > innerHeight ? y - 10 - box.height : y + 18;
    tip.style.left = Math.max(4, left) + "px";
    tip.style.top = Math.max(4, top) + "px";
}
