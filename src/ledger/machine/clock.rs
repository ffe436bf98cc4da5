//! The ledger's own count of time, which no clock that is set can make run backwards or far ahead.

use crate::ledger::rules::Rules;
use crate::time::UnixMillis;

/// Milliseconds since the ledger began, as far as it lived through them: at each tick the wall clock's step, but never less
/// than nothing and never more than one window. It goes on across restarts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Clock {
    pub(super) wall: UnixMillis,
    pub(super) elapsed: u64,
    /// What was written last.
    pub(super) saved: u64,
}

impl Clock {
    pub(super) fn tick(&mut self, wall: UnixMillis, rules: &Rules) {
        let step = wall.0.saturating_sub(self.wall.0).min(rules.vote_window_ms);
        self.elapsed = self.elapsed.saturating_add(step);
        self.wall = wall;
    }

    pub(super) const fn age(&self, since: u64) -> u64 {
        self.elapsed.saturating_sub(since)
    }
}

/// Spans, in u.
pub(super) mod spans {
    /// A proposal this much older than its window is work.
    pub(crate) const GRACE: u64 = 12;
    /// A Leave, Wake, Evidence or complete endorsement of this age is work.
    pub(crate) const ITEM_IS_WORK: u64 = 24;
    /// A proposal may be this much younger than its window at who Acks.
    pub(crate) const RIPE_TOLERANCE: u64 = 1;
    /// A proposal this much older than its window must be judged; doubled with each view.
    pub(crate) const OVERDUE: u64 = 24;
    /// What is held for so long must be in an offer; doubled with each view.
    pub(crate) const SETTLING: u64 = 1;
    /// How far back the next round's beginning may lie.
    pub(crate) const DATE_BACK: u64 = 360;
    /// How far ahead it may lie.
    pub(crate) const DATE_AHEAD: u64 = 145;
    /// A later sealer takes proposals this much older than the window, times the views before.
    pub(crate) const LOOSENING: u64 = 6;
}
