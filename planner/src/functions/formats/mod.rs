//! How a session reads and writes values: its time zone, and the styles of dates, intervals, bytes
//! and floating-point numbers.
//!
//! A session's settings come to functions in DataFusion's configuration, as an extension: on the
//! coordinator from the planner, on a datanode from the fragment's options. Functions ask
//! [`SessionFormats::of_session`].

mod date_style;

use std::{any::Any, collections::HashMap};

use datafusion::{
    common::Result as DataFusionResult,
    config::{ConfigEntry, ConfigExtension, ConfigOptions, ExtensionOptions},
};
use kestrel_proto::ErrorReport;

pub use date_style::{DateOrder, DateStyle, DateStyleFormat};

use super::zone::Zone;
use crate::error::to_datafusion;

/// The settings that formats come from; the others do not change what functions give.
pub const FORMAT_SETTINGS: &[&str] =
    &["DateStyle", "IntervalStyle", "TimeZone", "bytea_output", "extra_float_digits"];

/// How values are read and written. The default is what these settings are by default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionFormats {
    /// `TimeZone`: where timestamptz values are shown, and those without an offset are read.
    pub zone: Zone,
    /// `DateStyle`
    pub date_style: DateStyle,
    /// `IntervalStyle`
    pub interval_style: IntervalStyle,
    /// `bytea_output`
    pub bytea_output: ByteaOutput,
    /// `extra_float_digits`: above 0 the shortest digits that read back as the same number, else so
    /// many more than those that are always exact (15, real: 6).
    pub extra_float_digits: i8,
}

impl Default for SessionFormats {
    fn default() -> Self {
        Self {
            zone: Zone::default(),
            date_style: DateStyle::default(),
            interval_style: IntervalStyle::default(),
            bytea_output: ByteaOutput::default(),
            extra_float_digits: 1,
        }
    }
}

/// `IntervalStyle`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IntervalStyle {
    /// `1 year 2 mons 3 days 04:05:06`
    #[default]
    Postgres,
    /// `@ 1 year 2 mons 3 days 4 hours 5 mins 6 secs`
    PostgresVerbose,
    /// `+1-2 +3 +4:05:06`
    SqlStandard,
    /// `P1Y2M3DT4H5M6S`
    Iso8601,
}

/// `bytea_output`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ByteaOutput {
    /// `\x6100`
    #[default]
    Hex,
    /// `a\000`
    Escape,
}

impl SessionFormats {
    /// What these settings say, whose names may be in any case; those that are not there have their
    /// defaults.
    ///
    /// # Errors
    /// XX000: a value that SET would not have taken.
    pub fn from_settings(settings: &HashMap<String, String>) -> Result<Self, ErrorReport> {
        let mut formats = Self::default();
        for (name, value) in settings {
            formats.set(&name.to_ascii_lowercase(), value).ok_or_else(|| {
                ErrorReport::internal(format!("setting \"{name}\" cannot be \"{value}\""))
            })?;
        }
        Ok(formats)
    }

    /// `name` in lower case; one of another setting changes nothing.
    fn set(&mut self, name: &str, value: &str) -> Option<()> {
        match name {
            "timezone" => self.zone = Zone::named(value)?,
            "datestyle" => self.date_style = DateStyle::default().changed(value).ok()?,
            "intervalstyle" => {
                self.interval_style = match value {
                    "postgres" => IntervalStyle::Postgres,
                    "postgres_verbose" => IntervalStyle::PostgresVerbose,
                    "sql_standard" => IntervalStyle::SqlStandard,
                    "iso_8601" => IntervalStyle::Iso8601,
                    _ => return None,
                };
            }
            "bytea_output" => {
                self.bytea_output = match value {
                    "hex" => ByteaOutput::Hex,
                    "escape" => ByteaOutput::Escape,
                    _ => return None,
                };
            }
            "extra_float_digits" => self.extra_float_digits = value.parse().ok()?,
            _ => {}
        }
        Some(())
    }

    /// Lays them into a configuration, where functions find them.
    pub fn lay_into(self, options: &mut ConfigOptions) {
        options.extensions.insert(self);
    }

    /// Those of the session that a function runs for.
    pub(crate) fn of_session(options: &ConfigOptions) -> Self {
        options.extensions.get::<Self>().copied().unwrap_or_default()
    }
}

impl ConfigExtension for SessionFormats {
    const PREFIX: &'static str = "kestrel_formats";
}

impl ExtensionOptions for SessionFormats {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }

    fn cloned(&self) -> Box<dyn ExtensionOptions> {
        Box::new(*self)
    }

    fn set(&mut self, key: &str, _: &str) -> DataFusionResult<()> {
        Err(to_datafusion(ErrorReport::internal(format!("{key} is a setting of a session"))))
    }

    fn entries(&self) -> Vec<ConfigEntry> {
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_come_to_functions() {
        let settings = [
            ("TimeZone", "Asia/Tokyo"),
            ("datestyle", "German, DMY"),
            ("IntervalStyle", "iso_8601"),
            ("bytea_output", "escape"),
            ("extra_float_digits", "-3"),
            ("work_mem", "4MB"),
        ];
        let settings = settings.map(|(name, value)| (name.to_string(), value.to_string()));
        let formats = SessionFormats::from_settings(&settings.into()).unwrap();
        let mut options = ConfigOptions::default();
        assert_eq!(SessionFormats::of_session(&options), SessionFormats::default());
        formats.lay_into(&mut options);
        let found = SessionFormats::of_session(&options);
        assert_eq!(found, formats);
        assert_eq!(found.zone.offset_seconds(0), 9 * 3600);
        assert_eq!(found.date_style.to_string(), "German, DMY");
        assert_eq!(found.interval_style, IntervalStyle::Iso8601);
        assert_eq!(found.bytea_output, ByteaOutput::Escape);
        assert_eq!(found.extra_float_digits, -3);
        let wrong = HashMap::from([("TimeZone".to_string(), "Nirgends".to_string())]);
        assert!(SessionFormats::from_settings(&wrong).is_err());
    }
}
