//! Which profile fits how much.

/// What is recommended, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recommendation {
    /// The name of the profile.
    pub profile: &'static str,
    /// Why, in a sentence.
    pub reason: &'static str,
}

/// How much each profile is recommended for: sessions, then bytes. The guide gives sessions and messages for each
/// (100 × 1,000; 10,000 × 5,000; 100,000 × 10,000); a message is taken to have 1,000 bytes.
const SIZES: [(u64, u64, &str, &str); 3] = [
    (100, 100_000_000, "development", "JSON files can be read by everything, and are fast enough for so little"),
    (10_000, 50_000_000_000, "production_sqlite", "one SQLite file, and no server to run"),
    (100_000, 1_000_000_000_000, "production_hybrid", "so much data should be in two places"),
];

/// The profile that the guide advises for this many sessions and this many bytes: `development` up to 100 sessions and
/// 100 MB, `production_sqlite` up to 10,000 and 50 GB, `production_hybrid` up to 100,000 and 1 TB, `cloud_ready` above.
///
/// ```
/// assert_eq!(craftx::recommend(20, 1_000_000).profile, "development");
/// assert_eq!(craftx::recommend(20, 1_000_000_000).profile, "production_sqlite");
/// ```
pub fn recommend(sessions: u64, bytes: u64) -> Recommendation {
    let fits = SIZES.iter().find(|(most, most_bytes, ..)| sessions <= *most && bytes <= *most_bytes);
    match fits {
        Some((.., profile, reason)) => Recommendation { profile, reason },
        None => Recommendation { profile: "cloud_ready", reason: "so much data outgrows one machine" },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_profile_is_advised_up_to_its_size() {
        for (sessions, bytes, profile) in [
            (0, 0, "development"),
            (100, 100_000_000, "development"),
            (101, 0, "production_sqlite"),
            (0, 100_000_001, "production_sqlite"),
            (10_000, 50_000_000_000, "production_sqlite"),
            (10_001, 0, "production_hybrid"),
            (100_000, 1_000_000_000_000, "production_hybrid"),
            (100_001, 0, "cloud_ready"),
            (0, u64::MAX, "cloud_ready"),
        ] {
            assert_eq!(recommend(sessions, bytes).profile, profile, "{sessions} {bytes}");
        }
        let known = super::super::list_profiles();
        assert!(
            known
                .iter()
                .all(|profile| SIZES.iter().any(|size| size.2 == profile.name) || profile.name == "cloud_ready")
        );
    }
}
