use std::{fmt, time::SystemTime};

use time::{OffsetDateTime, UtcOffset, format_description::well_known::Rfc3339};

use super::{InvalidValue, Rule, text::serde_as_text};

/// An instant in whole seconds, from the year 1 to the year 9999, in UTC.
///
/// Every instant that a store sees is one of these: what is finer is cut off before. It is written as
/// [RFC 3339](https://www.rfc-editor.org/rfc/rfc3339) and kept as seconds since 1970.
///
/// ```
/// use keyfob::Timestamp;
/// use time::macros::datetime;
///
/// let instant = Timestamp::from(datetime!(2026-01-31 09:00:00.75 +1));
/// assert_eq!(instant.to_string(), "2026-01-31T08:00:00Z");
/// assert_eq!(instant.unix_seconds(), 1_769_846_400);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

const INVALID: InvalidValue =
    Rule::other("must be an instant between the years 1 and 9999").broken_by("timestamp");

impl Timestamp {
    /// 0001-01-01T00:00:00Z.
    pub const MIN: Self = Self(-62_135_596_800);
    /// 9999-12-31T23:59:59Z.
    pub const MAX: Self = Self(253_402_300_799);

    /// The instant this many seconds after 1970 began, or before it where negative.
    ///
    /// # Errors
    /// [`InvalidValue`] outside [`MIN`](Self::MIN) to [`MAX`](Self::MAX).
    pub fn from_unix_seconds(seconds: i64) -> Result<Self, InvalidValue> {
        let instant = Self(seconds);
        let range = Self::MIN..=Self::MAX;
        range.contains(&instant).then_some(instant).ok_or(INVALID)
    }

    /// Seconds since 1970 began, without leap seconds; negative before.
    #[must_use]
    pub const fn unix_seconds(self) -> i64 {
        self.0
    }

    /// The instant this much later, in whole seconds; earlier where the duration is negative.
    ///
    /// # Errors
    /// [`InvalidValue`] if that is past the year 9999 or before the year 1.
    pub fn checked_add(self, duration: time::Duration) -> Result<Self, InvalidValue> {
        let seconds = self.0.checked_add(duration.whole_seconds());
        Self::from_unix_seconds(seconds.ok_or(INVALID)?)
    }

    /// The time from `earlier` to this instant; negative where `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> time::Duration {
        time::Duration::seconds(self.0 - earlier.0)
    }

    /// What a clock says; where it is off by thousands of years, the edge of the range.
    pub(crate) fn clamped(time: SystemTime) -> Self {
        Self(unix_seconds(time).clamp(Self::MIN.0, Self::MAX.0))
    }

    /// The instant as the `time` crate has it, in UTC.
    #[must_use]
    pub fn datetime(self) -> OffsetDateTime {
        OffsetDateTime::UNIX_EPOCH + time::Duration::seconds(self.0)
    }
}

/// Cuts off what is finer than a second, towards the past. Outside the years 1 to 9999, which `OffsetDateTime` leaves
/// only to the past or with a feature of its own, it stops at the edge.
impl From<OffsetDateTime> for Timestamp {
    fn from(datetime: OffsetDateTime) -> Self {
        Self(datetime.unix_timestamp().clamp(Self::MIN.0, Self::MAX.0))
    }
}

impl From<Timestamp> for OffsetDateTime {
    fn from(instant: Timestamp) -> Self {
        instant.datetime()
    }
}

/// Cuts off what is finer than a second, towards the past. Outside the years 1 to 9999 it is an error.
impl TryFrom<SystemTime> for Timestamp {
    type Error = InvalidValue;

    fn try_from(time: SystemTime) -> Result<Self, InvalidValue> {
        Self::from_unix_seconds(unix_seconds(time))
    }
}

fn unix_seconds(time: SystemTime) -> i64 {
    match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_secs()).unwrap_or(i64::MAX),
        Err(before) => {
            let before = before.duration();
            let up = u64::from(before.subsec_nanos() > 0);
            i64::try_from(before.as_secs().saturating_add(up)).map_or(i64::MIN, |seconds| -seconds)
        }
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.datetime().format(&Rfc3339).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Timestamp({self})")
    }
}

impl std::str::FromStr for Timestamp {
    type Err = InvalidValue;

    /// Takes RFC 3339 with any offset; fractions of a second are cut off.
    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let datetime = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| INVALID)?;
        // An offset can carry a text of the year 9999 past the last instant.
        let utc = datetime.checked_to_offset(UtcOffset::UTC).ok_or(INVALID)?;
        Self::from_unix_seconds(utc.unix_timestamp())
    }
}

serde_as_text!(Timestamp);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_edges_of_the_range_read_back_as_text() {
        for (instant, text) in
            [(Timestamp::MIN, "0001-01-01T00:00:00Z"), (Timestamp::MAX, "9999-12-31T23:59:59Z")]
        {
            assert_eq!(instant.to_string(), text);
            assert_eq!(text.parse(), Ok(instant));
        }
    }

    #[test]
    fn what_is_outside_the_range_is_refused() {
        for seconds in [i64::MIN, i64::MAX, Timestamp::MAX.0 + 1, Timestamp::MIN.0 - 1] {
            assert_eq!(Timestamp::from_unix_seconds(seconds), Err(INVALID));
        }
        for text in ["", "2026", "2026-01-31", "10000-01-01T00:00:00Z", "9999-12-31T23:59:59-01:00"]
        {
            assert_eq!(text.parse::<Timestamp>(), Err(INVALID), "{text}");
        }
    }

    #[test]
    fn fractions_are_cut_towards_the_past_on_both_sides_of_1970() {
        let half = std::time::Duration::from_millis(500);
        assert_eq!(Timestamp::clamped(SystemTime::UNIX_EPOCH + half).0, 0);
        assert_eq!(Timestamp::clamped(SystemTime::UNIX_EPOCH - half).0, -1);
        assert_eq!("1969-12-31T23:59:59.5Z".parse::<Timestamp>().map(|t| t.0), Ok(-1));
    }
}
