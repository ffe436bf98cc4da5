//! Where everything of a scene stands on paper.

use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use crate::time::Instant;

/// Columns, as many as there are lanes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Page {
    pub(super) column: f64,
    pub(super) left: f64,
    pub(super) width: f64,
    pub(super) font: f64,
    /// Whether lane names stand slanted, since the columns are too narrow for them.
    pub(super) slanted: bool,
}

impl Page {
    pub(super) fn new(lanes: usize) -> Self {
        let gaps = lanes.saturating_sub(1).max(1) as f64;
        // 50 lanes just fit on a screen of 1,400 pixels; two are not farther apart than the eye likes.
        let column = (1_100.0 / gaps).floor().clamp(24.0, 400.0);
        let slanted = column < 90.0;
        let left = if slanted { 36.0 } else { (column / 2.0).min(110.0) };
        let right = if slanted { 96.0 } else { left };
        let width = left + column * lanes.saturating_sub(1) as f64 + right;
        Self { column, left, width: width.max(440.0), font: if slanted { 10.0 } else { 12.0 }, slanted }
    }

    pub(super) fn x(&self, lane: usize) -> f64 {
        self.left + self.column * lane as f64
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Area {
    pub(super) left: f64,
    pub(super) right: f64,
    pub(super) top: f64,
    pub(super) bottom: f64,
}

impl Area {
    pub(super) fn meets(&self, other: &Self) -> bool {
        self.left < other.right && other.left < self.right && self.top < other.bottom && other.top < self.bottom
    }

    pub(super) fn down(self, by: f64) -> Self {
        Self { top: self.top + by, bottom: self.bottom + by, ..self }
    }
}

#[derive(Debug)]
pub(super) struct Arrow {
    pub(super) item: usize,
    /// Which head of a fan, or which frames of a run.
    pub(super) head: usize,
    pub(super) from: (f64, f64),
    pub(super) to: (f64, f64),
}

#[derive(Debug)]
pub(super) struct Label {
    pub(super) item: usize,
    pub(super) head: usize,
    pub(super) text: String,
    pub(super) area: Area,
    /// Whether it stands left of its lane and so ends there.
    pub(super) ends: bool,
}

#[derive(Debug)]
pub(super) struct Note {
    pub(super) item: usize,
    pub(super) lines: Vec<String>,
    pub(super) area: Area,
}

#[derive(Debug)]
pub(super) struct Tick {
    pub(super) y: f64,
    pub(super) at: Instant,
    pub(super) text: String,
}

/// A folded time.
#[derive(Debug)]
pub(super) struct Fold {
    pub(super) top: f64,
    pub(super) bottom: f64,
    pub(super) length: Duration,
    /// Whether it holds frames that repeat.
    pub(super) run: bool,
}

#[derive(Debug)]
pub(super) struct Outage {
    pub(super) lane: usize,
    pub(super) from: (f64, Option<Instant>),
    pub(super) to: (f64, Option<Instant>),
}

#[derive(Debug)]
pub(super) struct Layout {
    pub(super) page: Page,
    pub(super) height: f64,
    pub(super) arrows: Vec<Arrow>,
    pub(super) labels: Vec<Label>,
    pub(super) notes: Vec<Note>,
    pub(super) ticks: Vec<Tick>,
    pub(super) folds: Vec<Fold>,
    pub(super) outages: Vec<Outage>,
}
