//! Which banners an archive lacks: the service leaves out those that it does not know, and does not say so. When an archive
//! holds fewer files than banners were ordered, the service is asked about each of them, within the rate limit.

use std::{path::Path, time::Duration, vec};

use abyssale_core::{
    BannerId, CallError, Config, Timestamp,
    http::{Request, Response},
};

use crate::Jobs;

/// The banners that an archive lacks, as far as the service says.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct MissingBanners {
    /// The banners that the service does not know (any more).
    pub unknown: Vec<BannerId>,
    /// How many banners the service was not asked about, or did not answer about, although the archive holds too few files.
    pub unchecked: usize,
}

impl MissingBanners {
    /// Returns whether the archive holds as many files as banners were ordered, as far as is known.
    pub fn is_empty(&self) -> bool {
        self.unknown.is_empty() && self.unchecked == 0
    }
}

/// The requests about each banner of a partial archive.
#[derive(Debug)]
pub struct BannerLookups<'j> {
    jobs: &'j Jobs,
    config: &'j Config,
    next: Option<BannerId>,
    left: vec::IntoIter<BannerId>,
    until: Timestamp,
    missing: MissingBanners,
}

/// What to do about a banner.
#[derive(Debug)]
pub enum LookUp {
    /// Wait, since the rate limit is reached.
    Wait(Duration),
    /// Send the request within this time, and report the answer.
    Send(Request, Duration),
}

impl<'j> BannerLookups<'j> {
    /// Begins with an archive that holds this many [files](count_files). Returns `None` if that is one for each banner, or
    /// not known.
    pub fn begin(
        jobs: &'j Jobs,
        config: &'j Config,
        banners: &[BannerId],
        files: Option<usize>,
    ) -> Option<Self> {
        if files? >= banners.len() {
            return None;
        }
        let (asked, not_asked) = banners.split_at(config.banner_lookups.min(banners.len()));
        let mut left = Vec::from(asked).into_iter();
        Some(Self {
            jobs,
            config,
            next: left.next(),
            left,
            until: jobs.now().saturating_add(PATIENCE),
            missing: MissingBanners { unknown: Vec::new(), unchecked: not_asked.len() },
        })
    }

    /// Returns what to do next; `None` at the end, when [`Self::end`] has the result.
    pub fn poll(&mut self) -> Option<LookUp> {
        let (now, banner) = (self.jobs.now(), self.next?);
        let time = self.until.saturating_duration_since(now);
        if time.is_zero() {
            return None;
        }
        Some(match self.jobs.take_request() {
            Ok(()) => LookUp::Send(self.config.endpoint.banner(&banner), time.min(self.config.call_timeout)),
            Err(at) => LookUp::Wait(at.saturating_duration_since(now).clamp(SHORTEST_WAIT, time)),
        })
    }

    /// Takes the answer to the request that was sent last.
    pub fn answered(&mut self, answer: Result<Response, CallError>) {
        let Some(banner) = self.next.take() else { return };
        match answer {
            Ok(answer) => {
                self.jobs.learn(&answer);
                match answer.status {
                    404 => self.missing.unknown.push(banner),
                    200..300 => {}
                    _ => self.missing.unchecked += 1,
                }
                self.next = self.left.next();
            }
            // The next request would fare no better.
            Err(_) => self.missing.unchecked += 1,
        }
    }

    /// Returns the result.
    pub fn end(mut self) -> MissingBanners {
        self.missing.unchecked += self.left.len() + usize::from(self.next.is_some());
        self.missing
    }
}

/// Returns the number of files in an archive, or `None` if its directory cannot be read.
#[cfg(feature = "unpack")]
pub fn count_files(archive: &Path) -> Option<usize> {
    crate::unpack::count_files(archive)
}

/// Without the code that reads an archive's directory, nothing is known to be missing.
#[cfg(not(feature = "unpack"))]
pub fn count_files(_: &Path) -> Option<usize> {
    None
}

/// How long all requests together may take, so that a result is not held up for long.
const PATIENCE: Duration = Duration::from_secs(30);

/// Other jobs may wait for the same moment.
const SHORTEST_WAIT: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use abyssale_core::{ApiKey, Endpoint, Limits, Sent};

    use super::*;
    use crate::Clock;

    const IDS: [&str; 3] = [
        "64238d01-d402-474b-8c2d-000000000001",
        "64238d01-d402-474b-8c2d-000000000002",
        "64238d01-d402-474b-8c2d-000000000003",
    ];

    /// Asks about three banners, and answers with these statuses; 0 is no answer.
    fn look_up(lookups: usize, files: Option<usize>, statuses: &[u16]) -> Option<MissingBanners> {
        let key = ApiKey::new("k").unwrap();
        let mut config = Config::new(Endpoint::new("https://h", key).unwrap());
        config.banner_lookups = lookups;
        let jobs = Jobs::open(Arc::new(config.clone()), Limits::default(), Clock::new(), None).unwrap();
        let banners = IDS.map(|id| id.parse().unwrap());
        let mut lookups = BannerLookups::begin(&jobs, &config, &banners, files)?;
        for status in statuses {
            let Some(LookUp::Send(request, _)) = lookups.poll() else { panic!() };
            assert!(request.url().path().starts_with("/banners/64238d01-"));
            lookups.answered(match status {
                0 => Err(CallError { sent: Sent::Maybe, reason: "reset".into() }),
                status => Ok(Response::new(*status, &[], b"")),
            });
        }
        assert!(lookups.poll().is_none());
        Some(lookups.end())
    }

    #[test]
    fn banners_that_are_not_found_are_missing() {
        let banner = |id: &str| id.parse::<BannerId>().unwrap();
        for (lookups, statuses, unknown, unchecked) in [
            (100, &[200, 404, 404][..], &IDS[1..], 0),
            (100, &[404, 500, 429], &IDS[..1], 2),
            (100, &[404, 0], &IDS[..1], 2),
            (1, &[200], &[], 2),
            (0, &[], &[], 3),
        ] {
            let missing = look_up(lookups, Some(1), statuses).unwrap();
            let expected: Vec<_> = unknown.iter().map(|id| banner(id)).collect();
            assert_eq!((missing.unknown, missing.unchecked), (expected, unchecked), "{statuses:?}");
        }
    }

    #[test]
    fn nothing_is_asked_about_an_archive_that_is_whole_or_cannot_be_read() {
        assert_eq!((look_up(100, Some(3), &[]), look_up(100, None, &[])), (None, None));
    }
}
