//! The service and the network between, as dice: what becomes of a request, of a download, of a delivery.

use std::time::Duration;

use super::dice::Dice;

/// What becomes of a request for an export.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Fate {
    /// Whether the service makes the export.
    pub is_made: bool,
    /// What is heard of it; `None` is silence.
    pub answer: Option<Answer>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Answer {
    Accepted,
    Garbled,
    Throttled { secs: u64 },
    BareThrottled,
    NotInPlan,
    Fault,
    Refused,
    NotSent,
    Lost,
}

impl Answer {
    /// Whether who hears it knows that nothing was made.
    pub(crate) fn says_no(self) -> bool {
        !matches!(self, Self::Accepted | Self::Garbled | Self::Fault | Self::Lost)
    }
}

pub(crate) fn fate(dice: &mut Dice, trouble: u64) -> Fate {
    let fate = |is_made, answer| Fate { is_made, answer };
    if !dice.chance(trouble) {
        return fate(true, Some(Answer::Accepted));
    }
    match dice.below(12) {
        0 => fate(true, None),
        1 => fate(false, None),
        2 => fate(true, Some(Answer::Lost)),
        3 => fate(false, Some(Answer::Lost)),
        4 => fate(true, Some(Answer::Fault)),
        5 => fate(false, Some(Answer::Fault)),
        6 => fate(true, Some(Answer::Garbled)),
        7 => fate(false, Some(Answer::Throttled { secs: 1 + dice.below(40) })),
        8 => fate(false, Some(Answer::BareThrottled)),
        9 => fate(false, Some(dice.of(&[Answer::NotInPlan, Answer::Refused]))),
        _ => fate(false, Some(Answer::NotSent)),
    }
}

/// What becomes of a download, after some signs of life.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Download {
    Whole,
    BreaksOff,
    Busy,
    Gone,
    DiskFull,
    Silence,
}

pub(crate) fn download(dice: &mut Dice, trouble: u64) -> Download {
    if !dice.chance(trouble) {
        return Download::Whole;
    }
    dice.of(&[
        Download::BreaksOff,
        Download::BreaksOff,
        Download::Busy,
        Download::Gone,
        Download::DiskFull,
        Download::Silence,
    ])
}

/// After how long a delivery comes again that was not acknowledged, if it does: six times in all, over hours.
pub(crate) fn redelivery(attempt: usize) -> Option<Duration> {
    const LADDER: [u64; 5] = [5, 60, 600, 3600, 14_400];
    LADDER.get(attempt).copied().map(Duration::from_secs)
}
