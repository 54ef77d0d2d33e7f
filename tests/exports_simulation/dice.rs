//! Chance, drawn from a seed (`SplitMix64`): the same seed, the same day.

use std::time::Duration;

#[derive(Clone, Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        // Neighbouring seeds must not be neighbouring states.
        let mut dice = Self(seed.wrapping_mul(0xd605_bbb5_8c8a_bbfd));
        dice.roll();
        dice
    }

    pub(crate) fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// One of `0..end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.roll() % end
    }

    pub(crate) fn chance(&mut self, per_mille: u64) -> bool {
        self.below(1000) < per_mille
    }

    pub(crate) fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        let n = self.below(choices.len() as u64);
        choices[usize::try_from(n).unwrap()]
    }

    /// Mostly short, sometimes long, up to about `longest`.
    pub(crate) fn delay(&mut self, longest: Duration) -> Duration {
        let millis = u64::try_from(longest.as_millis()).unwrap();
        let shift = self.below(12);
        Duration::from_millis(self.below((millis >> shift).max(1)))
    }
}
