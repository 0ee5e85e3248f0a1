// From weighted nodes to boxes: a view has for each box where it begins and
// ends (in samples, or ticks), its level, its caller, and a key for what it is.
//
//   view.n               boxes are numbered from 1; 0 is the whole
//   view.x0, view.x1     Float64Array
//   view.depth           0 for roots
//   view.parent, .key    key: a function, or an item, or 0: "(N smaller)"
//   view.self, .total    samples
//   view.before          the baseline's samples (differential only)
//   view.levels          by depth: the boxes in the order of x0
"use strict";

function newArrays(n) {
    return {
        x0: new Float64Array(n + 1), x1: new Float64Array(n + 1),
        depth: new Uint32Array(n + 1), parent: new Uint32Array(n + 1),
        key: new Uint32Array(n + 1), self: new Float64Array(n + 1),
        total: new Float64Array(n + 1),
    };
}

/** By item: the key of its boxes. */
function keysOf(model, by) {
    return by === "line" ? Uint32Array.from(model.items.fn, (f, i) => i)
        : model.items.fn;
}

// ---- Callers first.

/** Gives nodes that are the same function of the same caller one box. */
function mergeNodes(model, keys, total) {
    const {parent, item} = model;
    const boxOf = new Uint32Array(model.n + 1);
    const view = newArrays(model.n);
    let size = 1 << 10;
    while (size < 2 * model.n) {
        size *= 2;
    }
    const slots = new Uint32Array(size);
    const mask = size - 1;
    let n = 0;
    for (let node = 1; node <= model.n; node++) {
        if (total[node] === 0) {
            continue;
        }
        const above = boxOf[parent[node]];
        const key = keys[item[node]];
        let slot = (Math.imul(above, 0x9e3779b1) ^ Math.imul(key, 0x85ebca6b));
        slot = (slot ^ (slot >>> 15)) & mask;
        let box = slots[slot];
        while (box !== 0
                && (view.parent[box] !== above || view.key[box] !== key)) {
            slot = (slot + 1) & mask;
            box = slots[slot];
        }
        if (box === 0) {
            box = ++n;
            slots[slot] = box;
            view.parent[box] = above;
            view.key[box] = key;
        }
        boxOf[node] = box;
    }
    view.n = n;
    view.boxOf = boxOf;
    return view;
}

/** Children of each box, widest first: {start, list}. */
function sortChildren(view) {
    const n = view.n;
    const start = new Uint32Array(n + 2);
    const list = new Uint32Array(n);
    for (let box = 1; box <= n; box++) {
        start[view.parent[box] + 1]++;
    }
    for (let box = 0; box <= n; box++) {
        start[box + 1] += start[box];
    }
    const next = start.slice();
    for (let box = 1; box <= n; box++) {
        list[next[view.parent[box]]++] = box;
    }
    for (let box = 0; box <= n; box++) {
        const size = start[box + 1] - start[box];
        if (size > 1) {
            sortSome(list, start[box], size, view.total);
        }
    }
    return {start, list};
}

function sortSome(list, from, size, total) {
    if (size > 40) {
        list.subarray(from, from + size)
            .sort((a, b) => total[b] - total[a] || a - b);
        return;
    }
    for (let i = from + 1; i < from + size; i++) {
        const box = list[i];
        const width = total[box];
        let at = i;
        while (at > from && total[list[at - 1]] < width) {
            list[at] = list[at - 1];
            at--;
        }
        list[at] = box;
    }
}

/** Places boxes: each child beside the one before it. */
function layOut(view) {
    const {start, list} = sortChildren(view);
    const {x0, x1, depth, total, parent} = view;
    const next = start.slice();
    let box = 0;
    x0[0] = 0;
    x1[0] = total[0];
    const filled = new Float64Array(view.n + 1); // where the next child begins
    const perLevel = [];
    for (;;) {
        if (next[box] < start[box + 1]) {
            const child = list[next[box]++];
            x0[child] = filled[box];
            x1[child] = x0[child] + total[child];
            filled[box] = x1[child];
            filled[child] = x0[child];
            depth[child] = box === 0 ? 0 : depth[box] + 1;
            perLevel[depth[child]] = (perLevel[depth[child]] || 0) + 1;
            box = child;
        } else if (box === 0) {
            break;
        } else {
            box = parent[box];
        }
    }
    fillLevels(view, perLevel, start, list);
}

/** The boxes of a level in the order of x0: children of those above it. */
function fillLevels(view, perLevel, start, list) {
    view.levels = perLevel.map((n) => new Uint32Array(n));
    view.levels.forEach((level, d) => {
        if (d === 0) {
            level.set(list.subarray(start[0], start[1]));
            return;
        }
        let at = 0;
        for (const above of view.levels[d - 1]) {
            for (let i = start[above]; i < start[above + 1]; i++) {
                level[at++] = list[i];
            }
        }
    });
}

function topView(model, by, self, before) {
    const keys = keysOf(model, by);
    const view = mergeNodes(model, keys, addUp(model, self));
    const {boxOf, parent} = view;
    for (let node = 1; node <= model.n; node++) {
        view.self[boxOf[node]] += self[node];
    }
    view.self[0] = self[0];
    view.total.set(view.self);
    view.kind = "top";
    for (let box = view.n; box > 0; box--) {
        view.total[parent[box]] += view.total[box];
    }
    if (before) {
        addBefore(model, view, keys, before);
    }
    layOut(view);
    return view;
}

/** The baseline's samples below each box. */
function addBefore(model, view, keys, before) {
    const sums = addUp(model, before);
    view.before = new Float64Array(view.n + 1);
    view.beforeSelf = new Float64Array(view.n + 1);
    view.before[0] = sums[0];
    for (let node = 1; node <= model.n; node++) {
        if (view.boxOf[node] !== 0) {
            view.before[view.boxOf[node]] += sums[node];
            view.beforeSelf[view.boxOf[node]] += before[node];
        }
    }
}

// ---- Inverted: each box has its entries (nodes it stands for and weights) in
// a list. Opening one hands them to boxes for their callers; a box that would
// be narrower than can be seen stays closed until it is zoomed into.

function invertedView(model, by, self) {
    const entries = [];
    for (let node = 1; node <= model.n; node++) {
        if (self[node] > 0) {
            entries.push(node);
        }
    }
    const view = {
        kind: "inverted", n: 0, keys: keysOf(model, by), model,
        at: Uint32Array.from(entries), next: new Int32Array(entries.length),
        weight: Float64Array.from(entries, (node) => self[node]),
        head: [-1], isOpen: [false], children: [[]],
        x0: [0], x1: [0], depth: [0], parent: [0], key: [0], self: [0],
        total: [0], levels: [],
        childOf: new Int32Array(Math.max(model.functions.length,
                                         model.items.fn.length)).fill(-1),
    };
    for (let i = 0; i < entries.length; i++) {
        view.next[i] = i - 1;
        view.total[0] += view.weight[i];
    }
    view.head[0] = entries.length - 1;
    view.x1[0] = view.total[0];
    openBox(view, 0);
    openVisible(view, 0, view.total[0], 1500);
    return view;
}

function openBox(view, box) {
    const {model, childOf} = view;
    const made = [];
    for (let i = view.head[box]; i >= 0;) {
        const next = view.next[i];
        const node = box === 0 ? view.at[i] : model.parent[view.at[i]];
        if (node !== 0) {
            view.at[i] = node;
            const key = view.keys[model.item[node]];
            let child = childOf[key];
            if (child < 0) {
                child = addBox(view, box, key);
                childOf[key] = child;
                made.push(child);
            }
            view.next[i] = view.head[child];
            view.head[child] = i;
            view.total[child] += view.weight[i];
        }
        i = next;
    }
    for (const child of made) {
        childOf[view.key[child]] = -1;
    }
    made.sort((a, b) => view.total[b] - view.total[a]);
    view.head[box] = -1;
    view.isOpen[box] = true;
    view.children[box] = made;
    let x = view.x0[box];
    for (const child of made) {
        view.x0[child] = x;
        x += view.total[child];
        view.x1[child] = x;
        view.self[child] = box === 0 ? view.total[child] : 0;
    }
}

function addBox(view, parent, key) {
    const box = ++view.n;
    view.parent.push(parent);
    view.key.push(key);
    view.depth.push(parent === 0 ? 0 : view.depth[parent] + 1);
    view.total.push(0);
    view.self.push(0);
    view.x0.push(0);
    view.x1.push(0);
    view.head.push(-1);
    view.isOpen.push(false);
    view.children.push([]);
    return box;
}

/** Opens what is wide enough to be seen between a and b. */
function openVisible(view, a, b, pixels) {
    const least = (b - a) / pixels;
    const queue = [0];
    let isChanged = view.levels.length === 0;
    for (let i = 0; i < queue.length; i++) {
        const box = queue[i];
        if (!view.isOpen[box]) {
            openBox(view, box);
            isChanged = true;
        }
        for (const child of view.children[box]) {
            if (view.total[child] < least) {
                break;
            }
            if (view.x1[child] > a && view.x0[child] < b) {
                queue.push(child);
            }
        }
    }
    if (isChanged) {
        const levels = [];
        let level = view.children[0];
        while (level.length > 0) {
            levels.push(level);
            level = level.flatMap((box) => view.children[box]);
        }
        view.levels = levels;
    }
}

// ---- Time order: what one thread did, from left to right.

const TIME_BOXES_MAX = 2000000;

function timeView(model, by, thread, span) {
    const keys = keysOf(model, by);
    const runs = model.log[thread];
    const list = {x0: [0], x1: [0], depth: [0], parent: [0], key: [0],
                  self: [0], total: [0]};
    const open = []; // boxes, outermost first
    const path = [];
    const view = Object.assign(list, {kind: "time", n: 0, levels: [],
                                      cutAt: null});
    const from = span ? firstAfter(runs.end, span[0]) : 0;
    const until = span ? span[1] : Infinity;
    let last = -1;
    for (let i = from; i < runs.start.length && runs.start[i] < until; i++) {
        const start = span ? Math.max(runs.start[i], span[0]) : runs.start[i];
        const end = Math.min(runs.end[i], until);
        if (start > last + 1) {
            open.length = 0;
        }
        path.length = 0;
        for (let node = runs.node[i]; node !== 0; node = model.parent[node]) {
            path.push(keys[model.item[node]]);
        }
        path.reverse();
        let common = 0;
        while (common < open.length && common < path.length
                && list.key[open[common]] === path[common]) {
            common++;
        }
        open.length = common;
        for (let d = common; d < path.length; d++) {
            open.push(addTimeBox(view, d === 0 ? 0 : open[d - 1], path[d], d,
                                 start));
        }
        for (const box of open) {
            list.x1[box] = end;
            list.total[box] = end - list.x0[box];
        }
        if (open.length > 0) {
            list.self[open[open.length - 1]] += end - start;
        }
        last = end;
        if (view.n > TIME_BOXES_MAX) {
            view.cutAt = end;
            break;
        }
    }
    list.x0[0] = span ? span[0] : 0;
    list.x1[0] = view.cutAt || (span ? span[1] : model.ticks);
    list.total[0] = list.x1[0] - list.x0[0];
    return view;
}

function addTimeBox(view, parent, key, depth, start) {
    const box = ++view.n;
    view.x0.push(start);
    view.x1.push(start);
    view.depth.push(depth);
    view.parent.push(parent);
    view.key.push(key);
    view.self.push(0);
    view.total.push(0);
    if (view.levels.length <= depth) {
        view.levels.push([]);
    }
    view.levels[depth].push(box);
    return box;
}

/** The first box of a level that ends after x. */
function firstBox(view, level, x) {
    let low = 0;
    let high = level.length;
    while (low < high) {
        const middle = (low + high) >>> 1;
        if (view.x1[level[middle]] > x) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return low;
}
