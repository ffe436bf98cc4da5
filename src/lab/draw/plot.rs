//! Deliveries over time as stepped curves.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write as _;

use super::axis::Axis;
use super::style::{Colour, SHARED, css};
use super::text::{self, Px, width, xml};
use crate::time::Instant;

/// A curve of [`convergence`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Series {
    /// What it shows; stands at the end of the curve.
    pub name: String,
    /// From each instant on, which fraction, 0 to 1; other numbers are cut to that, and what is no number is left out.
    pub points: Vec<(Instant, f64)>,
}

const LEFT: f64 = 58.0;
const TOP: f64 = 50.0;
const PLOT_WIDTH: f64 = 640.0;
const PLOT_HEIGHT: f64 = 300.0;
const NAME_LINE: f64 = 17.0;
const NAME_ROOM: f64 = 190.0;
/// Chosen because more names than that are a list, not a plot.
const MOST_SERIES: usize = 40;
/// More steps than pixels cannot be told apart.
const MOST_STEPS: usize = 2_000;

/// Colours that people tell apart who see red and green alike; after Okabe and Ito, darkened or lightened for contrast.
const COLOURS: [Colour; 12] = [
    (".s0", "stroke", "#0b62a8", "#56b4e9"),
    (".s1", "stroke", "#b34700", "#ff9e4a"),
    (".s2", "stroke", "#00795a", "#3ccf9e"),
    (".s3", "stroke", "#a0407a", "#e59ac8"),
    (".s4", "stroke", "#7a6300", "#e6cf3d"),
    (".s5", "stroke", "#3c4650", "#c3ccd6"),
    (".t0", "fill", "#0b62a8", "#56b4e9"),
    (".t1", "fill", "#b34700", "#ff9e4a"),
    (".t2", "fill", "#00795a", "#3ccf9e"),
    (".t3", "fill", "#a0407a", "#e59ac8"),
    (".t4", "fill", "#7a6300", "#e6cf3d"),
    (".t5", "fill", "#3c4650", "#c3ccd6"),
];
const HUES: usize = 6;
/// Dashes tell curves apart without colour.
const DASHES: [&str; 5] = ["none", "7 3", "2 3", "9 3 2 3", "14 4"];

/// Draws which fraction of the deliveries was made by when, as a self-contained SVG.
///
/// One stepped curve for each series, named at its end with when it was complete, or how far it came. Curves differ in
/// colour and in dashes. At most 40 are drawn, and the picture says how many are not.
#[must_use]
pub fn convergence(title: &str, series: &[Series]) -> String {
    let curves: Vec<Curve<'_>> = series.iter().take(MOST_SERIES).map(Curve::new).collect();
    let from = curves.iter().filter_map(|curve| Some(curve.points.first()?.0)).min();
    let to = curves.iter().filter_map(|curve| Some(curve.points.last()?.0)).max();
    let (from, to) = (from.unwrap_or_default(), to.unwrap_or(Instant::from_millis(1_000)));
    // A little more than the last step, which would else be part of the frame.
    let axis = Axis::new(from, to + to.since(from) / 25, LEFT, PLOT_WIDTH);
    let high = PLOT_HEIGHT.max(curves.len() as f64 * NAME_LINE);
    let names = curves.iter().map(|curve| width(&curve.words, 12.0)).fold(60.0, f64::max);
    let (wide, tall) = (LEFT + PLOT_WIDTH + 60.0 + names + 12.0, TOP + high + 50.0);
    let mut out = open("interbot-convergence", title, (wide, tall), &[&SHARED, &COLOURS]);
    scales(&mut out, &axis, high);
    let ends: Vec<f64> = curves.iter().map(|curve| y(curve.last(), high)).collect();
    for (place, curve) in curves.iter().enumerate() {
        curve.draw(&mut out, place, &axis, high);
    }
    for ((place, curve), at) in curves.iter().enumerate().zip(spread(&ends, high)) {
        let (x, hue) = (LEFT + PLOT_WIDTH, place % HUES);
        let _ = write!(
            out,
            "<path class=\"s{hue}\" fill=\"none\" d=\"M{0} {1}L{2} {3}\"/><path class=\"s{hue}\" fill=\"none\" \
             stroke-width=\"2\" stroke-dasharray=\"{4}\" d=\"M{2} {3}h32\"/>\n\
             <g><title>{5}</title><text class=\"t{hue}\" font-size=\"12\" x=\"{6}\" y=\"{7}\">{8}</text></g>\n",
            Px(x + 2.0),
            Px(ends[place]),
            Px(x + 18.0),
            Px(at),
            dashes(place),
            text::title(&curve.told),
            Px(x + 56.0),
            Px(at + 4.0),
            xml(&curve.words)
        );
    }
    if curves.iter().all(|curve| curve.points.is_empty()) {
        let (x, y) = (Px(LEFT + PLOT_WIDTH / 2.0), Px(TOP + high / 2.0));
        let _ = writeln!(
            out,
            "<text class=\"dim\" font-size=\"14\" text-anchor=\"middle\" x=\"{x}\" y=\"{y}\">nothing to show</text>"
        );
    }
    if series.len() > MOST_SERIES {
        let words = text::count(series.len() - MOST_SERIES, "more curve");
        let y = Px(TOP - 8.0);
        let _ = writeln!(
            out,
            "<text class=\"badtext\" font-size=\"12\" x=\"{}\" y=\"{y}\">Not drawn: {words}</text>",
            Px(LEFT)
        );
    }
    out + "</svg>\n"
}

struct Curve<'a> {
    series: &'a Series,
    points: Vec<(Instant, f64)>,
    words: String,
    told: String,
}

impl<'a> Curve<'a> {
    fn new(series: &'a Series) -> Self {
        let good = series.points.iter().filter(|(_, fraction)| !fraction.is_nan());
        let mut points: Vec<(Instant, f64)> = good.map(|(at, fraction)| (*at, fraction.clamp(0.0, 1.0))).collect();
        points.sort_by_key(|(at, _)| *at);
        let name = if series.name.trim().is_empty() { "unnamed" } else { &series.name };
        let complete = points.iter().find(|(_, fraction)| *fraction >= 1.0);
        let far = match (complete, points.last()) {
            (Some((at, _)), _) => format!("all at {}", text::about(at.since(Instant::ZERO))),
            (None, Some((_, fraction))) => format!("{} %", percent(*fraction)),
            (None, None) => "nothing".into(),
        };
        let words = format!("{}: {far}", text::shorten(name, 12.0, NAME_ROOM));
        let told = match complete {
            Some((at, _)) => format!("{name}: all at {}", text::exact(*at)),
            None => format!("{name}: {far}"),
        };
        Self { series, points, words, told }
    }

    fn last(&self) -> f64 {
        self.points.last().map_or(0.0, |(_, fraction)| *fraction)
    }

    fn draw(&self, out: &mut String, place: usize, axis: &Axis, high: f64) {
        let Some((first, _)) = self.points.first() else { return };
        let mut path = format!("M{} {}", Px(axis.x(*first)), Px(y(0.0, high)));
        // Of steps within one pixel the last one counts, as it would on paper.
        let every = self.points.len().div_ceil(MOST_STEPS).max(1);
        let last = self.points.len() - 1;
        for (_, (at, fraction)) in self.points.iter().enumerate().filter(|(n, _)| n % every == 0 || *n == last) {
            let _ = write!(path, "H{}V{}", Px(axis.x(*at)), Px(y(*fraction, high)));
        }
        let _ = write!(path, "H{}", Px(LEFT + PLOT_WIDTH));
        let _ = writeln!(
            out,
            "<g><title>{}</title><path class=\"s{}\" fill=\"none\" stroke-width=\"2\" stroke-linejoin=\"round\" \
             stroke-dasharray=\"{}\" d=\"{path}\"/></g>",
            text::title(&format!("{}\n{}", self.told, text::count(self.series.points.len(), "point"))),
            place % HUES,
            dashes(place)
        );
    }
}

fn dashes(place: usize) -> &'static str {
    DASHES[place % DASHES.len()]
}

fn y(fraction: f64, high: f64) -> f64 {
    TOP + high * (1.0 - fraction)
}

/// Never `100` before the last.
fn percent(fraction: f64) -> String {
    // The millionth is for fractions that binary numbers miss by a hair.
    let tenths = (fraction * 1_000.0 + 0.000_001).floor();
    format!("{}", Px(tenths / 10.0))
}

/// Grid, numbers, and what they mean.
fn scales(out: &mut String, axis: &Axis, high: f64) {
    for percent in [0_u8, 25, 50, 75, 100] {
        let y = y(f64::from(percent) / 100.0, high);
        let _ = writeln!(
            out,
            "<path class=\"grid\" d=\"M{} {}h{}\"/><text class=\"dim\" font-size=\"12\" text-anchor=\"end\" x=\"{}\" \
             y=\"{}\">{percent} %</text>",
            Px(LEFT),
            Px(y),
            Px(PLOT_WIDTH),
            Px(LEFT - 8.0),
            Px(y + 4.0)
        );
    }
    time_scale(out, axis, TOP, TOP + high);
}

/// Vertical lines at round times, named at the bottom.
pub(super) fn time_scale(out: &mut String, axis: &Axis, top: f64, bottom: f64) {
    for (at, name) in axis.ticks(8) {
        let x = axis.x(at);
        let _ = writeln!(
            out,
            "<path class=\"grid\" d=\"M{0} {1}V{2}\"/><path class=\"axis\" d=\"M{0} {2}v5\"/><text class=\"dim\" \
             font-size=\"12\" text-anchor=\"middle\" x=\"{0}\" y=\"{3}\">{4}</text>",
            Px(x),
            Px(top),
            Px(bottom),
            Px(bottom + 20.0),
            name
        );
    }
}

/// Begins a picture with its paper and its title.
pub(super) fn open(class: &str, title: &str, (wide, tall): (f64, f64), colours: &[&[Colour]]) -> String {
    let heading = text::shorten(title, 16.0, wide - 32.0);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"{class}\" width=\"{0}\" height=\"{1}\" viewBox=\"0 0 {0} \
         {1}\">\n<title>{2}</title>\n<style>\n{3}</style>\n<rect class=\"paper\" width=\"{0}\" height=\"{1}\"/>\n\
         <text font-size=\"16\" font-weight=\"bold\" x=\"16\" y=\"26\">{4}</text>\n",
        Px(wide),
        Px(tall),
        text::title(title),
        css(&format!(".{class}"), colours),
        xml(&heading)
    )
}

/// Where names stand so that they do not overlap, each as near as it can be to the end of its curve.
fn spread(ends: &[f64], high: f64) -> Vec<f64> {
    let mut order: Vec<usize> = (0..ends.len()).collect();
    order.sort_by(|a, b| ends[*a].total_cmp(&ends[*b]));
    let mut places = ends.to_vec();
    let mut least = TOP;
    for place in &order {
        places[*place] = ends[*place].max(least);
        least = places[*place] + NAME_LINE;
    }
    let mut most = TOP + high;
    for place in order.iter().rev() {
        places[*place] = places[*place].min(most);
        most = places[*place] - NAME_LINE;
    }
    places
}
