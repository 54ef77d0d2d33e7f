//! The search: every sequence of letters up to a length, by breadth, so that what it finds is shortest.
//!
//! Two sequences that lead to indistinguishable worlds (see [`World::fingerprint`]) have the same
//! continuations, and since each rule is checked on the step that could break it, continuing one of
//! them checks both. So all sequences are checked while far fewer are walked.

use std::{
    collections::{HashMap, HashSet, hash_map::Entry},
    env,
    time::Instant,
};

use crate::export_model::{
    Checked, afterwards,
    alphabet::{ALPHABET, Letter},
    settings::{START, Setting},
    world::World,
};

/// How long the sequences are: `ABYSSALE_EXHAUSTIVE`, or 6.
pub(crate) fn depth() -> u32 {
    env::var("ABYSSALE_EXHAUSTIVE").map_or(6, |depth| depth.parse().expect("ABYSSALE_EXHAUSTIVE is a number"))
}

/// Checks all sequences, or panics with a shortest one that breaks a rule.
pub(crate) fn every_sequence(setting: Setting) {
    for eager in [false, true] {
        search(Setting { eager, ..setting });
    }
}

fn search(setting: Setting) {
    let (began, depth) = (Instant::now(), depth());
    let letters = letters(setting);
    let mut search = Search { seen: HashSet::new(), path: Vec::new(), frontier: Vec::new() };
    search.arrive(World::new(setting, START), None);
    let mut steps = 0_u64;
    for _ in 0..depth {
        for (world, place) in std::mem::take(&mut search.frontier) {
            for letter in &letters {
                search.arrive(after(&world, *letter), Some((place, *letter)));
                steps += 1;
            }
        }
    }
    let (count, worlds, time) = (letters.len(), search.seen.len(), began.elapsed());
    let sequences = (count as u128).pow(depth);
    println!("{setting:?}");
    println!(
        "  {sequences} sequences of {depth} out of {count} letters: {steps} steps, {worlds} worlds, {time:.1?}"
    );
}

/// That two worlds are taken for one must not matter: whatever comes next, they remain one.
pub(crate) fn states_that_are_taken_for_equal_behave_alike(setting: Setting, depth: u32) {
    let letters = letters(setting);
    let next = |world: &World| -> Checked<Vec<World>> {
        letters.iter().map(|letter| after(world, *letter)).collect()
    };
    let mut futures: HashMap<u128, Vec<u128>> = HashMap::new();
    let mut frontier = vec![World::new(setting, START).unwrap()];
    let mut merged = 0;
    for _ in 0..depth {
        let mut further = Vec::new();
        for world in frontier {
            let next = next(&world).unwrap();
            let future = next.iter().map(World::fingerprint).collect::<Vec<_>>();
            match futures.entry(world.fingerprint()) {
                Entry::Vacant(entry) => _ = entry.insert(future),
                Entry::Occupied(entry) => {
                    merged += 1;
                    assert_eq!(*entry.get(), future, "{world:?} has a double with another future");
                    continue;
                }
            }
            further.extend(next);
        }
        frontier = further;
    }
    assert!(merged > 1000, "{merged} worlds had a double");
}

fn letters(setting: Setting) -> Vec<Letter> {
    // The eager driver leaves nothing to poll.
    let polls = |letter: &Letter| matches!(letter, Letter::PollAll | Letter::PollOnce);
    ALPHABET.into_iter().filter(|letter| !(setting.eager && polls(letter))).collect()
}

fn after(world: &World, letter: Letter) -> Checked<World> {
    let mut world = world.clone();
    world.step(letter)?;
    Ok(world)
}

struct Search {
    seen: HashSet<u128>,
    /// Each world's predecessor, and the letter that led from it.
    path: Vec<Option<(usize, Letter)>>,
    /// The worlds at the present distance, with their place in `path`.
    frontier: Vec<(World, usize)>,
}

impl Search {
    fn arrive(&mut self, world: Checked<World>, from: Option<(usize, Letter)>) {
        let place = self.path.len();
        let checked = world.and_then(|world| {
            if self.seen.insert(world.fingerprint()) {
                afterwards::check(&world)?;
                self.path.push(from);
                self.frontier.push((world, place));
            }
            Ok(())
        });
        if let Err(rule) = checked {
            panic!("{rule}\n  after {:#?}", self.letters(from));
        }
    }

    fn letters(&self, mut from: Option<(usize, Letter)>) -> Vec<Letter> {
        let mut letters = Vec::new();
        while let Some((place, letter)) = from {
            letters.push(letter);
            from = self.path[place];
        }
        letters.reverse();
        letters
    }
}
