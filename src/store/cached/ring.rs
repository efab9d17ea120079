use crate::token::TokenId;

/// How many places the hand passes at most for one newcomer, so that none waits long where all are in use.
pub(super) const MOST_PASSED: usize = 256;

/// The places of a cache, in a circle that a hand goes round: who was used since it last came by may stay for another
/// round, and the first who was not makes room. This is the algorithm CLOCK.
#[derive(Debug)]
pub(super) struct Ring {
    capacity: usize,
    places: Vec<TokenId>,
    free: Vec<usize>,
    hand: usize,
}

impl Ring {
    pub(super) fn new(capacity: usize) -> Self {
        Self { capacity, places: Vec::new(), free: Vec::new(), hand: 0 }
    }

    /// A place for a newcomer, and who has to go for it. `take_use` tells whether somebody was used, once.
    pub(super) fn place(
        &mut self,
        newcomer: TokenId,
        take_use: impl Fn(TokenId) -> bool,
    ) -> (usize, Option<TokenId>) {
        if let Some(place) = self.free.pop() {
            self.places[place] = newcomer;
            return (place, None);
        }
        if self.places.len() < self.capacity {
            self.places.push(newcomer);
            return (self.places.len() - 1, None);
        }
        for _ in 0..MOST_PASSED {
            if !take_use(self.places[self.hand]) {
                break;
            }
            self.turn();
        }
        let place = self.hand;
        self.turn();
        (place, Some(std::mem::replace(&mut self.places[place], newcomer)))
    }

    /// Moves the hand on and returns whose place it has passed. Nobody may have it any more.
    pub(super) fn pass(&mut self) -> (usize, TokenId) {
        let passed = (self.hand, self.places[self.hand]);
        self.turn();
        passed
    }

    /// How many places there are so far.
    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    /// A place that nobody has any more.
    pub(super) fn free(&mut self, place: usize) {
        self.free.push(place);
    }

    pub(super) fn clear(&mut self) {
        *self = Self::new(self.capacity);
    }

    fn turn(&mut self) {
        self.hand = (self.hand + 1) % self.places.len();
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    fn id(number: u128) -> TokenId {
        TokenId::from_u128(number)
    }

    #[test]
    fn who_was_used_stays_for_another_round() {
        let (mut ring, used) = (Ring::new(3), RefCell::new(vec![id(1)]));
        let take_use = |id| {
            let mut used = used.borrow_mut();
            let found = used.iter().position(|it| *it == id);
            found.map(|at| used.remove(at)).is_some()
        };
        for number in 0..3 {
            assert_eq!(ring.place(id(number), take_use).1, None);
        }
        let evicted = [3, 4, 5, 6].map(|number| ring.place(id(number), take_use).1);
        assert_eq!(evicted, [0, 2, 3, 1].map(|number| Some(id(number))));
    }

    #[test]
    fn a_place_that_is_free_is_taken_first() {
        let mut ring = Ring::new(2);
        let places = [0, 1].map(|number| ring.place(id(number), |_| false).0);
        ring.free(places[1]);
        assert_eq!(ring.place(id(2), |_| false), (places[1], None));
        assert_eq!(ring.place(id(3), |_| false), (places[0], Some(id(0))));
    }

    #[test]
    fn where_all_are_in_use_one_goes_all_the_same() {
        let mut ring = Ring::new(10_000);
        for number in 0..10_000 {
            let _ = ring.place(id(number), |_| true);
        }
        let asked = std::cell::Cell::new(0);
        let busy = |_| {
            asked.set(asked.get() + 1);
            true
        };
        assert!(ring.place(id(10_000), busy).1.is_some());
        assert_eq!(asked.get(), MOST_PASSED);
    }
}
