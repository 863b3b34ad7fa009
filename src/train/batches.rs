//! Which examples make up which batch of which epoch: a function of the seed and the epoch, so that a run that was
//! interrupted goes on with the very batches that it would have had.
//!
//! An epoch sees every example of the main set once, in a new order. Helping sets send along batches of their own in
//! proportion to their size times their weight, spread evenly at random among the others.

use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// The examples of one batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Batch {
    /// Which set.
    pub(crate) set: usize,
    /// Which of its examples.
    pub(crate) examples: Vec<usize>,
}

/// How many examples a set has, and how much of them an epoch takes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SetShare {
    pub(crate) examples: usize,
    pub(crate) weight: f64,
}

/// The batches of an epoch, in the order in which they are trained on.
pub(crate) fn epoch_batches(sets: &[SetShare], batch_size: usize, seed: u64, epoch: usize) -> Vec<Batch> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(1 + epoch as u64);
    let mut batches = Vec::new();
    for (set, share) in sets.iter().enumerate() {
        let examples = drawn(share, &mut rng);
        batches
            .extend(examples.chunks(batch_size).map(|examples| Batch { set, examples: examples.to_vec() }));
    }
    batches.shuffle(&mut rng);
    batches
}

/// As many examples as the weight asks for: whole passes, then a part of one.
fn drawn(share: &SetShare, rng: &mut impl Rng) -> Vec<usize> {
    #[expect(clippy::cast_sign_loss, reason = "a weight is not negative")]
    let wanted = (share.examples as f64 * share.weight).round() as usize;
    let mut drawn = Vec::with_capacity(wanted);
    while drawn.len() < wanted {
        let mut pass: Vec<usize> = (0..share.examples).collect();
        pass.shuffle(rng);
        pass.truncate(wanted - drawn.len());
        drawn.extend(pass);
    }
    drawn
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETS: [SetShare; 3] = [
        SetShare { examples: 100, weight: 1.0 },
        SetShare { examples: 40, weight: 0.5 },
        SetShare { examples: 10, weight: 2.5 },
    ];

    fn seen(batches: &[Batch], set: usize) -> Vec<usize> {
        let mut seen: Vec<usize> = batches
            .iter()
            .filter(|batch| batch.set == set)
            .flat_map(|batch| batch.examples.clone())
            .collect();
        seen.sort_unstable();
        seen
    }

    #[test]
    fn an_epoch_sees_the_main_set_once_and_the_others_by_weight() {
        let batches = epoch_batches(&SETS, 8, 1, 0);
        assert_eq!(seen(&batches, 0), (0..100).collect::<Vec<_>>());
        assert_eq!(seen(&batches, 1).len(), 20);
        assert_eq!(seen(&batches, 2).len(), 25);
        assert!(batches.iter().all(|batch| batch.examples.len() <= 8));
    }

    #[test]
    fn epochs_differ_and_can_be_had_again() {
        assert_eq!(epoch_batches(&SETS, 8, 1, 3), epoch_batches(&SETS, 8, 1, 3));
        assert_ne!(epoch_batches(&SETS, 8, 1, 3), epoch_batches(&SETS, 8, 1, 4));
        assert_ne!(epoch_batches(&SETS, 8, 1, 3), epoch_batches(&SETS, 8, 2, 3));
    }
}
