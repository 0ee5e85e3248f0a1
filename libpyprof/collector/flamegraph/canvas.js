// Draws a view: which boxes are seen, in what colour, with what on them. The
// same walk makes the picture on the screen, the PNG and the SVG, through a
// painter with rect() and text().
"use strict";

const ROW = 19; // pixels from one level to the next
const FONT = '12px system-ui, -apple-system, "Segoe UI", "Helvetica Neue", '
    + '"DejaVu Sans", sans-serif';

// Fills are light enough for dark text in both themes, and differ in lightness
// as well as in hue, for eyes that don't tell hues apart.
const KIND_FILLS = [[38, 92, 68], [205, 72, 76], [158, 42, 74], [265, 38, 80],
                    [338, 72, 78], [220, 10, 82]];
const STATE_FILLS = ["#b9bfc9", "#4fa36b", "#e2a13a", "#d2679a", "#8f7fd0",
                     "#e3e6eb", "#a7bfd8"];
const STATE_FILLS_DARK = ["#5b6370", "#4fa36b", "#e2a13a", "#d2679a",
                          "#8f7fd0", "#2c323c", "#4a6583"];

function hash(text) {
    let h = 2166136261;
    for (let i = 0; i < text.length; i++) {
        h = Math.imul(h ^ text.charCodeAt(i), 16777619);
    }
    return (h ^ (h >>> 13)) >>> 0;
}

function hsl(h, s, l) {
    return "hsl(" + h + " " + s + "% " + l + "%)";
}

/** A function that gives a box its fill. */
function colouring(model, view, how, scale) {
    if (how === "difference" && view.before) {
        return (box) => differenceFill(view, box, scale);
    }
    const fnOf = functionOf(model, view);
    const fills = new Map();
    return (box) => {
        const f = fnOf(box);
        if (f === null) {
            return hsl(220, 6, 88);
        }
        if (how === "heat") {
            return heatFill(view.total[0] ? view.self[box] / view.total[0] : 0);
        }
        let fill = fills.get(f);
        if (fill === undefined) {
            fill = how === "module" ? hsl(hash(f.module) % 360, 52, 77)
                : kindFill(f);
            fills.set(f, fill);
        }
        return fill;
    };
}

function kindFill(f) {
    const [h, s, l] = KIND_FILLS[f.kind];
    return hsl(h, s, l + (hash(f.name + f.file) % 7) * 1.4);
}

const HEAT = ["#f3eee3", "#fbe6b4", "#fdd28a", "#fbb767", "#f79c54", "#f07f4c",
              "#e8704a"];

function heatFill(share) {
    let level = 0;
    for (const bound of [0.001, 0.01, 0.03, 0.06, 0.12, 0.25]) {
        level += share >= bound ? 1 : 0;
    }
    return HEAT[level];
}

const MORE = ["#f6d5c3", "#f4b796", "#ee9468", "#e4733f"];
const LESS = ["#cfdff2", "#a8c8ec", "#7dade3", "#5793d8"];

/** By the change of its share (or time), relative to what it was. */
function differenceFill(view, box, scale) {
    const before = view.before[box] * scale;
    const now = view.total[box];
    if (view.isGone || before === 0) {
        return view.isGone ? "#b9a8dd" : "#d9b3e6";
    }
    const change = (now - before) / before;
    const size = Math.abs(change);
    if (size < 0.05) {
        return "#e6e6e3";
    }
    const level = size < 0.15 ? 0 : size < 0.4 ? 1 : size < 1 ? 2 : 3;
    return (change > 0 ? MORE : LESS)[level];
}

/** What a box is: a function, or null for one that stands for smaller ones. */
function functionOf(model, view) {
    const {fn} = model.items;
    if (view.by === "line") {
        return (box) => model.functions[fn[view.key[box]]];
    }
    return (box) => model.functions[view.key[box]];
}

/** What stands on a box. */
function labeller(model, view) {
    const fnOf = functionOf(model, view);
    const {line} = model.items;
    return (box) => {
        const f = fnOf(box);
        if (f === null) {
            return smallerLabel(model, view, box);
        }
        if (view.by === "line" && line[view.key[box]] > 0) {
            return f.name + " :" + line[view.key[box]];
        }
        return f.name;
    };
}

function smallerLabel(model, view, box) {
    let n = 0;
    if (view.boxOf) {
        for (const [node, folded] of model.folded) {
            n += view.boxOf[node] === box ? folded : 0;
        }
    }
    return n > 0 ? "(" + count(n) + " smaller)" : "(smaller)";
}

/** Widths of texts, and what of a text fits. */
class Measure {
    constructor(context) {
        this.context = context;
        this.widths = new Map();
    }

    width(text) {
        let width = this.widths.get(text);
        if (width === undefined) {
            if (this.widths.size > 20000) {
                this.widths.clear();
            }
            width = this.context.measureText(text).width;
            this.widths.set(text, width);
        }
        return width;
    }

    fit(text, room) {
        const width = this.width(text);
        if (width <= room) {
            return text;
        }
        // The end of a qualified name says most: "…Class.method".
        const keep = Math.floor(text.length * (room - 10) / width) - 1;
        return keep < 2 ? "" : text.slice(0, keep) + "\u2026";
    }
}

/**
 * Calls paint(box, x, width, level) for each box that is to be seen, and
 * paint(0, ...) for a run of boxes that are too narrow each.
 */
function eachSeen(view, place, paint) {
    const {a, b, width, top, height} = place;
    const scale = width / (b - a);
    const {x0, x1} = view;
    const first = Math.max(0, Math.floor(top / ROW));
    const last = Math.min(view.levels.length - 1,
                          Math.floor((top + height) / ROW));
    for (let d = first; d <= last; d++) {
        const level = view.levels[d];
        let i = firstBox(view, level, a);
        while (i < level.length && x0[level[i]] < b) {
            const box = level[i];
            const left = Math.max(0, (x0[box] - a) * scale);
            const right = Math.min(width, (x1[box] - a) * scale);
            if (right - left >= 1.5) {
                paint(box, left, right - left, d);
                i++;
                continue;
            }
            // On to the first box that ends beyond this pixel.
            const edge = Math.floor(left) + 1.5;
            const next = Math.max(i + 1,
                                  firstBox(view, level, a + edge / scale));
            const end = (x1[level[next - 1]] - a) * scale;
            paint(0, left, Math.max(0.5, Math.min(width, end) - left), d);
            i = next;
        }
    }
}

/** All of a picture. `look` has colour, matches, selected, hovered, dark. */
function drawView(painter, model, view, place, look) {
    const label = labeller(model, view);
    const {fill} = look;
    eachSeen(view, place, (box, x, width, level) => {
        const y = level * ROW - place.top;
        if (box === 0) {
            painter.rect(x, y, width, ROW - 1, look.narrow);
            return;
        }
        const isDim = look.matches !== null && !look.matches(box);
        painter.rect(x, y, Math.max(1, width - 0.6), ROW - 1,
                     isDim ? look.dim : fill(box));
        if (width > 22) {
            const text = painter.fit(label(box), width - 8);
            if (text !== "") {
                painter.text(x + 4, y + 13, text,
                             isDim ? look.dimText : "#14171c");
            }
        }
        if (box === look.selected || box === look.hovered) {
            painter.outline(x, y, Math.max(1, width - 0.6), ROW - 1,
                            box === look.selected ? look.strong : look.weak);
        }
    });
}

class CanvasPainter {
    constructor(context) {
        this.context = context;
        this.measure = new Measure(context);
    }

    begin(width, height, ratio, back) {
        this.context.setTransform(ratio, 0, 0, ratio, 0, 0);
        this.context.fillStyle = back;
        this.context.fillRect(0, 0, width, height);
        this.context.font = FONT;
        this.fillStyle = "";
    }

    rect(x, y, width, height, fill) {
        if (fill !== this.fillStyle) {
            this.context.fillStyle = this.fillStyle = fill;
        }
        this.context.fillRect(x, y, width, height);
    }

    text(x, y, text, fill) {
        this.rect(0, 0, 0, 0, fill);
        this.context.fillText(text, x, y);
    }

    outline(x, y, width, height, stroke) {
        this.context.strokeStyle = stroke;
        this.context.lineWidth = 2;
        this.context.strokeRect(x + 1, y + 1, Math.max(0, width - 2),
                                height - 2);
    }

    fit(text, room) {
        return this.measure.fit(text, room);
    }
}

/** The same as text of an SVG file. */
class SvgPainter {
    constructor(measure) {
        this.measure = measure;
        this.parts = [];
    }

    escape(text) {
        return text.replace(/[&<>"']/g, (c) => "&#" + c.charCodeAt(0) + ";");
    }

    rect(x, y, width, height, fill) {
        this.parts.push('<rect x="' + x.toFixed(1) + '" y="' + y.toFixed(1)
            + '" width="' + width.toFixed(1) + '" height="' + height
            + '" fill="' + fill + '"/>');
    }

    text(x, y, text, fill) {
        this.parts.push('<text x="' + x.toFixed(1) + '" y="' + y.toFixed(1)
            + '" fill="' + fill + '">' + this.escape(text) + "</text>");
    }

    outline() {
        // a picture has no selection
    }

    fit(text, room) {
        return this.measure.fit(text, room);
    }

    finish(width, height, title) {
        return '<svg xmlns="http://www.w3.org/2000/svg" width="' + width
            + '" height="' + height + '" font-family="system-ui, sans-serif"'
            + ' font-size="12"><title>' + this.escape(title) + "</title>"
            + '<rect width="100%" height="100%" fill="#ffffff"/>'
            + this.parts.join("\n") + "</svg>\n";
    }
}
