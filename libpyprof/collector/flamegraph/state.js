// What is shown, as an address: the part after "#" says all of it, so that a
// place can be kept, sent, and come back to.
"use strict";

const DEFAULTS = {view: "top", by: "function", colour: "kind", thread: -1,
                  span: null, query: "", zoom: null, top: 0, widths: "now",
                  scale: "share", chosen: 0};

function numbers(text, n) {
    const list = text.split("-").map(Number);
    return list.length === n && list.every((x) => x >= 0 && x < 1e15)
        && (n < 2 || list[0] < list[1]) ? list : null;
}

/** Reads an address; what makes no sense is left at its default. */
function readState(hash, model) {
    const state = Object.assign({}, DEFAULTS);
    const given = new URLSearchParams(hash.replace(/^#/, ""));
    const pick = (key, allowed) => {
        if (allowed.includes(given.get(key))) {
            state[key] = given.get(key);
        }
    };
    pick("view", ["top", "inverted", "time"]);
    pick("by", ["function", "line"]);
    pick("colour", ["kind", "module", "heat", "difference"]);
    pick("scale", ["share", "time"]);
    pick("widths", ["now", "gone"]);
    const thread = Number(given.get("thread"));
    if (given.has("thread") && model.threads[thread]) {
        state.thread = thread;
    }
    const chosen = Number(given.get("function"));
    if (model.functions[chosen]) {
        state.chosen = chosen;
    }
    state.query = given.get("search") || "";
    state.span = numbers(given.get("span") || "", 2);
    state.zoom = numbers(given.get("zoom") || "", 2);
    state.top = (numbers(given.get("top") || "", 1) || [0])[0];
    if (model.isDiff && !given.has("colour")) {
        state.colour = "difference";
    }
    return state;
}

function writeState(state, model) {
    const given = new URLSearchParams();
    const usual = Object.assign({}, DEFAULTS,
                                model.isDiff ? {colour: "difference"} : {});
    const names = {query: "search", chosen: "function"};
    for (const key in usual) {
        const value = state[key];
        if (value !== usual[key] && value !== null) {
            given.set(names[key] || key, Array.isArray(value)
                ? value.map((x) => +x.toFixed(3)).join("-") : value);
        }
    }
    return "#" + given.toString();
}

/** By function: whether it is meant by what was typed; null: nothing typed. */
function matching(model, query) {
    const text = query.trim().toLowerCase();
    if (text === "") {
        return null;
    }
    const atLine = /^(.+):(\d+)$/.exec(text);
    const hits = new Uint8Array(model.functions.length);
    const byItem = atLine ? new Uint8Array(model.items.fn.length) : null;
    for (let f = 1; f < hits.length; f++) {
        const fn = model.functions[f];
        hits[f] = fn.name.toLowerCase().includes(text)
            || fn.file.toLowerCase().includes(text)
            || fn.module.toLowerCase().includes(text) ? 1 : 0;
    }
    if (atLine) {
        model.items.fn.forEach((f, item) => {
            if (f !== 0 && model.items.line[item] === Number(atLine[2])
                && model.functions[f].file.toLowerCase().endsWith(atLine[1])) {
                hits[f] = 1;
                byItem[item] = 1;
            }
        });
    }
    return {hits, byItem: byItem && byItem.includes(1) ? byItem : null};
}

/** Samples of the stacks that have a match anywhere. */
function matchedSamples(model, total, found) {
    const inside = new Uint8Array(model.n + 1);
    const {parent, item} = model;
    const fn = model.items.fn;
    let sum = 0;
    for (let node = 1; node <= model.n; node++) {
        const isHit = found.byItem ? found.byItem[item[node]]
            : found.hits[fn[item[node]]];
        if (isHit && !inside[parent[node]]) {
            sum += total[node];
        }
        inside[node] = isHit | inside[parent[node]];
    }
    return sum;
}
