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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_alone_in_a_queue_is_always_at_the_same_place() {
        let mut queue = VecDeque::with_capacity(4);
        let place = |queue: &VecDeque<u32>| core::ptr::from_ref(&queue[0]).addr();
        queue.push_back(0);
        let first = place(&queue);
        for n in 0..10 {
            assert_eq!(place(&queue), first, "item {n}");
            assert_eq!(pop_front(&mut queue), Some(n));
            queue.push_back(n + 1);
        }
    }
}
