//! Points in time as other programs spell them.

use std::fmt;
use std::str::FromStr;
use std::time::SystemTime;

use jiff::Timestamp;
use jiff::civil::DateTime;
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// A point in time, and its original spelling where that says more than RFC 3339 in UTC would: another precision,
/// another offset, or no zone at all.
///
/// Without a zone the spelling is read as UTC for [`Time::at`], and [`Time::has_zone`] tells so.
///
/// ```
/// use craftx_core::Time;
/// let time: Time = "2025-06-28T00:33:47.214584".parse()?;
/// assert!(!time.has_zone());
/// assert_eq!(time.to_string(), "2025-06-28T00:33:47.214584");
/// # Ok::<(), craftx_core::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Time {
    at: SystemTime,
    spelled: Option<Box<str>>,
    has_zone: bool,
}

impl Time {
    /// The point in time.
    pub fn at(&self) -> SystemTime {
        self.at
    }

    /// Whether the spelling said which zone it is in.
    pub fn has_zone(&self) -> bool {
        self.has_zone
    }

    /// The time in this zone, such as `Europe/Berlin` or `+02:00`, if it says none itself: what was written by a clock on
    /// the wall there. One that says its zone stays as it is. Of two times that a clock showed twice, the earlier.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) if there is no such zone; its database is that of the machine.
    ///
    /// ```
    /// use craftx_core::Time;
    /// let time: Time = "2025-06-28T00:33:47.214584".parse()?;
    /// assert_eq!(time.in_zone("+02:00")?.to_string(), "2025-06-28T00:33:47.214584+02:00");
    /// # Ok::<(), craftx_core::Error>(())
    /// ```
    pub fn in_zone(&self, zone: &str) -> Result<Self> {
        let wrong = || Error::invalid("zone", "must be a name such as `Europe/Berlin` or an offset such as `+02:00`");
        let offset =
            format!("1970-01-01T00:00:00{zone}[{zone}]").parse::<jiff::Zoned>().map(|at| at.time_zone().clone());
        let zone = offset.or_else(|_| jiff::tz::TimeZone::get(zone)).map_err(|_| wrong())?;
        let Some(spelled) = self.spelled.as_deref().filter(|_| !self.has_zone) else { return Ok(self.clone()) };
        let naive: DateTime = spelled.parse().map_err(|_| wrong())?;
        let zoned = naive.to_zoned(zone).map_err(|_| wrong())?;
        // RFC 3339 knows no greater offset.
        if zoned.offset().seconds().unsigned_abs() >= 24 * 60 * 60 {
            return Err(wrong());
        }
        // A time that no clock there showed is the one that was meant, an hour later.
        match zoned.datetime() == naive {
            true => format!("{spelled}{}", zoned.strftime("%:z")).parse(),
            false => zoned.strftime("%Y-%m-%dT%H:%M:%S%.f%:z").to_string().parse(),
        }
    }
}

/// RFC 3339 in UTC with as many digits as needed; `None` outside the years -9999 to 9999.
pub(crate) fn rfc3339(at: SystemTime) -> Option<String> {
    Timestamp::try_from(at).ok().map(|t| t.to_string())
}

impl TryFrom<SystemTime> for Time {
    type Error = Error;
    fn try_from(at: SystemTime) -> Result<Self> {
        match rfc3339(at) {
            Some(_) => Ok(Self { at, spelled: None, has_zone: true }),
            None => Err(Error::invalid("created_at", "the year must lie between -9999 and 9999")),
        }
    }
}

impl FromStr for Time {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        let (timestamp, has_zone) = match text.parse::<Timestamp>() {
            Ok(timestamp) => (timestamp, true),
            Err(_) => {
                let naive = text.parse::<DateTime>().and_then(|naive| naive.to_zoned(jiff::tz::TimeZone::UTC));
                match naive {
                    Ok(zoned) => (zoned.timestamp(), false),
                    Err(_) => {
                        return Err(Error::invalid("created_at", "must be a time in the form of RFC 3339"));
                    }
                }
            }
        };
        let spelled = (timestamp.to_string() != text).then(|| text.into());
        Ok(Self { at: timestamp.into(), spelled, has_zone })
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.spelled, rfc3339(self.at)) {
            (Some(spelled), _) => f.write_str(spelled),
            (None, Some(text)) => f.write_str(&text),
            (None, None) => Err(fmt::Error),
        }
    }
}

impl fmt::Debug for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Time {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        crate::text::parse_with(deserializer, "a time", Time::from_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_every_spelling() {
        for text in [
            "2026-11-22T21:04:16.757579Z",
            "2026-11-22T21:04:16Z",
            "2026-11-22T21:04:16.750000Z",
            "2026-11-22T23:04:16+02:00",
            "2026-11-22T21:04:16.757579",
            "2026-11-22 21:04:16",
        ] {
            let time: Time = text.parse().unwrap();
            assert_eq!(time.to_string(), text);
            let json = serde_json::to_string(&time).unwrap();
            assert_eq!(serde_json::from_str::<Time>(&json).unwrap(), time);
        }
    }

    #[test]
    fn zones_are_read_and_their_absence_is_told() {
        let utc: Time = "2026-11-22T21:04:16Z".parse().unwrap();
        let cet: Time = "2026-11-22T22:04:16+01:00".parse().unwrap();
        let naive: Time = "2026-11-22T21:04:16".parse().unwrap();
        assert_eq!((utc.at(), naive.at()), (cet.at(), utc.at()));
        assert_eq!((utc.has_zone(), naive.has_zone()), (true, false));
    }

    #[test]
    fn a_zone_is_put_to_times_without_one_and_nothing_else() {
        let time = |text: &str| text.parse::<Time>().unwrap();
        assert_eq!(time("2025-06-28T00:33:47.5").in_zone("-03:30").unwrap().to_string(), "2025-06-28T00:33:47.5-03:30");
        assert_eq!(time("2025-06-28T00:33:47Z").in_zone("+02:00").unwrap(), time("2025-06-28T00:33:47Z"));
        for wrong in ["+25:00", "-24:00", "Nowhere/Else", "", "2"] {
            assert!(time("2025-06-28T00:33:47").in_zone(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in ["", "yesterday", "1:56 pm on 8 May, 2023", "2026-13-01T00:00:00Z"] {
            assert!(text.parse::<Time>().is_err(), "{text}");
        }
    }
}
