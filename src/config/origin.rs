//! Where a value came from.

use std::fmt;
use std::path::PathBuf;

/// Where a value of a configuration came from.
///
/// ```
/// use craftx::{Config, Origin};
/// let settings = Config::new().variables([("CRAFTX_JSON__PATH", "logs")]).origins()?;
/// let path = settings.iter().find(|setting| setting.key == "json.path").unwrap();
/// assert_eq!(path.origin, Origin::Variable { name: "CRAFTX_JSON__PATH".to_owned() });
/// assert_eq!(path.origin.to_string(), "variable `CRAFTX_JSON__PATH`");
/// # Ok::<(), craftx::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Origin {
    /// Nobody said anything else.
    Default,
    /// A profile that is part of craftx.
    BuiltIn {
        /// The name of the profile.
        profile: String,
    },
    /// A line of a file.
    File {
        /// The file.
        path: PathBuf,
        /// The line, beginning at 1.
        line: usize,
        /// The profile to which the line belongs, if it stands in one.
        profile: Option<String>,
    },
    /// A variable of the environment.
    Variable {
        /// The name of the variable.
        name: String,
    },
    /// An option of a command line, such as `--profile`.
    Option {
        /// The name of the option.
        name: String,
    },
    /// The program.
    Code,
}

impl Origin {
    /// Whether it belongs to a profile, whose options count only as long as its parts are in the stack.
    pub(super) fn is_inherited(&self) -> bool {
        matches!(self, Self::BuiltIn { .. } | Self::File { profile: Some(_), .. })
    }

    /// Whether it belongs to the profile of this name.
    pub(super) fn is_of(&self, name: &str) -> bool {
        match self {
            Self::BuiltIn { profile } | Self::File { profile: Some(profile), .. } => profile == name,
            _ => false,
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::BuiltIn { profile } => write!(f, "built-in profile `{profile}`"),
            Self::File { path, line, .. } => write!(f, "`{}:{line}`", path.display()),
            Self::Variable { name } => write!(f, "variable `{name}`"),
            Self::Option { name } => write!(f, "`{name}`"),
            Self::Code => f.write_str("code"),
        }
    }
}
