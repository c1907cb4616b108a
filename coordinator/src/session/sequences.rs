//! What a session knows of sequences: the values it got, and where those stand that its open
//! transaction has made or restarted.
//!
//! Values of all other sequences come from the catalog at once and for good: they survive rollback.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use kestrel_planner::catalog::{Catalog, CatalogChange, SequenceDef, SequenceState};
use kestrel_proto::{ErrorReport, Result, SqlState};
use parking_lot::Mutex;

use crate::catalog::{CatalogHandle, SequenceStanding};

/// Cloning shares it.
#[derive(Clone, Debug)]
pub(super) struct Sequences {
    catalog: CatalogHandle,
    known: Arc<Mutex<Known>>,
}

#[derive(Debug, Default)]
struct Known {
    /// The last value that the session got, by the sequence's OID.
    current: BTreeMap<u64, i64>,
    /// The sequence that gave one last.
    newest: Option<u64>,
    /// Nobody else sees these before the transaction commits.
    own: BTreeMap<u64, SequenceState>,
}

impl Sequences {
    pub(super) fn new(catalog: CatalogHandle) -> Self {
        Self { catalog, known: Arc::default() }
    }

    /// The next `count` values of a sequence. May wait for the disk.
    ///
    /// Errors: 2200H when there are not so many.
    pub(super) fn take(&self, sequence: &SequenceDef, count: u64) -> Result<Vec<i64>> {
        if let Some(values) = self.take_own(sequence, count).transpose() {
            return values;
        }
        let values = self.catalog.next_values_here(sequence, count)?;
        self.note(sequence, &values);
        Ok(values)
    }

    /// The same for a task that must not wait.
    pub(super) async fn take_async(&self, sequence: &SequenceDef, count: u64) -> Result<Vec<i64>> {
        if let Some(values) = self.take_own(sequence, count).transpose() {
            return values;
        }
        let values = self.catalog.next_values(sequence.clone(), count).await?;
        self.note(sequence, &values);
        Ok(values)
    }

    /// `None`: the transaction has not made the sequence.
    fn take_own(&self, sequence: &SequenceDef, count: u64) -> Result<Option<Vec<i64>>> {
        let mut known = self.known.lock();
        let Some(state) = known.own.get(&sequence.id) else { return Ok(None) };
        let (values, state) = sequence.take(*state, count)?;
        known.own.insert(sequence.id, state);
        drop(known);
        self.note(sequence, &values);
        Ok(Some(values))
    }

    fn note(&self, sequence: &SequenceDef, values: &[i64]) {
        let Some(last) = values.last() else { return };
        let mut known = self.known.lock();
        known.current.insert(sequence.id, *last);
        known.newest = Some(sequence.id);
    }

    /// `currval`
    ///
    /// Errors: 55000 when the session got no value of the sequence.
    pub(super) fn current(&self, sequence: &SequenceDef) -> Result<i64> {
        self.known.lock().current.get(&sequence.id).copied().ok_or_else(|| {
            let name = &sequence.name;
            undefined(format!("currval of sequence \"{name}\" is not yet defined in this session"))
        })
    }

    /// `lastval`: the sequence and its value.
    ///
    /// Errors: 55000 when the session got no value of a sequence that is still there.
    pub(super) fn last<'a>(&self, catalog: &'a Catalog) -> Result<(&'a SequenceDef, i64)> {
        let known = self.known.lock();
        let newest = known.newest.and_then(|id| catalog.sequence_by_id(id));
        newest
            .and_then(|sequence| Some((sequence, *known.current.get(&sequence.id)?)))
            .ok_or_else(|| undefined("lastval is not yet defined in this session".into()))
    }

    /// `setval`. May wait for the disk.
    ///
    /// Errors: 22003 for a value that the sequence does not have.
    pub(super) fn set(&self, sequence: &SequenceDef, value: i64, is_called: bool) -> Result<()> {
        let state = sequence.set(value, is_called)?;
        let is_own = self.known.lock().own.contains_key(&sequence.id);
        if is_own {
            self.known.lock().own.insert(sequence.id, state);
        } else {
            self.catalog.set_sequence_here(sequence, state)?;
        }
        if is_called {
            self.known.lock().current.insert(sequence.id, value);
        }
        Ok(())
    }

    /// Where a sequence stands. May wait for the disk.
    pub(super) fn standing(&self, sequence: &SequenceDef) -> Result<SequenceStanding> {
        let own = self.known.lock().own.get(&sequence.id).copied();
        match own {
            Some(state) => Ok(SequenceStanding { state, leased: 0 }),
            None => self.catalog.sequence_standing_here(sequence),
        }
    }

    /// Takes what changes say of where sequences stand out of them, until the transaction commits.
    ///
    /// Errors: 22023 for a sequence that would stand outside of its new bounds.
    pub(super) fn absorb(&self, changes: &mut Vec<CatalogChange>) -> Result<()> {
        for change in changes.iter() {
            match change {
                CatalogChange::CreateSequence(sequence) => {
                    self.known.lock().own.insert(sequence.id, sequence.initial_state());
                }
                CatalogChange::SetSequence { id, state } => {
                    self.known.lock().own.insert(*id, *state);
                }
                _ => {}
            }
        }
        changes.retain(|change| !matches!(change, CatalogChange::SetSequence { .. }));
        for change in changes.iter() {
            if let CatalogChange::AlterSequence { after, .. } = change {
                after.check_holds(self.standing(after)?.state)?;
            }
        }
        Ok(())
    }

    /// Where the sequences stand that the transaction has made or restarted: to be committed.
    pub(super) fn changes(&self, view: &Catalog) -> Vec<CatalogChange> {
        let known = self.known.lock();
        let own = known.own.iter().filter(|(id, _)| view.sequence_by_id(**id).is_some());
        own.map(|(id, state)| CatalogChange::SetSequence { id: *id, state: *state }).collect()
    }

    /// Has the transaction made or restarted some?
    pub(super) fn has_own(&self) -> bool {
        !self.known.lock().own.is_empty()
    }

    /// Those, by their OIDs.
    pub(super) fn own(&self) -> BTreeSet<u64> {
        self.known.lock().own.keys().copied().collect()
    }

    /// Undoes what was made or restarted beside these. Values of theirs stay taken.
    pub(super) fn go_back(&self, own: &BTreeSet<u64>) {
        self.known.lock().own.retain(|id, _| own.contains(id));
    }

    /// They are committed.
    pub(super) fn commit(&self) {
        self.known.lock().own.clear();
    }

    /// The transaction is undone.
    pub(super) fn rollback(&self) {
        let mut known = self.known.lock();
        let own = std::mem::take(&mut known.own);
        // Another sequence may get such an OID.
        let committed = self.catalog.snapshot();
        known
            .current
            .retain(|id, _| !own.contains_key(id) || committed.sequence_by_id(*id).is_some());
    }

    /// DISCARD SEQUENCES
    pub(super) fn discard(&self) {
        let mut known = self.known.lock();
        known.current.clear();
        known.newest = None;
    }
}

fn undefined(message: String) -> ErrorReport {
    ErrorReport::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message)
}
