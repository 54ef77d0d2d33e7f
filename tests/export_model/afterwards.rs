//! What must be true of every moment, whatever comes after it: the job ends by time alone, and a
//! restart does not change what it does, but for what was under way.

use abyssale_core::{Export, Input, Output, Snapshot};

use super::{
    Checked,
    alphabet::{Address, Answer, Letter, Story, invented},
    rule,
    settings::{KEY, Policy},
    world::World,
};

/// Asks everything that can be asked of a moment.
pub(crate) fn check(world: &World) -> Checked {
    ends_by_time_alone(world)?;
    let mut drained = world.clone();
    drained.poll_all()?;
    survives_a_restart(&drained)
}

fn ends_by_time_alone(world: &World) -> Checked {
    let mut world = world.clone();
    // Each attempt and the pause after it, of the request and of the download; and one wait between them.
    let bound = 4 * (world.setting.max_retries + 1) + 1;
    for _ in 0..=bound {
        world.step(Letter::PollAll)?;
        if world.ledger.done_given {
            return Ok(());
        }
        world.step(Letter::Deadline)?;
    }
    Err(format!("still alive after {bound} deadlines"))
}

/// Saved and restored in the same millisecond, with nothing left to say.
fn survives_a_restart(world: &World) -> Checked {
    let snapshot = world.export.snapshot();
    let json = snapshot.to_json();
    rule!(!json.contains(KEY), "the snapshot holds the key");
    rule!(json.len() < 4096, "a snapshot of {} bytes", json.len());
    let read = Snapshot::from_json(&json).map_err(|error| error.to_string())?;
    rule!(read == snapshot, "read back, {snapshot:?} is {read:?}");
    let restore = |snapshot| {
        Export::restore(world.config.clone(), snapshot, world.now).map_err(|error| error.to_string())
    };
    let mut restored = restore(read)?;

    // The answer to an attempt of the process before.
    if let Some(call) = world.ledger.newest {
        let before = restored.snapshot();
        let _ = Answer::Accepted.to(&mut restored, world.now, call);
        let _ = Answer::NotSent.to(&mut restored, world.now, call);
        rule!(restored.snapshot() == before, "a process answers for another one");
    }

    let outputs = drain(&mut restored);
    match world.ledger.live() {
        Some(flight) if flight.is_post => {
            rule!(
                !outputs.iter().any(|output| matches!(output, Output::Call { .. } | Output::Download { .. })),
                "a request under way is made again: {outputs:?}"
            );
            let expected_end = match world.setting.unknown {
                Policy::AskAgain => None,
                _ => Some(!world.setting.waits()),
            };
            rule!(expected_end.is_none_or(|done| restored.is_done() == done), "restored to {restored:?}");
        }
        Some(flight) => {
            let [Output::Download { call, .. }] = &outputs[..] else {
                return Err(format!("the download does not go on: {outputs:?}"));
            };
            rule!(*call > flight.call, "{call} was used before");
        }
        None if world.export.is_done() => {
            rule!(matches!(&outputs[..], [Output::Done(_)]), "restored at the end: {outputs:?}");
            let said = |export: &mut Export| format!("{:?}", drain(export));
            let mut again = restore(snapshot)?;
            rule!(said(&mut again) == format!("{outputs:?}"), "a restart changes the end");
        }
        None => {
            rule!(outputs.is_empty(), "a restart alone causes {outputs:?}");
            rule!(restored.snapshot() == world.export.snapshot(), "a restart changes it");
            both_do_the_same(world, &restored)?;
        }
    }
    Ok(())
}

/// Whatever comes next, the job that was restored answers as the one that was not.
///
/// One step is enough: where it leads is a moment of its own, of which the same is asked.
fn both_do_the_same(world: &World, restored: &Export) -> Checked {
    let call = world.ledger.newest.unwrap_or_else(|| invented(0));
    let deadline = world.export.poll_timeout().unwrap_or(world.now);
    let inputs: [&dyn Fn(&mut Export) -> _; 5] = [
        &|export| export.handle(deadline, Input::Tick),
        &|export| Answer::Accepted.to(export, world.now, call),
        &|export| Story::Right.to(export, world.now, Address::Ours),
        &|export| Story::Right.to(export, world.now, Address::Bare),
        &|export| export.handle(world.now, Input::Cancel),
    ];
    for (nth, input) in inputs.into_iter().enumerate() {
        let respond = |mut export: Export| {
            let disposition = input(&mut export);
            (disposition, format!("{:?}", drain(&mut export)), export.snapshot(), export.poll_timeout())
        };
        let (original, restored) = (respond(world.export.clone()), respond(restored.clone()));
        rule!(original == restored, "to input {nth}: {original:?}, and after a restart {restored:?}");
    }
    Ok(())
}

fn drain(export: &mut Export) -> Vec<Output> {
    // More than a job ever says, should it never stop.
    std::iter::from_fn(|| export.poll_output()).take(20).collect()
}
