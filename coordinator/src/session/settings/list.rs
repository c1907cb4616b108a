//! All settings: `settings.tsv`, one on a line, sorted by name. Its columns are the name, what it does
//! here, its type, its default (in its unit), and PostgreSQL's context, category and description.

use std::sync::LazyLock;

use super::unit::Unit;
use crate::server::SERVER_VERSION;

const TABLE: &str = include_str!("settings.tsv");

/// A setting.
#[derive(Debug, PartialEq)]
pub(super) struct Setting {
    pub(super) name: &'static str,
    pub(super) effect: Effect,
    pub(super) kind: Kind,
    pub(super) default: &'static str,
    pub(super) context: Context,
    pub(super) category: &'static str,
    pub(super) description: &'static str,
}

/// What a setting does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// What PostgreSQL's does.
    Works,
    /// Nobody can set it: it tells about the server.
    Shown,
    /// It can only be set to what it is.
    Fixed,
    /// It can be set, and changes nothing.
    Ignored,
}

/// The values that a setting takes.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    Text,
    Bool,
    Integer {
        min: i64,
        max: i64,
        unit: Unit,
    },
    Real {
        min: f64,
        max: f64,
    },
    /// One of these words.
    OneOf(Vec<&'static str>),
    /// `TimeZone`
    Zone,
    /// `DateStyle`
    DateStyle,
    /// `client_encoding`
    Encoding,
}

/// Who may set it, and when (PostgreSQL's `GucContext`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Context {
    Internal,
    Postmaster,
    Sighup,
    Superuser,
    User,
}

/// All of them. A line that cannot be read would be left out; a test sees to it that all can.
static SETTINGS: LazyLock<Vec<Setting>> =
    LazyLock::new(|| TABLE.lines().filter_map(read_line).collect());

/// All settings, by name in any case.
pub(super) fn settings() -> &'static [Setting] {
    &SETTINGS
}

/// The setting of this name in any case.
pub(super) fn find(name: &str) -> Option<&'static Setting> {
    let settings = settings();
    let found = settings.binary_search_by(|other| lower_case(other.name).cmp(lower_case(name)));
    found.ok().map(|at| &settings[at])
}

/// What the table is sorted by.
fn lower_case(name: &str) -> impl Iterator<Item = u8> + '_ {
    name.bytes().map(|byte| byte.to_ascii_lowercase())
}

pub(super) fn read_line(line: &'static str) -> Option<Setting> {
    let fields: Vec<&'static str> = line.split('\t').collect();
    let [name, effect, kind, default, context, category, description] = fields[..] else {
        return None;
    };
    let effect = match effect {
        "works" => Effect::Works,
        "shown" => Effect::Shown,
        "fixed" => Effect::Fixed,
        "ignored" => Effect::Ignored,
        _ => return None,
    };
    let context = Context::ALL.into_iter().find(|other| other.as_str() == context)?;
    let default = if name == "server_version" { SERVER_VERSION } else { default };
    Some(Setting { name, effect, kind: read_kind(kind)?, default, context, category, description })
}

fn read_kind(text: &'static str) -> Option<Kind> {
    let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
    let mut fields = rest.split(' ');
    Some(match word {
        "string" => Kind::Text,
        "bool" => Kind::Bool,
        "enum" => Kind::OneOf(rest.split(',').collect()),
        "zone" => Kind::Zone,
        "datestyle" => Kind::DateStyle,
        "encoding" => Kind::Encoding,
        "integer" => {
            let (min, max) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
            Kind::Integer { min, max, unit: Unit::parse(fields.next().unwrap_or(""))? }
        }
        "real" => {
            let (min, max) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
            Kind::Real { min, max }
        }
        _ => return None,
    })
}

impl Context {
    const ALL: [Self; 5] =
        [Self::Internal, Self::Postmaster, Self::Sighup, Self::Superuser, Self::User];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Internal => "internal",
            Self::Postmaster => "postmaster",
            Self::Sighup => "sighup",
            Self::Superuser => "superuser",
            Self::User => "user",
        }
    }
}

impl Kind {
    /// `vartype` of `pg_settings`.
    pub(super) fn type_name(&self) -> &'static str {
        match self {
            Self::Text | Self::Zone | Self::DateStyle | Self::Encoding => "string",
            Self::Bool => "bool",
            Self::Integer { .. } => "integer",
            Self::Real { .. } => "real",
            Self::OneOf(_) => "enum",
        }
    }
}
