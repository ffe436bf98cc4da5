//! Queues that are mostly empty.

use alloc::collections::VecDeque;

/// Takes the first item; an emptied queue begins at the start of its memory again, so that one which mostly holds a single
/// item stays in one cache line instead of wandering through all it ever allocated.
pub(crate) fn pop_front<T>(queue: &mut VecDeque<T>) -> Option<T> {
    let first = queue.pop_front();
    if queue.is_empty() {
        queue.clear();
    }
    first
}
