//! A session's portals: those of Bind, and those of DECLARE, which SQL calls cursors. Their names
//! are of one space, and each can be fetched from both ways.

use std::collections::HashMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use kestrel_proto::{ErrorReport, Result, SqlState};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use super::backend::Parameter;
use super::encode::Format;
use crate::session::{OutputField, RowCursor, RowsTag};

/// A session's portals by name; the unnamed one stands under the empty name.
#[derive(Debug)]
pub struct Portals<S> {
    /// Each with its number, in the order they were opened.
    by_name: HashMap<String, (u64, Portal<S>)>,
    opened: u64,
}

/// A statement with its parameters, and how far it has run.
#[derive(Debug)]
pub struct Portal<S> {
    /// `None`: the empty statement.
    pub statement: Option<Arc<S>>,
    /// The values of `$1`, ….
    pub parameters: Vec<Parameter>,
    /// The columns of its rows; `None`: it returns no rows.
    pub fields: Option<Vec<OutputField>>,
    /// The format of each column.
    pub formats: Vec<Format>,
    /// How far it has run.
    pub state: PortalState,
    /// What `pg_cursors` tells of it.
    pub traits: CursorTraits,
}

/// How far a portal has run.
#[derive(Clone, Debug)]
pub enum PortalState {
    /// Not at all.
    Bound,
    /// It has rows, some of which may have been fetched.
    Open {
        /// The rows.
        rows: SharedCursor,
        /// How its command tag is made.
        tag: RowsTag,
        /// What stops it.
        cancel: CancellationToken,
    },
    /// It has run, and cannot run again.
    Finished,
}

/// A cursor that a FETCH under way reads as well as the portal.
pub type SharedCursor = Arc<Mutex<RowCursor>>;

/// What kind of cursor a portal is.
#[derive(Clone, Debug)]
pub struct CursorTraits {
    /// The text it was made by.
    pub sql: String,
    /// When.
    pub created_at: DateTime<Utc>,
    /// WITH HOLD: it is to outlive its transaction.
    pub is_holdable: bool,
    /// It has outlived it: no end of a transaction concerns it any more.
    pub is_held: bool,
    /// BINARY
    pub is_binary: bool,
    /// SCROLL
    pub is_scrollable: bool,
}

impl CursorTraits {
    /// Of a portal that Bind makes.
    pub fn of_protocol(sql: String) -> Self {
        Self {
            sql,
            created_at: Utc::now(),
            is_holdable: false,
            is_held: false,
            is_binary: false,
            is_scrollable: false,
        }
    }
}

impl<S> Default for Portals<S> {
    fn default() -> Self {
        Self { by_name: HashMap::new(), opened: 0 }
    }
}

impl<S> Portals<S> {
    /// The portal of this name.
    pub fn get(&self, name: &str) -> Option<&Portal<S>> {
        self.by_name.get(name).map(|(_, portal)| portal)
    }

    /// The portal of this name.
    pub fn get_mut(&mut self, name: &str) -> Option<&mut Portal<S>> {
        self.by_name.get_mut(name).map(|(_, portal)| portal)
    }

    /// # Errors
    /// 42P03: the name is taken. The unnamed portal gives way to the next one.
    pub fn check_free(&self, name: &str) -> Result<()> {
        if name.is_empty() || !self.by_name.contains_key(name) {
            return Ok(());
        }
        Err(ErrorReport::new(
            SqlState::DUPLICATE_CURSOR,
            format!("cursor \"{name}\" already exists"),
        ))
    }

    /// Keeps a portal under a name that is free, or in the place of the one before.
    pub fn put(&mut self, name: String, portal: Portal<S>) {
        self.opened += 1;
        self.by_name.insert(name, (self.opened, portal));
    }

    /// Takes a portal out; `None`: there is none of this name.
    pub fn remove(&mut self, name: &str) -> Option<Portal<S>> {
        self.take(name).map(|(_, portal)| portal)
    }

    /// Takes a portal out, with its number, for as long as it runs: [`Self::put_back`].
    pub(super) fn take(&mut self, name: &str) -> Option<(u64, Portal<S>)> {
        self.by_name.remove(name)
    }

    /// Keeps a portal that has run. It is as old as before, to savepoints.
    pub(super) fn put_back(&mut self, name: String, numbered: (u64, Portal<S>)) {
        self.by_name.insert(name, numbered);
    }

    /// Forgets them all: CLOSE ALL, the session's end.
    pub fn clear(&mut self) {
        self.by_name.clear();
    }

    /// A transaction has ended: what was not held is gone.
    pub fn end_transaction(&mut self) {
        self.end_since(0);
    }

    /// How many were ever opened: those of now, for [`Self::end_since`].
    pub fn opened(&self) -> u64 {
        self.opened
    }

    /// Ends what was opened after the first `opened`, and is not held.
    pub fn end_since(&mut self, opened: u64) {
        self.by_name.retain(|_, (number, portal)| *number <= opened || portal.traits.is_held);
    }

    /// There was an error: those that it has broken into, or that it came from, cannot go on.
    pub fn end_broken(&mut self) {
        for (_, portal) in self.by_name.values_mut() {
            let is_broken = match &portal.state {
                PortalState::Open { rows, .. } => {
                    rows.try_lock().is_ok_and(|rows| rows.is_broken())
                }
                PortalState::Bound | PortalState::Finished => false,
            };
            if is_broken {
                portal.state = PortalState::Finished;
            }
        }
    }

    /// All of them, by name, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Portal<S>)> {
        self.by_name.iter().map(|(name, (_, portal))| (name.as_str(), portal))
    }
}
