//! Things in an order that passes add to and remove from, mostly one neighbour after the other.

use std::ops::Deref;

use super::steps::count;

/// A list that looks for a place near the one it changed last. A pass that walks through a file of
/// tens of thousands of weights would search all of it for each of them otherwise.
#[derive(Debug, Clone)]
pub(super) struct Sequence<T> {
    items: Vec<T>,
    last: usize,
}

impl<T: PartialEq> Sequence<T> {
    pub fn new() -> Self {
        Self { items: Vec::new(), last: 0 }
    }

    pub fn push(&mut self, item: T) {
        self.items.push(item);
    }

    /// Before another item, or at the end if that is not there.
    pub fn insert_before(&mut self, before: Option<&T>, item: T) {
        match before.and_then(|before| self.position(before)) {
            Some(position) => {
                self.items.insert(position, item);
                self.last = position + 1;
            }
            None => self.items.push(item),
        }
    }

    pub fn remove(&mut self, item: &T) {
        if let Some(position) = self.position(item) {
            self.items.remove(position);
            self.last = position;
        }
    }

    /// Keeps the items that `kept` says.
    pub fn retain(&mut self, kept: impl FnMut(&T) -> bool) {
        count(self.items.len());
        self.items.retain(kept);
        self.last = 0;
    }

    /// The item behind another one.
    pub fn behind(&self, item: &T) -> Option<&T> {
        self.items.get(self.position(item)? + 1)
    }

    /// Where an item is, searched for from the last change on to both sides.
    fn position(&self, item: &T) -> Option<usize> {
        let (before, behind) = self.items.split_at(self.last.min(self.items.len()));
        (0..before.len().max(behind.len())).find_map(|distance| {
            count(1);
            if behind.get(distance) == Some(item) {
                return Some(before.len() + distance);
            }
            let position = before.len().checked_sub(distance + 1)?;
            (before[position] == *item).then_some(position)
        })
    }
}

impl<T> Deref for Sequence<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.items
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_lies_behind_and_before_the_last_change() {
        let mut sequence = Sequence::new();
        (0..4).for_each(|item| sequence.push(item * 10));
        sequence.insert_before(Some(&20), 19);
        sequence.insert_before(Some(&20), 18);
        sequence.insert_before(Some(&0), -1);
        sequence.insert_before(Some(&7), 40);
        sequence.insert_before(None, 50);
        sequence.remove(&30);
        sequence.remove(&10);
        sequence.remove(&11);
        sequence.remove(&50);
        sequence.insert_before(Some(&40), 39);
        assert_eq!(*sequence, [-1, 0, 19, 18, 20, 39, 40]);
    }
}
