//! Steps of a write at which a test may end the process. Nobody looks, unless the process was started
//! for such a test: then it gives the hooks.

use std::sync::OnceLock;

/// A step: what has just been done, if not said otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailPoint {
    /// A segment's file is there, empty, under its temporary name.
    SegmentCreated,
    /// All of it is written.
    SegmentWritten,
    /// And fsynced.
    SegmentSynced,
    /// It has its name.
    SegmentRenamed,
    /// Its directory is fsynced, too.
    SegmentListed,
    /// The same of a delete vector.
    VectorCreated,
    /// All of it is written.
    VectorWritten,
    /// And fsynced.
    VectorSynced,
    /// It has its name.
    VectorRenamed,
    /// Its directory is fsynced, too.
    VectorListed,
    /// All files are written, and the catalog knows nothing of them yet.
    CommitBegun,
    /// The catalog's transaction has all changes, and is not committed.
    CatalogWritten,
    /// It is; nobody has been told.
    CatalogCommitted,
    /// It is, and the catalog's log was put into its file.
    CatalogCheckpointed,
    /// Files that nobody needs any more are about to be removed.
    GarbageBegun,
    /// One of them is.
    FileRemoved,
}

impl FailPoint {
    /// All of them, in the order in which a write comes to them.
    pub const ALL: [Self; 16] = [
        Self::SegmentCreated,
        Self::SegmentWritten,
        Self::SegmentSynced,
        Self::SegmentRenamed,
        Self::SegmentListed,
        Self::VectorCreated,
        Self::VectorWritten,
        Self::VectorSynced,
        Self::VectorRenamed,
        Self::VectorListed,
        Self::CommitBegun,
        Self::CatalogWritten,
        Self::CatalogCommitted,
        Self::CatalogCheckpointed,
        Self::GarbageBegun,
        Self::FileRemoved,
    ];

    /// Its name for tests.
    pub fn name(self) -> &'static str {
        match self {
            Self::SegmentCreated => "segment-created",
            Self::SegmentWritten => "segment-written",
            Self::SegmentSynced => "segment-synced",
            Self::SegmentRenamed => "segment-renamed",
            Self::SegmentListed => "segment-listed",
            Self::VectorCreated => "vector-created",
            Self::VectorWritten => "vector-written",
            Self::VectorSynced => "vector-synced",
            Self::VectorRenamed => "vector-renamed",
            Self::VectorListed => "vector-listed",
            Self::CommitBegun => "commit-begun",
            Self::CatalogWritten => "catalog-written",
            Self::CatalogCommitted => "catalog-committed",
            Self::CatalogCheckpointed => "catalog-checkpointed",
            Self::GarbageBegun => "garbage-begun",
            Self::FileRemoved => "file-removed",
        }
    }
}

/// What a process that was started for a test does at fail points.
#[derive(Clone, Copy, Debug)]
pub struct Hooks {
    /// Whether the process may end at this one.
    pub is_armed: fn(FailPoint) -> bool,
    /// Ends the process, or returns.
    pub reached: fn(FailPoint),
}

static HOOKS: OnceLock<Hooks> = OnceLock::new();

/// Gives the hooks, for the rest of the process's life. Only the first call has an effect.
pub fn set_hooks(hooks: Hooks) {
    HOOKS.get_or_init(|| hooks);
}

/// Whether there are hooks.
pub fn are_on() -> bool {
    HOOKS.get().is_some()
}

/// Whether the process may end at this point: what leads there is then done, too.
pub fn is_armed(point: FailPoint) -> bool {
    HOOKS.get().is_some_and(|hooks| (hooks.is_armed)(point))
}

/// The process is at this point, where it may end.
pub fn reached(point: FailPoint) {
    if let Some(hooks) = HOOKS.get() {
        (hooks.reached)(point);
    }
}
