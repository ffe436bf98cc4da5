//! A story as a page of HTML: lanes side by side, time downwards.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write as _;

use super::layout::{Fold, Layout, Page};
use super::marks::{End, arrow, class, frame, frame_label, note_box, note_text, outage_bar, sign};
use super::pen::lay_out;
use super::scene::{Item, Scene};
use super::style::{Colour, SHARED, css};
use super::text::{Px, about, count, exact, grouped, one_line, shorten, span, time, title, width, xml};
use super::{Fate, Mood, Story};

const COLOURS: [Colour; 17] = [
    (".lane", "stroke", "#b4bbc4", "#4d5661"),
    (".lane.fifth", "stroke", "#7f8994", "#7d8792"),
    (".again", "stroke", "#8a5200", "#e3b341"),
    (".open", "stroke", "#5c6570", "#a3adb8"),
    (".head", "fill", "#1f5fa8", "#6cb0f5"),
    (".again .head", "fill", "#8a5200", "#e3b341"),
    (".fold", "fill", "#f3f4f6", "#1f242a"),
    (".fold", "stroke", "#c9ced5", "#3c444d"),
    (".good .box", "fill", "#e9f6ec", "#12261a"),
    (".good .box", "stroke", "#2c7a3f", "#56c271"),
    (".plain .box", "fill", "#f3f4f6", "#23282f"),
    (".plain .box", "stroke", "#8b949e", "#7d8792"),
    (".wrong .box", "fill", "#fdeceb", "#331614"),
    (".wrong .box", "stroke", "#c0271d", "#ff7b72"),
    (".good .sign", "stroke", "#2c7a3f", "#56c271"),
    (".plain .sign", "stroke", "#5c6570", "#a3adb8"),
    (".wrong .sign", "stroke", "#c0271d", "#ff7b72"),
];

/// The halo keeps a label readable where a line crosses it.
const LOOK: &str = "\
svg{display:block}
.halo{paint-order:stroke;stroke-width:3.5px;stroke-linejoin:round}
.arrow{fill:none;stroke-width:1.3px}
.narrow .arrow{stroke-width:1px}
.again{stroke-dasharray:5 3}
.again .head,.cross,.dot{stroke-dasharray:none}
.head{stroke:none}
.cross{stroke-width:1.8px}
.hit{stroke:transparent;stroke-width:9px;stroke-dasharray:none}
.lane{stroke-width:1px}
.fold{stroke-dasharray:2 3}
.box{stroke-width:1px}
.plain .box{stroke-dasharray:3 2}
.wrong .box{stroke-width:2px}
.sign{fill:none;stroke-width:1.8px;stroke-linecap:round}
.shade{stroke-dasharray:3 2}
.tick{stroke-width:1px}
";

const PAGE: &str = "\
html{color-scheme:light dark}
body{margin:0;background:#fff;color:#1c2127;font:14px/1.45 Helvetica,Arial,\"Liberation Sans\",\"DejaVu Sans\",sans-serif}
header,footer{padding:12px 20px;max-width:900px}
h1{font-size:20px;margin:4px 0}
p{margin:4px 0}
.left-out{border-left:4px solid #c0271d;padding-left:8px;font-weight:bold}
.key{display:flex;flex-wrap:wrap;gap:2px 22px;list-style:none;margin:8px 0 0;padding:0}
.key li{display:flex;align-items:center;gap:7px}
.chart{display:grid;width:max-content;margin:0 0 20px 8px}
.corner,.names,.times{background:#fff;position:sticky}
.corner{top:0;left:0;z-index:3}
.names{top:0;z-index:2;border-bottom:1px solid #b4bbc4}
.times{left:0;z-index:1}
@media (prefers-color-scheme:dark){
body,.corner,.names,.times{background:#15181c}
body{color:#e4e8ec}
.names{border-color:#4d5661}
.left-out{border-color:#ff7b72}
}
@media print{.corner,.names,.times{position:static}}
";

pub(super) fn draw(story: &Story) -> String {
    let scene = Scene::new(story);
    let layout = lay_out(&scene, story.lanes.len());
    let heading = if story.title.trim().is_empty() { "A run".into() } else { title(&one_line(&story.title)) };
    let mut out = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>{heading}</title>\n<style>\n{PAGE}{}{}\
         </style>\n</head>\n<body>\n<header>\n<h1>{heading}</h1>\n<p>{}</p>\n",
        css("svg", &[&SHARED, &COLOURS]),
        halo() + LOOK,
        summary(story, &scene)
    );
    for remark in remarks(&scene) {
        let _ = writeln!(out, "<p class=\"left-out\">{remark}</p>");
    }
    out += &key(&scene, &layout);
    out += "</header>\n";
    if !story.lanes.is_empty() {
        out += &chart(story, &scene, &layout);
    }
    out += "</body>\n</html>\n";
    out
}

/// The halo has the colour of what is behind it.
fn halo() -> String {
    css(
        "svg",
        &[&[
            (".halo", "stroke", "#ffffff", "#15181c"),
            (".good .halo", "stroke", "#e9f6ec", "#12261a"),
            (".plain .halo", "stroke", "#f3f4f6", "#23282f"),
            (".wrong .halo", "stroke", "#fdeceb", "#331614"),
        ]],
    )
}

fn summary(story: &Story, scene: &Scene<'_>) -> String {
    let mut parts = Vec::from([count(story.lanes.len(), "bot")]);
    if scene.frames > 0 {
        parts.push(format!("{} of {} bytes", count(scene.frames, "frame"), grouped(scene.bytes)));
    }
    if scene.retransmitted > 0 {
        parts.push(format!("{} sent again", grouped(scene.retransmitted as u128)));
    }
    if scene.lost > 0 {
        parts.push(format!("{} lost", grouped(scene.lost as u128)));
    }
    parts.push(match scene.range {
        None => "nothing happened".into(),
        Some((from, to)) if from == to => format!("all at {}", time(from)),
        Some((from, to)) => format!("from {} to {}", time(from), time(to)),
    });
    parts.join(" · ")
}

fn remarks(scene: &Scene<'_>) -> Vec<String> {
    let mut out = Vec::new();
    if let Some(from) = scene.frames_end {
        out.push(format!("Not drawn: {}, all frames from {} on.", count(scene.frames_left_out, "frame"), time(from)));
    }
    if scene.others_left_out > 0 {
        out.push(format!("Not drawn: {}, since there are too many.", count(scene.others_left_out, "other event")));
    }
    if scene.nowhere > 0 {
        out.push(format!("Not drawn: {} of bots that have no lane.", count(scene.nowhere, "event")));
    }
    out
}

/// What the signs mean that occur.
fn key(scene: &Scene<'_>, layout: &Layout) -> String {
    let swatch = |wide: u8, inside: &str, words: &str| {
        format!("<li><svg width=\"{wide}\" height=\"16\">{inside}</svg>{words}</li>\n")
    };
    let sample = |inside: &str, words: &str| swatch(44, inside, words);
    let fans = || scene.items.iter().filter_map(|item| if let Item::Fan(fan) = item { Some(fan) } else { None });
    let has = |fate: Fate| fans().any(|fan| fan.heads.iter().any(|(_, end)| *end == fate));
    let noted =
        |mood: Mood| scene.items.iter().any(|item| matches!(item, Item::Note { mood: this, .. } if *this == mood));
    let mut out = String::new();
    if scene.frames > 0 {
        out += &sample(&arrow((2.0, 5.0), (42.0, 11.0), End::Arrived, false), "arrived");
    }
    if fans().any(|fan| fan.retransmit) {
        out += &sample(&arrow((2.0, 5.0), (42.0, 11.0), End::Arrived, true), "sent again");
    }
    if has(Fate::Lost) {
        out += &sample(&arrow((2.0, 5.0), (36.0, 10.0), End::Lost, false), "lost");
    }
    if has(Fate::UnderWay) {
        out += &sample(&arrow((2.0, 5.0), (36.0, 10.0), End::UnderWay, false), "under way at the end");
    }
    if layout.folds.iter().any(|fold| !fold.run) {
        out += &sample("<rect class=\"fold\" x=\"1\" y=\"3\" width=\"42\" height=\"10\"/>", "folded: nothing happened");
    }
    if layout.folds.iter().any(|fold| fold.run) {
        let inside = "<rect class=\"fold\" x=\"1\" y=\"1\" width=\"42\" height=\"14\"/>";
        out += &sample(
            &(inside.to_owned() + &arrow((3.0, 8.0), (41.0, 8.0), End::Arrived, false)),
            "folded: the same again and again",
        );
    }
    if !layout.outages.is_empty() {
        out += &swatch(12, "<rect class=\"shade\" x=\"1\" y=\"1\" width=\"10\" height=\"14\"/>", "down");
    }
    for (mood, words) in [(Mood::Good, "good"), (Mood::Plain, "note"), (Mood::Bad, "bad")] {
        if noted(mood) {
            let inside = format!(
                "<g class=\"{}\"><rect class=\"box\" x=\"1\" y=\"1\" width=\"22\" height=\"14\" rx=\"3\"/>{}</g>",
                class(mood),
                sign(mood, 12.0, 8.0)
            );
            out += &swatch(24, &inside, words);
        }
    }
    if out.is_empty() { out } else { format!("<ul class=\"key\">\n{out}</ul>\n") }
}

fn chart(story: &Story, scene: &Scene<'_>, layout: &Layout) -> String {
    let page = &layout.page;
    let fold_text = |fold: &Fold| format!("⋮ {}", about(fold.length));
    let texts = layout.ticks.iter().map(|tick| width(&tick.text, 11.0));
    let texts = texts.chain(layout.folds.iter().map(|fold| width(&fold_text(fold), 11.0)));
    let axis = texts.fold(40.0, f64::max) + 20.0;
    let (names, height) = lane_names(story, page);
    let mut out = format!(
        "<div class=\"chart\" style=\"grid-template-columns:{}px {}px\">\n<div class=\"corner\"></div>\n\
         <div class=\"names\">{}{names}</svg></div>\n<div class=\"times\">{}",
        Px(axis),
        Px(page.width),
        open_svg(page.width, height),
        open_svg(axis, layout.height),
    );
    for fold in &layout.folds {
        let (top, high) = (fold.top, fold.bottom - fold.top);
        let _ = writeln!(
            out,
            "<rect class=\"fold\" x=\"-5\" y=\"{}\" width=\"{}\" height=\"{}\"/><text class=\"dim halo\" font-size=\"11\" \
             font-style=\"italic\" text-anchor=\"end\" x=\"{}\" y=\"{}\">{}</text>",
            Px(top),
            Px(axis + 10.0),
            Px(high),
            Px(axis - 12.0),
            Px(top + high / 2.0 + 4.0),
            fold_text(fold)
        );
    }
    for tick in &layout.ticks {
        let _ = writeln!(
            out,
            "<g><title>{}</title><path class=\"axis tick\" d=\"M{} {}h6\"/><text class=\"dim halo\" font-size=\"11\" \
             text-anchor=\"end\" x=\"{}\" y=\"{}\">{}</text></g>",
            exact(tick.at),
            Px(axis - 7.0),
            Px(tick.y),
            Px(axis - 12.0),
            Px(tick.y + 4.0),
            tick.text
        );
    }
    let narrow = if page.slanted { " class=\"narrow\"" } else { "" };
    let _ = write!(out, "</svg></div>\n<div{narrow}>{}", open_svg(page.width, layout.height));
    drawing(&mut out, story, scene, layout);
    out += "</svg></div>\n</div>\n";
    out
}

fn open_svg(width: f64, height: f64) -> String {
    format!("<svg width=\"{0}\" height=\"{1}\" viewBox=\"0 0 {0} {1}\">\n", Px(width), Px(height))
}

fn lane_names(story: &Story, page: &Page) -> (String, f64) {
    let shown: Vec<String> = story
        .lanes
        .iter()
        .map(|name| {
            let room = if page.slanted { 110.0 } else { page.column.min(230.0) - 14.0 };
            shorten(name, 12.0, room)
        })
        .collect();
    let longest = shown.iter().map(|name| width(name, 12.0)).fold(0.0, f64::max);
    let height = if page.slanted { (longest * 0.71 + 16.0).ceil() } else { 28.0 };
    let mut out = String::new();
    for (lane, (name, short)) in story.lanes.iter().zip(&shown).enumerate() {
        let (x, y) = (page.x(lane), height - 8.0);
        let place = if page.slanted {
            format!("transform=\"translate({} {}) rotate(-45)\"", Px(x + 3.0), Px(y + 3.0))
        } else {
            format!("x=\"{}\" y=\"{}\" text-anchor=\"middle\" font-weight=\"bold\"", Px(x), Px(y))
        };
        let _ =
            writeln!(out, "<g><title>{}</title><text font-size=\"12\" {place}>{}</text></g>", title(name), xml(short));
    }
    (out, height)
}

/// From the back to the front: what is folded, lanes, boxes, arrows, texts.
fn drawing(out: &mut String, story: &Story, scene: &Scene<'_>, layout: &Layout) {
    let page = &layout.page;
    for fold in &layout.folds {
        let words = if fold.run { "the same again and again for" } else { "nothing happened for" };
        let _ = writeln!(
            out,
            "<rect class=\"fold\" x=\"-5\" y=\"{}\" width=\"{}\" height=\"{}\"><title>{words} {}</title></rect>",
            Px(fold.top),
            Px(page.width + 10.0),
            Px(fold.bottom - fold.top),
            span(fold.length)
        );
    }
    for (lane, name) in story.lanes.iter().enumerate() {
        // Every fifth lane is stronger, for the eye to count along.
        let fifth = if page.slanted && lane % 5 == 0 { " fifth" } else { "" };
        let path = format!("d=\"M{} 0V{}\"", Px(page.x(lane)), Px(layout.height));
        let _ = writeln!(
            out,
            "<g><title>{}</title><path class=\"lane{fifth}\" {path}/><path class=\"hit\" {path}/></g>",
            title(name)
        );
    }
    for fold in layout.folds.iter().filter(|fold| !fold.run) {
        // The lanes are broken where time is.
        for lane in 0..story.lanes.len() {
            let (x, y) = (page.x(lane), (fold.top + fold.bottom) / 2.0);
            let _ = write!(out, "<path class=\"paper\" d=\"M{} {}l8 -4v5l-8 4z\"/>", Px(x - 4.0), Px(y));
        }
        out.push('\n');
    }
    for outage in &layout.outages {
        outage_bar(out, story, page, outage);
    }
    for note in &layout.notes {
        note_box(out, scene, note);
    }
    for arrow in &layout.arrows {
        frame(out, story, scene, arrow);
    }
    for label in &layout.labels {
        frame_label(out, story, scene, page, label);
    }
    for note in &layout.notes {
        note_text(out, scene, page, note);
    }
}
