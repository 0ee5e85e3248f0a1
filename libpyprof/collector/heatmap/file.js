// A file of a heatmap: what is coloured, what is hidden, and the map beside it.
"use strict";

const HEAT_FILLS = ["", "#fdf6e0", "#fdedc0", "#fde09b", "#fccf7c", "#fab967",
                    "#f59f57", "#ee8650", "#e8704a"];

const page = {colour: "self", rows: []};

function level(row, which) {
    const match = new RegExp("\\b" + which[0] + "(\\d)\\b").exec(row.className);
    return match ? Number(match[1]) : 0;
}

function setColour(which) {
    page.colour = which;
    document.body.classList.toggle("by-self", which === "self");
    document.body.classList.toggle("by-total", which === "total");
    for (const button of byId("colour").children) {
        button.setAttribute("aria-pressed", String(button.value === which));
    }
    drawMap();
}

function toggleCold() {
    const isHidden = document.body.classList.toggle("hide-cold");
    byId("cold").setAttribute("aria-pressed", String(isHidden));
    drawMap();
}

/** The whole file, a line a pixel or less, with what is hot. */
function drawMap() {
    const canvas = byId("map");
    const ratio = devicePixelRatio || 1;
    canvas.width = canvas.clientWidth * ratio;
    canvas.height = canvas.clientHeight * ratio;
    const context = canvas.getContext("2d");
    const whole = document.documentElement.scrollHeight;
    for (const row of page.rows) {
        const heat = level(row, page.colour);
        if (heat > 0 && row.offsetParent !== null) {
            const y = row.getBoundingClientRect().top + scrollY;
            context.fillStyle = HEAT_FILLS[heat];
            context.fillRect(0, y / whole * canvas.height, canvas.width,
                             Math.max(2 * ratio, row.offsetHeight / whole
                                 * canvas.height));
        }
    }
    context.strokeStyle = isDark() ? "#7db3f5" : "#1a5fb4";
    context.lineWidth = ratio;
    context.strokeRect(ratio / 2, scrollY / whole * canvas.height + ratio / 2,
                       canvas.width - ratio,
                       innerHeight / whole * canvas.height - ratio);
}

/** On through the hot lines, hottest first. */
function nextHot() {
    const hot = page.rows.filter((row) => level(row, page.colour) > 0)
        .sort((a, b) => level(b, page.colour) - level(a, page.colour));
    if (hot.length === 0) {
        return;
    }
    const row = hot[(hot.findIndex((r) => r.classList.contains("here")) + 1)
        % hot.length];
    for (const other of hot) {
        other.classList.remove("here");
    }
    row.classList.add("here");
    row.scrollIntoView({block: "center"});
}

function startFile() {
    page.rows = [...document.querySelectorAll("tbody tr[class]")];
    byId("colour").addEventListener("click", (event) => {
        if (event.target.value) {
            setColour(event.target.value);
        }
    });
    byId("cold").addEventListener("click", toggleCold);
    byId("next").addEventListener("click", nextHot);
    byId("map").addEventListener("pointerdown", (event) => {
        const part = event.clientY / innerHeight;
        scrollTo(0, part * document.documentElement.scrollHeight
            - innerHeight / 2);
    });
    let isDrawing = false;
    const draw = () => {
        if (!isDrawing) {
            isDrawing = true;
            requestAnimationFrame(() => {
                isDrawing = false;
                drawMap();
            });
        }
    };
    addEventListener("scroll", draw, {passive: true});
    addEventListener("resize", draw);
    document.addEventListener("keydown", (event) => {
        const keys = {"1": () => setColour("self"), "2": () => setColour("total"),
                      "h": toggleCold, "n": nextHot,
                      "t": () => byId("theme").click()};
        if (keys[event.key] && !event.ctrlKey && !event.altKey
                && !event.metaKey) {
            keys[event.key]();
        }
    });
    setUpTheme(byId("theme"), draw);
    setColour("self");
    if (location.hash === "" && page.rows.length > 0) {
        nextHot();
    }
}

startFile();
